"""Settings of which image a client gets: the fleet, where builds are looked for, and what is said of single images."""

from dataclasses import dataclass

from proxy.arch.candidates import Template, parse_template
from proxy.arch.words import parse_platform
from proxy.config.declaring import items, setting
from proxy.config.parsers import (
    one_of,
    parse_flag,
    parse_one_platform,
    parse_platforms,
    parse_registry,
    parse_seconds,
    parse_text,
)
from proxy.oci.platforms import Platform
from proxy.oci.references import DOCKER_HUB


@dataclass(frozen=True, slots=True)
class ResolutionSettings:
    """`[resolution]`: which image for whom."""

    fleet: tuple[Platform, ...] = setting(
        parse_platforms,
        "The platforms that this proxy serves: for each of them a build is looked for.",
        default=tuple(parse_platform(text) for text in ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6")),
    )
    default_platform: Platform | None = setting(
        parse_one_platform, "What a client is taken for that does not show its platform.", default=None
    )
    on_missing: str = setting(
        one_of("serve", "refuse"),
        "Where nothing runs on the client's platform: serve what upstream has, or refuse with what there is.",
        default="serve",
    )


@dataclass(frozen=True, slots=True)
class TemplateSettings:
    """`[[candidates.template]]`: a pattern of names under which builds for a platform are published."""

    pattern: str = setting(parse_text, "The pattern, of {name} or {repository}, and {tag}: resin/rpi-{name}:{tag}.")
    platform: Platform = setting(parse_one_platform, "The platform that is published under it.")
    trusted: bool = setting(
        parse_flag,
        "Whether the name is proof enough; if not, an image whose config says otherwise is left out.",
        default=False,
    )
    registry: str = setting(parse_registry, "The upstream that it is for.", default=DOCKER_HUB)

    @property
    def template(self) -> Template:
        """The template; raises InvalidSetting if the pattern is none."""
        return parse_template(self.pattern, self.platform, trusted=self.trusted)


@dataclass(frozen=True, slots=True)
class CandidateSettings:
    """`[candidates]`: where builds for other platforms are looked for."""

    official: bool = setting(parse_flag, "Docker's own namespaces: arm32v7/debian, arm64v8/debian, …", default=True)
    proposal: str = setting(
        one_of("auto", "on", "off"),
        "The forum proposal's namespaces (arm6/, arm7/, rpi/, …); auto means only where no stranger can own them.",
        default="auto",
    )
    absent_ttl: float = setting(
        parse_seconds, "How long a candidate that upstream does not have is not asked for again.", default=6 * 3600.0
    )
    template: tuple[TemplateSettings, ...] = items(TemplateSettings)

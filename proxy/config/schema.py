"""Every setting: its name, its parser, its sentence, its default. `config.example.toml` and the docs follow it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from proxy.arch.candidates import Template, parse_template
from proxy.arch.words import parse_platform
from proxy.config.parsers import (
    Parser,
    one_of,
    parse_bytes,
    parse_flag,
    parse_listen,
    parse_one_platform,
    parse_path,
    parse_platforms,
    parse_registry,
    parse_seconds,
    parse_text,
    parse_texts,
    parse_url,
)
from proxy.oci.platforms import Platform
from proxy.oci.references import DOCKER_HUB, normalise_registry

DOCKER_HUB_URL = "https://registry-1.docker.io"

TOKEN_HOSTS: Mapping[str, tuple[str, ...]] = {"registry-1.docker.io": ("auth.docker.io",)}
"""Token services that are known to belong to a registry on another host (protocol_and_perf.md A1)."""

PUBLIC_HOSTS = (
    "docker.io",
    "ghcr.io",
    "quay.io",
    "gcr.io",
    "pkg.dev",
    "registry.k8s.io",
    "mcr.microsoft.com",
    "public.ecr.aws",
    "lscr.io",
    "registry.gitlab.com",
    "registry.access.redhat.com",
    "registry.redhat.io",
    "codeberg.org",
)
"""Registries on which anybody may own a namespace; their subdomains count too."""


def _setting(parser: Parser, text: str, **default: Any) -> Any:
    return field(metadata={"parser": parser, "text": text}, **default)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`[server]`: where clients come in."""

    listen: tuple[str, int] = _setting(
        parse_listen,
        "Where to listen: HOST:PORT.",
        default=("0.0.0.0", 5000),  # noqa: S104 - as above
    )
    tls_certificate: Path | None = _setting(
        parse_path,
        "The certificate to serve HTTPS with, and those that lead to its root; HTTP if not set.",
        default=None,
    )
    tls_key: Path | None = _setting(parse_path, "The certificate's private key.", default=None)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`[log]`: what is told of what happens."""

    level: str = _setting(
        one_of("debug", "info", "warning", "error"), "The least important events that are told.", default="info"
    )
    format: str = _setting(
        one_of("auto", "pretty", "json"),
        "How lines are written; auto means pretty on a terminal and JSON otherwise.",
        default="auto",
    )


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """`[cache]`: what is kept, and how long it is believed."""

    directory: Path | None = _setting(
        parse_path, "The cache folder, an OCI image layout; by default in the user's data folder.", default=None
    )
    tag_ttl: float = _setting(parse_seconds, "How long a tag is served before upstream is asked again.", default=600.0)
    absent_ttl: float = _setting(
        parse_seconds, "How long a tag that upstream does not have is not asked for again.", default=60.0
    )
    retry_interval: float = _setting(
        parse_seconds, "How long a stale answer is given before a failing upstream is asked again.", default=15.0
    )
    stale_limit: float | None = _setting(
        parse_seconds,
        "How long past its time a tag still answers while upstream fails; without end if not set.",
        default=None,
    )
    refresh_ahead: bool = _setting(
        parse_flag,
        "Whether a tag that is in use is asked for anew in the background before its time ends.",
        default=True,
    )
    offline: bool = _setting(
        parse_flag, "Whether upstream is never asked: what is in the cache is all there is.", default=False
    )
    max_bytes: int | None = _setting(
        parse_bytes,
        "How many bytes the cache may take; what was used least recently leaves. The disk is the limit if not set.",
        default=None,
    )
    min_free_bytes: int | None = _setting(
        parse_bytes,
        "How many bytes of its disk stay free; 1 GiB if not set, or a twentieth of a disk smaller than 20 GiB.",
        default=None,
    )
    memory: int = _setting(
        parse_bytes, "How much memory the most recent manifests and small blobs may take.", default=32 * 1024**2
    )


@dataclass(frozen=True, slots=True)
class FillSettings:
    """`[fill]`: how blobs are downloaded."""

    keep_without_clients: bool = _setting(
        parse_flag, "Whether a download goes on when every client that wanted it has left.", default=True
    )


@dataclass(frozen=True, slots=True)
class ResolutionSettings:
    """`[resolution]`: which image for whom."""

    fleet: tuple[Platform, ...] = _setting(
        parse_platforms,
        "The platforms that this proxy serves: for each of them a build is looked for.",
        default=tuple(parse_platform(text) for text in ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6")),
    )
    default_platform: Platform | None = _setting(
        parse_one_platform, "What a client is taken for that does not show its platform.", default=None
    )
    on_missing: str = _setting(
        one_of("serve", "refuse"),
        "Where nothing runs on the client's platform: serve what upstream has, or refuse with what there is.",
        default="serve",
    )


@dataclass(frozen=True, slots=True)
class TemplateSettings:
    """`[[candidates.template]]`: a pattern of names under which builds for a platform are published."""

    pattern: str = _setting(parse_text, "The pattern, of {name} or {repository}, and {tag}: resin/rpi-{name}:{tag}.")
    platform: Platform = _setting(parse_one_platform, "The platform that is published under it.")
    trusted: bool = _setting(
        parse_flag,
        "Whether the name is proof enough; if not, an image whose config says otherwise is left out.",
        default=False,
    )
    registry: str = _setting(parse_registry, "The upstream that it is for.", default=DOCKER_HUB)

    @property
    def template(self) -> Template:
        """The template; raises InvalidSetting if the pattern is none."""
        return parse_template(self.pattern, self.platform, trusted=self.trusted)


@dataclass(frozen=True, slots=True)
class CandidateSettings:
    """`[candidates]`: where builds for other platforms are looked for."""

    official: bool = _setting(parse_flag, "Docker's own namespaces: arm32v7/debian, arm64v8/debian, …", default=True)
    proposal: str = _setting(
        one_of("auto", "on", "off"),
        "The forum proposal's namespaces (arm6/, arm7/, rpi/, …); auto means only where no stranger can own them.",
        default="auto",
    )
    absent_ttl: float = _setting(
        parse_seconds, "How long a candidate that upstream does not have is not asked for again.", default=6 * 3600.0
    )
    template: tuple[TemplateSettings, ...] = field(default=(), metadata={"items": TemplateSettings})


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """`[[upstream]]`: a registry to pull from; docker.io is there without being named."""

    name: str = _setting(
        parse_registry, "What clients call it: docker.io, ghcr.io, registry.lan:5000.", default=DOCKER_HUB
    )
    url: str | None = _setting(parse_url, "Where it is; by default https:// and its name.", default=None)
    public: str = _setting(
        one_of("auto", "true", "false"),
        "Whether strangers may own names on it; auto knows the large public registries by their host.",
        default="auto",
    )
    timeout: float = _setting(
        parse_seconds, "How long an answer may take to begin; after it, the cache answers.", default=10.0
    )
    connect_timeout: float = _setting(parse_seconds, "How long a connection may take.", default=5.0)
    stall_timeout: float = _setting(parse_seconds, "How long a body may stand still.", default=30.0)
    token_hosts: tuple[str, ...] = _setting(
        parse_texts, "Hosts beside its own that give tokens for it; Docker Hub's is known.", default=()
    )
    username: str = _setting(parse_text, "A user there; anonymous if empty.", default="")
    password: str = _setting(parse_text, "That user's password or access token.", default="", repr=False)
    password_file: Path | None = _setting(parse_path, "A file with the password in it, instead.", default=None)
    repositories: tuple[str, ...] = _setting(
        parse_texts,
        "The repositories that the user is for: whatever they hold, every client of this proxy can pull.",
        default=(),
    )
    ca_file: Path | None = _setting(parse_path, "Certificates to trust for it, beside the system's.", default=None)

    @property
    def address(self) -> str:
        """Where it is."""
        if self.url is not None:
            return self.url
        return DOCKER_HUB_URL if self.name == DOCKER_HUB else f"https://{self.name}"

    @property
    def is_public(self) -> bool:
        """Whether strangers may own names on it."""
        if self.public != "auto":
            return self.public == "true"
        host = urlsplit(self.address).hostname or ""
        return any(host == known or host.endswith(f".{known}") for known in PUBLIC_HOSTS)

    @property
    def all_token_hosts(self) -> frozenset[str]:
        """Hosts beside its own that may give tokens for it."""
        known = TOKEN_HOSTS.get(urlsplit(self.address).netloc.lower(), ())
        return frozenset(host.lower() for host in (*known, *self.token_hosts))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set."""

    server: ServerSettings = field(default_factory=ServerSettings)
    log: LogSettings = field(default_factory=LogSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    fill: FillSettings = field(default_factory=FillSettings)
    resolution: ResolutionSettings = field(default_factory=ResolutionSettings)
    candidates: CandidateSettings = field(default_factory=CandidateSettings)
    upstream: tuple[UpstreamSettings, ...] = field(default=(), metadata={"items": UpstreamSettings})

    @property
    def upstreams(self) -> tuple[UpstreamSettings, ...]:
        """The configured upstreams, and Docker Hub."""
        named = {normalise_registry(upstream.name) for upstream in self.upstream}
        return self.upstream if DOCKER_HUB in named else (UpstreamSettings(), *self.upstream)

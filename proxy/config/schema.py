"""All settings together. `config.example.toml` and the docs follow them."""

from dataclasses import dataclass, field
from pathlib import Path

from proxy.arch.vocabulary import BUILT_IN, Vocabulary
from proxy.config.declaring import items, setting
from proxy.config.parsers import parse_bytes, parse_flag, parse_path, parse_seconds, parse_words
from proxy.config.resolving import CandidateSettings, ImageSettings, IndexSettings, ResolutionSettings
from proxy.config.serving import ApiSettings, ClientSettings, ListenerSettings, LogSettings, ServerSettings
from proxy.config.upstreams import UpstreamSettings
from proxy.config.warming import WarmSettings
from proxy.oci.references import DOCKER_HUB, normalise_registry


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """`[cache]`: what is kept, and how long it is believed."""

    directory: Path | None = setting(
        parse_path, "The cache folder, an OCI image layout; by default in the user's data folder.", default=None
    )
    tag_ttl: float = setting(parse_seconds, "How long a tag is served before upstream is asked again.", default=600.0)
    absent_ttl: float = setting(
        parse_seconds, "How long a tag that upstream does not have is not asked for again.", default=60.0
    )
    retry_interval: float = setting(
        parse_seconds, "How long a stale answer is given before a failing upstream is asked again.", default=15.0
    )
    stale_limit: float | None = setting(
        parse_seconds,
        "How long past its time a tag still answers while upstream fails; without end if not set.",
        default=None,
    )
    refresh_ahead: bool = setting(
        parse_flag,
        "Whether a tag that is in use is asked for anew in the background before its time ends.",
        default=True,
    )
    offline: bool = setting(
        parse_flag, "Whether upstream is never asked: what is in the cache is all there is.", default=False
    )
    max_bytes: int | None = setting(
        parse_bytes,
        "How many bytes the cache may take; what was used least recently leaves. The disk is the limit if not set.",
        default=None,
    )
    min_free_bytes: int | None = setting(
        parse_bytes,
        "How many bytes of its disk stay free; 1 GiB if not set, or a twentieth of a disk smaller than 20 GiB.",
        default=None,
    )
    memory: int = setting(
        parse_bytes, "How much memory the most recent manifests and small blobs may take.", default=32 * 1024**2
    )


@dataclass(frozen=True, slots=True)
class FillSettings:
    """`[fill]`: how blobs are downloaded."""

    keep_without_clients: bool = setting(
        parse_flag, "Whether a download goes on when every client that wanted it has left.", default=True
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set."""

    server: ServerSettings = field(default_factory=ServerSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    log: LogSettings = field(default_factory=LogSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    fill: FillSettings = field(default_factory=FillSettings)
    words: Vocabulary = setting(
        parse_words, "One's own words for platforms, understood wherever a platform is written.", default=BUILT_IN
    )
    resolution: ResolutionSettings = field(default_factory=ResolutionSettings)
    candidates: CandidateSettings = field(default_factory=CandidateSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    image: tuple[ImageSettings, ...] = items(ImageSettings)
    listener: tuple[ListenerSettings, ...] = items(ListenerSettings)
    client: tuple[ClientSettings, ...] = items(ClientSettings)
    upstream: tuple[UpstreamSettings, ...] = items(UpstreamSettings)
    warm: tuple[WarmSettings, ...] = items(WarmSettings)

    @property
    def upstreams(self) -> tuple[UpstreamSettings, ...]:
        """The configured upstreams, and Docker Hub."""
        named = {normalise_registry(upstream.name) for upstream in self.upstream}
        return self.upstream if DOCKER_HUB in named else (UpstreamSettings(), *self.upstream)

"""Settings of the registries that are pulled from, and what is known of the large ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from proxy.config.declaring import setting
from proxy.config.parsers import (
    one_of,
    parse_path,
    parse_registry,
    parse_seconds,
    parse_text,
    parse_texts,
    parse_url,
)
from proxy.oci.references import DOCKER_HUB, normalise_registry

DOCKER_HUB_URL = "https://registry-1.docker.io"
_DEFAULT_PORTS = {"http": 80, "https": 443}

TOKEN_HOSTS: Mapping[str, tuple[str, ...]] = {
    "registry-1.docker.io": ("auth.docker.io",),
    "index.docker.io": ("auth.docker.io",),
    "registry.gitlab.com": ("gitlab.com",),
    "lscr.io": ("ghcr.io",),
    "cr.fluentbit.io": ("ghcr.io",),
    "cr.l5d.io": ("ghcr.io",),
}
"""Token services that are known to belong to a registry on another host (docs/upstreams.md has the sources)."""

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


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """`[[upstream]]`: a registry to pull from; docker.io is there without being named."""

    name: str = setting(
        parse_registry, "What clients call it: docker.io, ghcr.io, registry.lan:5000.", default=DOCKER_HUB
    )
    url: str | None = setting(parse_url, "Where it is; by default https:// and its name.", default=None)
    public: str = setting(
        one_of("auto", "true", "false"),
        "Whether strangers may own names on it; auto knows the large public registries, by name and by host. A "
        "registry of your own in the place of docker.io is `false`.",
        default="auto",
    )
    tag_ttl: float | None = setting(parse_seconds, "As cache.tag_ttl, for it alone.", default=None)
    absent_ttl: float | None = setting(parse_seconds, "As cache.absent_ttl, for it alone.", default=None)
    timeout: float = setting(
        parse_seconds, "How long an answer may take to begin; after it, the cache answers.", default=10.0
    )
    connect_timeout: float = setting(parse_seconds, "How long a connection may take.", default=5.0)
    stall_timeout: float = setting(parse_seconds, "How long a body may stand still.", default=30.0)
    token_hosts: tuple[str, ...] = setting(
        parse_texts,
        "Hosts beside its own that give tokens for it; those of Docker Hub, GitLab and lscr.io are known.",
        default=(),
    )
    username: str = setting(parse_text, "A user there; anonymous if empty.", default="")
    password: str = setting(parse_text, "That user's password or access token.", default="", repr=False)
    password_file: Path | None = setting(
        parse_path, "A file with the password in it, instead; read again whenever it changes.", default=None
    )
    repositories: tuple[str, ...] = setting(
        parse_texts,
        "The repositories that the user is for: whatever they hold, every client of this proxy can pull.",
        default=(),
    )
    ca_file: Path | None = setting(parse_path, "Certificates to trust for it, beside the system's.", default=None)

    @property
    def address(self) -> str:
        """Where it is."""
        if self.url is not None:
            return self.url
        name = normalise_registry(self.name)
        return DOCKER_HUB_URL if name == DOCKER_HUB else f"https://{name}"

    @property
    def is_public(self) -> bool:
        """Whether strangers may own names on it."""
        if self.public != "auto":
            return self.public == "true"
        # A large registry's names are strangers' also where a mirror of it, whose host says nothing, is asked for them.
        hosts = (normalise_registry(self.name), urlsplit(self.address).hostname or "")
        return any(host == known or host.endswith(f".{known}") for host in hosts for known in PUBLIC_HOSTS)

    @property
    def all_token_hosts(self) -> Mapping[str, frozenset[str]]:
        """Hosts that may give tokens for a registry on another host: for it, and for those that it may lead on to.

        Keyed by the registry's host, with its port unless it is the scheme's own.
        """
        known = {registry: frozenset(hosts) for registry, hosts in TOKEN_HOSTS.items()}
        own = frozenset(host.lower() for host in self.token_hosts)
        return {**known, self._authority: known.get(self._authority, frozenset()) | own}

    @property
    def _authority(self) -> str:
        parts = urlsplit(self.address)
        return parts.netloc.lower().removesuffix(f":{_DEFAULT_PORTS.get(parts.scheme, '')}")

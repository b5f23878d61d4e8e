"""The clients and machines that `polyarch resolve --as-client` knows, one row each, with what it is known from.

Versions and commits are examples of their kind: what matters is the shape of a User-Agent, which only the engines show
their machine in, by architecture and kernel; the `Accept` lines; and how the client picks out of an index.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.arch.picking import (
    Rule,
    take_best,
    take_best_or_first_arm,
    take_exactly,
    take_first_of_architecture,
    take_literally,
    take_own_architecture,
    take_own_or_first_arm,
    take_own_variants,
)
from proxy.oci import media_types
from proxy.oci.platforms import Platform


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of machine, as an engine shows it."""

    name: str
    platform: Platform
    kernel: str
    """An example of `uname -r` there (clients.md §1.2)."""
    described: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of client."""

    name: str
    user_agent: str
    """With `{kernel}` and `{arch}` where it shows its machine."""
    accept: tuple[str, ...]
    """The `Accept` lines of its requests for a tag (clients.md §5)."""
    rule: Rule
    described: str
    source: str
    """Where its User-Agent and its way to pick were seen."""
    sends_namespace: bool = False
    """Whether it names the registry by `?ns=` (clients.md §2.2)."""
    picks_unasked: bool = True
    """False for one that takes the whole index, unless it is told a platform."""
    default: Platform | None = None
    """The platform that it looks for unless it is told one, wherever it runs."""

    @property
    def shows_machine(self) -> bool:
        """Whether it shows what it runs on."""
        return "{arch}" in self.user_agent


MACHINES: tuple[Machine, ...] = (
    Machine("amd64", Platform("linux", "amd64"), "6.1.0-25-amd64", "a PC"),
    Machine("arm64", Platform("linux", "arm64"), "6.1.0-25-arm64", "a 64-bit ARM"),
    Machine("armhf", Platform("linux", "arm", "v7"), "6.1.0-25-armmp", "a 32-bit ARM with Debian"),
    Machine("pi-zero", Platform("linux", "arm", "v6"), "6.1.21+", "a Raspberry Pi 1 or Zero"),
    Machine("pi-3", Platform("linux", "arm", "v7"), "6.1.21-v7+", "a Raspberry Pi 2 or 3 with a 32-bit OS"),
    Machine(
        "pi-4-32bit", Platform("linux", "arm", "v8"), "6.1.21-v8+", "a Raspberry Pi 4 with a 32-bit OS, 64-bit kernel"
    ),
    Machine("pi-4", Platform("linux", "arm64"), "6.6.31+rpt-rpi-v8", "a Raspberry Pi 3 or 4 with a 64-bit OS"),
    Machine("pi-5", Platform("linux", "arm64"), "6.12.75+rpt-rpi-2712", "a Raspberry Pi 5 with a 64-bit OS"),
)
"""Machines and their kernels, as clients.md §1.2 and platforms.md §5.2 have them."""

_V2 = (media_types.DOCKER_MANIFEST, media_types.DOCKER_LIST)
_OCI = (media_types.OCI_MANIFEST, media_types.OCI_INDEX)
_INDEXES = (media_types.DOCKER_LIST, media_types.OCI_INDEX)
_SCHEMA1_LINES = (media_types.DOCKER_SCHEMA1_SIGNED, media_types.JSON)
_ONE_LINE = (", ".join((*_V2, *_OCI, "*/*")),)
_CONTAINERS_IMAGE = (
    media_types.OCI_MANIFEST,
    media_types.DOCKER_MANIFEST,
    media_types.DOCKER_SCHEMA1_SIGNED,
    media_types.DOCKER_SCHEMA1,
    media_types.DOCKER_LIST,
    media_types.OCI_INDEX,
)
_SCHEMA1 = (media_types.DOCKER_SCHEMA1, media_types.DOCKER_SCHEMA1_SIGNED)
_CRANE = (",".join((*_SCHEMA1, media_types.DOCKER_MANIFEST, media_types.OCI_MANIFEST, *_INDEXES)),)
_OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
_ORAS = (", ".join((*_V2, *_OCI, _OCI_ARTIFACT)),)
_REGCTL = (
    media_types.OCI_INDEX,
    media_types.OCI_MANIFEST,
    media_types.DOCKER_LIST,
    media_types.DOCKER_MANIFEST,
    media_types.DOCKER_SCHEMA1_SIGNED,
    media_types.DOCKER_SCHEMA1,
    _OCI_ARTIFACT,
)


def _dockerd(version: str, go: str, commit: str, *, store: str = "", product: str = "docker") -> str:
    """Write the User-Agent of dockerd (moby `dockerversion/useragent.go`)."""
    caller = "Docker-Client" if product == "docker" else "Balena-Engine-Client"
    engine = f"{product}/{version} go/{go} git-commit/{commit} kernel/{{kernel}} os/linux arch/{{arch}}"
    return f"{engine}{store} UpstreamClient({caller}/{version} \\(linux\\))"


_CONTAINERD_STORE = " containerd-client/2.2.0+unknown storage-driver/overlayfs"

KINDS: tuple[Kind, ...] = (
    Kind(
        "docker-29",
        _dockerd("29.1.3", "go1.25.5", "fbf3ed2", store=_CONTAINERD_STORE),
        _ONE_LINE,
        take_best,
        "Docker Engine 29 with the containerd store, its default",
        "moby daemon/containerd/resolver.go; clients.md §1.1, §5",
        sends_namespace=True,
    ),
    Kind(
        "docker-29-classic",
        _dockerd("29.1.3", "go1.25.5", "fbf3ed2"),
        (*_V2, *_OCI),
        take_best,
        "Docker Engine 29 with the classic store",
        "moby dockerversion/useragent.go; clients.md §1.1, §5",
    ),
    Kind(
        "docker-28",
        _dockerd("28.5.1", "go1.24.8", "f8215cc"),
        (*_V2, *_OCI, *_SCHEMA1_LINES),
        take_best,
        "Docker Engine 24 to 28",
        "moby dockerversion/useragent.go; clients.md §1.1, §5",
    ),
    Kind(
        "docker-28-containerd",
        _dockerd("28.5.1", "go1.24.8", "f8215cc", store=_CONTAINERD_STORE),
        _ONE_LINE,
        take_best,
        "Docker Engine 28 with the containerd store",
        "moby commit a32a53ae01; clients.md §1.1, §5",
        sends_namespace=True,
    ),
    Kind(
        "docker-23",
        _dockerd("23.0.6", "go1.19.9", "9dbdbd4"),
        (*_V2, *_OCI, *_SCHEMA1_LINES),
        take_best_or_first_arm,
        "Docker Engine 23.0",
        "moby distribution/pull_v2_unix.go at v23.0; platforms.md §3.1",
    ),
    Kind(
        "docker-20.10",
        _dockerd("20.10.24", "go1.19.8", "5d6db84"),
        (*_V2, *_OCI, *_SCHEMA1_LINES),
        take_own_or_first_arm,
        "Docker Engine 20.10",
        "seen in the lab; clients.md §1.1, §4.1, §5",
    ),
    Kind(
        "docker-19.03",
        _dockerd("19.03.15", "go1.13.15", "99e3ed8919"),
        (*_V2, *_OCI, *_SCHEMA1_LINES),
        take_own_or_first_arm,
        "Docker Engine 18.06 to 19.03",
        "moby filterManifests; clients.md §4.1, platforms.md §3.1",
    ),
    Kind(
        "docker-18.05",
        _dockerd("18.05.0-ce", "go1.9.5", "f150324"),
        (*_V2, *_SCHEMA1_LINES),
        take_first_of_architecture,
        "Docker Engine 17.06 to 18.05",
        "moby filterManifests at v17.12; clients.md §4.1, §5",
    ),
    Kind(
        "docker-build",
        "buildkit/v0.25",
        _ONE_LINE,
        take_best,
        "docker build with BuildKit, Docker Engine from 23 on",
        "buildkit version/ua.go; clients.md §1.1, §5",
        sends_namespace=True,
    ),
    Kind(
        "docker-build-20.10",
        "containerd/1.4.0+unknown",
        _ONE_LINE,
        take_best,
        "docker build with BuildKit, Docker Engine 20.10",
        "seen in the lab; clients.md §1.1, §5",
        sends_namespace=True,
    ),
    Kind(
        "balena",
        _dockerd("20.10.43", "go1.19", "6e8c1d0", product="balenaEngine"),
        (*_V2, *_OCI, *_SCHEMA1_LINES),
        take_own_or_first_arm,
        "balenaEngine",
        "balena-engine dockerversion/useragent.go; clients.md §1.1",
    ),
    Kind(
        "containerd-1.6",
        "containerd/1.6.20",
        _ONE_LINE,
        take_best,
        "containerd until 2.0 (Kubernetes), and nerdctl",
        "seen in the lab; clients.md §1.1, platforms.md §3.1",
        sends_namespace=True,
    ),
    Kind(
        "containerd-2.1",
        "containerd/v2.1.4",
        _ONE_LINE,
        take_exactly,
        "containerd from 2.1 on (Kubernetes), and its ctr",
        "containerd core/transfer/image/imagestore.go; platforms.md §3.1",
        sends_namespace=True,
    ),
    Kind(
        "k3s",
        "containerd/v2.1.4-k3s1",
        _ONE_LINE,
        take_exactly,
        "k3s with containerd 2.1",
        "as containerd's CRI; not seen (clients.md §8, platforms.md §3.1)",
        sends_namespace=True,
    ),
    Kind(
        "cri-o",
        "cri-o/1.31.2 go/go1.22.6 os/linux arch/{arch}",
        _CONTAINERS_IMAGE,
        take_own_variants,
        "CRI-O (Kubernetes)",
        "cri-o server/useragent/useragent.go; clients.md §1.1, §4.1",
    ),
    Kind(
        "podman",
        "containers/5.23.1 (github.com/containers/image)",
        _CONTAINERS_IMAGE,
        take_own_variants,
        "podman",
        "seen in the lab; clients.md §1.1, §4.1, §5",
    ),
    Kind(
        "buildah",
        "Buildah/1.28.2",
        _CONTAINERS_IMAGE,
        take_own_variants,
        "buildah, and podman build",
        "seen in the lab; clients.md §1.1, §4.1, §5",
    ),
    Kind(
        "skopeo",
        "skopeo/1.9.3",
        _CONTAINERS_IMAGE,
        take_own_variants,
        "skopeo copy without --all",
        "seen in the lab; clients.md §1.1, §4.1, §5",
    ),
    Kind(
        "crane",
        "crane/v0.20.2 go-containerregistry/v0.20.2",
        _CRANE,
        take_literally,
        "crane",
        "go-containerregistry remote/index.go; clients.md §1.1, §4.1, §5",
        default=Platform("linux", "amd64"),
    ),
    Kind(
        "oras",
        "oras-go",
        _ORAS,
        take_literally,
        "oras",
        "oras-go registry/remote/auth/client.go; clients.md §1.1, §4.1, §5",
        picks_unasked=False,
    ),
    Kind(
        "regctl",
        "regclient/regctl (v0.8.0)",
        _REGCTL,
        take_own_architecture,
        "regctl",
        "regclient cmd/regctl/root.go; clients.md §1.1, §4.1, §5",
        sends_namespace=True,
        picks_unasked=False,
    ),
)

ALIASES: Mapping[str, str] = {
    "docker": "docker-29",
    "containerd": "containerd-2.1",
    "nerdctl": "containerd-1.6",
    "ctr": "containerd-2.1",
    "kubernetes": "containerd-2.1",
    "balena-engine": "balena",
}
"""Further names for them."""

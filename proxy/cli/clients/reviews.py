"""The clients' files of a machine, read together: which proxy they name, and what is wrong with them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from proxy.cli.clients import buildkit, containerd, docker, k3s, registries_conf
from proxy.cli.clients.addresses import ProxyAddress
from proxy.cli.clients.findings import Finding, Grade, Review
from proxy.oci.references import DOCKER_HUB, normalise_registry


@dataclass(frozen=True, slots=True)
class Kind:
    """A client whose files are known."""

    places: tuple[str, ...]
    """Where they are, below the root; `*` stands for any name."""
    review: Callable[[str, ProxyAddress | None], Review]
    trouble: Grade = Grade.FAIL
    """How bad it is what a review has to say."""


KINDS: Mapping[str, Kind] = {
    # What a daemon.json lacks is lacked by some versions of Docker only.
    "docker": Kind((docker.DAEMON_FILE,), docker.review, Grade.WARN),
    "containerd": Kind((f"{containerd.FOLDER}/*/hosts.toml",), containerd.review),
    "podman": Kind((registries_conf.MAIN_FILE, f"{registries_conf.FOLDER}/*.conf"), registries_conf.review),
    "k3s": Kind((k3s.FILE, k3s.FILE.replace("k3s", "rke2")), k3s.review),
    "buildkit": Kind((buildkit.FILE,), buildkit.review),
}
"""By the words of `polyarch client-config`."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A client's file that is there."""

    client: str
    """Whose: one of `KINDS`."""
    path: str
    text: str


def find_proxy(files: Sequence[FoundFile]) -> tuple[ProxyAddress, str] | None:
    """Answer the first mirror of Docker Hub that a file names, and that file's path; None where none does."""
    for file in files:
        for address in KINDS[file.client].review(file.text, None).named:
            if normalise_registry(address.host) != DOCKER_HUB:
                return address, file.path
    return None


def review_files(files: Sequence[FoundFile], proxy: ProxyAddress) -> Iterator[Finding]:
    """Tell what is right and wrong with the files of all clients.

    A client may have several files, of which one is enough: where it names the proxy, the others are not blamed.
    """
    for client in dict.fromkeys(file.client for file in files):
        reviews = [(file, KINDS[client].review(file.text, proxy)) for file in files if file.client == client]
        told = [finding for file, review in reviews for finding in _tell(file, review)]
        yield from told or [_nobody(client, reviews, proxy)]
    if not files:
        yield Finding(
            Grade.WARN,
            "clients",
            "no client's file is here",
            f"if a client of this machine is to use the proxy: polyarch client-config CLIENT --proxy {proxy}",
        )


def _tell(file: FoundFile, review: Review) -> Iterator[Finding]:
    if review.error:
        advice = f"correct it, or write it anew: polyarch client-config {file.client}"
        yield Finding(Grade.FAIL, file.client, f"{file.path} is {review.error}", advice)
    elif review.own is not None and not review.troubles:
        yield Finding(Grade.OK, file.client, f"{file.path} names {review.own}")
    for trouble in review.troubles:
        # Each says what is so, and after the last colon what to change.
        message, _, advice = trouble.rpartition(": ")
        yield Finding(KINDS[file.client].trouble, file.client, f"{file.path}: {message}", advice)


def _nobody(client: str, reviews: Sequence[tuple[FoundFile, Review]], proxy: ProxyAddress) -> Finding:
    others = dict.fromkeys(str(address) for _, review in reviews for address in review.named)
    where = ", ".join(file.path for file, _ in reviews)
    instead = f", but {', '.join(others)}" if others else ""
    return Finding(
        Grade.WARN,
        client,
        f"{where}: {proxy} is not named{instead}, so this client goes past it",
        f"polyarch client-config {client} --proxy {proxy} prints what is missing",
    )

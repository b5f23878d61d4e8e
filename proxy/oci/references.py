"""Names: repositories, tags, and whole image references as a person writes them.

Grammars: distribution-spec 1.1.1 "Pulling manifests" for names and tags; the normalisation of short names is Docker's
(`debian` means `docker.io/library/debian`), as in distribution/reference.
"""

import re
from dataclasses import dataclass
from typing import Self

from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidName, InvalidReference, InvalidTag

DOCKER_HUB = "docker.io"
LIBRARY = "library/"
MAX_NAME_LENGTH = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DOMAIN = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")
_HUB_ALIASES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


def parse_repository(text: str) -> str:
    """Check a repository name, and answer it unchanged.

    Raises:
        InvalidName: outside the grammar, or longer than 255 characters.
    """
    if len(text) > MAX_NAME_LENGTH or not _NAME.fullmatch(text):
        raise InvalidName(f"not a repository name: {text[:MAX_NAME_LENGTH]!r}")
    return text


def parse_tag(text: str) -> str:
    """Check a tag, and answer it unchanged.

    Raises:
        InvalidTag: outside the grammar, or longer than 128 characters.
    """
    if not _TAG.fullmatch(text):
        raise InvalidTag(f"not a tag: {text[:140]!r}")
    return text


def parse_tag_or_digest(text: str) -> str | Digest:
    """Read the last path part of a manifest request: a digest if it holds a colon, else a tag.

    Raises:
        InvalidDigest, InvalidTag: outside the grammar.
    """
    return Digest.parse(text) if ":" in text else parse_tag(text)


def normalise_registry(domain: str) -> str:
    """Answer the logical name of a registry: all of Docker Hub's host names are `docker.io`."""
    lowered = domain.lower()
    return DOCKER_HUB if lowered in _HUB_ALIASES else lowered


def with_library(repository: str) -> str:
    """Put a one-component name into Docker Hub's `library` namespace, and leave any other as it is."""
    return repository if "/" in repository else LIBRARY + repository


def short_name(repository: str) -> str:
    """Answer a repository without Docker Hub's `library` namespace."""
    return repository.removeprefix(LIBRARY)


@dataclass(frozen=True, slots=True)
class Reference:
    """One image as a person names it: registry, repository, and a tag or a digest."""

    registry: str
    repository: str
    target: str | Digest

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `[registry/]repository[:tag][@digest]`; a digest wins over a tag, and no tag means `latest`.

        Raises:
            InvalidReference: outside the grammar, with what was expected.
            InvalidDigest: the digest is malformed.
        """
        remainder, at, digest = text.strip().partition("@")
        registry, path = _split_registry(remainder)
        repository, tag = _split_tag(path)
        if registry == DOCKER_HUB:
            repository = with_library(repository)
        try:
            parse_repository(repository)
            parse_tag(tag)
            target = Digest.parse(digest) if at else tag
        except (InvalidName, InvalidTag) as error:
            raise InvalidReference(f"{text!r} is no image reference: expected [registry/]name[:tag]") from error
        return cls(registry, repository, target)

    def __str__(self) -> str:
        separator = "@" if isinstance(self.target, Digest) else ":"
        return f"{self.registry}/{self.repository}{separator}{self.target}"


def _split_registry(text: str) -> tuple[str, str]:
    # Docker's rule: the first component is a host only if it could not be a namespace. Upper case alone does not make
    # one here: in lower case, as hosts are written, it would be a namespace again.
    first, slash, rest = text.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first.lower() == "localhost")
    if is_host and _DOMAIN.fullmatch(first):
        return normalise_registry(first), rest
    return DOCKER_HUB, text


def _split_tag(path: str) -> tuple[str, str]:
    head, colon, tag = path.rpartition(":")
    return (head, tag) if colon else (path, "latest")

"""Content addresses: `sha256:…`, `sha512:…`.

Belongs here: the grammar, and the two algorithms that this proxy can verify. A digest of any other registered
algorithm is refused at the edge, because content that cannot be verified must not enter the cache.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol, Self

from proxy.oci.errors import InvalidDigest

ENCODED_LENGTHS = {"sha256": 64, "sha512": 128}
"""Algorithm to the number of its lower-case hex digits (image-spec, descriptor.md, "Registered algorithms")."""

_GRAMMAR = re.compile(r"(?P<algorithm>sha256|sha512):(?P<encoded>[0-9a-f]+)")


class Hasher(Protocol):
    """What a running hash offers; hashlib's objects fit."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """Answer the hash of all bytes so far, in hex."""

    def copy(self) -> Self:
        """Answer another one that has taken in the same bytes."""


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A content address, always well formed: 64 or 128 lower-case hex digits make it safe as a file name too."""

    algorithm: str
    encoded: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `algorithm:encoded`.

        Raises:
            InvalidDigest: the text does not follow the grammar, or names an algorithm that cannot be verified here.
        """
        found = _GRAMMAR.fullmatch(text)
        if found is None or len(found["encoded"]) != ENCODED_LENGTHS[found["algorithm"]]:
            raise InvalidDigest(f"not a sha256 or sha512 digest: {text[:140]!r}")
        return cls(found["algorithm"], found["encoded"])

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Address some content by its sha256."""
        return cls("sha256", hashlib.sha256(content).hexdigest())

    def hasher(self) -> Hasher:
        """Start a hash of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def matches(self, content: bytes) -> bool:
        """Tell whether some content has this address."""
        return hashlib.new(self.algorithm, content).hexdigest() == self.encoded

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"

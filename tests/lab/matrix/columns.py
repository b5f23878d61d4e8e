"""The tags that everybody pulls: what upstream holds of each, and what polyarch is to offer of it."""

from dataclasses import dataclass
from typing import NamedTuple

from tests.lab.content import AMD64, ARM64, ARM_V5, ARM_V6, ARM_V7, ARM_V8, Content


class Offer(NamedTuple):
    """One image that a tag offers: where it comes from, and the platform that it is offered for."""

    source: str
    """`repository:tag`, as upstream has it."""
    platform: str


@dataclass(frozen=True, slots=True)
class Column:
    """A tag, as its clients see it through polyarch."""

    name: str
    """What a client asks for."""
    upstream: str
    """What upstream has, in words."""
    offers: tuple[Offer, ...]
    """The images, in the order of the index that is answered."""
    is_index: bool = True
    """Whether the answer is an index; else it is the manifest of the one image."""

    aliases: tuple[tuple[str, Offer], ...] = ()
    """Platforms under which an offer is listed once more, for those who take their own exactly (`index.aliases`)."""

    def find(self, config_digest: str, content: Content) -> Offer:
        """Answer which offer an image is, by the digest of its config."""
        for offer in self.offers:
            if content.image(*offer).config.digest == config_digest:
                return offer
        raise AssertionError(f"{self.name}: got {config_digest}, which is none of {self.offers}")


COLUMNS = (
    Column(
        "debian:jessie",
        "one amd64 image; builds for the others in Docker's arch namespaces",
        (
            Offer("library/debian:jessie", AMD64),
            Offer("arm64v8/debian:jessie", ARM64),
            Offer("arm32v7/debian:jessie", ARM_V7),
            Offer("arm32v6/debian:jessie", ARM_V6),
        ),
        aliases=((ARM_V8, Offer("arm32v7/debian:jessie", ARM_V7)),),
    ),
    Column(
        "multi:latest",
        "an index of all four platforms",
        tuple(Offer("library/multi:latest", platform) for platform in (AMD64, ARM64, ARM_V7, ARM_V6)),
    ),
    Column(
        "partial:1",
        "an index of amd64 and arm64; the 32-bit ones in namespaces",
        (
            Offer("library/partial:1", AMD64),
            Offer("library/partial:1", ARM64),
            Offer("arm32v7/partial:1", ARM_V7),
            Offer("arm32v6/partial:1", ARM_V6),
        ),
        aliases=((ARM_V8, Offer("arm32v7/partial:1", ARM_V7)),),
    ),
    Column(
        "redis:3-alpine",
        "an index of amd64, arm/v5, arm/v7, arm64, in this order; no other build anywhere",
        tuple(Offer("library/redis:3-alpine", platform) for platform in (AMD64, ARM_V5, ARM_V7, ARM64)),
    ),
    Column(
        "v6only:1",
        "one amd64 image; the only ARM build is `arm32v6/`",
        (Offer("library/v6only:1", AMD64), Offer("arm32v6/v6only:1", ARM_V6)),
        aliases=tuple((platform, Offer("arm32v6/v6only:1", ARM_V6)) for platform in (ARM_V8, ARM_V7)),
    ),
    Column(
        "debian:bookworm",
        "an index of amd64 and its attestation; in the namespaces, too, indexes with attestations",
        (
            Offer("library/debian:bookworm", AMD64),
            Offer("arm64v8/debian:bookworm", ARM64),
            Offer("arm32v7/debian:bookworm", ARM_V7),
        ),
        aliases=((ARM_V8, Offer("arm32v7/debian:bookworm", ARM_V7)),),
    ),
    Column(
        "mislabelled:1",
        "one amd64 image; `arm32v7/` and a stranger's `resin/rpi-…`, both with a config that says amd64",
        (Offer("library/mislabelled:1", AMD64), Offer("arm32v7/mislabelled:1", ARM_V7)),
        aliases=((ARM_V8, Offer("arm32v7/mislabelled:1", ARM_V7)),),
    ),
    Column(
        "elsewhere:1",
        "nothing under the name; builds in the arch namespaces",
        (
            Offer("arm64v8/elsewhere:1", ARM64),
            Offer("arm32v7/elsewhere:1", ARM_V7),
            Offer("arm32v6/elsewhere:1", ARM_V6),
        ),
        aliases=((ARM_V8, Offer("arm32v7/elsewhere:1", ARM_V7)),),
    ),
    Column(
        "app:1",
        "one amd64 image; no other build anywhere",
        (Offer("library/app:1", AMD64),),
        is_index=False,
    ),
    Column("nothing:1", "nothing at all", ()),
)

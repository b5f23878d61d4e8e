"""The images that every test knows, and where they are: `repository:tag`, as they would be on Docker Hub."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from tests.lab.images import Blob, Document, Form, Image, Index, Platform, build_image, build_index
from tests.lab.pushing import push

AMD64, ARM64 = "linux/amd64", "linux/arm64"
ARM_V5, ARM_V6, ARM_V7, ARM_V8 = (f"linux/arm/v{level}" for level in (5, 6, 7, 8))
BIG_LAYER_BYTES = 40_000_000


@dataclass(frozen=True, slots=True)
class Content:
    """A set of documents by `repository:tag`; digests are asked for by that name and a platform."""

    documents: Mapping[str, Document]

    def __or__(self, other: "Content") -> "Content":
        return Content({**self.documents, **other.documents})

    def manifest(self, name: str) -> Blob:
        """The document that the tag points at: an index or an image manifest."""
        return self.documents[name].manifest

    def image(self, name: str, platform: str | None = None) -> Image:
        """The image under a tag; the platform says which one of an index."""
        document = self.documents[name]
        if isinstance(document, Image):
            return document
        wanted = Platform.parse(platform or "")
        return next(image for image in document.images if image.platform == wanted)

    def digest(self, name: str, platform: str | None = None) -> str:
        """The digest of the tag's document, or of the image manifest for a platform in it."""
        return self.manifest(name).digest if platform is None else self.image(name, platform).manifest.digest

    async def push(self, registry_url: str) -> None:
        """Upload everything to a registry."""
        for name, document in self.documents.items():
            repository, _, tag = name.rpartition(":")
            await push(document, repository, tag, registry_url=registry_url)


@cache
def own_content() -> Content:
    """The forum's form, on a registry of one's own: an amd64 image, and its builds under `arm6/` and `arm7/`."""
    return Content(
        {
            "library/app:1": build_image(AMD64, label="app"),
            "arm6/app:1": build_image(ARM_V6, label="app"),
            "arm7/app:1": build_image(ARM_V7, label="app"),
            # A candidate whose config says that it is something else.
            "library/liar:1": build_image(AMD64, label="liar"),
            "arm7/liar:1": build_image(ARM_V7, label="liar", config_platform=AMD64),
        }
    )


@cache
def hub_content() -> Content:
    """What the stand-in for Docker Hub holds; `own_content` too, where `arm6/` is a stranger's name."""
    return own_content() | Content(
        {
            # One amd64 image, and its builds for other processors in Docker's arch namespaces. The arm/v6 one
            # has a config without a variant, as those images had.
            "library/debian:jessie": build_image(AMD64, label="jessie"),
            "arm32v7/debian:jessie": build_image(ARM_V7, label="jessie"),
            "arm32v6/debian:jessie": build_image(ARM_V6, label="jessie", config_platform="linux/arm"),
            "arm64v8/debian:jessie": build_image(ARM64, label="jessie", config_platform="linux/arm64/v8"),
            # The same in today's form: the candidates are indexes of one image and its attestation.
            "library/debian:bookworm": _index(AMD64, label="bookworm", attested=True),
            "arm32v7/debian:bookworm": _index(ARM_V7, label="bookworm", attested=True),
            "arm64v8/debian:bookworm": _index(ARM64, label="bookworm", attested=True),
            # Docker manifest lists and OCI indexes that lack some or none of the platforms.
            "library/redis:3-alpine": _index(AMD64, ARM_V5, ARM_V7, ARM64, label="redis", form=Form.DOCKER),
            "library/multi:latest": _index(AMD64, ARM64, ARM_V7, ARM_V6, label="multi", attested=True),
            "library/big:1": build_image(AMD64, label="big", padding_bytes=BIG_LAYER_BYTES),
            # An index of two platforms, whose other builds are in the namespaces.
            "library/partial:1": _index(AMD64, ARM64, label="partial"),
            "arm32v7/partial:1": build_image(ARM_V7, label="partial", form=Form.OCI),
            "arm32v6/partial:1": build_image(ARM_V6, label="partial", form=Form.OCI),
            # The one ARM build is for the oldest processor, as that of Alpine 3.5 was.
            "library/v6only:1": build_image(AMD64, label="v6only"),
            "arm32v6/v6only:1": build_image(ARM_V6, label="v6only"),
            # Configs that say amd64, as those of images built on a PC do: one in Docker's own namespace, where the
            # name is believed, and a stranger's.
            "library/mislabelled:1": build_image(AMD64, label="mislabelled"),
            "arm32v7/mislabelled:1": build_image(ARM_V7, label="mislabelled", config_platform=AMD64),
            "resin/rpi-mislabelled:1": build_image(ARM_V6, label="mislabelled", config_platform=AMD64),
            # A name that upstream has in the namespaces only.
            "arm32v7/elsewhere:1": build_image(ARM_V7, label="elsewhere"),
            "arm32v6/elsewhere:1": build_image(ARM_V6, label="elsewhere"),
            "arm64v8/elsewhere:1": build_image(ARM64, label="elsewhere"),
        }
    )


def _index(*platforms: str, label: str, form: Form = Form.OCI, attested: bool = False) -> Index:
    images = [build_image(platform, label=label, form=form) for platform in platforms]
    return build_index(images, form=form, attested=attested)

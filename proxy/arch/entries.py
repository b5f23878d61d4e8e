"""An image that a tag offers, and where it comes from."""

from dataclasses import dataclass

from proxy.oci.manifests import Descriptor
from proxy.oci.platforms import Platform


@dataclass(frozen=True, slots=True)
class Entry:
    """One image that a tag offers, and where it comes from."""

    platform: Platform | None
    descriptor: Descriptor
    repository: str
    tag: str
    is_added: bool = False
    alias_of: Platform | None = None
    """For an image that stands under a further platform: the one that it is offered for."""

    @property
    def source(self) -> str:
        """Where the image comes from, in full: `arm32v7/debian:jessie@sha256:…`."""
        return f"{self.repository}:{self.tag}@{self.descriptor.digest}"

    @property
    def image_platform(self) -> Platform | None:
        """The platform that the image itself is for."""
        return self.alias_of or self.platform

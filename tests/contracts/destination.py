"""The contract of `Destination`: what every registry that we push to answers, whoever plays it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import ManifestUnknown, UpstreamError
from proxy.ports import Destination
from tests.lab.images import Blob, build_image

IMAGE = build_image("linux/arm/v7", label="pushed", padding_bytes=3_000_000)
REPOSITORY, OTHER = "team/app", "team/other"


def address(blob: Blob) -> Digest:
    return Digest.parse(blob.digest)


async def push(destination: Destination, blob: Blob, repository: str = REPOSITORY) -> None:
    async def read() -> AsyncGenerator[bytes, None]:
        for position in range(0, len(blob.content), 1_000_000):
            yield blob.content[position : position + 1_000_000]

    await destination.push_blob(repository, address(blob), len(blob.content), read)


class DestinationContract:
    """Needs a fixture `destination`: an empty registry that may be written to."""

    async def test_an_image_goes_in_and_is_there_by_tag_and_digest(self, destination: Destination) -> None:
        blobs, manifest = (IMAGE.config, *IMAGE.layers), IMAGE.manifest
        assert not await destination.has_blob(REPOSITORY, address(IMAGE.config))
        await asyncio.gather(*(push(destination, blob) for blob in blobs))
        assert all([await destination.has_blob(REPOSITORY, address(blob)) for blob in blobs])
        digest = address(manifest)
        with pytest.raises(ManifestUnknown):
            await destination.head_manifest(REPOSITORY, digest)
        await destination.push_manifest(REPOSITORY, digest, manifest.content, manifest.media_type)
        with pytest.raises(ManifestUnknown):
            await destination.head_manifest(REPOSITORY, "1")
        await destination.push_manifest(REPOSITORY, "1", manifest.content, manifest.media_type)
        for target in (digest, "1"):
            found = await destination.head_manifest(REPOSITORY, target)
            assert (found.digest, found.size, found.media_type) == (digest, len(manifest.content), manifest.media_type)
            assert (await destination.fetch_manifest(REPOSITORY, target)).content == manifest.content

    async def test_a_blob_is_mounted_from_where_it_is_and_not_from_where_it_is_not(
        self, destination: Destination
    ) -> None:
        await push(destination, IMAGE.config)
        assert not await destination.mount_blob(OTHER, address(IMAGE.layers[0]), REPOSITORY)
        assert await destination.mount_blob(OTHER, address(IMAGE.config), REPOSITORY)
        assert await destination.has_blob(OTHER, address(IMAGE.config))

    async def test_a_blob_that_is_not_what_it_should_be_is_not_taken(self, destination: Destination) -> None:
        digest = Digest.of(b"something else")

        async def read() -> AsyncGenerator[bytes, None]:
            yield b"something"

        with pytest.raises(UpstreamError):
            await destination.push_blob(REPOSITORY, digest, len(b"something"), read)
        assert not await destination.has_blob(REPOSITORY, digest)

    async def test_an_image_without_its_blobs_is_not_taken(self, destination: Destination) -> None:
        await push(destination, IMAGE.config)
        manifest = IMAGE.manifest
        with pytest.raises(UpstreamError):
            await destination.push_manifest(REPOSITORY, "1", manifest.content, manifest.media_type)
        with pytest.raises(ManifestUnknown):
            await destination.head_manifest(REPOSITORY, "1")

    async def test_a_tag_moves(self, destination: Destination) -> None:
        other = build_image("linux/arm/v7", label="moved")
        for image in (IMAGE, other):
            for blob in (image.config, *image.layers):
                await push(destination, blob)
            await destination.push_manifest(REPOSITORY, "1", image.manifest.content, image.manifest.media_type)
        assert (await destination.head_manifest(REPOSITORY, "1")).digest == address(other.manifest)

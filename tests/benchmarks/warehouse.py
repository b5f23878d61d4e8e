"""A cache folder with as many blobs as one likes, as if they had been pulled: files, and the facts about them."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from proxy.ports import Link, TagRecord, TagState
from proxy.storage.catalog import SqliteCatalog
from proxy.wiring import CATALOG_FILE
from tests.fakes.events import RecordingEvents
from tests.lab.content import AMD64
from tests.lab.images import Blob, Image, build_image

UPSTREAM = "docker.io"
BLOBS_PER_IMAGE = 3
_BATCH = 500


def image_paths(blobs: int, *, by: str) -> Iterator[str]:
    """Yield where the images are, below `/v2/`: by `tag` or by `digest`."""
    for number in range(blobs // BLOBS_PER_IMAGE):
        image = _build(number)
        yield f"{_repository(number)}/manifests/{'1' if by == 'tag' else image.manifest.digest}"


async def stock(cache: Path, blobs: int) -> None:
    """Fill a folder."""
    folder = cache / "blobs" / "sha256"
    folder.mkdir(parents=True)
    with ThreadPoolExecutor(1) as scribe, SqliteCatalog(cache / CATALOG_FILE, scribe, RecordingEvents()) as catalog:
        numbers = range(blobs // BLOBS_PER_IMAGE)
        for start in range(0, len(numbers), _BATCH):
            await _stock_images(folder, catalog, numbers[start : start + _BATCH])
        await catalog.finish_rebuild()


async def _stock_images(folder: Path, catalog: SqliteCatalog, numbers: range) -> None:
    now = time.time()  # the tags are fresh
    records, links, contents = list[TagRecord](), list[Link](), dict[Digest, list[Digest]]()
    for number in numbers:
        image, repository = _build(number), _repository(number)
        blobs = (image.manifest, image.config, *image.layers)
        for blob in blobs:
            _write(folder, blob)
        digests = [Digest.parse(blob.digest) for blob in blobs]
        descriptor = Descriptor(image.manifest.media_type, digests[0], len(image.manifest.content))
        records.append(TagRecord(UPSTREAM, repository, "1", TagState.PRESENT, now, descriptor))
        contents[digests[0]] = digests[1:]
        links.extend(
            Link(UPSTREAM, repository, digest, repository, blob.media_type, len(blob.content), is_proven=True)
            for digest, blob in zip(digests, blobs, strict=True)
        )
    await asyncio.gather(
        catalog.put_links(links),
        catalog.put_uses({link.digest: now for link in links}),
        *(catalog.put_tag(record) for record in records),
        *(catalog.put_contents(parent, children) for parent, children in contents.items()),
    )


def _write(folder: Path, blob: Blob) -> None:
    (folder / blob.digest.removeprefix("sha256:")).write_bytes(blob.content)


def _build(number: int) -> Image:
    return build_image(AMD64, label=f"stock {number}")


def _repository(number: int) -> str:
    return f"library/stock{number}"

"""Archives that are refused: each time one line, and everything is as it was before."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidSetting, ManifestUnknown
from proxy.oci.layouts import InvalidArchive
from proxy.service import importing as importing_module
from tests.fakes.store import FailingBlobStore
from tests.lab.images import Blob, build_image, build_index
from tests.service.archiving import (
    archive_of,
    blob_files,
    layout_files,
    saved_files,
    take_in,
)
from tests.service.bench import AMD64, ARM64, ARM_V7, Kept, jessie
from tests.service.stocking import stock
from tests.storage.tarballs import member, tarball

IMAGES = tuple(jessie(platform) for platform in (AMD64, ARM64, ARM_V7))
INDEX = build_index(IMAGES, attested=True)
NAME = "docker.io/library/debian:jessie"
LAYERED = build_image(AMD64, label="layered", padding_bytes=2_000_000)


@pytest.fixture
def kept() -> Kept:
    return Kept(FailingBlobStore())


async def state_of(kept: Kept) -> tuple[object, ...]:
    """Answer everything that is known and stored."""
    assert isinstance(kept.store, FailingBlobStore)
    return (
        dict(kept.store.blobs),
        await kept.catalog.take_inventory(),
        sorted(await kept.catalog.list_links(), key=str),
        kept.catalog.read_revision(),
    )


def without(name: str) -> Callable[[dict[str, bytes]], None]:
    return lambda files: files.__delitem__(name)


def replacing(name: str, content: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda files: files.__setitem__(name, content)


LAYER_NAME, CONFIG_NAME, MANIFEST_NAME = (
    f"blobs/{blob.digest.replace(':', '/')}" for blob in (IMAGES[0].layers[0], IMAGES[0].config, IMAGES[0].manifest)
)
LIE = json.dumps(
    {
        "schemaVersion": 2,
        "manifests": [{**IMAGES[0].manifest.descriptor(), "size": 3, "annotations": {"io.containerd.image.name": "a"}}],
    }
).encode()
BROKEN_LAYOUTS = {
    "a layer that is not there": (without(LAYER_NAME), "is not in it, which the image"),
    "a config that is not there": (without(CONFIG_NAME), "is not in it, which the image"),
    "a manifest that is not there": (without(MANIFEST_NAME), "index.json names"),
    "a layer that is another": (replacing(LAYER_NAME, b"other"), "is not what its name says: it is damaged"),
    "a manifest that is another": (replacing(MANIFEST_NAME, b"{}"), "is not what its name says: it is damaged"),
    "a blob of nobody that is another": (replacing(f"blobs/sha256/{'0' * 64}", b""), "is not what its name says"),
    "no index": (without("index.json"), "neither an OCI image layout nor what `docker save` writes"),
    "an index that is none": (replacing("index.json", b"["), "index.json is no JSON|index.json cannot be used"),
    "an index of nothing": (replacing("index.json", b'{"schemaVersion": 2, "manifests": []}'), "names no image"),
    "an index that is too large": (replacing("index.json", b"{" + b" " * 4_194_304), "no JSON, or has more than"),
    "a size that is another": (replacing("index.json", LIE), "bytes, and should have 3"),
    "another layout": (replacing("oci-layout", b'{"imageLayoutVersion": "9"}'), "an OCI layout of version '9'"),
}


@pytest.mark.parametrize(("breaks", "told"), BROKEN_LAYOUTS.values(), ids=BROKEN_LAYOUTS.keys())
async def test_a_layout_that_is_not_what_it_claims_changes_nothing(
    kept: Kept, tmp_path: Path, breaks: Callable[[dict[str, bytes]], None], told: str
) -> None:
    await stock(kept, IMAGES[1], "jessie")
    before = await state_of(kept)
    files = layout_files({NAME: IMAGES[0]})
    breaks(files)
    with pytest.raises(InvalidArchive, match=told) as refused:
        await take_in(kept, tmp_path, archive_of(files))
    assert len(str(refused.value).splitlines()) == 1
    assert await state_of(kept) == before


SAVED_LAYER = f"{0:064x}/layer.tar"
SAVED_CONFIG = f"{IMAGES[0].config.digest.removeprefix('sha256:')}.json"
BROKEN_SAVES = {
    "a layer that is not there": (without(SAVED_LAYER), "is not in it, a layer of an image"),
    "a layer that is another": (replacing(SAVED_LAYER, b"other"), "is not the layer that its image's config tells"),
    "a config that is not there": (without(SAVED_CONFIG), "is not in it, the config of an image"),
    "a config that is another": (replacing(SAVED_CONFIG, b"{}"), "is not what its name says"),
    "a config that is none": (replacing(SAVED_CONFIG, b"no"), "is no JSON, or has more than"),
    "too few layers": (
        replacing("manifest.json", json.dumps([{"Config": SAVED_CONFIG, "RepoTags": ["a:1"], "Layers": []}]).encode()),
        "it holds 0 layers of an image whose config tells 1",
    ),
    "a name that is none": (
        replacing("manifest.json", json.dumps([{"Config": SAVED_CONFIG, "RepoTags": ["A B"]}]).encode()),
        "a name that cannot be used",
    ),
    "no name": (
        replacing("manifest.json", json.dumps([{"Config": SAVED_CONFIG, "Layers": [SAVED_LAYER]}]).encode()),
        "nothing in it says what it is called",
    ),
    "a path to this machine": (
        replacing(
            "manifest.json", json.dumps([{"Config": "../../etc/passwd", "RepoTags": ["a"], "Layers": []}]).encode()
        ),
        "is not in it, the config of an image",
    ),
}


@pytest.mark.parametrize(("breaks", "told"), BROKEN_SAVES.values(), ids=BROKEN_SAVES.keys())
async def test_a_save_that_is_not_what_it_claims_changes_nothing(
    kept: Kept, tmp_path: Path, breaks: Callable[[dict[str, bytes]], None], told: str
) -> None:
    await stock(kept, IMAGES[1], "jessie")
    before = await state_of(kept)
    files = saved_files(IMAGES[0], "debian:jessie")
    breaks(files)
    with pytest.raises(InvalidArchive, match=told):
        await take_in(kept, tmp_path, archive_of(files))
    assert await state_of(kept) == before


def circle() -> bytes:
    """Two links that lead to each other, where a config should be."""
    files = saved_files(IMAGES[0], "a:1")
    del files[SAVED_CONFIG]
    members = [member(name, content) for name, content in files.items()]
    members += [
        member(SAVED_CONFIG, kind=tarfile.SYMTYPE, target="b"),
        member("b", kind=tarfile.SYMTYPE, target=SAVED_CONFIG),
    ]
    return tarball(*members)


def nested(depth: int) -> bytes:
    """Write a layout of indexes in indexes."""
    files, blob = layout_files({"": IMAGES[0]}), IMAGES[0].manifest
    for _ in range(depth):
        content = json.dumps({"schemaVersion": 2, "manifests": [blob.descriptor()]}).encode()
        blob = Blob.of("application/vnd.oci.image.index.v1+json", content)
        files |= blob_files(blob)
    entry = {**blob.descriptor(), "annotations": {"io.containerd.image.name": "a:1"}}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    return archive_of(files)


def own_parent() -> bytes:
    """Write an index that claims to be in itself: no hash allows that."""
    zero = f"sha256:{'0' * 64}"
    inner = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": zero, "size": 1}
    content = json.dumps({"schemaVersion": 2, "manifests": [inner]}).encode()
    entry = {**inner, "size": len(content), "annotations": {"io.containerd.image.name": "a:1"}}
    files = layout_files({"": IMAGES[0]})
    files |= {f"blobs/sha256/{'0' * 64}": content}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    return archive_of(files)


def linked_blob() -> bytes:
    """Write a layout in which a blob is a link to something else."""
    files = layout_files({"a:1": IMAGES[0]})
    del files[LAYER_NAME]
    members = [member(name, content) for name, content in files.items()]
    return tarball(*members, member("x", b"other"), member(LAYER_NAME, kind=tarfile.SYMTYPE, target="../../x"))


SOUND = layout_files({"a:1": IMAGES[0]})
HOSTILE = {
    "indexes without end": (nested(6), "nested deeper than"),
    "an index in itself": (own_parent(), "is not what its name says"),
    "links in a circle": (circle(), "is not in it, the config"),
    "a blob that is a link": (linked_blob(), "is not what its name says"),
    "two files of one name": (
        archive_of(SOUND)[:-1024] + tarball(member("oci-layout", b"{}")),
        "twice, and not the same",
    ),
    "a file and a link of one name": (
        archive_of(SOUND)[:-1024] + tarball(member("oci-layout", kind=tarfile.SYMTYPE, target="x")),
        "twice, and not the same",
    ),
    "two links of one name": (
        tarball(member("l", kind=tarfile.SYMTYPE, target="x"), member("l", kind=tarfile.SYMTYPE, target="y")),
        "twice, and not the same",
    ),
    "cut off": (archive_of(SOUND)[:3000], "cut off|is not in it|neither"),
    "nothing": (b"", "neither an OCI image layout"),
    "an image of before 2016": (
        archive_of(
            {
                "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
                "blobs/sha256/" + Digest.of(b'{"schemaVersion": 1}').encoded: b'{"schemaVersion": 1}',
                "index.json": json.dumps(
                    {
                        "schemaVersion": 2,
                        "manifests": [
                            {
                                "mediaType": "application/vnd.docker.distribution.manifest.v1+json",
                                "digest": str(Digest.of(b'{"schemaVersion": 1}')),
                                "size": 20,
                                "annotations": {"io.containerd.image.name": "a:1"},
                            }
                        ],
                    }
                ).encode(),
            }
        ),
        "schema 1",
    ),
}


@pytest.mark.parametrize(("content", "told"), HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_archive_changes_nothing(kept: Kept, tmp_path: Path, content: bytes, told: str) -> None:
    await stock(kept, IMAGES[1], "jessie")
    before = await state_of(kept)
    with pytest.raises(InvalidArchive, match=told) as refused:
        await take_in(kept, tmp_path, content)
    assert len(str(refused.value)) < 250
    assert await state_of(kept) == before


async def test_indexes_may_be_nested_as_far_as_they_are_looked_into(kept: Kept, tmp_path: Path) -> None:
    assert (await take_in(kept, tmp_path, nested(4))).blobs == 7


async def test_the_same_file_twice_is_no_trouble(kept: Kept, tmp_path: Path) -> None:
    content = archive_of(SOUND)
    assert (await take_in(kept, tmp_path, content[:-1024] + content)).blobs == 3


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(archive_of(SOUND)) - 1), st.integers(1, 255))
async def test_any_damage_is_found_or_harmless(tmp_path: Path, position: int, change: int) -> None:
    content = bytearray(archive_of(SOUND))
    content[position] ^= change
    kept = Kept(FailingBlobStore())
    before = await state_of(kept)
    try:
        await take_in(kept, tmp_path, bytes(content))
    except (InvalidSetting, ManifestUnknown):
        assert await state_of(kept) == before
    else:
        assert isinstance(kept.store, FailingBlobStore)
        assert all(digest.matches(blob) for digest, blob in kept.store.blobs.items())


def unusable() -> bytes:
    """Write a layout with a document that is both an index and an image."""
    both = Blob.of("application/vnd.oci.image.index.v1+json", b'{"schemaVersion": 2, "manifests": [], "layers": []}')
    entry = {**both.descriptor(), "annotations": {"io.containerd.image.name": "a:1"}}
    files = {**SOUND, **blob_files(both)}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    return archive_of(files)


async def test_a_document_that_may_not_be_served_is_not_taken_in(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(InvalidArchive, match="cannot be used: a document that is both an index and an image"):
        await take_in(kept, tmp_path, unusable())


async def test_documents_are_kept_in_memory_so_far_and_no_further(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing_module, "MAX_DOCUMENTS_BYTES", 1000)
    with pytest.raises(InvalidArchive, match="it holds documents of more than 1000 bytes"):
        await take_in(kept, tmp_path, archive_of(SOUND))

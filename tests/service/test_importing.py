"""Archives into the cache: sound ones whole, others not at all."""

import gzip
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidSetting, ManifestUnknown, Unavailable
from proxy.oci.layouts import InvalidArchive
from proxy.oci.references import Reference
from proxy.ports import TagState
from proxy.service.verification import Verification
from proxy.storage.archive_reading import ArchiveFile
from tests.fakes.clock import ManualClock
from tests.fakes.store import FailingBlobStore
from tests.fakes.upstream import FakeUpstream
from tests.lab.images import Blob, Form, Image, build_image, build_index
from tests.service.archiving import (
    archive_of,
    blob_files,
    export,
    ignore,
    importing,
    layout_files,
    saved_files,
    take_in,
)
from tests.service.bench import AMD64, ARM64, ARM_V7, DEBIAN, HUB, Kept, address, asker, jessie, open_bench
from tests.service.stocking import blobs_of, describe, stock
from tests.storage.tarballs import member, packed, tarball

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


async def pull_offline(kept: Kept, image: Image, name: str = DEBIAN, tag: str = "jessie") -> None:
    """Pull an image through the proxy's use cases, with an upstream that answers nobody."""
    upstream = FakeUpstream()
    upstream.go_offline()
    platform = str(image.platform)
    async with open_bench(upstream, kept) as bench:
        answer = await bench.puller.get_tag((name,), tag, asker(platform, wants_manifest=True))
        assert answer.content is not None
        fields = json.loads(answer.content)
        assert fields["config"]["digest"] == image.config.digest
        for part in (fields["config"], *fields["layers"]):
            blob = await bench.puller.get_blob((name,), Digest.parse(part["digest"]))
            assert (blob.fill, blob.size) == (None, part["size"])


async def test_a_layout_comes_in_whole_and_is_pulled_without_upstream(kept: Kept, tmp_path: Path) -> None:
    clock = ManualClock()
    path = tmp_path / "archive.tar"
    path.write_bytes(archive_of(layout_files({NAME: INDEX})))
    imported = await importing(kept, clock).run(ArchiveFile(path), None, ignore)
    (image,) = imported.images
    assert image.references == (Reference.parse(NAME),)
    assert (image.digest, [str(one) for one in image.platforms]) == (address(INDEX.manifest), [AMD64, ARM64, ARM_V7])
    assert imported.blobs == 19
    record = kept.catalog.find_tag(HUB, DEBIAN, "jessie")
    assert record is not None
    assert (record.state, record.checked_at) == (TagState.PRESENT, clock.now())
    assert record.descriptor == describe(INDEX.manifest)
    assert kept.catalog.read_revision() == 1
    verified = await Verification(kept.store, kept.catalog).run(None, ignore)
    assert (verified.is_sound, verified.incomplete, verified.blobs) == (True, (), 19)
    for one in IMAGES:
        await pull_offline(kept, one)


async def test_what_was_exported_comes_in_as_it_was(kept: Kept, tmp_path: Path) -> None:
    await stock(kept, INDEX, "jessie", images=IMAGES[1:])
    _, content = await export(kept, "debian:jessie")
    other = Kept()
    (image,) = (await take_in(other, tmp_path, content)).images
    assert [str(one) for one in image.missing_platforms] == [AMD64]
    assert (await export(other, "debian:jessie"))[1] == content
    await pull_offline(other, IMAGES[2])


async def test_a_digest_comes_in_under_its_name(kept: Kept, tmp_path: Path) -> None:
    name = f"debian@{IMAGES[2].manifest.digest}"
    await stock(kept, INDEX, "jessie")
    _, content = await export(kept, name)
    other = Kept()
    await take_in(other, tmp_path, content)
    assert other.catalog.list_tags() == []
    link = other.catalog.find_link(HUB, DEBIAN, address(IMAGES[2].manifest))
    assert link is not None
    assert link.is_proven
    assert (await export(other, name))[1] == content


@pytest.mark.parametrize("uncompressed", [True, False], ids=["docker", "crane"])
async def test_what_old_engines_saved_becomes_an_image_with_a_manifest(
    kept: Kept, tmp_path: Path, *, uncompressed: bool
) -> None:
    files = saved_files(LAYERED, "debian:jessie", "me/debian:8", uncompressed=uncompressed)
    (image,) = (await take_in(kept, tmp_path, archive_of(files))).images
    assert image.references == (Reference.parse("debian:jessie"), Reference.parse("me/debian:8"))
    await pull_offline(kept, LAYERED)
    await pull_offline(kept, LAYERED, "me/debian", "8")
    with kept.store.open_blob(image.digest) as reader:
        manifest = json.loads(reader.read_at(0, reader.size))
    suffix = "" if uncompressed else "+gzip"
    assert {layer["mediaType"] for layer in manifest["layers"]} == {f"application/vnd.oci.image.layer.v1.tar{suffix}"}
    assert (await take_in(kept, tmp_path, archive_of(files))).images[0].digest == image.digest  # the same for ever


async def test_a_layer_that_is_another_image_s_too_is_a_link(kept: Kept, tmp_path: Path) -> None:
    files = saved_files(IMAGES[0], "debian:jessie")
    path = next(name for name in files if name.endswith("layer.tar"))
    members = [member(name, content) for name, content in files.items() if name != path]
    members += [member("real/layer.tar", files[path])]
    members += [member(path, kind=tarfile.SYMTYPE, target="../real/layer.tar")]
    await take_in(kept, tmp_path, tarball(*members))
    await pull_offline(kept, IMAGES[0])


async def test_an_engine_25_s_manifest_without_layers_is_not_believed(kept: Kept, tmp_path: Path) -> None:
    """Docker Engine 25 listed only foreign layers in its layout's manifest; what it meant is in `manifest.json`."""
    image = IMAGES[0]
    hollow = Blob.of(
        image.manifest.media_type, json.dumps({**json.loads(image.manifest.content), "layers": []}).encode()
    )
    layer = gzip.decompress(image.layers[0].content)
    layer_name = f"blobs/sha256/{Digest.of(layer).encoded}"
    config_name = f"blobs/sha256/{image.config.digest.removeprefix('sha256:')}"
    files = layout_files({NAME: type(image)(image.platform, hollow, image.config, ())})
    files |= {layer_name: layer}
    saved = [{"Config": config_name, "RepoTags": ["debian:jessie"], "Layers": [layer_name]}]
    files["manifest.json"] = json.dumps(saved).encode()
    await take_in(kept, tmp_path, archive_of(files))
    await pull_offline(kept, image)


async def test_an_archive_of_both_kinds_keeps_its_digests(kept: Kept, tmp_path: Path) -> None:
    files = layout_files({NAME: IMAGES[0]}) | saved_files(IMAGES[0], "debian:jessie")
    (image,) = (await take_in(kept, tmp_path, archive_of(files))).images
    assert image.digest == address(IMAGES[0].manifest)


@pytest.mark.parametrize("kind", ["gzip", "folder"])
async def test_a_compressed_archive_and_a_folder_are_the_same(kept: Kept, tmp_path: Path, kind: str) -> None:
    files = layout_files({NAME: INDEX})
    path = tmp_path / "archive"
    if kind == "gzip":
        path.write_bytes(packed(archive_of(files)))
    for name, content in files.items() if kind == "folder" else ():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    assert (await importing(kept).run(ArchiveFile(path), None, ignore)).blobs == 19
    await pull_offline(kept, IMAGES[2])


async def test_names_come_from_the_command_where_the_archive_has_none(kept: Kept, tmp_path: Path) -> None:
    content = archive_of(layout_files({"": INDEX}))
    with pytest.raises(InvalidArchive, match="nothing in it says what it is called; name it with --as"):
        await take_in(kept, tmp_path, content)
    (image,) = (await take_in(kept, tmp_path, content, "ghcr.io/me/app:1")).images
    assert [str(name) for name in image.references] == ["ghcr.io/me/app:1"]
    assert kept.catalog.find_tag("ghcr.io", "me/app", "1") is not None


async def test_one_name_is_not_enough_for_two_images(kept: Kept, tmp_path: Path) -> None:
    content = archive_of(layout_files({"a:1": IMAGES[0], "b:1": IMAGES[1]}))
    with pytest.raises(InvalidArchive, match="it holds 2 images, and --as can name one only"):
        await take_in(kept, tmp_path, content, "c:1")
    assert len((await take_in(kept, tmp_path, content)).images) == 2


async def test_one_image_may_have_several_names(kept: Kept, tmp_path: Path) -> None:
    (image,) = (await take_in(kept, tmp_path, archive_of(layout_files({"a:1": INDEX, "a:2": INDEX})))).images
    assert [str(name) for name in image.references] == ["docker.io/library/a:1", "docker.io/library/a:2"]


async def test_another_registry_s_name_could_not_be_pulled(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidArchive, match=r"of none of this proxy's upstreams: docker.io, ghcr.io; configure quay.io"
    ):
        await take_in(kept, tmp_path, archive_of(layout_files({"quay.io/a/b:1": INDEX})))


async def test_a_digest_as_name_has_to_be_right(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(InvalidArchive, match="which is not docker"):
        await take_in(kept, tmp_path, archive_of(layout_files({"": INDEX})), f"debian@{IMAGES[0].manifest.digest}")


async def test_what_is_there_already_is_not_taken_in_again(kept: Kept, tmp_path: Path) -> None:
    await stock(kept, INDEX, "jessie")
    imported = await take_in(kept, tmp_path, archive_of(layout_files({NAME: INDEX})))
    assert (imported.blobs, imported.size) == (0, 0)


async def test_a_tag_that_was_there_is_replaced_with_what_it_was_answered_with(kept: Kept, tmp_path: Path) -> None:
    await stock(kept, IMAGES[0], "jessie")
    await kept.catalog.put_answer(HUB, DEBIAN, "jessie", address(INDEX.manifest))
    await take_in(kept, tmp_path, archive_of(layout_files({NAME: IMAGES[2]})))
    inventory = await kept.catalog.take_inventory()
    assert inventory.answers == {}
    assert [record.descriptor for record in inventory.tags] == [describe(IMAGES[2].manifest)]


async def test_what_an_index_names_and_the_archive_lacks_can_be_asked_for_later(kept: Kept, tmp_path: Path) -> None:
    await take_in(kept, tmp_path, archive_of(layout_files({NAME: INDEX}, images=IMAGES[:1])))
    link = kept.catalog.find_link(HUB, DEBIAN, address(IMAGES[2].manifest))
    assert link is not None
    assert not link.is_proven


async def test_what_came_in_counts_as_used(kept: Kept, tmp_path: Path) -> None:
    await take_in(kept, tmp_path, archive_of(layout_files({NAME: INDEX})))
    assert address(IMAGES[0].layers[0]) in (await kept.catalog.take_inventory()).uses


# What is refused. Each time: one line, and everything as it was before


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


async def test_a_disk_without_room_is_told_before_anything_is_written(kept: Kept, tmp_path: Path) -> None:
    class SmallStore(FailingBlobStore):
        def free_bytes(self) -> int:
            return 100

    path = tmp_path / "archive.tar"
    path.write_bytes(archive_of(SOUND))
    store = SmallStore()
    with pytest.raises(Unavailable, match="there is no room for"):
        await importing(kept, store=store).run(ArchiveFile(path), None, ignore)
    assert store.blobs == {}


async def test_a_disk_that_fails_leaves_no_tag_behind(kept: Kept, tmp_path: Path) -> None:
    assert isinstance(kept.store, FailingBlobStore)
    kept.store.room_bytes = 300
    with pytest.raises(Unavailable):
        await take_in(kept, tmp_path, archive_of(SOUND))
    assert kept.catalog.list_tags() == []
    assert await kept.catalog.list_links() == []


async def test_an_archive_that_changes_while_it_is_read_is_not_taken_in(kept: Kept, tmp_path: Path) -> None:
    path = tmp_path / "archive.tar"
    path.write_bytes(archive_of(SOUND))
    changed = archive_of({**SOUND, LAYER_NAME: bytes(len(SOUND[LAYER_NAME]))})

    def swap(done: int, total: int) -> None:
        if done >= total // 2 - 2000:
            path.write_bytes(changed)

    with pytest.raises(InvalidArchive, match=r"it changed while it was read|is not what its name says"):
        await importing(kept).run(ArchiveFile(path), None, swap)
    assert kept.catalog.list_tags() == []


async def test_what_broke_off_before_is_begun_anew(kept: Kept, tmp_path: Path) -> None:
    assert isinstance(kept.store, FailingBlobStore)
    kept.store.suspended[address(IMAGES[0].layers[0])] = b"something else"
    await take_in(kept, tmp_path, archive_of(SOUND))
    assert kept.store.blobs[address(IMAGES[0].layers[0])] == IMAGES[0].layers[0].content


async def test_progress_never_goes_back(kept: Kept, tmp_path: Path) -> None:
    path = tmp_path / "archive.tar"
    path.write_bytes(archive_of(layout_files({"a:1": build_image(AMD64, form=Form.OCI, padding_bytes=9_000_000)})))
    told: list[tuple[int, int]] = []
    await importing(kept).run(ArchiveFile(path), None, lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] <= told[-1][1] == 2 * path.stat().st_size
    assert repr(importing(kept)) == f"<Importing into {kept.store!r}>"


async def test_blobs_keep_who_may_show_them(kept: Kept, tmp_path: Path) -> None:
    await take_in(kept, tmp_path, archive_of(SOUND))
    for blob in blobs_of(IMAGES[0]):
        link = kept.catalog.find_link(HUB, "library/a", address(blob))
        assert link is not None
        assert (link.origin, link.is_proven) == ("library/a", True)
        assert kept.catalog.find_link(HUB, "library/b", address(blob)) is None

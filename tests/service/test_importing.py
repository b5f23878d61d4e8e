"""Archives into the cache, and what is pulled of them. Those that are refused are in test_importing_refused.py."""

import gzip
import json
import tarfile
from pathlib import Path

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import Unavailable
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
LAYER_NAME = f"blobs/{IMAGES[0].layers[0].digest.replace(':', '/')}"
SOUND = layout_files({"a:1": IMAGES[0]})
LAYERED = build_image(AMD64, label="layered", padding_bytes=2_000_000)


@pytest.fixture
def kept() -> Kept:
    return Kept(FailingBlobStore())


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


async def test_an_archive_opens_nothing_that_it_does_not_hold_itself(kept: Kept, tmp_path: Path) -> None:
    """It names what somebody else has in the cache: a child of its index, and a layer that no registry has to hold."""
    await stock(kept, IMAGES[2], "1", repository="somebody/private")
    secret = {
        **IMAGES[2].layers[0].descriptor(),
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
    }
    fields = json.loads(IMAGES[0].manifest.content)
    fields["layers"].append(secret)
    manifest = Blob.of(IMAGES[0].manifest.media_type, json.dumps(fields).encode())
    image = type(IMAGES[0])(IMAGES[0].platform, manifest, IMAGES[0].config, IMAGES[0].layers)
    index = build_index([image, IMAGES[2]])
    await take_in(kept, tmp_path, archive_of(layout_files({"me/app:1": index}, images=[image])))
    for blob in (IMAGES[2].manifest, IMAGES[2].layers[0]):
        link = kept.catalog.find_link(HUB, "me/app", address(blob))
        assert link is not None
        assert not link.is_proven
    for blob in blobs_of(image):
        link = kept.catalog.find_link(HUB, "me/app", address(blob))
        assert link is not None
        assert link.is_proven


async def test_what_came_in_counts_as_used(kept: Kept, tmp_path: Path) -> None:
    await take_in(kept, tmp_path, archive_of(layout_files({NAME: INDEX})))
    assert address(IMAGES[0].layers[0]) in (await kept.catalog.take_inventory()).uses


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


async def test_an_archive_that_lost_something_between_two_readings_is_not_taken_in(kept: Kept, tmp_path: Path) -> None:
    files = layout_files({"a:1": IMAGES[0]})
    path = tmp_path / "layout"
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    size = ArchiveFile(path).size

    def lose(done: int, _total: int) -> None:
        if done >= size:
            (path / LAYER_NAME).unlink(missing_ok=True)

    with pytest.raises(InvalidArchive, match="it changed while it was read"):
        await importing(kept).run(ArchiveFile(path), None, lose)
    assert kept.catalog.list_tags() == []

"""Images out of the cache into archives."""

import json

import pytest

from proxy.oci.errors import ManifestUnknown, Unavailable
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from tests.fakes.store import FailingBlobStore
from tests.lab.images import Blob, build_image, build_index
from tests.service.archiving import blob_files, export, exporting, ignore, write
from tests.service.bench import AMD64, ARM64, ARM_V6, ARM_V7, DEBIAN, HUB, Kept, address, jessie, put_blob
from tests.service.stocking import blobs_of, stock
from tests.storage.tarballs import unpack

IMAGES = tuple(jessie(platform) for platform in (AMD64, ARM64, ARM_V7))
INDEX = build_index(IMAGES, attested=True)
JESSIE = Reference.parse("debian:jessie")


@pytest.fixture
def kept() -> Kept:
    return Kept(FailingBlobStore())


def blobs_in(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name.startswith("blobs/")}


async def test_an_index_that_is_whole_is_exported_whole(kept: Kept) -> None:
    await stock(kept, INDEX, "jessie")
    planned, content = await export(kept, "debian:jessie")
    files = unpack(content)
    parts = [blob for image in (*INDEX.images, *INDEX.attestations) for blob in blobs_of(image)]
    assert blobs_in(files) == blob_files(INDEX.manifest, *parts)
    assert files.keys() - blobs_in(files).keys() == {"oci-layout", "index.json"}
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert {key: entry[key] for key in ("mediaType", "digest", "size")} == INDEX.manifest.descriptor()
    assert "platform" not in entry
    assert [str(platform) for platform in planned.platforms] == [AMD64, ARM64, ARM_V7]
    assert (planned.missing_platforms, planned.is_for_docker) == ((), False)
    assert planned.size == sum(map(len, blobs_in(files).values()))


async def test_a_sparse_index_stays_what_it_is_and_says_what_it_lacks(kept: Kept) -> None:
    await stock(kept, INDEX, "jessie", images=[*IMAGES[:1], INDEX.attestations[0]])
    planned, content = await export(kept, "debian:jessie")
    files = unpack(content)
    parts = [blob for image in (IMAGES[0], INDEX.attestations[0]) for blob in blobs_of(image)]
    assert blobs_in(files) == blob_files(INDEX.manifest, *parts)
    assert [str(platform) for platform in planned.missing_platforms] == [ARM64, ARM_V7]
    assert planned.is_for_docker  # one image is in it


async def test_an_image_that_is_half_there_is_left_out_whole(kept: Kept) -> None:
    await stock(kept, INDEX, "jessie", images=IMAGES[:2])
    await kept.store.remove(address(IMAGES[1].layers[0]))
    planned, content = await export(kept, "debian:jessie")
    assert blobs_in(unpack(content)) == blob_files(INDEX.manifest, *blobs_of(IMAGES[0]))
    assert [str(platform) for platform in planned.missing_platforms] == [ARM64, ARM_V7]


async def test_one_image_can_be_loaded_by_any_engine(kept: Kept) -> None:
    image = IMAGES[2]
    await stock(kept, image, "jessie")
    _, content = await export(kept, "debian:jessie")
    files = unpack(content)
    (saved,) = json.loads(files["manifest.json"])
    assert files[saved["Config"]] == image.config.content
    assert [files[name] for name in saved["Layers"]] == [layer.content for layer in image.layers]
    assert saved["RepoTags"] == ["debian:jessie"]
    layer = image.layers[-1].digest.removeprefix("sha256:")
    assert json.loads(files["repositories"]) == {"debian": {"jessie": layer}}
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["platform"] == {"architecture": "arm", "os": "linux", "variant": "v7"}
    assert entry["annotations"] == {
        "io.containerd.image.name": "docker.io/library/debian:jessie",
        "org.opencontainers.image.ref.name": "jessie",
    }


@pytest.mark.parametrize(("asked", "given"), [(ARM_V7, ARM_V7), (AMD64, AMD64), ("linux/arm64/v8", ARM64)])
async def test_a_platform_is_chosen_as_its_machine_would(kept: Kept, asked: str, given: str) -> None:
    await stock(kept, INDEX, "jessie")
    planned = await exporting(kept).plan(JESSIE, Platform.parse(asked), one_image=False)
    assert planned.root.digest == address(jessie(given).manifest)
    assert blobs_in(unpack(await write(kept, planned))) == blob_files(*blobs_of(jessie(given)))
    assert planned.is_for_docker


async def test_a_machine_runs_what_is_older_than_itself(kept: Kept) -> None:
    await stock(kept, build_index([jessie(AMD64), jessie(ARM_V6)]), "jessie")
    planned = await exporting(kept).plan(JESSIE, Platform.parse(ARM_V7), one_image=True)
    assert [str(platform) for platform in planned.platforms] == [ARM_V6]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (ARM_V7, "for linux/arm/v7 is not cached whole; there is linux/amd64"),
        ("linux/s390x", "for linux/s390x has nothing that runs there; there is linux/amd64"),
    ],
)
async def test_a_platform_that_is_not_there_is_told_with_what_is(kept: Kept, asked: str, told: str) -> None:
    """What the machine would run is known, and somebody else's image is no substitute for it."""
    await stock(kept, INDEX, "jessie", images=IMAGES[:1])
    with pytest.raises(ManifestUnknown, match=told):
        await exporting(kept).plan(JESSIE, Platform.parse(asked), one_image=False)


async def test_one_image_is_chosen_where_there_is_one_and_asked_for_where_there_are_more(kept: Kept) -> None:
    await stock(kept, INDEX, "jessie", images=IMAGES[:1])
    planned, _ = await export(kept, "debian:jessie", one_image=True)
    assert planned.root.digest == address(IMAGES[0].manifest)
    await stock(kept, INDEX, "jessie")
    with pytest.raises(ManifestUnknown, match="is cached for linux/amd64, linux/arm64, linux/arm/v7: choose by"):
        await export(kept, "debian:jessie", one_image=True)


async def test_what_a_client_gets_is_exported_not_what_upstream_has(kept: Kept) -> None:
    await stock(kept, jessie(AMD64), "jessie")
    await stock(kept, jessie(ARM_V7), "jessie", repository="arm32v7/debian")
    made = await put_blob(kept.store, build_index([jessie(AMD64), jessie(ARM_V7)]).manifest.content)
    await kept.catalog.put_answer(HUB, DEBIAN, "jessie", made)
    planned, _ = await export(kept, "debian:jessie")
    assert planned.root.digest == made
    assert [str(platform) for platform in planned.platforms] == [AMD64, ARM_V7]


async def test_a_digest_can_be_exported_and_keeps_its_name(kept: Kept) -> None:
    await stock(kept, INDEX, "jessie")
    _, content = await export(kept, f"debian@{IMAGES[2].manifest.digest}")
    files = unpack(content)
    (entry,) = json.loads(files["index.json"])["manifests"]
    name = f"docker.io/library/debian@{IMAGES[2].manifest.digest}"
    assert entry["annotations"]["io.containerd.image.name"] == name
    assert json.loads(files["manifest.json"])[0]["RepoTags"] is None
    assert "repositories" not in files


async def test_what_is_not_cached_is_told_with_what_to_do(kept: Kept) -> None:
    for text in ("debian:jessie", f"debian@{INDEX.manifest.digest}"):
        with pytest.raises(ManifestUnknown, match="is not cached; pull it through the proxy first"):
            await export(kept, text)
    await stock(kept, INDEX, "jessie", images=[])
    with pytest.raises(ManifestUnknown, match="library/debian:jessie is cached whole"):
        await export(kept, "debian:jessie")


async def test_the_same_content_is_the_same_bytes(kept: Kept) -> None:
    await stock(kept, INDEX, "jessie")
    other = Kept()
    await stock(other, INDEX, "jessie", images=tuple(reversed((*INDEX.images, *INDEX.attestations))))
    assert (await export(kept, "debian:jessie"))[1] == (await export(other, "debian:jessie"))[1]


async def test_a_damaged_blob_is_not_exported(kept: Kept) -> None:
    await stock(kept, IMAGES[0], "jessie")
    layer = IMAGES[0].layers[0]
    assert isinstance(kept.store, FailingBlobStore)
    kept.store.put_broken(address(layer), bytes(len(layer.content)))
    with pytest.raises(Unavailable, match="is damaged; `polyarch cache verify --repair` fetches it again"):
        await export(kept, "debian:jessie")


async def test_a_blob_that_leaves_meanwhile_is_told(kept: Kept) -> None:
    await stock(kept, IMAGES[0], "jessie")
    planned = await exporting(kept).plan(JESSIE, None, one_image=False)
    await kept.store.remove(address(IMAGES[0].layers[0]))
    with pytest.raises(Unavailable, match="left the cache meanwhile"):
        await write(kept, planned)


async def test_an_artifact_that_is_no_image_is_no_engine_s(kept: Kept) -> None:
    image = IMAGES[0]
    fields = json.loads(image.manifest.content)
    chart = Blob.of("application/vnd.cncf.helm.config.v1+json", b"{}")
    fields["config"] = chart.descriptor()
    await put_blob(kept.store, chart.content)
    manifest = Blob.of(image.manifest.media_type, json.dumps(fields).encode())
    artifact = type(image)(image.platform, manifest, chart, image.layers)
    await stock(kept, artifact, "1", repository="me/chart")
    planned, _ = await export(kept, "me/chart:1")
    assert not planned.is_for_docker
    assert planned.platforms == (None,)


async def test_progress_ends_at_the_end(kept: Kept) -> None:
    big = build_image(AMD64, label="big", padding_bytes=20_000_000)
    await stock(kept, big, "1")
    planned = await exporting(kept).plan(Reference.parse("debian:1"), None, one_image=False)
    told: list[tuple[int, int]] = []

    class Nowhere:
        def add_folder(self, name: str, /) -> None: ...

        def begin_file(self, name: str, size: int, /) -> None: ...

        def write(self, content: bytes, /) -> None: ...

    await exporting(kept).write(planned, Nowhere(), lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (planned.size, planned.size)
    assert len(told) > len(planned.blobs)
    ignore(0, 0)
    assert repr(exporting(kept)) == f"<Exporting from {kept.store!r}>"

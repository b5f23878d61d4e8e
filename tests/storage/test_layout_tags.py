"""The tags out of `index.json`: whatever was written there comes back, whatever else is there is passed over."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import OCI_INDEX
from proxy.ports import TagRecord, TagState
from proxy.storage.disk import DiskBlobStore
from proxy.storage.layout_index import INDEX_FILE, REF_NAME, LayoutIndex
from proxy.storage.layout_tags import read_tags
from proxy.storage.memory import MemoryCatalog
from tests.service.bench import put_blob

DIGEST = Digest.of(b"an index")
GOOD = {
    "mediaType": OCI_INDEX,
    "digest": str(DIGEST),
    "size": 8,
    "annotations": {REF_NAME: "docker.io/library/debian:jessie"},
}
RECORD = TagRecord("docker.io", "library/debian", "jessie", TagState.PRESENT, 0.0, Descriptor(OCI_INDEX, DIGEST, 8))


def write(root: Path, *entries: object) -> Path:
    (root / INDEX_FILE).write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    return root


async def test_what_was_written_is_read(tmp_path: Path) -> None:
    catalog = MemoryCatalog()
    with ThreadPoolExecutor(1) as writers:
        store = DiskBlobStore(tmp_path, writers)
        store.prepare()
        await put_blob(store, b"an index")
        names = [
            ("docker.io", "library/debian", "jessie"),
            ("registry.lan:5000", "app", "1"),
            ("ghcr.io", "a/b/c", "x"),
        ]
        records = [TagRecord(*name, TagState.PRESENT, 5.0, RECORD.descriptor) for name in names]
        for record in records:
            await catalog.put_tag(record)
        async with LayoutIndex(tmp_path, catalog, store, writers):
            pass
        store.close()
    found = read_tags(tmp_path)
    assert {(one.upstream, one.repository, one.tag) for one in found} == set(names)
    assert {one.descriptor for one in found} == {RECORD.descriptor}
    assert {one.checked_at for one in found} == {0.0}


@pytest.mark.parametrize(
    "content", [None, b"", b"no JSON", b"\xff\xfe", b"[]", b"{}", b'{"manifests": 5}', b"[" * 100_000]
)
def test_a_file_that_is_none_tells_nothing(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / INDEX_FILE).write_bytes(content)
    assert read_tags(tmp_path) == []


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(None, id="nothing"),
        pytest.param("text", id="a text"),
        pytest.param({}, id="empty"),
        pytest.param({**GOOD, "digest": "sha256:short"}, id="digest"),
        pytest.param({**GOOD, "digest": 5}, id="digest of no text"),
        pytest.param({**GOOD, "size": "8"}, id="size"),
        pytest.param({**GOOD, "mediaType": None}, id="media type"),
        pytest.param({**GOOD, "annotations": None}, id="no annotations"),
        pytest.param({**GOOD, "annotations": {}}, id="no name"),
        pytest.param({**GOOD, "annotations": {REF_NAME: "jessie"}}, id="another program's name"),
        pytest.param({**GOOD, "annotations": {REF_NAME: "/library/debian:jessie"}}, id="no upstream"),
        pytest.param({**GOOD, "annotations": {REF_NAME: "docker.io/../x:1"}}, id="repository"),
        pytest.param({**GOOD, "annotations": {REF_NAME: "docker.io/library/debian:a b"}}, id="tag"),
    ],
)
def test_an_entry_that_is_none_is_passed_over(tmp_path: Path, bad: object) -> None:
    assert read_tags(write(tmp_path, bad, GOOD)) == [RECORD]

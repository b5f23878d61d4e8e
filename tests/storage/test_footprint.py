"""What a cache folder holds beside its blobs."""

from pathlib import Path

from proxy.storage.footprint import Footprint, is_cache, measure


def test_an_empty_folder_holds_nothing_and_is_no_cache(tmp_path: Path) -> None:
    assert measure(tmp_path, "catalog.sqlite") == Footprint(0, 0, 0)
    assert not is_cache(tmp_path)


def test_everything_is_counted_in_its_place(tmp_path: Path) -> None:
    for name, size in (
        *(("oci-layout", 1), ("catalog.sqlite", 10), ("catalog.sqlite-wal", 20)),
        *(("ingest/a", 100), ("ingest/b", 200), ("quarantine/c", 1000), ("blobs/d", 5)),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    assert measure(tmp_path, "catalog.sqlite") == Footprint(300, 1000, 30)
    assert is_cache(tmp_path)


def test_what_vanishes_meanwhile_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "ingest").mkdir()
    (tmp_path / "ingest" / "gone").symlink_to(tmp_path / "nowhere")
    assert measure(tmp_path, "catalog.sqlite").partial_size == 0

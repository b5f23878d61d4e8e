from proxy.arch.entries import Entry
from tests.arch.worlds import image, linux


def test_an_entry_tells_its_source_in_full_and_whose_image_it_is() -> None:
    found = image("arm/v6")
    entry = Entry(linux("arm/v6"), found.descriptor, "arm32v6/debian", "jessie")
    assert entry.source == f"arm32v6/debian:jessie@{found.digest}"
    assert entry.image_platform == linux("arm/v6")
    alias = Entry(linux("arm/v7"), found.descriptor, "arm32v6/debian", "jessie", alias_of=linux("arm/v6"))
    assert alias.image_platform == linux("arm/v6")

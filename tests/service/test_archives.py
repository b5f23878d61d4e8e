"""What an archive holds: names, links and their claims. Whole archives are in test_importing.py."""

import pytest

from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.layouts import InvalidArchive, blob_path
from proxy.oci.manifests import Descriptor
from proxy.service.archives import MAX_LINKS, ArchivedFile, Contents, plan_images
from tests.lab.images import build_index
from tests.service.archiving import layout_files
from tests.service.bench import AMD64, ARM_V7, jessie

FILE = ArchivedFile(Digest.of(b"1"), 1, b"1")
OTHER = ArchivedFile(Digest.of(b"2"), 1, b"2")


def contents_of(files: dict[str, bytes]) -> Contents:
    found = Contents()
    for name, content in files.items():
        found.add_file(name, ArchivedFile(Digest.of(content), len(content), content[:8], content))
    return found


def test_a_link_leads_to_a_file_by_a_few_steps_and_no_more() -> None:
    contents = Contents()
    contents.add_file("0", FILE)
    for number in range(MAX_LINKS + 1):
        contents.add_link(str(number + 1), str(number))
    assert contents.find(str(MAX_LINKS)) == FILE
    assert contents.find(str(MAX_LINKS + 1)) is None
    assert contents.find("nowhere") is None


def test_a_name_means_one_thing() -> None:
    contents = Contents()
    contents.add_file("a", FILE)
    contents.add_file("a", FILE)
    contents.add_link("b", "a")
    contents.add_link("b", "a")
    with pytest.raises(InvalidArchive, match="twice"):
        contents.add_file("a", OTHER)
    with pytest.raises(InvalidArchive, match="twice"):
        contents.add_link("a", "b")
    with pytest.raises(InvalidArchive, match="twice"):
        contents.add_link("b", "c")
    with pytest.raises(InvalidArchive, match="twice"):
        contents.add_file("b", FILE)


def test_a_blob_is_what_its_descriptor_tells() -> None:
    contents = Contents()
    contents.add_file(blob_path(FILE.digest), FILE)
    assert contents.find_blob(Descriptor("", FILE.digest, 1)) == FILE
    assert contents.find_blob(Descriptor("", OTHER.digest, 1)) is None
    with pytest.raises(InvalidArchive, match="has 1 bytes, and should have 2"):
        contents.find_blob(Descriptor("", FILE.digest, 2))
    contents.add_link(blob_path(OTHER.digest), blob_path(FILE.digest))
    with pytest.raises(InvalidArchive, match="is not what its name says"):
        contents.find_blob(Descriptor("", OTHER.digest, 1))


def test_an_image_s_platforms_are_those_that_the_archive_has() -> None:
    index = build_index([jessie(AMD64), jessie(ARM_V7)], attested=True)
    (image,) = plan_images(contents_of(layout_files({"a:1": index}, images=[jessie(ARM_V7)])), None)
    assert [str(platform) for platform in image.platforms] == [ARM_V7]
    assert len(image.parts) == 2
    assert len(image.missing) == 3  # one image, and the attestations
    assert {one.media_type for one in image.missing} <= media_types.MANIFESTS

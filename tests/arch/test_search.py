"""The search beyond upstream's document; its whole behaviour is in test_resolution.py."""

from proxy.arch.candidates import Candidate
from proxy.arch.search import Find
from proxy.arch.synthesis import Addition
from proxy.oci.manifests import Index
from tests.arch.worlds import image, index, linux


def test_a_find_s_attestations_are_fetched_from_where_its_image_is() -> None:
    found = image("arm/v7")
    document = index(("arm/v7", found), attested=[found]).document
    assert isinstance(document, Index)
    candidate = Candidate("arm32v7/debian", "jessie", linux("arm/v7"), trusted=True)
    find = Find(candidate, Addition(linux("arm/v7"), document.manifests[0], (document.manifests[1],)))
    first, second = find.list_entries()
    assert (first.platform, first.descriptor.digest) == (linux("arm/v7"), found.digest)
    assert (second.platform, second.descriptor) == (None, document.manifests[1])
    assert {entry.repository for entry in (first, second)} == {"arm32v7/debian"}
    assert first.is_added

"""What upstream has, as it is meant: read through whole resolutions, which is how it is used."""

from collections.abc import Callable

import pytest

from proxy.arch.base import Base
from proxy.arch.entries import Entry
from proxy.oci.manifests import Descriptor, Index
from tests.arch.worlds import Content, image, index, linux

AMD64, V7, V6 = image("amd64"), image("arm/v7"), image("arm/v6")


def base_of(content: Content) -> Base:
    document = content.document
    if isinstance(document, Index):
        entries = (Entry(one.platform, one, "library/app", "1") for one in document.manifests if one.is_runnable)
        return Base(document, tuple(entries))
    described = Descriptor(content.media_type, content.digest, len(content.body), linux("amd64"))
    return Base(described, (Entry(linux("amd64"), described, "library/app", "1"),))


def test_an_image_leaves_an_index_with_what_attests_it() -> None:
    whole = base_of(index(("amd64", AMD64), ("arm/v7", V7), attested=[AMD64, V7]))
    left = whole.without({linux("arm/v7")})
    assert isinstance(left.document, Index)
    assert [str(entry.platform) for entry in left.document.manifests] == ["linux/amd64", "unknown/unknown"]
    assert [entry.descriptor.digest for entry in left.entries] == [AMD64.digest]
    assert left.is_changed


def test_what_attests_an_image_stays_while_the_image_stands_for_something_else() -> None:
    whole = base_of(index(("arm/v7", V6), ("arm/v6", V6), attested=[V6]))
    left = whole.without({linux("arm/v7")})
    assert isinstance(left.document, Index)
    assert [str(entry.platform) for entry in left.document.manifests] == ["linux/arm/v6", "unknown/unknown"]


@pytest.mark.parametrize("make", [lambda: index(("amd64", AMD64)), lambda: AMD64], ids=["index", "image"])
def test_without_what_is_not_there_it_is_the_same(make: Callable[[], Content]) -> None:
    whole = base_of(make())
    assert whole.without({linux("arm/v7")}) is whole
    assert whole.without(()) is whole


def test_a_single_image_may_leave_too() -> None:
    assert base_of(AMD64).without({linux("amd64")}) == Base(None, (), is_changed=True)

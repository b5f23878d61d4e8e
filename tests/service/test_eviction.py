"""Which images leave: tables for the cases, hypothesis for the promises."""

from collections.abc import Mapping

import pytest

from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import OCI_INDEX
from proxy.ports import Inventory, Pin, StoredBlob, TagRecord, TagState
from proxy.service.eviction import find_images, find_pinned, find_targets


def digest(name: str) -> Digest:
    return Digest.of(name.encode())


def contents_of(tree: Mapping[str, str]) -> dict[Digest, tuple[Digest, ...]]:
    return {digest(parent): tuple(digest(child) for child in children.split()) for parent, children in tree.items()}


def blobs_of(names: str, *, stored_at: float = 0.0) -> list[StoredBlob]:
    return [StoredBlob(digest(name), 10, stored_at) for name in names.split()]


def images_of(tree: Mapping[str, str], stored: str, uses: Mapping[str, float] | None = None) -> dict[str, set[str]]:
    """Answer the members of each image by its root, by their names."""
    every = {name for parent, children in tree.items() for name in (parent, *children.split())} | set(stored.split())
    names = {digest(name): name for name in every}
    inventory = Inventory(contents=contents_of(tree), uses={digest(name): at for name, at in (uses or {}).items()})
    images = find_images(inventory, blobs_of(stored))
    return {names[image.root]: {names[member] for member in image.members} for image in images}


@pytest.mark.parametrize(
    ("tree", "stored", "images"),
    [
        pytest.param({}, "", {}, id="nothing"),
        pytest.param({}, "a", {"a": {"a"}}, id="a blob that nothing needs"),
        pytest.param({"m": "c l"}, "m c l", {"m": {"m", "c", "l"}}, id="an image"),
        pytest.param({"m": "c l"}, "m c", {"m": {"m", "c"}}, id="an image that is not whole"),
        pytest.param({"i": "m n", "m": "c"}, "i m c", {"i": {"i", "m", "c"}}, id="an index of which one was pulled"),
        pytest.param({"i": "m", "m": "c"}, "i c", {"i": {"i", "c"}}, id="a manifest of it was put aside"),
        pytest.param({"m": "c"}, "c", {"c": {"c"}}, id="the manifest is gone"),
        pytest.param(
            {"m": "b l", "n": "b k"}, "m n b l k", {"m": {"m", "b", "l"}, "n": {"n", "b", "k"}}, id="a shared layer"
        ),
        pytest.param({"m": "m c"}, "m c", {"m": {"m", "c"}}, id="what is made from itself"),
        pytest.param({"a": "b", "b": "a c"}, "a b c", {"?": {"a", "b", "c"}}, id="a circle"),
    ],
)
def test_what_hangs_together_is_one_image(tree: Mapping[str, str], stored: str, images: dict[str, set[str]]) -> None:
    found = images_of(tree, stored)
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, images.values()))
    assert "?" in images or found == images


def test_the_root_comes_first_then_manifests_then_what_is_in_them() -> None:
    tree = {"i": "m n", "m": "a", "n": "b"}
    (image,) = find_images(Inventory(contents=contents_of(tree)), blobs_of("a b m n i"))
    assert image.members == tuple(map(digest, ("i", "m", "n", "a", "b")))
    assert image.size == 50


def test_what_is_missing_is_told() -> None:
    (image,) = find_images(Inventory(contents=contents_of({"i": "m n", "m": "a"})), blobs_of("i m"))
    assert set(image.missing) == {digest("n"), digest("a")}


@pytest.mark.parametrize(
    ("uses", "order"),
    [
        pytest.param({"m": 1, "n": 2}, ["m", "n"], id="the manifests"),
        pytest.param({"m": 1, "n": 2, "l": 3}, ["n", "m"], id="a layer of one"),
        pytest.param({"m": 1, "n": 2, "b": 3}, ["m", "n"], id="a shared layer, for the one that was used last"),
        pytest.param({"n": 1, "m": 2, "b": 3}, ["n", "m"], id="and the other way round"),
    ],
)
def test_the_least_recently_used_image_comes_first(uses: Mapping[str, float], order: list[str]) -> None:
    assert list(images_of({"m": "b l", "n": "b k"}, "m n b l k", uses)) == order


def test_what_was_never_used_is_as_old_as_it_is_stored() -> None:
    blobs = [*blobs_of("m", stored_at=5.0), *blobs_of("n", stored_at=3.0), *blobs_of("o", stored_at=9.0)]
    images = find_images(Inventory(uses={digest("o"): 4.0}), blobs)
    assert [(image.root, image.used_at) for image in images] == [
        (digest("n"), 3.0),
        (digest("o"), 4.0),
        (digest("m"), 5.0),
    ]


PINNED = Pin("docker.io", "library/debian", "jessie")


def test_a_pinned_tag_protects_what_upstream_has_and_what_is_answered() -> None:
    record = TagRecord(
        *("docker.io", "library/debian", "jessie"), TagState.PRESENT, 0.0, Descriptor(OCI_INDEX, digest("m"), 1)
    )
    tree = contents_of({"m": "l", "s": "m n", "n": "k", "other": "l j"})
    answers = {("docker.io", "library/debian", "jessie"): digest("s")}
    inventory = Inventory((record,), answers, tree, pins=frozenset({PINNED}))
    assert find_pinned(inventory) == set(map(digest, ("m", "l", "s", "n", "k")))
    assert find_targets(inventory, [PINNED]) == {digest("m"), digest("s")}
    assert find_pinned(Inventory((record,), answers, tree)) == set()


@pytest.mark.parametrize(
    ("target", "pinned"), [(str(digest("m")), {"m", "l"}), ("jessie", set()), ("sha256:nonsense", set())]
)
def test_a_pinned_digest_protects_itself(target: str, pinned: set[str]) -> None:
    pins = frozenset({Pin("docker.io", "library/debian", target)})
    assert find_pinned(Inventory(contents=contents_of({"m": "l"}), pins=pins)) == set(map(digest, pinned))

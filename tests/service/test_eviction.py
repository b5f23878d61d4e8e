"""Which images leave: tables for the cases, hypothesis for the promises."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.digests import Digest
from proxy.oci.errors import Pinned
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import OCI_INDEX
from proxy.ports import Inventory, Link, Pin, StoredBlob, TagRecord, TagState
from proxy.service.eviction import (
    find_garbage,
    find_images,
    find_needed,
    find_pinned,
    find_purged,
    find_purged_names,
    find_targets,
    find_unknown,
    plan_eviction,
)


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


# Promises, over any tangle of images.

NAMES = [f"n{number}" for number in range(10)]
LEAVES = [f"b{number}" for number in range(6)]

sizes = st.integers(0, 100)
moments = st.integers(0, 5).map(float)


@st.composite
def caches(draw: st.DrawFn) -> tuple[Inventory, list[StoredBlob]]:
    """Any documents over any blobs, some of it not there; now and then in a circle."""
    tree = draw(st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES + LEAVES), max_size=4)))
    stored = draw(st.lists(st.sampled_from(NAMES + LEAVES), unique=True))
    blobs = [StoredBlob(digest(name), draw(sizes), draw(moments)) for name in stored]
    uses = draw(st.dictionaries(st.sampled_from(NAMES + LEAVES), moments))
    pins = draw(st.frozensets(st.sampled_from(NAMES + LEAVES), max_size=2))
    contents = {digest(name): tuple(digest(child) for child in children) for name, children in tree.items()}
    return (
        Inventory(
            contents=contents,
            uses={digest(name): moment for name, moment in uses.items()},
            pins=frozenset(Pin("docker.io", "library/debian", str(digest(name))) for name in pins),
        ),
        blobs,
    )


some = st.frozensets(st.sampled_from(NAMES + LEAVES).map(digest), max_size=3)


@given(cache=caches())
def test_every_blob_is_in_some_image_and_every_image_is_all_that_hangs_together(
    cache: tuple[Inventory, list[StoredBlob]],
) -> None:
    inventory, blobs = cache
    images = find_images(inventory, blobs)
    stored = {blob.digest for blob in blobs}
    assert {member for image in images for member in image.members} == stored
    assert len({image.root for image in images}) == len(images)
    for image in images:
        assert image.members[0] == image.root
        assert {*image.members, *image.missing} == set(find_needed(inventory.contents, [image.root]))
        assert stored.isdisjoint(image.missing)
    assert images == find_images(inventory, reversed(blobs))
    assert [image.used_at for image in images] == sorted(image.used_at for image in images)


@given(cache=caches(), wanted=st.integers(0, 500), busy=some)
def test_what_leaves_leaves_by_the_rules(
    cache: tuple[Inventory, list[StoredBlob]], wanted: int, busy: frozenset[Digest]
) -> None:
    inventory, blobs = cache
    images, size_of = find_images(inventory, blobs), {blob.digest: blob.size for blob in blobs}
    kept = find_pinned(inventory)
    plan = plan_eviction(images, size_of, wanted, kept=kept, is_busy=busy.__contains__)
    gone = [one for departure in plan for one in departure.leaving]
    assert len(set(gone)) == len(gone)
    assert not kept & set(gone)
    assert not busy & set(gone)
    freed = sum(size_of[one] for one in gone)
    assert freed == sum(departure.size for departure in plan)
    leaving = {departure.image.root for departure in plan}
    staying = [image for image in images if image.root not in leaving]
    # Who stays, stays whole; and whoever leaves, leaves whole but for what is pinned, or held by who stays.
    held = {member for image in staying for member in image.members}
    assert not held & set(gone)
    for departure in plan:
        assert set(departure.image.members) <= {*gone, *held, *kept}
        assert not any(member in busy for member in (*departure.leaving, *departure.forgotten))
    # No more leaves than has to; and if it was not enough, whoever stays has something pinned, or in use, or shared.
    assert freed - (plan[-1].size if plan else 0) < max(wanted, 1)
    if freed < wanted:
        for image in staying:
            own = [one for one in image.members if one not in kept]
            in_use = busy & {*image.members, *image.missing}
            assert (
                not own
                or in_use
                or all(any(one in other.members for other in staying if other != image) for one in own)
            )
    assert plan == plan_eviction(images, size_of, wanted, kept=kept, is_busy=busy.__contains__)


@given(cache=caches(), wanted=st.integers(1, 500))
def test_the_least_recently_used_leave_first(cache: tuple[Inventory, list[StoredBlob]], wanted: int) -> None:
    inventory, blobs = cache
    images, size_of = find_images(inventory, blobs), {blob.digest: blob.size for blob in blobs}
    plan = plan_eviction(images, size_of, wanted, kept=frozenset(), is_busy=lambda _: False)
    assert [departure.image for departure in plan] == images[: len(plan)]


@given(cache=caches(), targets=some)
def test_a_purge_takes_nothing_that_others_need(
    cache: tuple[Inventory, list[StoredBlob]], targets: frozenset[Digest]
) -> None:
    inventory, blobs = cache
    images, kept = find_images(inventory, blobs), find_pinned(inventory)
    gone = find_purged(images, targets, inventory.contents, kept=kept)
    others = {member for image in images if image.root not in targets for member in image.members}
    assert not set(gone) & (others | kept)
    assert set(gone) <= set(find_needed(inventory.contents, targets))
    for image in images:
        if image.root in targets:
            assert set(image.members) <= {*gone, *others, *kept}


@given(cache=caches(), linked=some)
def test_garbage_is_nothing_that_anything_leads_to(
    cache: tuple[Inventory, list[StoredBlob]], linked: frozenset[Digest]
) -> None:
    inventory, blobs = cache
    links = [Link("docker.io", "library/debian", one, "library/debian") for one in linked]
    garbage = find_garbage(inventory, links, blobs, 3.0)
    stored = {blob.digest: blob.stored_at for blob in blobs}
    reachable = set(find_needed(inventory.contents, linked & stored.keys())) | find_pinned(inventory)
    assert not reachable & set(garbage.blobs)
    assert all(stored[one] < 3.0 for one in garbage.blobs)
    assert not stored.keys() & set(garbage.forgotten)
    left = [blob for blob in blobs if blob.digest not in garbage.blobs]
    assert find_garbage(inventory, links, left, 3.0).blobs == ()


def test_of_images_that_share_what_is_read_no_more_leave_than_have_to() -> None:
    inventory = Inventory(contents=contents_of({name: f"base {name}layer" for name in ("m", "n", "o")}))
    blobs = blobs_of("base m mlayer n nlayer o olayer")
    plan = plan_eviction(
        find_images(inventory, blobs),
        {blob.digest: blob.size for blob in blobs},
        15,
        kept=frozenset(),
        is_busy={digest("base")}.__contains__,
    )
    assert [len(departure.leaving) for departure in plan] == [2]


def test_what_is_asked_for_is_unknown_unless_it_is_stored_or_something_known_leads_to_it() -> None:
    record = TagRecord("u", "r", "t", TagState.PRESENT, 1.0, Descriptor(OCI_INDEX, digest("tagged"), 1))
    uses = dict.fromkeys(map(digest, ("stored", "m", "missing", "tagged", "made", "pinned", "unknown")), 1.0)
    pins = frozenset({Pin("u", "r", str(digest("pinned")))})
    inventory = Inventory((record,), {("u", "r", "t"): digest("made")}, contents_of({"m": "missing"}), uses, pins)
    assert find_unknown(inventory, blobs_of("stored")) == [digest("unknown")]


@pytest.mark.parametrize(
    ("target", "names"),
    [(None, {"t", "s"}), ("t", {"t"}), ("absent", set()), (str(digest("m")), {"t", "s", str(digest("m"))})],
    ids=["all of a repository", "a tag", "no tag", "a digest"],
)
def test_a_purge_is_for_tags_and_what_is_named(target: str | None, names: set[str]) -> None:
    found = Descriptor(OCI_INDEX, digest("m"), 1)
    places = (("r", "t"), ("r", "s"), ("other", "t"))
    records = tuple(TagRecord("u", place, tag, TagState.PRESENT, 1.0, found) for place, tag in places)
    purged = find_purged_names(Inventory(records), "u", "r", target)
    assert purged == {Pin("u", "r", name) for name in names}


@pytest.mark.parametrize("target", ["t", str(digest("m"))], ids=["a tag", "a digest"])
def test_a_purge_of_what_is_pinned_is_refused(target: str) -> None:
    record = TagRecord("u", "r", "t", TagState.PRESENT, 1.0, Descriptor(OCI_INDEX, digest("m"), 1))
    inventory = Inventory((record,), pins=frozenset({Pin("u", "r", target)}))
    with pytest.raises(Pinned, match=rf"u/r.{target} is pinned; .* unpin"):
        find_purged_names(inventory, "u", "r", target)


def test_a_purge_of_a_repository_leaves_what_is_pinned_in_it() -> None:
    found = Descriptor(OCI_INDEX, digest("m"), 1)
    records = tuple(TagRecord("u", "r", tag, TagState.PRESENT, 1.0, found) for tag in "ts")
    inventory = Inventory(records, pins=frozenset({Pin("u", "r", "t")}))
    assert find_purged_names(inventory, "u", "r", None) == {Pin("u", "r", "s")}
    assert find_purged_names(inventory, "u", "r", str(digest("m"))) == {
        Pin("u", "r", "s"),
        Pin("u", "r", str(digest("m"))),
    }

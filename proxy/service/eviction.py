"""Which images leave when the cache is full: pure decisions over what the catalog knows and the store has.

Belongs here: what is an image, when it was last used, what a pin protects, who leaves first, and what leaves when
somebody says so. What is decided here is done by `service/housekeeping.py`.

An image is everything that hangs together: a manifest that is in no other one, and all that it needs, by whatever
detour. It leaves as a whole; but what several images hold leaves with the last of them, and until then its use counts
for the one of them that was used last: everybody who pulls an image of many asks for their common base layer.
"""

import collections
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidDigest, Pinned
from proxy.ports import Inventory, Link, Pin, StoredBlob

Contents = Mapping[Digest, Collection[Digest]]


@dataclass(frozen=True, slots=True)
class Image:
    """What hangs together: a document that is in no other one, and what it needs. Or a blob that nothing needs."""

    root: Digest
    members: tuple[Digest, ...]
    """What of it is stored: the root first, then manifests, then what is in them."""
    missing: tuple[Digest, ...]
    """What of it is not: platforms that nobody asked for."""
    size: int
    """In bytes, of all members."""
    used_at: float
    """The last use of any of it, or where none is known, when it was stored. Wall clock, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Departure:
    """An image that leaves."""

    image: Image
    leaving: tuple[Digest, ...]
    """The members that leave with it, in the order to remove them: whatever is cut off half-way is not missed."""
    forgotten: tuple[Digest, ...]
    """What else nobody needs to be told of any more."""
    size: int
    """How many bytes leave."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """What nobody can ask for."""

    blobs: tuple[Digest, ...]
    """Stored, in the order to remove them."""
    forgotten: tuple[Digest, ...]
    """Not stored, and needed by nothing that is."""


def find_images(inventory: Inventory, blobs: Iterable[StoredBlob]) -> list[Image]:
    """Answer everything that is stored as images, the least recently used one first."""
    contents, stored = inventory.contents, {blob.digest: blob for blob in blobs}
    trees = {root: find_needed(contents, [root]) for root in _roots(contents, stored)}
    reached = {digest for tree in trees.values() for digest in tree}
    trees |= _circles(contents, stored.keys() - reached)
    moments = {digest: inventory.uses.get(digest, blob.stored_at) for digest, blob in stored.items()}
    members = {root: tuple(digest for digest in tree if digest in stored) for root, tree in trees.items()}
    uses = _last_uses(members, moments)
    images = [
        Image(
            root,
            tuple(sorted(members[root], key=lambda digest: digest not in contents)),  # stable: the root stays first
            tuple(digest for digest in tree if digest not in stored),
            sum(stored[digest].size for digest in members[root]),
            uses[root],
        )
        for root, tree in trees.items()
    ]
    return sorted(images, key=lambda image: (image.used_at, image.root))


def find_pinned(inventory: Inventory) -> frozenset[Digest]:
    """Answer everything that the pinned tags and digests need."""
    return frozenset(find_needed(inventory.contents, find_targets(inventory, inventory.pins)))


def map_names(inventory: Inventory) -> dict[Pin, set[Digest]]:
    """Answer all tags, in the form of pins, and what they lead to."""
    targets: dict[Pin, set[Digest]] = collections.defaultdict(set)
    for record in inventory.tags:
        if record.descriptor is not None:
            targets[Pin(record.upstream, record.repository, record.tag)].add(record.descriptor.digest)
    for name, digest in inventory.answers.items():
        targets[Pin(*name)].add(digest)
    return dict(targets)


def find_needed(contents: Contents, roots: Iterable[Digest]) -> list[Digest]:
    """Answer some documents and all that they need, by whatever detour; nearest first."""
    found = list(dict.fromkeys(roots))
    seen = set(found)
    for digest in found:  # it grows meanwhile
        for child in contents.get(digest, ()):
            if child not in seen:
                seen.add(child)
                found.append(child)
    return found


def find_targets(inventory: Inventory, names: Iterable[Pin]) -> set[Digest]:
    """Answer what some names lead to: what upstream has under a tag, and what is answered instead; or a digest."""
    targets = map_names(inventory)
    return {digest for name in names for digest in (*targets.get(name, ()), *_as_digest(name.target))}


def plan_eviction(
    images: Iterable[Image],
    sizes: Mapping[Digest, int],
    wanted_bytes: int,
    *,
    kept: AbstractSet[Digest],
    is_busy: Callable[[Digest], bool],
) -> list[Departure]:
    """Answer who leaves, in which order, until enough bytes have left or nobody is left who may.

    Args:
        images: All images, the first to leave first.
        sizes: The size of everything that is stored.
        wanted_bytes: How many bytes have to leave.
        kept: What stays, whoever else leaves.
        is_busy: Tells what is being read or filled. An image stays as long as anything of it is; unless all of that is
            held by others too, and nothing else would make enough room.
    """
    plan, waiting = _Plan(images, sizes, kept), []
    for image in plan.images:
        if plan.freed >= wanted_bytes:
            return plan.departures
        if any(map(is_busy, image.members)) or any(map(is_busy, image.missing)):
            waiting.append(image)
        else:
            plan.part_with(image)
    for image in waiting:
        if plan.freed >= wanted_bytes:
            break
        if not any(map(is_busy, plan.only_in(image))):
            plan.part_with(image)
    return plan.departures


def find_purged(
    images: Iterable[Image], targets: AbstractSet[Digest], contents: Contents, *, kept: AbstractSet[Digest]
) -> list[Digest]:
    """Answer what leaves with some documents that are not wanted any more, in the order to remove it, stored or not.

    Whatever another image needs stays; so does a document that is itself part of another image.

    Args:
        images: All images.
        targets: The documents.
        contents: What each manifest needs.
        kept: What stays, whoever else leaves.
    """
    others = {digest for image in images if image.root not in targets for digest in (*image.members, *image.missing)}
    tree = [digest for digest in find_needed(contents, sorted(targets)) if digest not in others and digest not in kept]
    return sorted(tree, key=lambda digest: digest not in contents)


def find_purged_names(inventory: Inventory, upstream: str, repository: str, target: str | None) -> set[Pin]:
    """Answer the tags that a purge is for, and the digest if it is for one; never those that are pinned.

    Raises:
        Pinned: It is for one that is.
    """
    named = map_names(inventory)
    own = {name for name in named if (name.upstream, name.repository) == (upstream, repository)} - inventory.pins
    if target is None:
        return own
    asked = Pin(upstream, repository, target)
    if asked in inventory.pins:
        name = f"{upstream}/{repository}{'@' if ':' in target else ':'}{target}"
        raise Pinned(f"{name} is pinned; `polyarch cache unpin` lets go of it first")
    wanted = find_targets(inventory, {asked})
    return {asked, *(name for name in own if named[name] & wanted)} if ":" in target else {asked} & own


def find_garbage(
    inventory: Inventory, links: Collection[Link], blobs: Iterable[StoredBlob], stored_before: float
) -> Garbage:
    """Answer what nobody can ask for: blobs that nothing leads to, and what is known of content that is not there.

    Args:
        inventory: What is known of the content.
        links: All links.
        blobs: What is stored.
        stored_before: What was stored later may not have been linked yet.
    """
    ages = {blob.digest: blob.stored_at for blob in blobs}
    linked = {link.digest for link in links}
    names = find_targets(inventory, {*map_names(inventory), *inventory.pins})
    kept = {*find_needed(inventory.contents, names | linked & ages.keys()), *linked}
    images = find_images(inventory, blobs)
    lost = [image for image in images if image.root not in kept]
    kept.update(digest for image in images if image.root in kept for digest in image.members)
    needed = {digest for image in images for digest in (*image.members, *image.missing)}
    told = {link.digest for link in links if link.origin == link.repository} | {*inventory.contents, *inventory.uses}
    return Garbage(
        tuple(digest for image in lost for digest in _before(image, ages, stored_before) if digest not in kept),
        tuple(sorted(told - needed - names)),
    )


def find_unknown(inventory: Inventory, blobs: Iterable[StoredBlob]) -> list[Digest]:
    """Answer what somebody asked for once, and is neither stored nor part of anything that is known."""
    known = {blob.digest for blob in blobs} | find_targets(inventory, {*map_names(inventory), *inventory.pins})
    known.update(inventory.contents, *inventory.contents.values())
    return sorted(inventory.uses.keys() - known)


class _Plan:
    """Departures one by one, with a count of who still holds what."""

    def __init__(self, images: Iterable[Image], sizes: Mapping[Digest, int], kept: AbstractSet[Digest]) -> None:
        self.images = list(images)
        self.departures: list[Departure] = []
        self.freed = 0
        self._sizes = sizes
        self._kept = kept
        self._holders = collections.Counter(
            digest for image in self.images for part in (image.members, image.missing) for digest in part
        )

    def only_in(self, image: Image) -> list[Digest]:
        """Answer what would leave with an image, and what would be forgotten."""
        return [digest for digest in (*image.members, *image.missing) if self._is_last(digest)]

    def part_with(self, image: Image) -> None:
        leaving = tuple(digest for digest in image.members if self._is_last(digest))
        forgotten = tuple(digest for digest in image.missing if self._is_last(digest))
        size = sum(self._sizes[digest] for digest in leaving)
        self._holders.subtract(image.members)
        self._holders.subtract(image.missing)
        if not leaving:  # all of it is kept, or held by others too: they may take it with them
            return
        self.departures.append(Departure(image, leaving, forgotten, size))
        self.freed += size

    def _is_last(self, digest: Digest) -> bool:
        return self._holders[digest] == 1 and digest not in self._kept


def _roots(contents: Contents, stored: Collection[Digest]) -> list[Digest]:
    inner = {child for parent in find_needed(contents, stored) for child in contents.get(parent, ()) if child != parent}
    return [digest for digest in stored if digest not in inner]


def _circles(contents: Contents, unreached: AbstractSet[Digest]) -> dict[Digest, list[Digest]]:
    """Answer one document of each circle that no root leads to, and all that it needs.

    No bytes can hold their own digest; but a synthesised index also needs what it was made from, which may name it.
    """
    trees: dict[Digest, list[Digest]] = {}
    seen: set[Digest] = set()
    for digest in sorted(unreached):
        if digest not in seen:
            tree = find_needed(contents, [digest])
            seen.update(tree)
            trees = {root: other for root, other in trees.items() if root not in tree} | {digest: tree}
    return trees


def _last_uses(members: Mapping[Digest, Collection[Digest]], moments: Mapping[Digest, float]) -> dict[Digest, float]:
    """Answer the last use of each image, by its root."""
    holders: dict[Digest, list[Digest]] = collections.defaultdict(list)
    for root, digests in members.items():
        for digest in digests:
            holders[digest].append(root)
    own = {
        root: max((moments[digest] for digest in digests if len(holders[digest]) == 1), default=moments[root])
        for root, digests in members.items()
    }
    uses = dict(own)
    for digest, roots in holders.items():
        if len(roots) > 1:
            last = max(roots, key=lambda root: (own[root], root))
            uses[last] = max(uses[last], moments[digest])
    return uses


def _before(image: Image, ages: Mapping[Digest, float], moment: float) -> tuple[Digest, ...]:
    return image.members if all(ages[digest] < moment for digest in image.members) else ()


def _as_digest(target: str) -> list[Digest]:
    try:
        return [Digest.parse(target)] if ":" in target else []
    except InvalidDigest:
        return []

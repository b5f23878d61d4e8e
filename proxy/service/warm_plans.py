"""What it takes to have an image in the cache for some platforms: found out in the way of a client.

Finding out fetches manifests, which stay in the cache: of a pull allowance they are the part that counts.
"""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from proxy.arch.choice import Asker
from proxy.arch.compatibility import pick_best
from proxy.arch.detection import Detection
from proxy.arch.questions import describe_kind
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidManifest, ManifestUnknown
from proxy.oci.manifests import (
    MAX_MANIFEST_BYTES,
    Descriptor,
    Document,
    ImageManifest,
    Index,
    parse_config_platform,
    parse_manifest,
)
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.ports import BlobStore
from proxy.service.freshness import CacheState
from proxy.service.holdings import MAX_INDEX_DEPTH, is_foreign
from proxy.service.pull import Puller

ANYBODY = Asker(Detection(None, "none"))
"""Who takes whatever a tag is: the index, where there is one."""


@dataclass(frozen=True, slots=True)
class WarmOrder:
    """An image that is wanted in the cache."""

    reference: Reference
    platforms: tuple[Platform, ...]
    """Those that it is wanted for."""
    with_attestations: bool = False
    is_pinned: bool = False
    """Whether it is pinned once it is there."""


@dataclass(frozen=True, slots=True)
class WarmPart:
    """A config or a layer that is needed."""

    descriptor: Descriptor
    state: CacheState
    """HIT: it is there. REVALIDATED: it is, but upstream has to show it under this name first. MISS: it is not."""
    written: int = 0
    """How many bytes of it are there, from a download that broke off."""

    @property
    def lacking(self) -> int:
        """How many bytes are still to come."""
        return max(self.descriptor.size - self.written, 0) if self.state is CacheState.MISS else 0


@dataclass(frozen=True, slots=True)
class WarmPlan:
    """What an order comes to."""

    order: WarmOrder
    root: Descriptor
    """What the tag is answered with."""
    images: Mapping[Platform, Descriptor]
    """The image that each platform gets."""
    missing: tuple[Platform, ...]
    """The platforms that nothing of it runs on."""
    parts: tuple[WarmPart, ...]

    @property
    def size(self) -> int:
        """How many bytes its parts have."""
        return sum(part.descriptor.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class WarmCost:
    """What carrying out some plans will cost. Nothing of a pull allowance: a plan has all its manifests."""

    requests: int
    """To registries, beside those for tokens and those that upstream sends us on to."""
    size: int
    """How many bytes are to come."""


def cost_of(plans: Sequence[WarmPlan]) -> WarmCost:
    """Foresee what carrying out some plans will cost, what they share counted once."""
    lacking: dict[Digest, WarmPart] = {}
    asked: set[tuple[str, str, Digest]] = set()
    for plan in plans:
        reference = plan.order.reference
        for part in plan.parts:
            if part.state is not CacheState.HIT:
                # Whoever shares it has to be shown it under its own name too, once it is there.
                asked.add((reference.registry, reference.repository, part.descriptor.digest))
            if part.state is CacheState.MISS:
                lacking.setdefault(part.descriptor.digest, part)
    return WarmCost(len(asked), sum(part.lacking for part in lacking.values()))


async def make_plan(puller: Puller, store: BlobStore, order: WarmOrder) -> WarmPlan:
    """Find out what an order comes to.

    Args:
        puller: Of the upstream that the order's reference names.
        store: Where the parts will be.
        order: What is wanted.

    Raises:
        ManifestUnknown: There is no such image, or none that runs on any of the platforms.
        RegistryError: Upstream cannot be asked.
    """
    repository = order.reference.repository
    root = await _read_root(puller, store, order.reference)
    if not isinstance(root.document, Index | ImageManifest):
        raise ManifestUnknown(f"{describe_kind(root.document.media_type)}: what belongs to it is not known")
    images: dict[Platform, Descriptor] = {}
    beside: list[Descriptor] = []
    for platform in order.platforms:
        image, attestations = await _find_image(puller, repository, root, platform)
        if image is not None:
            images[platform] = image
            beside += attestations if order.with_attestations else ()
    if not images:
        wanted = ", ".join(map(str, order.platforms))
        raise ManifestUnknown(f"nothing of it runs on {wanted}; there is {root.offer or 'no image at all'}")
    documents = [await _read(puller, repository, found) for found in dict.fromkeys((*images.values(), *beside))]
    parts = (part for document in documents for part in document.children if not is_foreign(part))
    needed = {part.digest: part for part in parts}
    begun = {blob.digest: blob.size for blob in await store.list_suspended()}
    return WarmPlan(
        order,
        root.descriptor,
        images,
        tuple(platform for platform in order.platforms if platform not in images),
        tuple(
            WarmPart(part, puller.foresee(repository, part.digest), begun.get(part.digest, 0))
            for part in needed.values()
        ),
    )


@dataclass(frozen=True, slots=True)
class _Root:
    """What a reference leads to."""

    descriptor: Descriptor
    document: Document
    platform: Platform | None = None
    """Of an image that is no index, if it is known."""

    @property
    def offer(self) -> str:
        """The platforms that there are, in words."""
        if isinstance(self.document, Index):
            platforms = [one.platform for one in self.document.manifests if one.is_runnable]
        else:
            platforms = [self.platform]
        return ", ".join(str(platform or "an image without a platform") for platform in platforms)


async def _read_root(puller: Puller, store: BlobStore, reference: Reference) -> _Root:
    names = (reference.repository,)
    if isinstance(reference.target, Digest):
        answer = await puller.get_manifest(names, reference.target)
    else:
        answer = await puller.get_tag(names, reference.target, ANYBODY)
    assert answer.content is not None
    document = parse_manifest(answer.content, answer.descriptor.media_type)
    own = None
    if isinstance(document, ImageManifest) and document.config.media_type in media_types.IMAGE_CONFIGS:
        own = await _read_platform(puller, store, reference.repository, document.config)
    return _Root(answer.descriptor, document, own)


async def _read_platform(puller: Puller, store: BlobStore, repository: str, config: Descriptor) -> Platform | None:
    """Answer what an image was built for, as its config says; None where that is no config, whatever it is called."""
    if config.size > MAX_MANIFEST_BYTES:
        return None
    answer = await puller.get_blob((repository,), config.digest)
    if answer.fill is not None:
        async with aclosing(answer.fill.keep()) as steps:
            async for _ in steps:
                pass
    try:
        with store.open_blob(config.digest) as reader:
            return parse_config_platform(reader.read_at(0, config.size))
    except InvalidManifest:
        return None


async def _find_image(
    puller: Puller, repository: str, root: _Root, platform: Platform
) -> tuple[Descriptor | None, list[Descriptor]]:
    """Answer the image that a platform gets, if there is one, and its attestations."""
    found, document, attestations = root.descriptor, root.document, list[Descriptor]()
    for _ in range(MAX_INDEX_DEPTH):
        if not isinstance(document, Index):
            runs = document is not root.document or pick_best(platform, [root.platform]) is not None
            return (found if runs else None), attestations
        offered = [one for one in document.manifests if one.is_runnable]
        position = pick_best(platform, [one.platform for one in offered])
        if position is None:
            return None, []
        found = offered[position]
        attestations = [one for one in document.manifests if one.attests == found.digest]
        if not found.is_index:
            return found, attestations
        document = await _read(puller, repository, found)
    return None, []


async def _read(puller: Puller, repository: str, descriptor: Descriptor) -> Document:
    answer = await puller.get_manifest((repository,), descriptor.digest)
    assert answer.content is not None
    return parse_manifest(answer.content, answer.descriptor.media_type)

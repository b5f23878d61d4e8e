"""What one client is answered, of what a tag is for everybody.

By default that is the document itself, index or not: the client chooses, `--platform` works, and pinned digests agree.
The one image manifest for the client's own platform is the answer instead where the client accepts no index, or where
its platform stands in the path or a rule (DESIGN §2, step 5). A client that would choose wrongly is answered an index
of its own (`tailoring`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from proxy.arch.compatibility import pick_best
from proxy.arch.detection import Detection
from proxy.arch.entries import Entry
from proxy.arch.questions import Present, Unreachable
from proxy.arch.resolution import Resolution
from proxy.arch.synthesis import Synthesis
from proxy.arch.tailoring import chooses_well, tailor
from proxy.arch.trail import write_safely
from proxy.oci import media_types
from proxy.oci.manifests import Descriptor, Index
from proxy.oci.platforms import Platform

LEGACY_PLATFORM = Platform("linux", "amd64")
"""What Docker Hub answers a client that accepts no index and shows no platform (platforms.md §2.4)."""

_SCHEMA1_TYPES = media_types.SCHEMA1 | {media_types.JSON}
"""What an engine accepts that still reads schema 1 (clients.md §5)."""
_SCHEMA1_REFUSAL = (
    "an image in a form of before 2016 (schema 1), which this client does not read;"
    " copy it with skopeo to a registry of your own, or ask its publisher to push it anew"
)


@dataclass(frozen=True, slots=True)
class Asker:
    """A client, as far as it decides the answer."""

    detection: Detection
    accepted: frozenset[str] = frozenset()
    """The media types of all its `Accept` headers; empty means anything."""
    wants_manifest: bool = False
    """Whether its path, or a rule, asks for the one image manifest."""

    def takes(self, media_type: str) -> bool:
        """Tell whether a document of this type may be the answer for a tag."""
        is_index = media_type in media_types.INDEXES
        return not (is_index and self.wants_manifest) and media_types.accepts_any(self.accepted, {media_type})

    def reads(self, media_type: str) -> bool:
        """Tell whether it can do anything with a document of this type: of schema 1, where it says so or leaves open.

        Of all other types every client is believed to read what there is: many leave out what they take.
        """
        is_schema1 = media_type in media_types.SCHEMA1
        return not is_schema1 or media_types.accepts_any(self.accepted, _SCHEMA1_TYPES)

    @property
    def takes_any_index(self) -> bool:
        """Whether every index will do as it is, so that nobody needs to look into it."""
        takes_all = all(self.takes(media_type) for media_type in media_types.INDEXES)
        return takes_all and chooses_well(self.detection)


@dataclass(frozen=True, slots=True)
class Choice:
    """The document to serve, and which image the client will run by it."""

    descriptor: Descriptor | None
    """The document; None where there is none to serve."""
    repository: str
    """The repository to fetch the document from."""
    synthesis: Synthesis | None
    """The document's content, where it is the synthesised index, or the client's own."""
    entry: Entry | None
    """The image that fits the client, if its platform is known and something fits."""
    verdict: str
    """Why, in a few words."""


def choose(resolution: Resolution, asker: Asker, *, refuse_missing: bool = False) -> Choice:
    """Answer what a client is served for a resolved tag."""
    platform = asker.detection.platform
    entry = _pick(resolution.entries, platform)
    if platform is not None and entry is None and refuse_missing and _knows_platforms(resolution):
        return _nothing(resolution, f"nothing runs on {platform}; there is {_platforms(resolution.entries)}")
    if not isinstance(resolution.upstream, Present) and resolution.synthesis is None:
        return _nothing(resolution, resolution.upstream.reason)
    whole = _whole(resolution, entry)
    assert whole.descriptor is not None
    if not asker.reads(whole.descriptor.media_type):
        return _nothing(resolution, _SCHEMA1_REFUSAL)
    if not whole.descriptor.is_index:
        return whole
    if asker.takes(whole.descriptor.media_type):
        return _tailored(resolution, asker.detection, whole)
    image = _choose_image(resolution, asker)
    is_unwanted = asker.wants_manifest and media_types.accepts_any(asker.accepted, {whole.descriptor.media_type})
    # Who named a platform that nothing runs on gets what there is, unless the operator refuses (DESIGN §2, step 6).
    return whole if image.descriptor is None and is_unwanted else image


def _whole(resolution: Resolution, entry: Entry | None) -> Choice:
    if resolution.synthesis is not None:
        made = resolution.synthesis
        descriptor = Descriptor(made.media_type, made.digest, len(made.content))
        return Choice(descriptor, resolution.repository, made, entry, "the synthesised index")
    assert isinstance(resolution.upstream, Present)
    return Choice(resolution.upstream.descriptor, resolution.repository, None, entry, "upstream's document")


def _tailored(resolution: Resolution, detection: Detection, whole: Choice) -> Choice:
    index = _index_of(resolution, whole)
    made = tailor(index, detection) if index is not None and not chooses_well(detection) else None
    if made is None:
        return whole
    descriptor = Descriptor(made.media_type, made.digest, len(made.content))
    verdict = f"an index of its own, since it would not choose the image for {detection.platform} by itself"
    return replace(whole, descriptor=descriptor, synthesis=made, verdict=verdict)


def _index_of(resolution: Resolution, whole: Choice) -> Index | None:
    if whole.synthesis is not None:
        return Index(whole.synthesis.media_type, whole.synthesis.manifests)
    document = resolution.upstream.document if isinstance(resolution.upstream, Present) else None
    return document if isinstance(document, Index) else None


def _choose_image(resolution: Resolution, asker: Asker) -> Choice:
    platform = asker.detection.platform
    images = tuple(entry for entry in resolution.entries if not entry.descriptor.is_index)
    # An engine of before 18.06 reads no OCI manifest: a Docker one that runs is better than the best that it refuses.
    readable = tuple(
        entry for entry in images if media_types.accepts_any(asker.accepted, {entry.descriptor.media_type})
    )
    entry = _pick(readable, platform or LEGACY_PLATFORM) or _pick(images, platform or LEGACY_PLATFORM)
    if entry is None:
        there = _platforms(resolution.entries)
        return _nothing(resolution, f"nothing runs on {platform or 'an unknown platform'}; there is {there}")
    return Choice(entry.descriptor, entry.repository, None, entry, f"the image for {entry.platform or platform}")


def _pick(entries: tuple[Entry, ...], platform: Platform | None) -> Entry | None:
    if platform is None:
        return None
    position = pick_best(platform, [entry.platform for entry in entries])
    return None if position is None else entries[position]


def _knows_platforms(resolution: Resolution) -> bool:
    return not isinstance(resolution.upstream, Unreachable)


def _nothing(resolution: Resolution, verdict: str) -> Choice:
    return Choice(None, resolution.repository, None, None, verdict)


def _platforms(entries: Iterable[Entry]) -> str:
    names = ", ".join(str(entry.platform or "an image without a platform") for entry in entries)
    return write_safely(names) or "no image at all"

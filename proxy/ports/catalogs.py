"""Facts: what is known of tags, of repositories and of content."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor


class TagState(StrEnum):
    """What upstream last said of a tag."""

    PRESENT = "present"
    ABSENT = "absent"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class TagRecord:
    """What is known of a tag, and since when."""

    upstream: str
    repository: str
    tag: str
    state: TagState
    checked_at: float
    """Wall clock, in seconds since 1970."""
    descriptor: Descriptor | None = None
    """Where the state is PRESENT: what is under the tag."""


@dataclass(frozen=True, slots=True)
class Link:
    """That a repository may show some content, and where upstream that content is to be had."""

    upstream: str
    repository: str
    """The repository that clients ask for."""
    digest: Digest
    origin: str
    """The repository to fetch it from; empty for a synthesised index, which no upstream has."""
    media_type: str = ""
    size: int | None = None
    """In bytes, as the descriptor said that led here."""
    is_proven: bool = False
    """Whether upstream showed this content under the origin. A manifest may name what its repository does not hold:
    such a link says where to ask, but opens nothing that is in the cache already."""


class Catalog(Protocol):
    """The facts beside the blobs. Reads are quick and inline; a write is durable once awaited."""

    def find_tag(self, upstream: str, repository: str, tag: str, /) -> TagRecord | None:
        """Answer what is known of a tag."""

    async def put_tag(self, record: TagRecord, /) -> None:
        """Remember what upstream said of a tag."""

    def find_link(self, upstream: str, repository: str, digest: Digest, /) -> Link | None:
        """Answer the link of a repository to some content, if there is one."""

    async def put_links(self, links: Iterable[Link], /) -> None:
        """Remember links; one that is not proven never replaces one that is."""

    def list_tags(self, upstream: str | None = None, repository: str | None = None, /) -> list[TagRecord]:
        """Answer the tags known to be PRESENT, of one upstream and repository or of all, in order of their names."""

    async def put_contents(self, parent: Digest, children: Iterable[Digest], /) -> None:
        """Remember what a manifest needs to be whole, beside what is known of that already."""

    async def put_answer(self, upstream: str, repository: str, tag: str, digest: Digest | None, /) -> None:
        """Remember the synthesised index that a tag is answered with; None for upstream's own document."""


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """A tag, or a digest as text, whose content stays, whatever else has to leave."""

    upstream: str
    repository: str
    target: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is known of the content, all of it at one moment."""

    tags: tuple[TagRecord, ...] = ()
    """Those that are PRESENT, in order of their names."""
    answers: Mapping[tuple[str, str, str], Digest] = field(default_factory=dict)
    """The synthesised indexes, by upstream, repository and tag."""
    contents: Mapping[Digest, tuple[Digest, ...]] = field(default_factory=dict)
    """What each manifest needs to be whole."""
    uses: Mapping[Digest, float] = field(default_factory=dict)
    """The last use of some content: wall clock, in seconds since 1970."""
    pins: frozenset[Pin] = frozenset()


class Ledger(Protocol):
    """The catalog as housekeeping needs it. Everything here may take its time, and is durable once awaited."""

    @property
    def needs_rebuild(self) -> bool:
        """Whether it was begun anew, or by a version that knew less: the store may hold more than it tells."""

    async def finish_rebuild(self) -> None:
        """Remember that it knows all that can be found out. Raises Unavailable if that cannot be written."""

    async def take_inventory(self) -> Inventory:
        """Answer everything that is known of the content."""

    async def list_links(self) -> list[Link]:
        """Answer all links, in no particular order."""

    async def put_uses(self, uses: Mapping[Digest, float], /) -> None:
        """Remember last uses; an earlier one never replaces a later one."""

    async def put_pin(self, pin: Pin, /) -> None:
        """Remember a pin."""

    async def remove_pin(self, pin: Pin, /) -> bool:
        """Forget a pin; answers whether there was one."""

    async def forget_content(self, digests: Collection[Digest], /) -> None:
        """Forget content that has left the store: uses, what it consisted of, the tags and answers that led to it.

        Links stay that tell another origin than the repository's own name: nobody could tell that anew for a digest.
        """

    async def forget_tag(self, upstream: str, repository: str, tag: str, /) -> None:
        """Forget a tag and its answer."""

    async def forget_absent(self, before: float, /) -> None:
        """Forget what upstream said before a moment not to have, or not to show, under tags that lead nowhere else."""

    def read_revision(self) -> int:
        """Answer how often content was taken away behind the back of whoever else has the catalog open."""

    async def raise_revision(self) -> None:
        """Tell whoever else has the catalog open that content was taken away, or came in."""

    def watch_tags(self, callback: Callable[[], None], /) -> None:
        """Be called back whenever the tags that are PRESENT may have changed."""


@dataclass(frozen=True, slots=True)
class Diary:
    """What is remembered of standing orders."""

    begun: Mapping[str, float] = field(default_factory=dict)
    """When each was begun last, by its key: wall clock, in seconds since 1970."""
    pins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The tags that were pinned for each pattern."""


class DiaryKeeper(Protocol):
    """Where it is remembered. What cannot be written is told, and forgotten with the next restart."""

    def read(self) -> Diary:
        """Answer what is remembered, from memory."""

    async def write(self, diary: Diary, /) -> None:
        """Remember this instead."""

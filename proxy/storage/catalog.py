"""The facts in one SQLite file: tags, which repository may show which content, what content consists of, its last use.

The blobs themselves are not in here: whatever is lost with this file is asked of upstream again, or read out of the
layout.
"""

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

import cachetools

from proxy.oci.digests import Digest
from proxy.oci.errors import Unavailable
from proxy.oci.manifests import Descriptor
from proxy.ports import Events, Inventory, Link, Pin, TagRecord, TagState
from proxy.storage import schema
from proxy.storage.database import Database
from proxy.storage.unwritten import Row

_INVENTORY = (
    schema.LIST_ALL_TAGS,
    schema.LIST_ANSWERS,
    schema.LIST_CONTENTS,
    schema.LIST_USES,
    schema.LIST_PINS,
)


MAX_PROVEN = 4096
"""How many proven links are kept in memory: one is looked up for every manifest and blob, and a look into the file is a
quarter of what answering a manifest costs. What upstream has shown stays true, whoever else writes to the file."""


class SqliteCatalog(Database):
    """The catalog in a file; a context manager that opens and closes it."""

    def __init__(self, path: Path, executor: Executor, events: Events) -> None:
        """Take the file's place, an executor of one thread in which all writing happens, and whom to tell."""
        super().__init__(path, executor, events)
        self._watchers: list[Callable[[], None]] = []
        self._proven: cachetools.LRUCache[tuple[str, str, Digest], Link] = cachetools.LRUCache(MAX_PROVEN)

    def find_tag(self, upstream: str, repository: str, tag: str, /) -> TagRecord | None:
        """Answer what is known of a tag."""
        rows = self.find(schema.FIND_TAG, (upstream, repository, tag))
        return _tag_record(rows[0]) if rows else None

    async def put_tag(self, record: TagRecord, /) -> None:
        """Remember what upstream said of a tag."""
        known = self.find_tag(record.upstream, record.repository, record.tag) if self._watchers else None
        await self.keep(schema.PUT_TAG, [_tag_row(record)])
        if TagState.PRESENT in {record.state, known and known.state}:
            self._tell_watchers()

    def find_link(self, upstream: str, repository: str, digest: Digest, /) -> Link | None:
        """Answer the link of a repository to some content, if there is one."""
        key = (upstream, repository, digest)
        if (known := self._proven.get(key)) is not None:
            return known
        rows = self.find(schema.FIND_LINK, (upstream, repository, str(digest)))
        if not rows:
            return None
        origin, media_type, size, is_proven = max(rows, key=_is_proven)
        link = Link(upstream, repository, digest, origin, media_type, size, bool(is_proven))
        if is_proven:
            self._proven[key] = link
        return link

    async def put_links(self, links: Iterable[Link], /) -> None:
        """Remember links; one that is not proven never replaces one that is."""
        told = list(links)
        rows = [
            (one.upstream, one.repository, str(one.digest), one.origin, one.media_type, one.size, one.is_proven)
            for one in told
        ]
        await self.keep(schema.PUT_LINK, rows)
        for one in told:
            self._proven.pop((one.upstream, one.repository, one.digest), None)

    def list_tags(self, upstream: str | None = None, repository: str | None = None, /) -> list[TagRecord]:
        """Answer the tags known to be PRESENT, in order of their names."""
        # The many tags of one repository among all are found by their key only if the statement has no alternatives.
        is_one = upstream is not None and repository is not None
        statement = schema.LIST_REPOSITORY_TAGS if is_one else schema.LIST_TAGS
        return _present(self.find(statement, (upstream, repository)))

    async def take_tags(self) -> list[TagRecord]:
        """Answer the tags known to be PRESENT, in order of their names, without holding anybody up."""
        (rows,) = await self.look(schema.LIST_ALL_TAGS)
        return await self._run(partial(_present, rows))

    async def put_contents(self, parent: Digest, children: Iterable[Digest], /) -> None:
        """Remember what a manifest needs to be whole."""
        await self.keep(schema.PUT_CONTENT, [(str(parent), str(child)) for child in children])

    async def put_answer(self, upstream: str, repository: str, tag: str, digest: Digest | None, /) -> None:
        """Remember the synthesised index that a tag is answered with; None for upstream's own document."""
        if digest is None:
            await self.keep(schema.FORGET_ANSWER, [(upstream, repository, tag)])
        else:
            await self.keep(schema.PUT_ANSWER, [(upstream, repository, tag, str(digest))])

    async def take_inventory(self) -> Inventory:
        """Answer everything that is known of the content."""
        rows = await self.look(*_INVENTORY)
        # Off the loop: so many objects take longer to make than to read.
        return await self._run(partial(_build_inventory, *rows))

    async def list_links(self) -> list[Link]:
        """Answer all links."""
        (rows,) = await self.look(schema.LIST_LINKS)
        return await self._run(partial(_build_links, rows))

    async def put_uses(self, uses: Mapping[Digest, float], /) -> None:
        """Remember last uses; an earlier one never replaces a later one."""
        await self.keep(schema.PUT_USE, [(str(digest), moment) for digest, moment in uses.items()])

    async def put_pin(self, pin: Pin, /) -> None:
        """Remember a pin. Raises Unavailable if the file cannot be written."""
        await self.change(lambda file: file.execute(schema.PUT_PIN, _pin_row(pin)))

    async def remove_pin(self, pin: Pin, /) -> bool:
        """Forget a pin. Raises Unavailable if the file cannot be written."""
        return await self.change(lambda file: file.execute(schema.REMOVE_PIN, _pin_row(pin)).rowcount > 0)

    async def forget_content(self, digests: Collection[Digest], /) -> None:
        """Forget content that has left the store. Raises Unavailable if the file cannot be written."""
        row = (json.dumps([str(digest) for digest in digests]),)
        await self.change(lambda file: [file.execute(statement, row) for statement in schema.FORGET_CONTENT])
        self._proven.clear()
        self._tell_watchers()

    async def forget_tag(self, upstream: str, repository: str, tag: str, /) -> None:
        """Forget a tag and its answer. Raises Unavailable if the file cannot be written."""
        row = (upstream, repository, tag)
        await self.change(lambda file: [file.execute(statement, row) for statement in schema.FORGET_TAG])
        self._tell_watchers()

    async def forget_absent(self, before: float, /) -> None:
        """Forget what upstream said before a moment not to have, or not to show, under tags that lead nowhere else.

        Raises Unavailable if the file cannot be written.
        """
        await self.change(lambda file: file.execute(schema.FORGET_ABSENT, (before,)))

    def read_revision(self) -> int:
        """Answer how often content was taken away behind somebody's back."""
        return sum(count for (count,) in self.find(schema.READ_REVISION, ()))

    async def raise_revision(self) -> None:
        """Tell whoever else has the catalog open that content was taken away, or came in."""
        await self.keep(schema.RAISE_REVISION, [()])

    def watch_tags(self, callback: Callable[[], None], /) -> None:
        """Be called back whenever the tags that are PRESENT may have changed."""
        self._watchers.append(callback)

    async def finish_rebuild(self) -> None:
        """Remember that the file knows all that this version would have told it.

        Where it cannot be written, whoever opens it next has to rebuild it again.
        """
        self.needs_rebuild = False
        with contextlib.suppress(Unavailable):
            await self.change(lambda file: file.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION}"))

    def _tell_watchers(self) -> None:
        for tell in self._watchers:
            tell()

    def __repr__(self) -> str:
        return f"<SqliteCatalog {self.path}>"


def _build_inventory(
    tags: list[Row], answers: list[Row], contents: list[Row], uses: list[Row], pins: list[Row]
) -> Inventory:
    """Build it from rows: what is not written yet comes first, and is newer."""
    digests = _Digests()
    children: dict[str, set[str]] = {}
    for parent, child in contents:
        children.setdefault(parent, set()).add(child)
    latest: dict[str, float] = {}
    for digest, moment in uses:
        latest[digest] = max(moment, latest.get(digest, moment))
    return Inventory(
        tuple(_present(tags)),
        {(row[0], row[1], row[2]): digests[row[3]] for row in reversed(answers)},
        {digests[parent]: tuple(digests[child] for child in sorted(children[parent])) for parent in children},
        {digests[digest]: moment for digest, moment in latest.items()},
        frozenset(Pin(*row) for row in pins),
    )


class _Digests(dict[str, Digest]):
    """One object a digest: most stand in several places, and the fewer there are, the shorter a garbage collection."""

    def __missing__(self, text: str) -> Digest:
        found = self[text] = _digest(text)
        return found


def _build_links(rows: list[Row]) -> list[Link]:
    known: dict[Row, Row] = {}
    for row in rows:
        former = known.setdefault(row[:3], row)  # what is not written yet comes first, and is newer
        if row[6] and not former[6]:
            known[row[:3]] = row
    return [Link(row[0], row[1], _digest(row[2]), row[3], row[4], row[5], bool(row[6])) for row in known.values()]


def _digest(text: str) -> Digest:
    return Digest(*text.split(":"))  # what is in the file was a Digest when it came in


def _is_proven(row: Row) -> bool:
    return bool(row[3])


def _pin_row(pin: Pin) -> Row:
    return (pin.upstream, pin.repository, pin.target)


def _tag_row(record: TagRecord) -> Row:
    found = record.descriptor
    target = (None, None, None) if found is None else (found.media_type, str(found.digest), found.size)
    return (record.upstream, record.repository, record.tag, record.state, record.checked_at, *target)


def _tag_record(row: Row) -> TagRecord:
    descriptor = Descriptor(row[5], _digest(row[6]), row[7]) if row[6] else None
    return TagRecord(row[0], row[1], row[2], TagState(row[3]), row[4], descriptor)


def _present(rows: list[Row]) -> list[TagRecord]:
    known: dict[Row, Row] = {}
    for row in rows:
        known.setdefault(row[:3], row)  # what is not written yet comes first, and is newer
    return [_tag_record(row) for _, row in sorted(known.items()) if row[3] == TagState.PRESENT]

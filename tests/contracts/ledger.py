"""The contract of `Ledger`: the catalog as housekeeping needs it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import OCI_INDEX
from proxy.ports import Catalog, Inventory, Ledger, Link, Pin, TagRecord, TagState
from proxy.storage.memory import MemoryCatalog
from tests.contracts.catalog import ABSENT, JESSIE, LINK, ONE, TWO

THREE = Digest.of(b"three")
TAG = (JESSIE.upstream, JESSIE.repository, JESSIE.tag)
PIN = Pin(*TAG)


class Books(Catalog, Ledger, Protocol):
    """A catalog as its two users need it."""


Step = Callable[[Books], Awaitable[object]]

# Few names and digests, so that steps meet.
_names = st.sampled_from(("a", "b"))
_digests = st.sampled_from((ONE, TWO, THREE))
_states = st.sampled_from(TagState)
_moments = st.floats(0, 1e11)


def _put_tag(name: str, state: TagState, digest: Digest) -> Step:
    found = Descriptor(OCI_INDEX, digest, 7) if state is TagState.PRESENT else None
    return lambda books: books.put_tag(TagRecord("u", "r", name, state, 1.0, found))


def _put_link(repository: str, digest: Digest, origin: str, *, is_proven: bool) -> Step:
    return lambda books: books.put_links([Link("u", repository, digest, origin, is_proven=is_proven)])


steps = st.one_of(
    st.builds(_put_tag, _names, _states, _digests),
    st.builds(_put_link, _names, _digests, _names | st.just(""), is_proven=st.booleans()),
    st.builds(
        lambda name, digest: lambda books: books.put_answer("u", "r", name, digest), _names, _digests | st.none()
    ),
    st.builds(
        lambda parent, children: lambda books: books.put_contents(parent, children), _digests, st.lists(_digests)
    ),
    st.builds(lambda uses: lambda books: books.put_uses(uses), st.dictionaries(_digests, _moments)),
    st.builds(lambda gone: lambda books: books.forget_content(gone), st.lists(_digests)),
    st.builds(lambda name: lambda books: books.forget_tag("u", "r", name), _names),
    st.builds(lambda moment: lambda books: books.forget_absent(moment), st.sampled_from((0.5, 2.0))),
    st.just(lambda books: books.raise_revision()),
)
pin_steps = st.one_of(
    st.builds(lambda name: lambda books: books.put_pin(Pin("u", "r", name)), _names),
    st.builds(lambda name: lambda books: books.remove_pin(Pin("u", "r", name)), _names),
)


async def clear(books: Books) -> None:
    """Forget whatever an example has left."""
    await books.forget_content([ONE, TWO, THREE])
    for name in ("a", "b"):
        await books.forget_tag("u", "r", name)
        await books.remove_pin(Pin("u", "r", name))


async def tell_all(books: Books) -> tuple[Inventory, list[Link], list[TagRecord]]:
    """Answer everything that can be asked."""
    inventory = await books.take_inventory()
    links = sorted(await books.list_links(), key=lambda one: (one.upstream, one.repository, one.digest))
    for link in links:
        assert books.find_link(link.upstream, link.repository, link.digest) == link
    for record in inventory.tags:
        assert books.find_tag(record.upstream, record.repository, record.tag) == record
    return inventory, links, books.list_tags()


class LedgerContract:
    """Needs a fixture `books`: an empty catalog that is a ledger too."""

    async def test_nothing_is_known_of_nothing(self, books: Books) -> None:
        assert await books.take_inventory() == Inventory()
        assert await books.list_links() == []
        assert books.read_revision() == 0

    async def test_the_inventory_tells_all_that_was_put(self, books: Books) -> None:
        await books.put_tag(JESSIE)
        await books.put_tag(ABSENT)
        await books.put_answer(*TAG, TWO)
        await books.put_contents(ONE, [TWO, THREE])
        await books.put_uses({ONE: 5.0, THREE: 7.5})
        await books.put_pin(PIN)
        assert await books.take_inventory() == Inventory(
            (JESSIE,), {TAG: TWO}, {ONE: tuple(sorted((TWO, THREE)))}, {ONE: 5.0, THREE: 7.5}, frozenset({PIN})
        )

    async def test_an_inventory_that_was_taken_does_not_change(self, books: Books) -> None:
        await books.put_tag(JESSIE)
        await books.put_answer(*TAG, TWO)
        await books.put_contents(ONE, [TWO])
        await books.put_uses({ONE: 5.0})
        await books.put_pin(PIN)
        before = await books.take_inventory()
        told = repr(before)
        await books.put_contents(ONE, [THREE])
        await books.put_uses({ONE: 6.0, TWO: 1.0})
        await books.remove_pin(PIN)
        await books.forget_content([ONE, TWO])
        assert repr(before) == told

    async def test_contents_add_up_and_are_told_once(self, books: Books) -> None:
        await books.put_contents(ONE, [TWO])
        await books.put_contents(ONE, (child for child in (THREE, TWO, TWO)))
        await books.put_contents(TWO, [])
        assert (await books.take_inventory()).contents == {ONE: tuple(sorted((TWO, THREE)))}

    async def test_the_answer_given_last_to_a_tag_holds(self, books: Books) -> None:
        await books.put_answer(*TAG, TWO)
        await books.put_answer(*TAG, THREE)
        assert (await books.take_inventory()).answers == {TAG: THREE}

    async def test_a_tag_may_be_answered_as_it_is_again(self, books: Books) -> None:
        await books.put_answer(*TAG, None)
        await books.put_answer(*TAG, TWO)
        await books.put_answer(*TAG, None)
        assert (await books.take_inventory()).answers == {}

    async def test_an_earlier_use_never_replaces_a_later_one(self, books: Books) -> None:
        for moment in (5.0, 7.0, 6.0):
            await books.put_uses({ONE: moment})
        await books.put_uses({})
        assert (await books.take_inventory()).uses == {ONE: 7.0}

    async def test_a_pin_is_there_until_it_is_removed(self, books: Books) -> None:
        by_digest = Pin(JESSIE.upstream, JESSIE.repository, str(ONE))
        for pin in (PIN, PIN, by_digest):
            await books.put_pin(pin)
        assert (await books.take_inventory()).pins == {PIN, by_digest}
        assert await books.remove_pin(PIN)
        assert not await books.remove_pin(PIN)
        assert not await books.remove_pin(replace(by_digest, upstream="ghcr.io"))
        assert (await books.take_inventory()).pins == {by_digest}

    async def test_what_has_left_is_forgotten_with_whatever_led_to_it(self, books: Books) -> None:
        other = replace(JESSIE, tag="wheezy", descriptor=Descriptor(OCI_INDEX, TWO, 1))
        for record in (JESSIE, other, ABSENT):
            await books.put_tag(record)
        await books.put_answer(*TAG, ONE)
        await books.put_answer("docker.io", "library/debian", "wheezy", TWO)
        await books.put_contents(ONE, [TWO])
        await books.put_contents(TWO, [ONE])
        await books.put_uses({ONE: 1.0, TWO: 2.0})
        await books.put_pin(PIN)
        await books.forget_content([ONE, THREE])
        assert await books.take_inventory() == Inventory(
            (other,), {("docker.io", "library/debian", "wheezy"): TWO}, {TWO: (ONE,)}, {TWO: 2.0}, frozenset({PIN})
        )
        assert books.find_tag(*TAG) is None
        assert books.find_tag(ABSENT.upstream, ABSENT.repository, ABSENT.tag) == ABSENT
        assert books.list_tags() == [other]

    async def test_a_link_stays_that_tells_another_origin_than_its_own_name(self, books: Books) -> None:
        own = replace(LINK, origin=LINK.repository)
        made = replace(LINK, repository="library/alpine", origin="")
        elsewhere = replace(own, repository="library/busybox", digest=TWO, origin="library/busybox")
        await books.put_links([own, made, elsewhere, replace(LINK, repository="library/ubuntu")])
        await books.forget_content([ONE])
        assert books.find_link(own.upstream, own.repository, ONE) is None
        assert sorted(one.repository for one in await books.list_links()) == [
            "library/alpine",
            "library/busybox",
            "library/ubuntu",
        ]

    async def test_what_was_forgotten_can_be_learnt_again(self, books: Books) -> None:
        for _ in range(2):
            await books.put_tag(JESSIE)
            await books.put_contents(ONE, [TWO])
            assert books.find_tag(*TAG) == JESSIE
            await books.forget_content([ONE])
            assert await books.take_inventory() == Inventory()

    async def test_a_tag_is_forgotten_with_its_answer_and_nothing_else(self, books: Books) -> None:
        other = replace(JESSIE, tag="wheezy")
        for record in (JESSIE, other):
            await books.put_tag(record)
            await books.put_answer(record.upstream, record.repository, record.tag, TWO)
        await books.put_uses({ONE: 1.0})
        for _ in range(2):
            await books.forget_tag(*TAG)
        inventory = await books.take_inventory()
        assert inventory.tags == (other,)
        assert inventory.answers == {("docker.io", "library/debian", "wheezy"): TWO}
        assert inventory.uses == {ONE: 1.0}
        assert books.find_tag(*TAG) is None

    async def test_what_upstream_does_not_have_is_forgotten_where_the_tag_leads_nowhere(self, books: Books) -> None:
        absent = [
            replace(JESSIE, tag=tag, repository=repository, state=state, descriptor=None, checked_at=moment)
            for tag, repository, state, moment in (
                ("unknown", "library/debian", TagState.ABSENT, 1.0),
                ("unknown", "arm32v7/debian", TagState.DENIED, 1.0),
                ("new", "library/debian", TagState.ABSENT, 5.0),
                (JESSIE.tag, "arm32v7/debian", TagState.ABSENT, 1.0),
                ("made", "library/debian", TagState.ABSENT, 1.0),
            )
        ]
        for record in (replace(JESSIE, checked_at=1.0), *absent):
            await books.put_tag(record)
        await books.put_answer(JESSIE.upstream, JESSIE.repository, "made", TWO)
        await books.forget_absent(5.0)
        left = [one for one in absent if books.find_tag(one.upstream, one.repository, one.tag) == one]
        assert left == absent[2:]
        assert [one.tag for one in books.list_tags()] == [JESSIE.tag]

    async def test_forgetting_nothing_and_the_unknown_is_harmless(self, books: Books) -> None:
        await books.forget_content([])
        await books.forget_content([ONE])
        await books.forget_tag(*TAG)
        assert await books.take_inventory() == Inventory()

    async def test_a_whole_cache_can_be_forgotten_at_once(self, books: Books) -> None:
        many = [Digest.of(str(number).encode()) for number in range(3000)]
        await books.put_uses(dict.fromkeys(many, 1.0))
        await books.forget_content(many[:-1])
        assert (await books.take_inventory()).uses == {many[-1]: 1.0}

    async def test_the_revision_rises(self, books: Books) -> None:
        seen = [books.read_revision()]
        for _ in range(3):
            await books.raise_revision()
            seen.append(books.read_revision())
        assert seen == sorted(set(seen))

    async def test_whoever_watches_the_tags_is_called_when_they_change(self, books: Books) -> None:
        calls: list[str] = []
        books.watch_tags(lambda: calls.append("one"))
        books.watch_tags(lambda: calls.append("other"))
        steps: list[tuple[str, Awaitable[object]]] = [
            ("a tag that is present", books.put_tag(JESSIE)),
            ("it moves", books.put_tag(replace(JESSIE, descriptor=Descriptor(OCI_INDEX, TWO, 1)))),
            ("it is gone", books.put_tag(replace(JESSIE, state=TagState.ABSENT, descriptor=None))),
            ("it is there again", books.put_tag(JESSIE)),
            ("its content is forgotten", books.forget_content([ONE])),
            ("it comes back", books.put_tag(JESSIE)),
            ("it is forgotten", books.forget_tag(*TAG)),
        ]
        for name, step in steps:
            calls.clear()
            await step
            assert sorted(set(calls)) == ["one", "other"], name

    async def test_whoever_watches_already_finds_what_has_changed(self, books: Books) -> None:
        seen: list[int] = []
        books.watch_tags(lambda: seen.append(len(books.list_tags())))
        await books.put_tag(JESSIE)
        await books.forget_tag(*TAG)
        assert seen == [1, 0]

    # One suite, several catalogs: every subclass runs it, each with a catalog that lives through all examples.
    @settings(
        max_examples=50,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(taken=st.lists(steps | pin_steps, max_size=15))
    def test_it_tells_what_the_reference_tells(self, books: Books, taken: list[Step]) -> None:
        reference = MemoryCatalog()
        before = books.read_revision()

        async def live_through() -> None:
            await clear(books)
            # Links of another origin stay: the reference has to know them too.
            await reference.put_links(await books.list_links())
            for step in taken:
                await step(books)
                await step(reference)
            assert await tell_all(books) == await tell_all(reference)

        asyncio.run(live_through())
        assert books.read_revision() - before == reference.read_revision()

    @pytest.mark.parametrize("count", [1, 40])
    async def test_many_at_once_lose_nothing(self, books: Books, count: int) -> None:
        each = [Digest.of(str(number).encode()) for number in range(count)]
        await asyncio.gather(
            *(books.put_uses({digest: 1.0}) for digest in each),
            *(books.put_contents(digest, [ONE]) for digest in each),
            *(books.put_pin(Pin("u", "r", str(digest))) for digest in each),
            *(books.raise_revision() for _ in each),
        )
        inventory = await books.take_inventory()
        assert inventory.uses == dict.fromkeys(each, 1.0)
        assert inventory.contents == dict.fromkeys(each, (ONE,))
        assert len(inventory.pins) == books.read_revision() == count

"""The contract of `Catalog`."""

import asyncio
import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.oci.digests import Digest
from proxy.oci.manifests import MAX_SIZE, Descriptor
from proxy.oci.media_types import MANIFESTS, OCI_INDEX, OCI_MANIFEST
from proxy.ports import Catalog, Link, TagRecord, TagState
from proxy.storage.memory import MemoryCatalog
from tests.strategies import digests

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
JESSIE = TagRecord(
    "docker.io", "library/debian", "jessie", TagState.PRESENT, 1_700_000_000.25, Descriptor(OCI_INDEX, ONE, 1316)
)
ABSENT = replace(JESSIE, tag="potato", state=TagState.ABSENT, descriptor=None)
LINK = Link("docker.io", "library/debian", ONE, "arm32v7/debian", OCI_MANIFEST, 527, is_proven=True)

_examples = itertools.count()

# Few names, so that records meet.
_upstreams = st.sampled_from(("docker.io", "ghcr.io", "registry.lan:5000"))
_repositories = st.sampled_from(("library/debian", "library/debian-slim", "arm32v7/debian", "a"))
_tags = st.sampled_from(("latest", "1", "1.0", "V1", "_", "@sha256"))
_digests = st.sampled_from((ONE, TWO)) | digests
_sizes = st.integers(0, MAX_SIZE)
records = st.builds(
    TagRecord,
    _upstreams,
    _repositories,
    _tags,
    st.sampled_from(TagState),
    st.floats(0, 1e11),
    st.none() | st.builds(Descriptor, st.sampled_from(sorted(MANIFESTS)), _digests, _sizes),
)
links = st.builds(
    Link,
    _upstreams,
    _repositories,
    _digests,
    _repositories | st.just(""),
    st.sampled_from(("", *sorted(MANIFESTS))),
    st.none() | _sizes,
    st.booleans(),
)
Happening = TagRecord | list[Link]


def _with_upstreams_of(example: int, happening: Happening) -> Happening:
    if isinstance(happening, TagRecord):
        return replace(happening, upstream=f"{example}.{happening.upstream}")
    return [replace(link, upstream=f"{example}.{link.upstream}") for link in happening]


async def _live_through(catalog: Catalog, happenings: list[Happening]) -> None:
    for happening in happenings:
        if isinstance(happening, TagRecord):
            await catalog.put_tag(happening)
        else:
            await catalog.put_links(happening)


def _ask(catalog: Catalog, happening: Happening) -> list[object]:
    if isinstance(happening, TagRecord):
        upstream, repository = happening.upstream, happening.repository
        lists = [catalog.list_tags(upstream), catalog.list_tags(upstream, repository)]
        return [catalog.find_tag(upstream, repository, happening.tag), *lists]
    return [catalog.find_link(link.upstream, link.repository, link.digest) for link in happening]


class CatalogContract:
    """Needs a fixture `catalog`: an empty Catalog."""

    def test_what_was_never_put_is_not_known(self, catalog: Catalog) -> None:
        assert catalog.find_tag("docker.io", "library/debian", "jessie") is None
        assert catalog.find_link("docker.io", "library/debian", ONE) is None
        assert catalog.list_tags() == []

    @pytest.mark.parametrize("state", TagState)
    async def test_a_tag_reads_back_as_it_was_put(self, catalog: Catalog, state: TagState) -> None:
        descriptor = JESSIE.descriptor if state is TagState.PRESENT else None
        record = replace(JESSIE, state=state, descriptor=descriptor)
        await catalog.put_tag(record)
        assert catalog.find_tag("docker.io", "library/debian", "jessie") == record

    @pytest.mark.parametrize(
        "other",
        [
            ("ghcr.io", "library/debian", "jessie"),
            ("docker.io", "library/debia", "jessie"),
            ("docker.io", "library/debian", "jessi"),
            ("docker.io", "library/debian", "JESSIE"),
            ("docker.io", "library/debian", "%"),
        ],
        ids=":".join,
    )
    async def test_a_tag_is_not_found_by_another_name(self, catalog: Catalog, other: tuple[str, str, str]) -> None:
        await catalog.put_tag(JESSIE)
        assert catalog.find_tag(*other) is None

    async def test_what_is_said_last_of_a_tag_holds(self, catalog: Catalog) -> None:
        moved = replace(JESSIE, checked_at=1.0, descriptor=Descriptor(OCI_MANIFEST, TWO, 1))
        gone = replace(JESSIE, checked_at=2.0, state=TagState.ABSENT, descriptor=None)
        for record in (JESSIE, moved, gone, JESSIE, gone):
            await catalog.put_tag(record)
            assert catalog.find_tag("docker.io", "library/debian", "jessie") == record
        assert catalog.list_tags() == []

    async def test_a_link_reads_back_as_it_was_put(self, catalog: Catalog) -> None:
        bare = Link("ghcr.io", "owner/app", TWO, "")
        await catalog.put_links([LINK, bare])
        assert catalog.find_link("docker.io", "library/debian", ONE) == LINK
        assert catalog.find_link("ghcr.io", "owner/app", TWO) == bare

    @pytest.mark.parametrize(
        "other",
        [
            ("ghcr.io", "library/debian", ONE),
            ("docker.io", "arm32v7/debian", ONE),
            ("docker.io", "library/debian", TWO),
        ],
        ids=["upstream", "repository", "digest"],
    )
    async def test_a_link_opens_nothing_else(self, catalog: Catalog, other: tuple[str, str, Digest]) -> None:
        await catalog.put_links([LINK])
        assert catalog.find_link(*other) is None

    @pytest.mark.parametrize("was_proven", [False, True], ids=["unproven", "proven"])
    @pytest.mark.parametrize("is_proven", [False, True], ids=["by-unproven", "by-proven"])
    async def test_a_proven_link_is_never_replaced_by_one_that_is_not(
        self, catalog: Catalog, *, was_proven: bool, is_proven: bool
    ) -> None:
        known = replace(LINK, is_proven=was_proven)
        told = replace(LINK, origin="stranger/debian", media_type="", size=None, is_proven=is_proven)
        await catalog.put_links([known])
        await catalog.put_links([told])
        assert catalog.find_link("docker.io", "library/debian", ONE) == (
            known if was_proven and not is_proven else told
        )

    async def test_links_of_one_batch_are_put_in_their_order(self, catalog: Catalog) -> None:
        await catalog.put_links([replace(LINK, is_proven=False), LINK, replace(LINK, origin="x", is_proven=False)])
        assert catalog.find_link("docker.io", "library/debian", ONE) == LINK

    async def test_links_may_come_from_a_generator_and_may_be_none(self, catalog: Catalog) -> None:
        await catalog.put_links(link for link in (LINK,))
        await catalog.put_links([])
        assert catalog.find_link("docker.io", "library/debian", ONE) == LINK

    async def test_the_tags_that_are_present_are_listed_in_order(self, catalog: Catalog) -> None:
        names = [
            ("ghcr.io", "a", "2"),
            ("docker.io", "library/debian", "jessie"),
            ("docker.io", "a", "b"),
            ("docker.io", "library/debian", "10"),
            ("docker.io", "library/debian", "9"),
            ("docker.io", "library/debian", "Z"),
        ]
        for upstream, repository, tag in names:
            await catalog.put_tag(replace(JESSIE, upstream=upstream, repository=repository, tag=tag))
        await catalog.put_tag(ABSENT)
        await catalog.put_tag(replace(ABSENT, tag="secret", state=TagState.DENIED))

        def listed(*where: str) -> list[tuple[str, str, str]]:
            return [(one.upstream, one.repository, one.tag) for one in catalog.list_tags(*where)]

        assert listed() == sorted(names)
        assert listed("docker.io") == sorted(name for name in names if name[0] == "docker.io")
        assert [tag for _, _, tag in listed("docker.io", "library/debian")] == ["10", "9", "Z", "jessie"]
        assert listed("docker.io", "library/debia") == listed("quay.io") == []

    async def test_tags_of_one_repository_of_any_upstream_are_listed(self, catalog: Catalog) -> None:
        await catalog.put_tag(JESSIE)
        await catalog.put_tag(replace(JESSIE, upstream="ghcr.io"))
        await catalog.put_tag(replace(JESSIE, repository="other"))
        assert [one.upstream for one in catalog.list_tags(None, "library/debian")] == ["docker.io", "ghcr.io"]

    async def test_a_record_is_seen_as_soon_as_its_writing_is_awaited(self, catalog: Catalog) -> None:
        async def put_and_look(number: int) -> TagRecord | None:
            await catalog.put_tag(replace(JESSIE, tag=str(number), checked_at=float(number)))
            return catalog.find_tag("docker.io", "library/debian", str(number))

        seen = await asyncio.gather(*(put_and_look(number) for number in range(50)))
        assert [record and record.checked_at for record in seen] == [float(number) for number in range(50)]

    # One suite, several catalogs: every subclass runs it, each with a catalog that lives through all examples.
    @settings(
        max_examples=30,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(happenings=st.lists(records | st.lists(links, max_size=3), max_size=15))
    def test_it_answers_as_the_reference_does(self, catalog: Catalog, happenings: list[Happening]) -> None:
        example = next(_examples)
        own = [_with_upstreams_of(example, happening) for happening in happenings]
        answers = []
        for each in (catalog, MemoryCatalog()):
            asyncio.run(_live_through(each, own))
            answers.append([_ask(each, happening) for happening in own])
        assert answers[0] == answers[1]

    def test_it_tells_what_it_is(self, catalog: Catalog) -> None:
        assert "object at" not in repr(catalog)

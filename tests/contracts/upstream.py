"""The contract of `Upstream`: what every registry that we pull from answers, whoever plays it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import (
    BlobUnknown,
    ManifestUnknown,
    NameUnknown,
    RegistryError,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamUnreachable,
)
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import OCI_INDEX
from proxy.ports import BlobStream, Quota, Upstream
from tests.lab.images import Image, build_image

REPOSITORY = "library/debian"
TAGS = ("10", "11", "12", "jessie", "wheezy")
JESSIE = build_image("linux/amd64", label="jessie")
BIG = build_image("linux/arm/v7", label="big", padding_bytes=1_000_000)
PUSHED: dict[str, Image] = {**dict.fromkeys(TAGS, JESSIE), "wheezy": BIG}
"""What `library/debian` holds by tag."""
ABSENT = Digest.of(b"nobody has pushed this")
BLOB = next(layer for layer in BIG.layers if len(layer.content) >= 1_000_000)
BLOB_DIGEST = Digest.parse(BLOB.digest)
REFERRERS = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'


@dataclass(frozen=True, slots=True)
class Stage:
    """An upstream that holds PUSHED and nothing else, and what can be done to it."""

    upstream: Upstream
    go_offline: Callable[[], Awaitable[None]]
    break_blobs: Callable[[], None]
    """Let every blob break off in its middle."""
    refuse_ranges: Callable[[], None]
    """Answer with the whole blob, whatever range was asked for."""
    has_referrers: bool
    """Whether there is a referrers API; if so, it has REFERRERS for the manifest of `jessie`."""


Ask = Callable[[Upstream], Awaitable[object]]


async def _read(stream: BlobStream) -> bytes:
    async with aclosing(stream.chunks()) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def _gather_into(got: bytearray, chunks: AsyncIterator[bytes]) -> None:
    async for chunk in chunks:
        got += chunk


async def _fetch_blob(upstream: Upstream, repository: str, digest: Digest) -> bytes:
    async with upstream.open_blob(repository, digest) as stream:
        return await _read(stream)


def _questions(repository: str, tag: str, digest: Digest) -> dict[str, Ask]:
    return {
        "head-tag": lambda upstream: upstream.head_manifest(repository, tag),
        "head-digest": lambda upstream: upstream.head_manifest(repository, digest),
        "fetch-tag": lambda upstream: upstream.fetch_manifest(repository, tag),
        "fetch-digest": lambda upstream: upstream.fetch_manifest(repository, digest),
        "head-blob": lambda upstream: upstream.head_blob(repository, digest),
        "fetch-blob": lambda upstream: _fetch_blob(upstream, repository, digest),
    }


def _by_name(questions: dict[str, Ask], *names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("ask", [pytest.param(questions[name], id=name) for name in names or questions])


KNOWN = {
    **_questions(REPOSITORY, "jessie", Digest.parse(JESSIE.manifest.digest)),
    "list-tags": lambda upstream: upstream.list_tags(REPOSITORY, limit=None, last=None),
    "referrers": lambda upstream: upstream.fetch_referrers(REPOSITORY, ABSENT),
}
UNKNOWN = _questions(REPOSITORY, "potato", ABSENT)
NOWHERE = {
    **_questions("nobody/nothing", "latest", ABSENT),
    "list-tags": lambda upstream: upstream.list_tags("nobody/nothing", limit=None, last=None),
}


class UpstreamContract:
    """Needs a fixture `stage`."""

    @pytest.mark.parametrize("tag", ["jessie", "wheezy"])
    async def test_a_manifest_is_found_by_tag_and_by_digest(self, stage: Stage, tag: str) -> None:
        manifest = PUSHED[tag].manifest
        expected = Descriptor(manifest.media_type, Digest.parse(manifest.digest), len(manifest.content))
        for target in (tag, expected.digest):
            assert await stage.upstream.head_manifest(REPOSITORY, target) == expected
            fetched = await stage.upstream.fetch_manifest(REPOSITORY, target)
            assert (fetched.content, fetched.descriptor) == (manifest.content, expected)

    @_by_name(UNKNOWN, "head-tag", "head-digest", "fetch-tag", "fetch-digest")
    async def test_an_absent_manifest_is_unknown(self, stage: Stage, ask: Ask) -> None:
        with pytest.raises(ManifestUnknown):
            await ask(stage.upstream)

    @_by_name(UNKNOWN, "head-blob", "fetch-blob")
    async def test_an_absent_blob_is_unknown(self, stage: Stage, ask: Ask) -> None:
        with pytest.raises(BlobUnknown):
            await ask(stage.upstream)

    @_by_name(NOWHERE)
    async def test_an_absent_repository_is_unknown_or_not_shown(self, stage: Stage, ask: Ask) -> None:
        """Docker Hub does not tell what is absent from what is private (protocol_and_perf.md A1)."""
        with pytest.raises((ManifestUnknown, BlobUnknown, NameUnknown, UpstreamRefused)):
            await ask(stage.upstream)

    async def test_a_blob_s_size_is_told(self, stage: Stage) -> None:
        assert await stage.upstream.head_blob(REPOSITORY, BLOB_DIGEST) == len(BLOB.content)

    async def test_a_blob_is_fetched_whole(self, stage: Stage) -> None:
        async with stage.upstream.open_blob(REPOSITORY, BLOB_DIGEST) as stream:
            assert (stream.size, stream.offset) == (len(BLOB.content), 0)
            assert await _read(stream) == BLOB.content

    @pytest.mark.parametrize("offset", [1, 65_536, 999_999])
    async def test_a_blob_is_fetched_from_an_offset(self, stage: Stage, offset: int) -> None:
        async with stage.upstream.open_blob(REPOSITORY, BLOB_DIGEST, offset=offset) as stream:
            assert (stream.size, stream.offset) == (len(BLOB.content), offset)
            assert await _read(stream) == BLOB.content[offset:]

    async def test_an_upstream_that_ignores_the_offset_says_so(self, stage: Stage) -> None:
        stage.refuse_ranges()
        async with stage.upstream.open_blob(REPOSITORY, BLOB_DIGEST, offset=1000) as stream:
            assert (stream.size, stream.offset) == (len(BLOB.content), 0)
            assert await _read(stream) == BLOB.content

    @pytest.mark.parametrize("beyond", [0, 1, 10_000])
    async def test_an_offset_that_the_blob_does_not_have_is_an_error(self, stage: Stage, beyond: int) -> None:
        with pytest.raises(UpstreamMisbehaved):
            async with stage.upstream.open_blob(REPOSITORY, BLOB_DIGEST, offset=len(BLOB.content) + beyond):
                pass

    async def test_who_leaves_a_blob_early_may_come_again(self, stage: Stage) -> None:
        for _ in range(3):
            async with (
                stage.upstream.open_blob(REPOSITORY, BLOB_DIGEST) as stream,
                aclosing(stream.chunks()) as chunks,
            ):
                assert BLOB.content.startswith(await anext(chunks))
        assert await _fetch_blob(stage.upstream, REPOSITORY, BLOB_DIGEST) == BLOB.content

    async def test_a_blob_that_breaks_off_says_so_where_it_is_read(self, stage: Stage) -> None:
        stage.break_blobs()
        got = bytearray()
        async with stage.upstream.open_blob(REPOSITORY, BLOB_DIGEST) as stream, aclosing(stream.chunks()) as chunks:
            with pytest.raises(UpstreamUnreachable):
                await _gather_into(got, chunks)
        assert BLOB.content.startswith(got)
        assert len(got) < len(BLOB.content)

    async def test_all_tags_are_listed(self, stage: Stage) -> None:
        page = await stage.upstream.list_tags(REPOSITORY, limit=None, last=None)
        assert (page.tags, page.last) == (TAGS, None)

    @pytest.mark.parametrize("limit", range(1, len(TAGS) + 2))
    async def test_pages_of_tags_follow_one_another(self, stage: Stage, limit: int) -> None:
        found: list[str] = []
        last: str | None = None
        while True:
            page = await stage.upstream.list_tags(REPOSITORY, limit=limit, last=last)
            assert len(page.tags) <= limit
            found += page.tags
            last = page.last
            if last is None:
                break
        assert tuple(found) == TAGS

    async def test_tags_are_listed_after_any_text(self, stage: Stage) -> None:
        page = await stage.upstream.list_tags(REPOSITORY, limit=None, last="11-slim")
        assert page.tags == TAGS[2:]

    async def test_referrers_are_listed_where_there_is_such_a_list(self, stage: Stage) -> None:
        subject = Digest.parse(JESSIE.manifest.digest)
        if not stage.has_referrers:
            with pytest.raises(ManifestUnknown):
                await stage.upstream.fetch_referrers(REPOSITORY, subject)
            return
        fetched = await stage.upstream.fetch_referrers(REPOSITORY, subject)
        assert fetched.media_type == OCI_INDEX
        assert fetched.digest.matches(fetched.content)

    @_by_name(KNOWN)
    async def test_an_upstream_that_is_gone_is_unreachable(self, stage: Stage, ask: Ask) -> None:
        await stage.go_offline()
        with pytest.raises(UpstreamUnreachable):
            await ask(stage.upstream)

    @_by_name(KNOWN | UNKNOWN | NOWHERE)
    async def test_no_other_error_comes_out_of_it(self, stage: Stage, ask: Ask) -> None:
        stage.break_blobs()
        with suppress(RegistryError):
            await ask(stage.upstream)

    async def test_what_is_left_of_the_quota_is_told_or_not(self, stage: Stage) -> None:
        await stage.upstream.head_manifest(REPOSITORY, "jessie")
        assert stage.upstream.quota is None or isinstance(stage.upstream.quota, Quota)

    def test_it_tells_what_it_is(self, stage: Stage) -> None:
        assert "object at" not in repr(stage.upstream)

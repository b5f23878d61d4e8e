"""An index of its own for a client that would choose wrongly: the same by HEAD and GET, and to be had by its digest."""

import json

import pytest

from proxy.arch.choice import Asker
from proxy.arch.detection import ClientHints, detect
from proxy.oci.digests import Digest
from tests.fakes.upstream import FakeUpstream
from tests.lab.images import build_index
from tests.service.bench import ARM_V6, ARM_V7, Bench, Kept, jessie, open_bench

NAMES = ("library/full",)
PI_ZERO = "docker/{} go/go1.19 kernel/6.1.21+ os/linux arch/arm UpstreamClient(x)"
OLD = Asker(detect(ClientHints(user_agent=PI_ZERO.format("19.03.15"))))
NEW = Asker(detect(ClientHints(user_agent=PI_ZERO.format("28.5.1"))))
FULL = build_index([jessie(platform) for platform in ("linux/amd64", "linux/arm64", ARM_V7, ARM_V6)])


@pytest.fixture
def upstream() -> FakeUpstream:
    found = FakeUpstream()
    found.push("library/full:1", FULL)
    return found


async def _get(bench: Bench, asker: Asker, *, is_head: bool = False) -> Digest:
    return (await bench.puller.get_tag(NAMES, "1", asker, is_head=is_head)).descriptor.digest


async def test_an_old_engine_on_a_pi_zero_is_answered_an_index_of_its_own(upstream: FakeUpstream) -> None:
    async with open_bench(upstream) as bench:
        by_head = await _get(bench, OLD, is_head=True)
        assert by_head == await _get(bench, OLD)
        assert [told["digest"] for told in bench.events.named("tag.tailored")] == [str(by_head)]
        assert str(by_head) != FULL.manifest.digest
        assert str(await _get(bench, NEW)) == FULL.manifest.digest
        content = (await bench.puller.get_manifest(NAMES, by_head)).content
    assert content is not None
    first = json.loads(content)["manifests"][0]
    assert first["digest"] == jessie(ARM_V6).manifest.digest
    assert first["platform"] == {"architecture": "arm", "os": "linux", "variant": "v7"}


async def test_it_is_still_there_after_a_restart_without_upstream(upstream: FakeUpstream) -> None:
    kept = Kept()
    async with open_bench(upstream, kept) as bench:
        digest = await _get(bench, OLD, is_head=True)
    upstream.go_offline()
    async with open_bench(upstream, kept) as bench:
        assert (await bench.puller.get_manifest(NAMES, digest)).descriptor.digest == digest
        assert await _get(bench, OLD) == digest


async def test_a_pinned_digest_is_never_rewritten(upstream: FakeUpstream) -> None:
    async with open_bench(upstream) as bench:
        await _get(bench, OLD)
        answer = await bench.puller.get_manifest(NAMES, Digest.parse(FULL.manifest.digest))
    assert answer.content == FULL.manifest.content

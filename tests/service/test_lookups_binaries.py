"""Candidates whose binaries are looked at, from the tag to the layer."""

import asyncio
from dataclasses import replace

import pytest

from proxy.arch.candidates import parse_template
from proxy.arch.questions import Absent, BinaryAnswer, BinaryQuestion, Unreachable
from proxy.arch.resolution import Policy
from proxy.oci.platforms import Platform
from tests.elves import ARMHF, RASPBIAN
from tests.fakes.upstream import FakeUpstream, Kind
from tests.service.bench import AMD64, ARM_V6, open_bench
from tests.service.layers import build_layer, describe, publish

V6 = {"architecture": "arm", "variant": "v6"}
TEMPLATE = parse_template("{repository}:{tag}-rpi", Platform.parse(ARM_V6))
FLEET = (Platform.parse(AMD64), Platform.parse(ARM_V6))


@pytest.mark.parametrize(
    ("shell", "checks_binaries", "is_added"),
    [(ARMHF, True, False), (ARMHF, False, True), (RASPBIAN, True, True)],
    ids=["mislabelled-and-seen", "mislabelled-and-believed", "honest"],
)
async def test_a_mislabelled_candidate_is_left_out_where_binaries_are_looked_at(
    shell: bytes, *, checks_binaries: bool, is_added: bool
) -> None:
    upstream = FakeUpstream()
    publish(upstream, "owner/app:1", {"architecture": "amd64"}, build_layer(("bin/sh", b"")))
    (layer,) = publish(upstream, "owner/app:1-rpi", V6, build_layer(("bin/busybox", shell)))
    policy = Policy(FLEET, (replace(TEMPLATE, checks_binaries=checks_binaries),))
    async with open_bench(upstream, policy=policy) as bench:
        resolved = await bench.resolver.resolve("owner/app", "1", is_head=False)
        assert bool(resolved.resolution.additions) is is_added
        assert ("refused: its /bin/busybox is ARM v7" in str(resolved.resolution.trail)) is not is_added
        assert bench.store.find_size(layer.digest) is None, "a look begins no fill"
        asked = [one.target for one in upstream.asked if one.kind is Kind.GET_BLOB]
        assert (str(layer.digest) in asked) is checks_binaries


async def test_who_asks_at_the_same_time_shares_one_look() -> None:
    upstream = FakeUpstream()
    layers = publish(upstream, "owner/app:1", V6, build_layer(("bin/sh", RASPBIAN)))
    question = BinaryQuestion("owner/app", tuple(layers))
    async with open_bench(upstream) as bench:
        first, second = await asyncio.gather(bench.lookups.ask(question), bench.lookups.ask(question))
        assert isinstance(first.answer, BinaryAnswer)
        assert first.answer == second.answer
        assert upstream.counts == {"get-blob": 1}


async def test_a_look_that_fails_is_an_answer() -> None:
    upstream = FakeUpstream()
    layers = publish(upstream, "owner/app:1", V6, build_layer(("bin/sh", RASPBIAN)))
    async with open_bench(upstream) as bench:
        absent = await bench.lookups.ask(BinaryQuestion("owner/app", (describe(b"another"),)))
        assert isinstance(absent.answer, Absent)
        upstream.go_offline()
        silent = await bench.lookups.ask(BinaryQuestion("owner/app", tuple(layers)))
        assert isinstance(silent.answer, Unreachable)

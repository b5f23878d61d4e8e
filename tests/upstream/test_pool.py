import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest

from proxy.upstream.offline import OfflineUpstream
from proxy.upstream.pool import OpenUpstream, Plan, UpstreamPool


class Bench:
    """A pool, and what was opened and closed."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.pool = UpstreamPool(self._start)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.ensure_future(coroutine))

    def plan(self, name: str, terms: object) -> Plan:
        label = f"{name}={terms}"

        async def aclose() -> None:
            self.closed.append(label)

        def open_upstream() -> OpenUpstream:
            self.opened.append(label)
            return OpenUpstream(OfflineUpstream(label), aclose)

        return Plan(terms, open_upstream)

    async def settle(self) -> None:
        gc.collect()
        await asyncio.sleep(0)
        await asyncio.gather(*self.tasks)


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_a_client_whose_terms_stay_is_kept(bench: Bench) -> None:
    first = bench.pool.change({"a": bench.plan("a", 1), "b": bench.plan("b", 1)})
    second = bench.pool.change({"a": bench.plan("a", 1), "b": bench.plan("b", 2)})
    assert second["a"] is first["a"]
    assert second["b"] is not first["b"]
    assert bench.opened == ["a=1", "b=1", "b=2"]


async def test_one_that_is_replaced_is_closed_when_nobody_uses_it_any_more(bench: Bench) -> None:
    in_use = bench.pool.change({"a": bench.plan("a", 1)})["a"]
    bench.pool.change({"a": bench.plan("a", 2)})
    await bench.settle()
    assert (bench.closed, bench.pool.retired) == ([], 1)
    assert "1 retired" in repr(bench.pool)
    del in_use
    await bench.settle()
    assert (bench.closed, bench.pool.retired) == (["a=1"], 0)


async def test_one_that_is_let_go_of_in_another_thread_is_closed_here(bench: Bench) -> None:
    held = [bench.pool.change({"a": bench.plan("a", 1)})["a"]]
    bench.pool.change({})
    await asyncio.to_thread(held.clear)
    await bench.settle()
    assert bench.closed == ["a=1"]


async def test_at_the_end_all_are_closed_whoever_uses_them(bench: Bench) -> None:
    in_use = bench.pool.change({"a": bench.plan("a", 1)})
    bench.pool.change({"a": bench.plan("a", 2)})
    await bench.pool.aclose()
    assert sorted(bench.closed) == ["a=1", "a=2"]
    del in_use
    await bench.settle()
    assert sorted(bench.closed) == ["a=1", "a=2"]


async def test_each_is_closed_once_and_only_after_its_own_last_user(bench: Bench) -> None:
    """What a client was opened as leaves its address to the next one: that tells nobody apart."""
    held = []
    for number in range(50):
        held.append(bench.pool.change({name: bench.plan(name, number) for name in "abcde"}))
        bench.pool.change({})
    assert bench.pool.retired == len(bench.opened) == 250
    del held[0]
    await bench.settle()
    assert sorted(bench.closed) == ["a=0", "b=0", "c=0", "d=0", "e=0"]
    held.clear()
    await bench.settle()
    assert sorted(bench.closed) == sorted(bench.opened)


async def test_what_is_let_go_of_while_all_are_closed_is_closed_once(bench: Bench) -> None:
    held = [bench.pool.change({"a": bench.plan("a", number)})["a"] for number in range(3)]
    closed: list[str] = []

    async def aclose() -> None:
        held.clear()
        await asyncio.sleep(0)
        closed.append("b")

    other = bench.pool.change({"b": Plan(1, lambda: OpenUpstream(OfflineUpstream("b"), aclose))})["b"]
    bench.pool.change({})
    await bench.pool.aclose()
    assert str(other)
    await bench.settle()
    assert (sorted(bench.closed), closed, bench.pool.retired) == (["a=0", "a=1", "a=2"], ["b"], 0)

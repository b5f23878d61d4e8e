"""Tasks with an owner, and one task for many who want the same."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from proxy.oci.errors import RegistryError
from proxy.ports import Events

_T = TypeVar("_T")


class TaskOwner:
    """Owns tasks that no request owns, such as fills; on leaving, it ends and awaits whatever still runs."""

    def __init__(self, events: Events) -> None:
        """Take where a task's crash is told."""
        self._events = events
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, coroutine: Coroutine[Any, Any, _T], *, name: str) -> asyncio.Task[_T]:
        """Start a task that is awaited at the latest when the owner is left."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        # Who waits for the task is told of a registry's error; any other one is a fault of ours, whoever waits.
        if error is not None and not isinstance(error, RegistryError):
            self._events.warn("task.crashed", task=task.get_name(), reason=repr(error), exc_info=error)

    def __repr__(self) -> str:
        return f"<TaskOwner of {sorted(task.get_name() for task in self._tasks)}>"


class SingleFlight(Generic[_T]):
    """One run of some work, however many ask for it at the same time.

    The work belongs to the owner, not to who asked first: a client that leaves ends nothing for the others.
    """

    def __init__(self, owner: TaskOwner) -> None:
        """Take the owner of the work."""
        self._owner = owner
        self._running: dict[Hashable, asyncio.Task[_T]] = {}

    async def run(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Answer what the work for this key answers, joining one that is under way."""
        return await asyncio.shield(self.begin(key, work))

    def begin(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, _T]]) -> asyncio.Task[_T]:
        """Begin the work for this key, if it is not under way, for whoever may want it."""
        task = self._running.get(key)
        if task is None:
            task = self._owner.start(work(), name=str(key))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return task


async def gather_bounded(work: Sequence[Callable[[], Awaitable[_T]]], limit: asyncio.Semaphore) -> list[_T]:
    """Run some work side by side, as far as the limit lets, and answer in the same order."""

    async def run(one: Callable[[], Awaitable[_T]]) -> _T:
        async with limit:
            return await one()

    if len(work) == 1:
        return [await run(work[0])]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(one)) for one in work]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]

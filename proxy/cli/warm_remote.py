"""Warming by a running server: jobs are started there, followed as they go, and ended there by Ctrl-C.

Whoever is ended without a word (kill -9, a network that is gone) leaves them running: the server has been told what is
wanted. The same command again asks for it anew, and finds what has come meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from proxy.cli.servers import NoSuchCall, ServerApi, ServerSilent, ServerUnusable
from proxy.cli.warm_jobs import FollowedJob
from proxy.oci.errors import PolyarchError
from proxy.oci.references import Reference
from proxy.ports import Clock
from proxy.warm_folder import Ended, Moved, Planned, WarmLimits, WarmResult, Watch

FLEET = "fleet"
"""What stands for all platforms that the proxy serves."""
IMAGES_A_JOB = 100
"""A job tells of all its images each time that something moves."""
RETRY_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
"""How long a server may be gone while its work is followed: a restart, a network that is mended."""
CANCEL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image, and for what: in words, which the server understands in its own way."""

    reference: Reference
    platforms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WarmWish:
    """What is wanted of all images alike."""

    limits: WarmLimits
    with_attestations: bool = False
    is_pinned: bool = False
    is_dry: bool = False


class RemoteWarming:
    """Has a server warm."""

    def __init__(self, api: ServerApi, clock: Clock, say: Callable[[str], None]) -> None:
        """Take the server, a clock, and who is told in words what a user should know meanwhile."""
        self._api = api
        self._clock = clock
        self._say = say
        self._wish = WarmWish(WarmLimits())
        self._waiting = deque[Sequence[Wanted]]()
        self._jobs: list[FollowedJob] = []
        self._starting: asyncio.Task[None] | None = None

    async def start(self, wanted: Sequence[Wanted], wish: WarmWish) -> None:
        """Start the first job that it takes, and follow nothing yet.

        Raises:
            ServerUnusable: The server is not there, does not let us, or has no such call.
            InvalidSetting: It does not take what it is asked, for instance a word that it does not know.
        """
        named = await self._name_fleet(wanted)
        self._waiting += [named[start : start + IMAGES_A_JOB] for start in range(0, len(named), IMAGES_A_JOB)]
        self._wish = wish
        await self._start_next()

    async def follow(self, watch: Watch) -> list[WarmResult]:
        """Follow everything to its end, telling who watches how far it is; answer what became of each image.

        One job after another: side by side, each would have as many downloads as all of them may.
        """
        await self._follow(self._jobs[-1], watch)
        while self._waiting:
            images = self._waiting[0]
            try:
                await self._start_next()
            except PolyarchError as error:  # the others are told all the same
                self._jobs.append(FollowedJob("", [one.reference for one in images]))
                _tell_all(self._jobs[-1].give_up(str(error)), watch)
            else:
                await self._follow(self._jobs[-1], watch)
        return [result for job in self._jobs for result in job.results]

    async def cancel(self) -> str:
        """End on the server what has not ended, and tell in a line how that went."""
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                if self._starting is not None:
                    await asyncio.wait([self._starting])
                running = [job for job in self._jobs if not job.has_ended()]
                for job in running:
                    await self._api.call("DELETE", f"/warm/{job.id}")
        except (PolyarchError, TimeoutError) as error:
            return f"the server could not be told to end, and may go on: {str(error) or 'no answer in time'}"
        return "cancelled on the server; what has come is kept" if running else "nothing was begun on the server"

    async def _start_next(self) -> None:
        # Not to be cut off half-way: there might be a job then whose name nobody knows.
        self._starting = asyncio.ensure_future(self._start(self._waiting.popleft()))
        await asyncio.shield(self._starting)

    async def _start(self, images: Sequence[Wanted]) -> None:
        fields = await self._api.call("POST", "/warm", _write_call(images, self._wish))
        try:
            self._jobs.append(FollowedJob(str(fields["id"]), [one.reference for one in images]))
        except (KeyError, TypeError) as error:
            raise ServerUnusable(f"{self._api.server.address} started no job: is it a polyarch?") from error

    async def _name_fleet(self, wanted: Sequence[Wanted]) -> Sequence[Wanted]:
        """Put the platforms that the server serves in the place of their word."""
        if not any(FLEET in one.platforms for one in wanted):
            return wanted
        try:
            fleet = tuple(map(str, (await self._api.call("GET", "/status"))["fleet"]))
        except (KeyError, TypeError) as error:
            raise ServerUnusable(f"{self._api.server.address} tells no fleet: is it a polyarch?") from error
        return [Wanted(one.reference, _replace_fleet(one.platforms, fleet)) for one in wanted]

    async def _follow(self, job: FollowedJob, watch: Watch) -> None:
        heard_at, is_silent = self._clock.monotonic(), False
        while not job.has_ended():
            try:
                async with aclosing(self._listen(job)) as told:
                    async for fields in told:
                        heard_at, is_silent = self._clock.monotonic(), False
                        _tell_all(job.take(fields), watch)
                if not job.has_ended():
                    await asyncio.sleep(RETRY_SECONDS)
            except ServerSilent as error:
                if not is_silent:
                    self._say(f"{error.message}; it is asked again for a minute")
                is_silent = True
                if self._clock.monotonic() - heard_at < PATIENCE_SECONDS:
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    _tell_all(job.give_up(f"{error.message}; it may go on there"), watch)
            except ServerUnusable as error:
                _tell_all(job.give_up(error.message), watch)

    async def _listen(self, job: FollowedJob) -> AsyncGenerator[Any, None]:
        """Tell how a job is, again and again, by the stream of its events; where that breaks, by asking for it."""
        with suppress(ServerUnusable):  # after a restart there is no such job
            async with aclosing(self._api.follow(f"/warm/{job.id}/events")) as events:
                async for fields in events:
                    yield fields
        if not job.has_ended():
            try:
                yield await self._api.call("GET", f"/warm/{job.id}")
            except NoSuchCall as error:
                reason = "the server was started anew meanwhile: run this again, what has come is kept"
                raise ServerUnusable(reason) from error

    def __repr__(self) -> str:
        return f"<RemoteWarming by {self._api.server.address}: {len(self._jobs)} jobs>"


def _tell_all(events: Iterable[Planned | Moved | Ended], watch: Watch) -> None:
    for event in events:
        watch(event)


def _replace_fleet(words: Sequence[str], fleet: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for one in words for word in (fleet if one == FLEET else (one,))))


def _write_call(images: Sequence[Wanted], wish: WarmWish) -> dict[str, object]:
    body: dict[str, object] = {
        "images": [{"reference": str(one.reference), "platforms": list(one.platforms)} for one in images],
        "parallel": wish.limits.parallel,
        "attestations": wish.with_attestations,
        "pin": wish.is_pinned,
        "dry_run": wish.is_dry,
    }
    return body if wish.limits.reserve is None else {**body, "reserve": wish.limits.reserve}

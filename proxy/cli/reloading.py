"""A running server's settings, read again when it is told to."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from proxy.cli.orders import Supervisor
from proxy.config.changes import compare
from proxy.config.schema import Settings
from proxy.oci.errors import PolyarchError
from proxy.server.middleware import ServerEvents


@dataclass(frozen=True, slots=True)
class Takers:
    """Where settings come from, and who takes them. All of them may refuse by raising InvalidSetting."""

    read: Callable[[], Settings]
    """Reads the settings again, from where they were read at first."""
    check: Callable[[Settings], Callable[[], None]]
    """Reads the files that are named, and answers what puts them to use."""
    change: Callable[[Settings], None]
    log: Callable[[Settings], None]


class Reloading:
    """Takes what has changed; settings that are of no use leave everything as it was."""

    def __init__(self, settings: Settings, takers: Takers, events: ServerEvents, supervisor: Supervisor) -> None:
        """Take the settings that the server runs with, and who is to take others."""
        self.settings = settings
        """What the server runs with."""
        self._takers = takers
        self._events = events
        self._supervisor = supervisor

    async def run(self, told: asyncio.Event) -> None:
        """Reload whenever it is told, until cancelled."""
        while True:
            await told.wait()
            told.clear()
            self._supervisor.tell_reloading()
            try:
                self.reload()
            except Exception:  # noqa: BLE001 - whatever it is, the server goes on with what it has
                self._events.fail("settings.crashed")
            self._supervisor.tell_ready()

    def reload(self) -> None:
        """Read the settings again, and take what can be taken; say in the log what became of them."""
        takers = self._takers
        try:
            change = compare(self.settings, takers.read())
            put_to_use = takers.check(change.settings)
            takers.change(change.settings)
        except PolyarchError as error:
            self._events.warn("settings.refused", reason=str(error), running="the settings as they were")
            return
        put_to_use()
        takers.log(change.settings)
        self.settings = change.settings
        self._events.note("settings.reloaded", changed=list(change.taken))
        if change.refused:
            self._events.warn("settings.need_restart", settings=list(change.refused))

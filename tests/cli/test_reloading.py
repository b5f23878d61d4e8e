import asyncio
from dataclasses import replace

import pytest

from proxy.cli.orders import Supervisor
from proxy.cli.reloading import Reloading, Takers
from proxy.config.schema import Settings
from proxy.config.serving import LogSettings
from proxy.oci.errors import InvalidSetting
from tests.fakes.events import RecordingEvents

SETTINGS = Settings()
WANTED = replace(SETTINGS, log=LogSettings(level="debug"), cache=replace(SETTINGS.cache, memory=1))
TAKEN = replace(SETTINGS, log=LogSettings(level="debug"))


class House:
    """Whoever takes settings; each of them may refuse."""

    def __init__(self, refuses: str = "", error: Exception | None = None) -> None:
        self.done: list[str] = []
        self.events = RecordingEvents()
        self._refuses = refuses
        self._error = error or InvalidSetting("not so")
        takers = Takers(self._read, self._check, self._change, self._log)
        self.reloading = Reloading(SETTINGS, takers, self.events, Supervisor(None))

    def _read(self) -> Settings:
        self._meet("read")
        return WANTED

    def _check(self, settings: Settings) -> "Done":
        assert settings == TAKEN
        self._meet("check")
        return Done(self)

    def _change(self, settings: Settings) -> None:
        assert settings == TAKEN
        self._meet("change")

    def _log(self, settings: Settings) -> None:
        assert settings == TAKEN
        self.done.append("log")

    def _meet(self, step: str) -> None:
        if step == self._refuses:
            raise self._error
        self.done.append(step)


class Done:
    def __init__(self, house: House) -> None:
        self._house = house

    def __call__(self) -> None:
        self._house.done.append("certificates")


def test_what_changed_is_taken_and_what_needs_a_restart_is_named() -> None:
    house = House()
    house.reloading.reload()
    assert house.done == ["read", "check", "change", "certificates", "log"]
    assert house.reloading.settings == TAKEN
    assert house.events.named("settings.reloaded") == [{"changed": ["log.level"]}]
    assert house.events.named("settings.need_restart") == [{"settings": ["cache.memory"]}]


@pytest.mark.parametrize("step", ["read", "check", "change"])
def test_whoever_refuses_everything_stays_as_it_was(step: str) -> None:
    house = House(step)
    house.reloading.reload()
    assert "certificates" not in house.done
    assert "log" not in house.done
    assert house.reloading.settings == SETTINGS
    (told,) = house.events.named("settings.refused")
    assert told["reason"] == "not so"


async def test_it_reloads_as_often_as_it_is_told_whatever_happens() -> None:
    house, told = House("read", ZeroDivisionError("odd")), asyncio.Event()
    running = asyncio.ensure_future(house.reloading.run(told))
    for count in (1, 2):
        told.set()
        while told.is_set():  # noqa: ASYNC110 - it is cleared in the same turn
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(house.events.faults) == count
    running.cancel()

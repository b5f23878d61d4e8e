import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from proxy.cli.orders import Orders, Supervisor


async def test_the_first_signal_stops_and_the_second_one_hurries() -> None:
    orders = Orders()
    orders.hear()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(orders.stop.wait(), 5)
    assert not orders.hurry.is_set()
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.wait_for(orders.hurry.wait(), 5)
    assert not orders.reload.is_set()


async def test_a_hangup_reloads() -> None:
    orders = Orders()
    orders.hear()
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.wait_for(orders.reload.wait(), 5)
    assert not orders.stop.is_set()


@pytest.mark.parametrize("is_abstract", [False, True])
def test_a_supervisor_hears_how_it_is(tmp_path: Path, *, is_abstract: bool) -> None:
    """As sd_notify(3) writes it: one datagram, a line a variable."""
    name = f"@polyarch-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearing:
        hearing.settimeout(5)
        hearing.bind(name.replace("@", "\0") if is_abstract else name)
        supervisor = Supervisor(name)
        supervisor.tell_ready()
        assert hearing.recv(1000) == b"READY=1"
        supervisor.tell_reloading()
        first, second = hearing.recv(1000).decode().splitlines()
        assert (first, second.partition("=")[0]) == ("RELOADING=1", "MONOTONIC_USEC")
        supervisor.tell_stopping(2.5)
        assert hearing.recv(1000).decode().splitlines() == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=2500000"]


@pytest.mark.parametrize("address", [None, "", "/no/such/socket"])
def test_where_nobody_listens_nothing_happens(address: str | None) -> None:
    Supervisor(address).tell_ready()

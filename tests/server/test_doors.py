import pytest
from hypothesis import given

from proxy.server.doors import MAIN, Door, Listener, normalise_host
from tests.strategies import any_text

RPI, GHCR, OTHERS = Listener("rpi.lan", "rpi.lan"), Listener("ghcr.lan", "GHCR.lan."), Listener(":5006")


@pytest.mark.parametrize(
    ("host", "listener"),
    [
        ("rpi.lan", RPI),
        ("RPI.LAN:5000", RPI),
        ("rpi.lan:", RPI),
        ("ghcr.lan", GHCR),
        ("ghcr.lan.:80", GHCR),
        ("x.rpi.lan", OTHERS),
        ("", OTHERS),
        ("127.0.0.1:5000", OTHERS),
    ],
)
def test_a_listener_is_found_by_the_host_that_was_asked(host: str, listener: Listener) -> None:
    assert Door([RPI, OTHERS, GHCR]).find(host) is listener


def test_a_door_without_listeners_is_the_main_one() -> None:
    assert Door().find("anything") is MAIN
    assert Door([RPI]).find("anything") is MAIN
    assert repr(Door([RPI])) == "<Door: main, rpi.lan>"


@given(any_text)
def test_any_host_header_finds_a_listener(host: str) -> None:
    assert Door([RPI, OTHERS]).find(host) in {RPI, OTHERS}
    assert normalise_host(normalise_host(host)) is not None


def test_all_ways_in_are_told_the_one_for_everybody_else_first() -> None:
    assert Door([RPI, GHCR, OTHERS]).listeners == (OTHERS, RPI, GHCR)
    assert Door().listeners == (MAIN,)

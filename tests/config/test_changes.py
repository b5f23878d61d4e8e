import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.config.changes import RELOADABLE, compare
from proxy.config.resolving import ResolutionSettings
from proxy.config.schema import CacheSettings, Settings
from proxy.config.serving import ListenerSettings, LogSettings, ServerSettings
from proxy.oci.platforms import Platform

SETTINGS = Settings()
LISTENER = ListenerSettings(listen=("127.0.0.1", 5006), platform=Platform("linux", "arm", "v6"))


def test_nothing_changed() -> None:
    change = compare(SETTINGS, Settings())
    assert (change.settings, change.taken, change.refused) == (SETTINGS, (), ())


def test_what_can_be_taken_is_taken_and_the_rest_is_named_and_stays() -> None:
    wanted = replace(
        SETTINGS,
        log=LogSettings(level="debug"),
        server=replace(SETTINGS.server, listen=("127.0.0.1", 1), drain_seconds=1.0),
        cache=replace(SETTINGS.cache, directory=Path("/elsewhere"), memory=5, tag_ttl=1.0),
        resolution=ResolutionSettings(on_missing="refuse"),
    )
    change = compare(SETTINGS, wanted)
    assert change.taken == ("server.drain_seconds", "log.level", "cache.tag_ttl", "resolution.on_missing")
    assert change.refused == ("server.listen", "cache.directory", "cache.memory")
    assert change.settings == replace(
        wanted,
        server=replace(SETTINGS.server, drain_seconds=1.0),
        cache=CacheSettings(tag_ttl=1.0),
    )
    assert compare(change.settings, wanted).taken == ()


@pytest.mark.parametrize(
    ("before", "after", "is_taken"),
    [
        pytest.param((), (ListenerSettings(host="a.lan"),), True, id="a host name at the server's address"),
        pytest.param((LISTENER,), (replace(LISTENER, platform=None),), True, id="another platform"),
        pytest.param((LISTENER,), (LISTENER, replace(LISTENER, host="a.lan")), True, id="a host name more"),
        pytest.param((), (LISTENER,), False, id="an address more"),
        pytest.param((LISTENER,), (), False, id="an address less"),
        pytest.param((LISTENER,), (replace(LISTENER, listen=("127.0.0.1", 5007)),), False, id="another address"),
        pytest.param(
            (LISTENER,), (replace(LISTENER, tls_certificate=Path("c"), tls_key=Path("k")),), False, id="HTTPS now"
        ),
    ],
)
def test_listeners_change_as_long_as_the_addresses_stay(
    before: tuple[ListenerSettings, ...], after: tuple[ListenerSettings, ...], *, is_taken: bool
) -> None:
    change = compare(replace(SETTINGS, listener=before), replace(SETTINGS, listener=after))
    assert (change.taken, change.refused) == (("listener",), ()) if is_taken else ((), ("listener",))
    assert change.settings.listener == (after if is_taken else before)


def test_a_certificate_may_be_another_but_not_come_or_go() -> None:
    encrypted = replace(SETTINGS, server=ServerSettings(tls_certificate=Path("a"), tls_key=Path("a")))
    other = replace(SETTINGS, server=ServerSettings(tls_certificate=Path("b"), tls_key=Path("b")))
    assert compare(encrypted, other).taken == ("server.tls_certificate", "server.tls_key")
    for running, wanted in ((SETTINGS, other), (other, SETTINGS)):
        change = compare(running, wanted)
        assert (change.taken, change.refused) == ((), ("server.tls_certificate", "server.tls_key"))
        assert change.settings == running


def test_every_name_in_the_table_is_a_setting() -> None:
    names = set[str]()
    for section in dataclasses.fields(Settings):
        keys = dataclasses.fields(section.default_factory()) if callable(section.default_factory) else ()
        names |= {f"{section.name}.{key.name}" for key in keys} or {section.name}
    assert names >= RELOADABLE

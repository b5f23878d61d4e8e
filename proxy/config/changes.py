"""What became of the settings between two readings of them, and how much of it a running server can take."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from proxy.config.schema import Settings

RELOADABLE = frozenset(
    {
        "server.tls_certificate",
        "server.tls_key",
        "server.trusted_proxies",
        "server.drain_seconds",
        "api.read",
        "api.token",
        "api.token_file",
        "log.level",
        "log.format",
        "cache.tag_ttl",
        "cache.absent_ttl",
        "cache.retry_interval",
        "cache.stale_limit",
        "cache.refresh_ahead",
        "cache.offline",
        "cache.max_bytes",
        "cache.min_free_bytes",
        "fill.keep_without_clients",
        "resolution.fleet",
        "resolution.default_platform",
        "resolution.on_missing",
        "candidates.official",
        "candidates.proposal",
        "candidates.absent_ttl",
        "candidates.verify",
        "candidates.template",
        "index.aliases",
        "words",
        "image",
        "listener",
        "client",
        "upstream",
        "warm",
    }
)
"""What a running server takes. Everything else needs a restart, until somebody makes it reloadable and says so here."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a second reading amounts to."""

    settings: Settings
    """What to run with from now on: what was read, but for what needs a restart."""
    taken: tuple[str, ...]
    """The settings that change now, by their names."""
    refused: tuple[str, ...]
    """Those that need a restart, and stay as they are."""


def compare(running: Settings, wanted: Settings) -> Change:
    """Answer what can be taken of the settings that are wanted, and what cannot."""
    changed = tuple(name for name in _names() if _find(running, name) != _find(wanted, name))
    refused = [name for name in changed if name not in RELOADABLE]
    if (running.server.tls_certificate is None) is not (wanted.server.tls_certificate is None):
        refused += ["server.tls_certificate", "server.tls_key"]  # an address speaks HTTPS or it does not
    kept = _keep(wanted, running, refused)
    if "listener" in changed and _addresses(running) != _addresses(kept):
        refused.append("listener")
        kept = _keep(kept, running, ["listener"])
    return Change(kept, tuple(name for name in changed if name not in refused), tuple(refused))


def _addresses(settings: Settings) -> frozenset[tuple[tuple[str, int], bool]]:
    """Answer every address, and whether it speaks HTTPS."""
    main = settings.server
    encrypted = {main.listen: main.tls_certificate is not None}
    for one in settings.listener:
        listen = one.listen or main.listen
        encrypted[listen] = encrypted.get(listen, False) or one.tls_certificate is not None
    return frozenset(encrypted.items())


def _names() -> Iterator[str]:
    for section in dataclasses.fields(Settings):
        if callable(section.default_factory):
            yield from (f"{section.name}.{item.name}" for item in dataclasses.fields(section.default_factory()))
        else:
            yield section.name


def _find(settings: Settings, name: str) -> object:
    section, _, key = name.partition(".")
    found = getattr(settings, section)
    return getattr(found, key) if key else found


def _keep(wanted: Settings, running: Settings, names: list[str]) -> Settings:
    for name in names:
        section, _, key = name.partition(".")
        value: Any = _find(running, name)
        if key:
            value = replace(getattr(wanted, section), **{key: value})
        wanted = replace(wanted, **{section: value})
    return wanted

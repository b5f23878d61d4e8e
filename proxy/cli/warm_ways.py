"""The two ways to warm: by a server that runs, or in the cache folder itself; and which of them is gone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from proxy.cli.cache import quiet_events
from proxy.cli.clients.addresses import ProxyAddress
from proxy.cli.servers import Server, ServerUnusable, find_server, open_api, read_token, trust
from proxy.cli.warm_display import showing_orders
from proxy.cli.warm_remote import FLEET, RemoteWarming, Wanted, WarmWish
from proxy.config.schema import Settings
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform
from proxy.policies import build_access
from proxy.warm_folder import WarmOrder, WarmResult, open_warming
from proxy.wiring import SystemClock


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be warmed."""

    wanted: Sequence[Wanted]
    wish: WarmWish
    settings: Settings
    folder: Path
    """The cache folder, where that is worked on."""


@dataclass(frozen=True, slots=True)
class Way:
    """What the user says of the way."""

    server: str | None = None
    """The URL of a server that is to do it."""
    token_file: Path | None = None
    authority: Path | None = None
    """Behind the server's certificate."""
    is_local: bool = False
    """Whether it is to be done in the cache folder, whoever has it open."""


async def carry_out(errand: Errand, way: Way) -> list[WarmResult]:
    """Warm, and answer what became of each image; a line says first who does it.

    Raises:
        ServerUnusable: The server that was named cannot do it.
        InvalidSetting: Something that is wanted is not what it should be.
    """
    if way.server is not None:
        server = Server(_parse_address(way.server), _find_token(errand.settings, way), trust(way.authority))
        return await _by_server(server, errand, f"warming by the server at {server.address}")
    found = None if way.is_local else await find_server(errand.folder)
    if found is not None:
        try:
            server = replace(found, token=_find_token(errand.settings, way))
            return await _by_server(
                server, errand, f"warming by the server at {server.address}, which has this cache open"
            )
        except ServerUnusable as error:
            _say(f"warming the cache folder {errand.folder} itself: {error.message}")
            return await _in_folder(errand, _order_all(errand))
    orders = _order_all(errand)
    _say(f"warming the cache folder {errand.folder} itself")
    return await _in_folder(errand, orders)


async def _by_server(server: Server, errand: Errand, word: str) -> list[WarmResult]:
    async with open_api(server) as api:
        remote = RemoteWarming(api, SystemClock(), _say)
        try:
            await remote.start(errand.wanted, errand.wish)
            _say(word)
            with showing_orders(len(errand.wanted), is_dry=errand.wish.is_dry) as watch:
                return await remote.follow(watch)
        except asyncio.CancelledError:
            _say(await remote.cancel())
            raise


async def _in_folder(errand: Errand, orders: Sequence[WarmOrder]) -> list[WarmResult]:
    limits = errand.wish.limits
    with showing_orders(len(errand.wanted), is_dry=errand.wish.is_dry) as watch:
        async with open_warming(errand.settings, errand.folder, quiet_events(), limits, watch) as warming:
            return await warming.run(orders, is_dry=errand.wish.is_dry)


def _order_all(errand: Errand) -> list[WarmOrder]:
    settings, wish = errand.settings, errand.wish
    orders = list[WarmOrder]()
    for one in errand.wanted:
        platforms = list[Platform]()
        for word in one.platforms:
            platforms += settings.resolution.fleet if word == FLEET else (settings.words.parse_platform(word),)
        distinct = tuple(dict.fromkeys(platforms))
        orders.append(WarmOrder(one.reference, distinct, wish.with_attestations, wish.is_pinned))
    return orders


def _parse_address(url: str) -> ProxyAddress:
    try:
        return ProxyAddress.parse(url)
    except InvalidSetting as error:
        raise InvalidSetting(f"--server {error}") from error


def _find_token(settings: Settings, way: Way) -> str | None:
    return build_access(settings).token if way.token_file is None else read_token(way.token_file)


def _say(line: str) -> None:
    click.echo(line, err=True)

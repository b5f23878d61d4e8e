"""The addresses that are listened at, from the first connection to the last byte of the last answer."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from proxy.oci.errors import InvalidSetting, Unavailable
from proxy.ports import Events
from proxy.server.certificates import Certificate
from proxy.wiring import Entrance

BACKLOG = 1024
CLOSE_SECONDS = 1.0
"""How long a connection may take to end once nothing is answered on it any more."""
RENEWAL_SECONDS = 30.0
"""How often it is looked whether a certificate was renewed."""


@dataclass(frozen=True, slots=True)
class _Site:
    """One address."""

    entrance: Entrance
    runner: web.ServerRunner
    certificate: Certificate | None


class Listening:
    """All addresses together: opened one by one, closed at once."""

    def __init__(self, events: Events) -> None:
        """Take where happenings are told."""
        self.addresses: list[str] = []
        """As they were bound, in the order of the entrances."""
        self._events = events
        self._sites: list[_Site] = []

    @property
    def answering(self) -> int:
        """How many answers are being given that have an end."""
        return sum(site.entrance.server.answering for site in self._sites)

    async def open(self, entrance: Entrance, certificate: Certificate | None) -> None:
        """Listen at an address.

        Raises:
            Unavailable: It cannot be listened at.
        """
        runner = web.ServerRunner(entrance.server, shutdown_timeout=CLOSE_SECONDS)
        await runner.setup()
        self._sites.append(_Site(entrance, runner, certificate))
        context = None if certificate is None else certificate.context
        self.addresses.append(await _listen(runner, *entrance.listen, context))

    def change(self, certificates: Mapping[tuple[str, int], Certificate]) -> None:
        """Take other certificates for the addresses, and what was renewed in the files of those that stay."""
        for site in self._sites:
            other = certificates.get(site.entrance.listen)
            if site.certificate is not None and other is not None:
                site.certificate.follow(other)
        self.renew()

    def renew(self) -> None:
        """Take certificates that were renewed; one that is of no use leaves the old one in place."""
        for site in self._sites:
            if site.certificate is not None:
                self._renew(site.certificate)

    def _renew(self, certificate: Certificate) -> None:
        try:
            if certificate.renew():
                self._events.note("tls.renewed", certificate=repr(certificate))
        except (InvalidSetting, ssl.SSLError, OSError) as error:
            self._events.warn("tls.not_renewed", certificate=repr(certificate), reason=str(error))

    async def follow_certificates(self) -> None:
        """Look for renewed certificates until cancelled."""
        while any(site.certificate is not None for site in self._sites):
            await asyncio.sleep(RENEWAL_SECONDS)
            self.renew()

    async def close(self, drain_seconds: float, hurry: asyncio.Event) -> None:
        """Listen no more, let what is being answered come to its end, and cut off what does not.

        Args:
            drain_seconds: How long answers may go on.
            hurry: Set when nobody wants to wait for them any more.
        """
        for site in self._sites:
            for address in site.runner.sites:
                await address.stop()
        await asyncio.sleep(0)  # whoever was let in just now is answered
        draining = asyncio.gather(*(site.entrance.server.drain() for site in self._sites))
        hurrying = asyncio.ensure_future(hurry.wait())
        await asyncio.wait((draining, hurrying), timeout=drain_seconds, return_when=asyncio.FIRST_COMPLETED)
        cut = self.answering
        for task in (draining, hurrying):
            task.cancel()
        await asyncio.gather(draining, hurrying, return_exceptions=True)
        if cut:
            self._events.warn("drain.cut_short", answers=cut)
        for site in self._sites:
            site.entrance.server.cut()
        await asyncio.gather(*(site.runner.cleanup() for site in self._sites))


async def _listen(runner: web.ServerRunner, host: str, port: int, tls: ssl.SSLContext | None) -> str:
    site = web.TCPSite(runner, host, port, backlog=BACKLOG, ssl_context=tls)
    try:
        await site.start()
    except OSError as error:
        raise Unavailable(f"cannot listen at {host}:{port}: {error.strerror}") from error
    bound_host, bound_port = runner.addresses[0][:2]
    return f"[{bound_host}]:{bound_port}" if ":" in bound_host else f"{bound_host}:{bound_port}"

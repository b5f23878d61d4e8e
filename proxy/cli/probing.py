"""A running proxy, asked as a client asks it: can it be reached, is it polyarch, and does it have what it needs."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from proxy.arch.compatibility import can_run
from proxy.cli.clients.addresses import ProxyAddress
from proxy.cli.clients.findings import Finding, Grade
from proxy.cli.clients.machines import Machine
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidPlatform
from proxy.oci.platforms import Platform
from proxy.oci.references import DOCKER_HUB, Reference
from proxy.ports import Clock

SECONDS = 5.0
"""How long a proxy may take to answer what it knows by itself."""
IMAGE_SECONDS = 30.0
"""How long it may take where it has to ask upstream."""
MAX_BYTES = 256 * 1024
CLOCK_SECONDS = 60.0
"""How far two clocks may be apart and nobody cares."""
CERTIFICATE_SECONDS = 86400.0
"""How far they may be apart before certificates seem to be over, or not to hold yet."""
LOW_SHARE = 0.1
"""How much of a pull allowance is little."""
_STATES: Mapping[str, str] = {
    "hit": "out of the cache",
    "revalidated": "out of the cache, and upstream said that it still holds",
    "miss": "upstream was asked, and answered",
}
_IMAGE_ADVICE: Mapping[int, str] = {
    404: "is the name right, and an [[upstream]] of its registry configured? --image tries another",
    429: "the pull allowance is used up: wait, or give the [[upstream]] a user name and a password_file",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: httpx.Headers
    content: bytes

    def read(self) -> Any:
        """Answer the JSON in it; None where it is none."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None

    @property
    def reason(self) -> str:
        """The status, and what a registry's error says."""
        found = self.read()
        try:
            return f"{self.status}, {str(found['errors'][0]['message'])[:300]}"
        except (KeyError, IndexError, TypeError):
            return str(self.status)


@dataclass(frozen=True, slots=True)
class Visit:
    """One look at a proxy."""

    address: ProxyAddress
    client: httpx.AsyncClient
    machine: Machine
    clock: Clock

    async def ask(self, method: str, path: str, seconds: float = SECONDS) -> Answer:
        """Ask as this machine's engine would.

        Raises:
            httpx.TransportError: No answer; so does a `TimeoutError`.
        """
        accept = ", ".join((*sorted(media_types.MANIFESTS), media_types.JSON))
        headers = {"User-Agent": self.machine.user_agent, "Accept": accept, "Accept-Encoding": "identity"}
        url = f"{self.address.scheme}://{self.address.host}{path}"
        async with asyncio.timeout(seconds), self.client.stream(method, url, headers=headers) as response:
            content = bytearray()
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > MAX_BYTES:
                    break
            return Answer(response.status_code, response.headers, bytes(content))

    async def examine(self, image: Reference) -> AsyncIterator[Finding]:
        """Tell what is found, one after the other; what cannot be asked any more is left out."""
        prefix = f"/{self.address.word}" if self.address.word else ""
        try:
            ping = await self.ask("GET", f"{prefix}/v2/")
            shown = await self.ask("GET", f"{prefix}/whoami")
            found = judge_registry(self.address, ping, shown)
            yield found
            if found.grade is Grade.FAIL:
                return
            for finding in judge_clock(ping, self.clock.now()):
                yield finding
            yield judge_machine(self.machine, shown.read(), self.address)
            yield await self._try_image(prefix, image)
            for finding in judge_quotas(await self.ask("GET", "/api/v1/quota")):
                yield finding
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            yield explain_failure(self.address, error)

    async def _try_image(self, prefix: str, image: Reference) -> Finding:
        target = str(image.target)
        query = "" if image.registry == DOCKER_HUB else f"?ns={image.registry}"
        path = f"{prefix}/v2/{image.repository}/manifests/{target}{query}"
        name = f"{image.repository}{'@' if isinstance(image.target, Digest) else ':'}{target}"
        try:
            head = await self.ask("HEAD", path, IMAGE_SECONDS)
            # An answer to HEAD has no words.
            told = head if head.status == httpx.codes.OK else await self.ask("GET", path, IMAGE_SECONDS)
        except TimeoutError:
            message = f"{name}: no answer within {IMAGE_SECONDS:.0f} s"
            return Finding(Grade.FAIL, "upstream", message, "does the proxy's machine reach upstream? See its log")
        return judge_image(name, head, told)


def judge_registry(address: ProxyAddress, ping: Answer, shown: Answer) -> Finding:
    """Tell whether this is polyarch, by its answers to `/v2/` and `/whoami`."""
    if ping.status == httpx.codes.OK and is_polyarch(shown.read()):
        if "Docker-Distribution-Api-Version" in ping.headers:
            return Finding(Grade.OK, "proxy", f"{address} answers, and is polyarch")
        advice = "something between removes headers: let it pass Docker-Distribution-Api-Version on"
        return Finding(
            Grade.WARN, "proxy", f"{address} does not say that it is a registry, as old engines want", advice
        )
    port = "is this the right port? polyarch listens at 5000 unless server.listen says otherwise"
    if ping.status in {httpx.codes.OK, httpx.codes.UNAUTHORIZED} and "Docker-Distribution-Api-Version" in ping.headers:
        return Finding(Grade.FAIL, "proxy", f"{address} is a registry, but not polyarch", port)
    if address.word and ping.status == httpx.codes.NOT_FOUND:
        advice = f"/{address.word} must be a platform word: polyarch platforms lists them"
        return Finding(Grade.FAIL, "proxy", f"{address} does not know this path ({ping.reason})", advice)
    return Finding(Grade.FAIL, "proxy", f"{address} answers, but is no registry ({ping.status} for /v2/)", port)


def is_polyarch(shown: Any) -> bool:
    """Tell whether an answer to `/whoami` is ours."""
    return isinstance(shown, dict) and {"platform", "evidence", "answer"} <= shown.keys()


def judge_clock(answer: Answer, now: float) -> Iterator[Finding]:
    """Hold the proxy's clock against this machine's (seconds since 1970); nothing where it tells no time."""
    try:
        moment = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return
    apart = abs(now - moment)
    if apart <= CLOCK_SECONDS:
        yield Finding(Grade.OK, "clock", "the proxy's and this machine's agree")
        return
    grade = Grade.WARN if apart < CERTIFICATE_SECONDS else Grade.FAIL
    later = "behind" if moment > now else "ahead of"
    message = f"this machine's is {_span(apart)} {later} the proxy's: certificates and tokens may seem to be over"
    yield Finding(grade, "clock", message, "set both by NTP (timedatectl set-ntp true); a Pi has no clock of its own")


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"


def judge_machine(machine: Machine, shown: Mapping[str, Any], address: ProxyAddress) -> Finding:
    """Tell what this machine is taken for, and whether it runs that."""
    try:
        taken = Platform.parse(str(shown["platform"])) if shown["platform"] else None
    except InvalidPlatform:
        taken = None
    by = f"evidence: {shown['evidence']}; shown by {machine.shown_by}"
    if taken is None:
        advice = str(shown.get("hint") or "name its platform: polyarch client-config … --platform")
        return Finding(Grade.WARN, "machine", f"nothing tells the proxy its platform ({by})", advice)
    own = machine.platform
    if own is None or own.is_same(taken):
        return Finding(Grade.OK, "machine", f"it is taken for {taken} ({by})")
    place = f"{address.scheme}://{address.host}"  # without a word, which would name another platform
    change = f"name it: polyarch client-config CLIENT --proxy {place} --platform {str(own).replace('/', '-')}"
    if can_run(own, taken):
        message = f"it is taken for {taken}, which runs here, but it is {own} ({by})"
        return Finding(Grade.WARN, "machine", message, f"for better builds {change}")
    message = f"it is taken for {taken}, but it is {own}, which does not run that ({by})"
    return Finding(Grade.FAIL, "machine", message, change)


def judge_image(name: str, head: Answer, told: Answer) -> Finding:
    """Tell what became of an image: `head` is the answer to HEAD, `told` one with words where that failed."""
    if head.status == httpx.codes.OK:
        state = head.headers.get("Polyarch-Cache", "")
        if state == "stale":
            message = f"{name} is served, but from the cache alone: upstream cannot be asked"
            return Finding(Grade.WARN, "upstream", message, "see the proxy's log; what is not cached cannot be pulled")
        return Finding(Grade.OK, "upstream", f"{name} is there ({_STATES.get(state, 'no word of the cache')})")
    advice = _IMAGE_ADVICE.get(told.status, "does the proxy's machine reach upstream (DNS, firewall)? See its log")
    return Finding(Grade.FAIL, "upstream", f"{name} cannot be pulled: {told.reason}", advice)


def judge_quotas(answer: Answer) -> Iterator[Finding]:
    """Tell what is left of pull allowances; nothing where the proxy does not say."""
    found = answer.read() if answer.status == httpx.codes.OK else None
    told = found.get("upstreams") if isinstance(found, dict) else None
    for one in told if isinstance(told, list) else []:
        try:
            limit, left, name = int(one["quota"]["limit"]), int(one["quota"]["remaining"]), str(one["name"])
        except (KeyError, TypeError, ValueError):  # an upstream that tells none
            continue
        message = f"{left} of {limit} pulls are left at {name}"
        if left > limit * LOW_SHARE:
            yield Finding(Grade.OK, "quota", message)
        else:
            yield Finding(
                Grade.WARN, "quota", message, "wait, or give the [[upstream]] a user name and a password_file"
            )


def explain_failure(address: ProxyAddress, error: BaseException) -> Finding:
    """Tell why there was no answer, and what to do about it."""
    message, advice = _explain(address, list(_causes(error)))
    return Finding(Grade.FAIL, "proxy", f"{address} {message}", advice)


def _explain(address: ProxyAddress, causes: list[BaseException]) -> tuple[str, str]:
    for cause in causes:
        found = _explain_tls(address, cause) or _explain_network(address, cause)
        if found is not None:
            return found
    strange = next((one for one in causes if isinstance(one, OSError) and one.strerror), causes[0])
    return f"cannot be reached: {getattr(strange, 'strerror', '') or strange}", "check the address, and the network"


def _explain_tls(address: ProxyAddress, cause: BaseException) -> tuple[str, str] | None:
    match cause:
        case ssl.SSLCertVerificationError():
            return f"has a certificate that is not trusted: {cause.verify_message}", (
                "let this machine trust its authority; each client wants it, too (Docker: "
                f"/etc/docker/certs.d/{address.host}/ca.crt). --ca FILE tries with one"
            )
        case ssl.SSLError():
            return f"speaks no TLS ({cause.reason or 'handshake failed'})", f"try http://{address.host}"
    return None


def _explain_network(address: ProxyAddress, cause: BaseException) -> tuple[str, str] | None:
    match cause:
        case socket.gaierror():
            return f"has a name that is not found: {cause.strerror}", "check the name, or write its IP address"
        case ConnectionRefusedError():
            return "is refused: nothing listens there", (
                "is polyarch running (systemctl status polyarch), and at this port? At 127.0.0.1 only its own machine "
                'reaches it: server.listen = "0.0.0.0:5000"'
            )
        case httpx.TimeoutException() | TimeoutError():
            return "does not answer in time", "is the machine on, and does a firewall drop this port?"
        case httpx.RemoteProtocolError() | httpx.ReadError():
            encrypted = "" if address.is_encrypted else f"; if it has a certificate, write https://{address.host}"
            return "takes the connection, but speaks no HTTP", f"is this the right port?{encrypted}"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Answer an error and what led to it, the innermost first: that is what names the reason."""
    if error is not None:
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one)
        yield from _causes(error.__cause__ or error.__context__)
        yield error

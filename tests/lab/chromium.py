"""A real Chromium, driven by its own DevTools protocol over a websocket; it notes every complaint and every request."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.lab.programs import Program, wait_until
from tests.lab.tools import require

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # the lab runs as root, which Chromium's sandbox refuses
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-proxy-server",
    "--remote-debugging-port=0",
)
_MIDDLE = """selector => {
    const element = document.querySelector(selector);
    element.scrollIntoView({block: "center"});
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
}"""
_MAX_MESSAGE = 64 << 20
_SECONDS = 20


class PageFailed(AssertionError):
    """A script failed in the page, or the browser refused a command."""


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []
        """Errors and warnings of the console, exceptions, and whatever the policy of the page refused."""
        self.requests: list[str] = []
        """Every address that was asked."""

    async def listen(self) -> None:
        """Take what the browser sends, until it ends."""
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                future = self._waiting.pop(told["id"], None)
                if future is not None and not future.done():
                    future.set_result(told)
            else:
                self._note(told["method"], told["params"])

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["exceptionDetails"])[:1000])
        elif method == "Runtime.consoleAPICalled" and told["type"] in {"error", "warning", "assert"}:
            self.complaints.append(json.dumps(told["args"])[:1000])
        elif method == "Log.entryAdded" and told["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")

    async def send(self, method: str, **fields: Any) -> dict[str, Any]:
        """Send a command; answer its result."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": fields})
        told = await asyncio.wait_for(future, _SECONDS)
        if "error" in told:
            raise PageFailed(f"{method}: {told['error']}")
        result: dict[str, Any] = told["result"]
        return result

    async def open(self, url: str) -> None:
        """Go to an address."""
        await self.send("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """Answer the value of a JavaScript expression, which may be a promise's."""
        told = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise PageFailed(f"{script}: {json.dumps(told['exceptionDetails'])[:2000]}")
        return told["result"].get("value")

    async def wait_for(self, script: str, *, seconds: float = 15) -> None:
        """Wait until a JavaScript expression is true."""

        async def holds() -> bool:
            with suppress(PageFailed):  # the page may just be coming
                return bool(await self.run(f"Boolean({script})"))
            return False

        try:
            await wait_until(holds, seconds=seconds, purpose=script)
        except TimeoutError as error:
            shown = await self.run("document.body.innerText")
            raise TimeoutError(f"{error}\n{shown}\n{self.complaints}") from error

    async def text(self, selector: str) -> str:
        """Answer the text of the first element that fits, as it is shown; all spaces alike."""
        shown = await self.run(f"document.querySelector({json.dumps(selector)}).innerText")
        return str(shown).replace("\N{NO-BREAK SPACE}", " ")

    async def click(self, selector: str) -> None:
        """Click in the middle of an element with the mouse, as a person would."""
        where = await self.run(f"({_MIDDLE})({json.dumps(selector)})")
        for kind in ("mousePressed", "mouseReleased"):
            await self.send("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)

    async def type(self, selector: str, text: str) -> None:
        """Put the focus into a field and type."""
        await self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.send("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """Press a key: `Tab`, `Enter`, `Escape`, `/`."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37}.get(key, 0)
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        await self.send("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code)
        await self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def resize(self, width: int, height: int, *, is_phone: bool = False, scale: float = 1) -> None:
        """Have a window of a size in CSS pixels."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=is_phone
        )

    async def prefer(self, **features: str) -> None:
        """Have a user's preferences: `prefers_color_scheme="dark"`."""
        told = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.send("Emulation.setEmulatedMedia", features=told)

    async def photograph(self, *, seen_only: bool = False) -> bytes:
        """Take a picture of the whole page, or of what is seen of it without scrolling, as PNG."""
        metrics = await self.send("Page.getLayoutMetrics")
        whole, seen = metrics["cssContentSize"], metrics["cssLayoutViewport"]
        size = {"width": seen["clientWidth"], "height": seen["clientHeight"]} if seen_only else whole
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        told = await self.send("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(told["data"])


@asynccontextmanager
async def open_chromium(folder: Path) -> AsyncIterator[Page]:
    """Start a browser with an empty profile in a folder, and open a tab; end both at last."""
    profile = folder / "profile"
    program = Program(
        require("chromium"), *_FLAGS, f"--user-data-dir={profile}", "about:blank", log=folder / "chromium.log"
    )
    try:
        port = await _port_of(program, profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                tabs = await response.json()
            address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            async with session.ws_connect(address, max_msg_size=_MAX_MESSAGE) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                try:
                    for domain in ("Page", "Runtime", "Log", "Network"):
                        await page.send(f"{domain}.enable")
                    yield page
                finally:
                    listening.cancel()
    finally:
        await program.kill()


async def _port_of(program: Program, file: Path) -> int:
    async def is_told() -> bool:
        if program.code is not None:
            raise PageFailed(f"chromium ended while starting\n{program.log()}")
        return _is_written(file)

    await wait_until(is_told, seconds=30, purpose="chromium's port")
    return _read_port(file)


def _is_written(file: Path) -> bool:
    return file.exists() and "\n" in file.read_text()


def _read_port(file: Path) -> int:
    return int(file.read_text().splitlines()[0])

"""`polyarch warm` of a fleet's list, as scripts run it: begun, killed, run again, and what was fetched counted."""

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from tests.lab.content import AMD64, ARM64, ARM_V7, Content
from tests.lab.hub import HubStandIn
from tests.lab.hub.asked import Kind
from tests.lab.hub.faults import Stall
from tests.lab.images import Blob, Document, Index, build_image, build_index
from tests.lab.programs import Program, wait_until
from tests.lab.proxies import COMMAND, ENVIRONMENT, as_docker_hub

PLATFORMS = (AMD64, ARM64, ARM_V7)
NAMESPACES = {AMD64: "library", ARM64: "arm64v8", ARM_V7: "arm32v7"}
PADDING = 1_200_000
COUNT = 20
TOTAL = COUNT * len(PLATFORMS) * PADDING
"""How many bytes all of it has, and a little less."""


@cache
def fleet_content() -> Content:
    """Twenty images: half of them indexes, half of them one image each with builds in the arch namespaces."""
    documents: dict[str, Document] = {}
    for number in range(COUNT):
        images = {one: build_image(one, label=f"warm {number}", padding_bytes=PADDING) for one in PLATFORMS}
        if number % 2:
            documents[f"library/warm{number}:1"] = build_index(list(images.values()), attested=True)
        else:
            documents |= {f"{NAMESPACES[one]}/warm{number}:1": image for one, image in images.items()}
    return Content(documents)


NAMES = tuple(f"warm{number}:1" for number in range(COUNT))


class Warm:
    """`polyarch warm` of the list, again and again."""

    def __init__(self, folder: Path, hub: HubStandIn) -> None:
        self._folder = folder
        self._hub = hub
        self.cache = folder / "cache"
        (folder / "polyarch.toml").write_text(as_docker_hub(hub.url))
        (folder / "list.txt").write_text("# the fleet\n" + "\n".join(NAMES))

    @property
    def held(self) -> set[str]:
        """Two layers that `hold` stops half-way."""
        found = [fleet_content().image(f"{NAMESPACES[one]}/warm0:1", one) for one in (AMD64, ARM_V7)]
        return {image.layers[-1].digest for image in found}

    def hold(self) -> None:
        """Let upstream stop in the midst of two layers, once each, until it is released."""
        for digest in self.held:
            self._hub.inject(Stall(after=0.5), kind=Kind.CDN, reference=digest, times=1)

    async def wait_half_way(self, program: Program) -> None:
        """Wait until half of the bytes have come, and some of each layer that is held."""

        async def is_half_way() -> bool:
            sent = sum(record.sent_bytes for record in self._hub.requests(Kind.CDN))
            return (sent > TOTAL / 2 and self.held <= self.suspended().keys()) or program.code is not None

        await wait_until(is_half_way, seconds=60, purpose="half of the bytes")
        assert program.code is None, program.log()

    def start(self, *arguments: str) -> Program:
        """Begin to warm."""
        self._log = self._folder / "log"
        self._log.unlink(missing_ok=True)
        places = ("--config", str(self._folder / "polyarch.toml"), "--cache", str(self.cache))
        wanted = ("--from", str(self._folder / "list.txt"), "--platform", ",".join(PLATFORMS))
        return Program(*COMMAND, "warm", "--json", *wanted, *places, *arguments, log=self._log, environment=ENVIRONMENT)

    async def run(self, *arguments: str) -> Mapping[str, Any]:
        """Warm to the end; answer what it told."""
        program = self.start(*arguments)
        assert await self.finish(program) == 0, program.log()
        return report_of(program)

    async def finish(self, program: Program) -> int:
        """Wait until the command has ended; answer its exit code."""

        async def has_ended() -> bool:
            return program.code is not None

        await wait_until(has_ended, seconds=120, purpose="the end of warming")
        assert program.code is not None
        return program.code

    def log(self) -> str:
        """Everything that the last command has told."""
        return self._log.read_text()

    def suspended(self) -> dict[str, int]:
        """How much there is of what broke off, by digest."""
        found: dict[str, int] = {}
        for file in (self.cache / "ingest").glob("*.*.*"):  # <hex>.<pid>.<n>
            with suppress(FileNotFoundError):  # it was committed just now
                size = file.stat().st_size
                found |= {f"sha256:{file.name.partition('.')[0]}": size} if size else {}
        return found

    def stored(self) -> set[str]:
        """The digests of what is whole."""
        return {f"sha256:{file.name}" for file in (self.cache / "blobs" / "sha256").iterdir()}


def report_of(program: Program) -> Mapping[str, Any]:
    """Answer the JSON in what a command has told."""
    text = program.log()
    found: Mapping[str, Any] = json.loads(text[text.index("\n{\n") :])
    return found


def parts_of(document: Document) -> list[Blob]:
    """Answer the configs and layers of an image, or of all that an index lists."""
    images = document.images if isinstance(document, Index) else (document,)
    return [blob for image in images for blob in (image.config, *image.layers)]


def fetched(hub: HubStandIn) -> list[tuple[str, int]]:
    """What was fetched from the CDN: digests, and where each began."""
    records = [one for one in hub.requests(Kind.CDN) if one.method == "GET"]  # what is all there is asked for by HEAD
    return [(one.reference, int(one.headers.get("Range", "bytes=0-")[6:].partition("-")[0])) for one in records]

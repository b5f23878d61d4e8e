"""Mixed traffic: cold and cached pulls, HEADs, ranges and clients that leave; every byte is held against the truth."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import httpx

from tests.lab.content import AMD64
from tests.lab.images import MANIFEST_TYPES, Blob, Image, build_image
from tests.lab.pushing import push

PAUSE_SECONDS = 0.02
"""Between two requests of one client: the proxy is to be busy, not the machine full."""
TOGETHER = 4
FRESH_BYTES = 1_000_000
REPOSITORY = "library/traffic"

Kind = Callable[[httpx.AsyncClient], Awaitable[None]]


class Traffic:
    """Clients of a proxy that do not stop until they are told to."""

    def __init__(self, url: str, origin_url: str, images: Sequence[Image], chance: random.Random) -> None:
        """Take the proxy's address, its upstream's, and what is there: see `publish`."""
        self.done: Counter[str] = Counter()
        """How often each kind of thing was done."""
        self.wrong: list[str] = []
        """What was not as it should be."""
        self._url, self._origin_url, self._images, self._chance = url, origin_url, images, chance
        self._fresh = len(images)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let the clients work inside a `with` block."""
        kinds: tuple[Kind, ...] = (
            *(self.pull, self.pull, self.pull_together, self.pull_fresh),
            *(self.ask_head, self.ask_unknown, self.read_range, self.leave),
        )
        async with self._open_client() as client, asyncio.TaskGroup() as tasks:
            workers = [tasks.create_task(self._repeat(kind, client)) for kind in kinds]
            yield
            for worker in workers:
                worker.cancel()

    async def pull_once(self, images: Sequence[Image]) -> None:
        """Pull the first images, each once."""
        async with self._open_client() as client:
            for number, image in enumerate(images):
                await self._pull(client, number, image)

    def reference(self, number: int) -> str:
        """Answer what an image is called."""
        return f"{REPOSITORY}:{number}"

    async def pull(self, client: httpx.AsyncClient) -> None:
        """Pull an image that is known, or was."""
        number = self._chance.randrange(len(self._images))
        await self._pull(client, number, self._images[number])

    async def pull_together(self, client: httpx.AsyncClient) -> None:
        """Pull the same image with some clients at once."""
        number = self._chance.randrange(len(self._images))
        await asyncio.gather(*(self._pull(client, number, self._images[number]) for _ in range(TOGETHER)))

    async def pull_fresh(self, client: httpx.AsyncClient) -> None:
        """Pull an image that nobody has pulled before."""
        number = self._fresh = self._fresh + 1
        (image,) = await publish(self._origin_url, [FRESH_BYTES], first=number)
        together = self._chance.randint(1, TOGETHER)
        await asyncio.gather(*(self._pull(client, number, image) for _ in range(together)))

    async def ask_head(self, client: httpx.AsyncClient) -> None:
        """Ask for a tag's digest, and a layer's size."""
        number = self._chance.randrange(len(self._images))
        image = self._images[number]
        tag = await client.head(f"manifests/{number}")
        self._check(tag.headers.get("Docker-Content-Digest") == image.manifest.digest, "HEAD", tag)
        layer = await client.head(f"blobs/{image.layers[-1].digest}")
        self._check(layer.headers.get("Content-Length") == str(len(image.layers[-1].content)), "HEAD", layer)

    async def ask_unknown(self, client: httpx.AsyncClient) -> None:
        """Ask for a tag that is not there."""
        answer = await client.get(f"manifests/unknown-{self._chance.randrange(50)}")
        self._check(answer.status_code == httpx.codes.NOT_FOUND, "unknown", answer)

    async def read_range(self, client: httpx.AsyncClient) -> None:
        """Read a part of a layer."""
        layer = self._pick_layer()
        start = self._chance.randrange(len(layer.content))
        stop = self._chance.randint(start + 1, len(layer.content))
        answer = await client.get(f"blobs/{layer.digest}", headers={"Range": f"bytes={start}-{stop - 1}"})
        self._check(answer.content == layer.content[start:stop], "range", answer)

    async def leave(self, client: httpx.AsyncClient) -> None:
        """Begin to read a layer, and leave somewhere in the middle."""
        layer = self._pick_layer()
        enough, got = self._chance.randrange(len(layer.content)), 0
        async with client.stream("GET", f"blobs/{layer.digest}") as answer:
            async for piece in answer.aiter_raw():
                self._check(piece == layer.content[got : got + len(piece)], f"after {got} bytes", answer)
                got += len(piece)
                if got > enough:
                    return

    async def _pull(self, client: httpx.AsyncClient, number: int, image: Image) -> None:
        tag = await client.head(f"manifests/{number}")
        self._check(tag.headers.get("Docker-Content-Digest") == image.manifest.digest, "tag", tag)
        await self._get(client, "manifests", image.manifest)
        for blob in (image.config, *image.layers):
            await self._get(client, "blobs", blob)

    async def _get(self, client: httpx.AsyncClient, kind: str, blob: Blob) -> None:
        answer = await client.get(f"{kind}/{blob.digest}")
        self._check(answer.content == blob.content, kind, answer)

    async def _repeat(self, kind: Kind, client: httpx.AsyncClient) -> None:
        name = getattr(kind, "__name__", repr(kind))
        while True:
            try:
                await kind(client)
            except httpx.HTTPError as error:
                self.wrong.append(f"{name}: {error!r}")
            self.done[name] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    def _open_client(self) -> httpx.AsyncClient:
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        base = f"{self._url}/v2/{REPOSITORY}/"
        return httpx.AsyncClient(base_url=base, headers=headers, trust_env=False, timeout=60)

    def _pick_layer(self) -> Blob:
        return self._chance.choice(self._images).layers[-1]

    def _check(self, is_right: bool, what: str, answer: httpx.Response) -> None:  # noqa: FBT001 - what is checked
        if not is_right:
            self.wrong.append(f"{what}: {answer.request.method} {answer.request.url.path}: {answer.status_code}")


async def publish(origin_url: str, sizes: Sequence[int], *, first: int = 0) -> list[Image]:
    """Push images with layers of about these sizes, tagged by their numbers."""
    images = [build_image(AMD64, label=f"traffic {first + at}", padding_bytes=size) for at, size in enumerate(sizes)]
    for at, image in enumerate(images):
        await push(image, REPOSITORY, str(first + at), registry_url=origin_url)
    return images

"""Fetching content again that is known, and not at hand any more: as a client's pull would."""

from collections.abc import Callable
from contextlib import aclosing

from proxy.oci import media_types
from proxy.ports import Link
from proxy.service.pull import Puller
from proxy.service.warm_plans import ANYBODY


class Refetching:
    """The `Repair` of a verification."""

    def __init__(self, find_puller: Callable[[str], Puller]) -> None:
        """Take how to find who pulls from an upstream; it raises NameUnknown where that is none of ours any more."""
        self._find_puller = find_puller

    async def __call__(self, link: Link, tag: str | None) -> None:
        """Fetch the content of a link again; a synthesised index by the tag that is answered with it.

        Raises:
            RegistryError: It cannot be had.
        """
        puller, repositories = self._find_puller(link.upstream), (link.repository,)
        if tag is not None:
            await puller.get_tag(repositories, tag, ANYBODY)
        elif link.media_type in media_types.MANIFESTS:
            await puller.get_manifest(repositories, link.digest)
        else:
            answer = await puller.get_blob(repositories, link.digest)
            if answer.fill is not None:
                async with aclosing(answer.fill.keep()) as parts:
                    async for _ in parts:
                        pass

"""An upstream that is never asked: what `offline = true` makes of all of them."""

from contextlib import AbstractAsyncContextManager
from typing import NoReturn

from proxy.oci.digests import Digest
from proxy.oci.errors import UpstreamSilent
from proxy.oci.manifests import Descriptor
from proxy.ports import BlobStream, FetchedManifest, Quota, TagPage


class OfflineUpstream:
    """The `Upstream` port, without one: whatever is asked, nobody answers."""

    quota: Quota | None = None

    def __init__(self, name: str) -> None:
        """Take the name of the upstream that is not asked."""
        self._name = name

    async def head_manifest(self, _repository: str, _target: str | Digest, /) -> Descriptor:
        """Ask nobody. Raises UpstreamSilent."""
        self._refuse()

    async def fetch_manifest(self, _repository: str, _target: str | Digest, /) -> FetchedManifest:
        """Ask nobody. Raises UpstreamSilent."""
        self._refuse()

    async def head_blob(self, _repository: str, _digest: Digest, /) -> int:
        """Ask nobody. Raises UpstreamSilent."""
        self._refuse()

    def open_blob(
        self, _repository: str, _digest: Digest, /, *, offset: int = 0
    ) -> AbstractAsyncContextManager[BlobStream]:
        """Ask nobody. Raises UpstreamSilent."""
        del offset
        self._refuse()

    async def list_tags(self, _repository: str, /, *, limit: int | None, last: str | None) -> TagPage:
        """Ask nobody. Raises UpstreamSilent."""
        del limit, last
        self._refuse()

    async def fetch_referrers(self, _repository: str, _digest: Digest, /) -> FetchedManifest:
        """Ask nobody. Raises UpstreamSilent."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UpstreamSilent(f"this proxy is offline (cache.offline): {self._name} is not asked, and it is not cached")

    def __repr__(self) -> str:
        return f"<OfflineUpstream {self._name}>"

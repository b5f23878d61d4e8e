from collections.abc import Awaitable, Callable

import pytest

from proxy.oci.digests import Digest
from proxy.oci.errors import UpstreamSilent
from proxy.ports import Upstream
from proxy.upstream.offline import OfflineUpstream

DIGEST = Digest.of(b"anything")


async def _open_blob(upstream: Upstream) -> None:
    async with upstream.open_blob("a", DIGEST, offset=1):
        pass


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda upstream: upstream.head_manifest("a", "1"), id="head-manifest"),
        pytest.param(lambda upstream: upstream.fetch_manifest("a", DIGEST), id="fetch-manifest"),
        pytest.param(lambda upstream: upstream.head_blob("a", DIGEST), id="head-blob"),
        pytest.param(_open_blob, id="open-blob"),
        pytest.param(lambda upstream: upstream.list_tags("a", limit=None, last=None), id="list-tags"),
        pytest.param(lambda upstream: upstream.fetch_referrers("a", DIGEST), id="fetch-referrers"),
    ],
)
async def test_whatever_is_asked_nobody_answers(ask: Callable[[Upstream], Awaitable[object]]) -> None:
    upstream = OfflineUpstream("docker.io")
    assert upstream.quota is None
    with pytest.raises(UpstreamSilent, match=r"offline \(cache.offline\): docker.io is not asked"):
        await ask(upstream)
    assert repr(upstream) == "<OfflineUpstream docker.io>"

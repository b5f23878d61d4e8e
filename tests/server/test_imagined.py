"""A request that nobody sent is read as one that came."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from proxy.arch.detection import NOTHING_ASSIGNED
from proxy.server.imagined import ImaginedRequest
from proxy.server.reading import accepted_by, hints_of, namespace_of, quote_path_of, raw_path_of

PATHS = [
    "/v2/library/debian/manifests/jessie",
    "/v2/library/debian/manifests/jessie?ns=docker.io",
    "/v2/a%2Fb/manifests/x?ns=ghcr.io&ns=quay.io",
    "/linux-arm-v6/v2/library/debian/manifests/jessie?x",
    "//v2/?ns=",
    "/v2/ü/manifests/1",
]
HEADERS = CIMultiDict(
    [("Accept", "application/json"), ("accept", "a/b, c/d;q=0"), ("X-Platform", "rpi"), ("User-Agent", "crane/v0.20.2")]
)


@pytest.mark.parametrize("path", PATHS)
def test_it_is_read_as_one_that_came(path: str) -> None:
    imagined, came = ImaginedRequest(path, HEADERS), make_mocked_request("GET", path, headers=HEADERS)
    assert raw_path_of(imagined) == raw_path_of(came)
    assert quote_path_of(imagined) == quote_path_of(came)
    assert namespace_of(imagined) == namespace_of(came)
    assert accepted_by(imagined) == accepted_by(came) == {"application/json", "a/b"}
    hints = [hints_of(one, "", NOTHING_ASSIGNED, NOTHING_ASSIGNED) for one in (imagined, came)]
    assert hints[0] == hints[1]
    assert (hints[0].header, hints[0].user_agent) == ("rpi", "crane/v0.20.2")


def test_it_comes_from_nowhere_unless_told() -> None:
    assert ImaginedRequest("/v2/").remote is None
    assert not ImaginedRequest("/v2/").headers

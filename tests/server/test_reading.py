from collections.abc import Mapping

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.detection import NOTHING_ASSIGNED, ClientHints, detect
from proxy.arch.user_agents import MAX_USER_AGENT_LENGTH
from proxy.oci import media_types
from proxy.oci.errors import InvalidDigest, NameUnknown
from proxy.oci.platforms import Platform
from proxy.oci.routes import Ping, parse_route
from proxy.server.reading import (
    MAX_TEXT_LENGTH,
    accepted_by,
    hints_of,
    host_of,
    namespace_of,
    quote_path_of,
    raw_path_of,
    read_accept,
    read_client,
    read_route,
)

PI_2 = "docker/28.5.1 go/go1.24 git-commit/f8215cc kernel/6.1.21-v7+ os/linux arch/arm"


def request(path: str = "/v2/", headers: Mapping[str, str] | None = None) -> web.BaseRequest:
    return make_mocked_request("GET", path, headers=headers)


@given(lines=st.lists(st.text("ab*/;q=0.1, ", max_size=30), max_size=4))
def test_accept_lines_are_one_set_however_they_are_cut(lines: list[str]) -> None:
    assert read_accept(",".join(lines)) == media_types.parse_accept(lines)


@pytest.mark.parametrize("length", [1, MAX_TEXT_LENGTH, MAX_TEXT_LENGTH + 1, 8000])
def test_a_text_means_the_same_whether_it_is_remembered_or_not(length: int) -> None:
    for _ in range(2):
        assert read_accept("a" * length) == {"a" * length}


def test_what_is_wrong_is_wrong_again() -> None:
    for _ in range(2):
        with pytest.raises(InvalidDigest):
            read_route("/v2/a/blobs/sha256:12")
        with pytest.raises(NameUnknown):
            read_route("/v2/a/" + "b" * 8000)


def test_a_path_is_remembered() -> None:
    assert read_route("/v2/a/manifests/1") is read_route("/v2/a/manifests/1")
    assert read_route("/v2/a/manifests/1") == parse_route("/v2/a/manifests/1")
    assert read_route("/v2/").resource == Ping()


@pytest.mark.parametrize(
    ("path", "raw", "quoted", "namespace"),
    [
        pytest.param("http://a:5000/v2/a?ns=b", "/v2/a", "/v2/a", "b", id="a whole URL"),
        pytest.param("/v2/?", "/v2/", "/v2/", "", id="an empty query"),
        pytest.param("/v2/a%2Fb%0d?ns=docker.io", "/v2/a%2Fb%0d", "/v2/a/b%0D", "docker.io", id="encoded"),
        pytest.param("/v2/%ff?n=1", "/v2/%ff", "/v2/%FF", "", id="no text"),
        pytest.param("/v2/a?ns=", "/v2/a", "/v2/a", "", id="an empty namespace"),
        pytest.param("/v2/a?ns=a&ns=b", "/v2/a", "/v2/a", "a", id="two namespaces"),
    ],
)
def test_the_parts_of_a_target(path: str, raw: str, quoted: str, namespace: str) -> None:
    asked = request(path)
    assert (raw_path_of(asked), quote_path_of(asked), namespace_of(asked)) == (raw, quoted, namespace)


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("/v2/", "rpi.lan:5000"),
        ("/v2/http://other.lan/", "rpi.lan:5000"),
        ("http://other.lan:80/v2/", "other.lan:80"),
        ("http://me@other.lan?ns=a/b", "other.lan"),
    ],
)
def test_a_whole_url_tells_the_host_that_is_asked(target: str, host: str) -> None:
    assert host_of(request(target, headers={"Host": "rpi.lan:5000"})) == host


def test_who_sends_no_accept_accepts_anything() -> None:
    assert accepted_by(request()) == frozenset()
    assert accepted_by(request(headers={"Accept": "a/b, c/d;q=0"})) == {"a/b"}


@pytest.mark.parametrize("agent", ["", "curl/8", PI_2, PI_2 + " " * MAX_USER_AGENT_LENGTH])
@pytest.mark.parametrize("word", ["", "arm6"])
@pytest.mark.parametrize("default", [None, Platform.parse("linux/amd64")])
def test_a_client_is_detected_as_if_nothing_were_remembered(agent: str, word: str, default: Platform | None) -> None:
    for _ in range(2):
        hints = hints_of(request(headers={"User-Agent": agent}), word, NOTHING_ASSIGNED, NOTHING_ASSIGNED)
        assert read_client(hints, default) == detect(ClientHints(word, user_agent=agent), default=default)


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({}, ""),
        ({"X-Platform": "arm6"}, "arm6"),
        ({"X-Meta-Platform": "linux/arm/v6"}, "linux/arm/v6"),
        ({"x-meta-platform": "arm6", "X-Platform": "arm7"}, "arm6"),
        ({"X-Meta-Platform": "nonsense", "X-Platform": "arm7"}, "arm7"),
        ({"X-Meta-Platform": "nonsense"}, "nonsense"),
        ({"X-Meta-Platform": "arm6" + " " * 900, "X-Platform": "arm7"}, "arm7"),
    ],
)
def test_the_first_platform_header_that_means_something_counts(headers: dict[str, str], shown: str) -> None:
    assert hints_of(request(headers=headers), "", NOTHING_ASSIGNED, NOTHING_ASSIGNED).header == shown

import re

from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from proxy.server.imagined import ImaginedRequest
from proxy.server.request_ids import HEADER, RequestIds


def name(ids: RequestIds, shown: str | None = None) -> str:
    headers = CIMultiDict({} if shown is None else {HEADER: shown})
    return ids.find(ImaginedRequest("/v2/", headers))


def test_names_of_ours_are_numbered() -> None:
    ids = RequestIds("a1b2")
    assert [name(ids) for _ in range(3)] == ["a1b2-1", "a1b2-2", "a1b2-3"]
    assert repr(ids) == "<RequestIds a1b2-…>"


def test_a_name_that_is_brought_along_is_kept() -> None:
    for shown in ("0af7651916cd43dd8448eb211c80319c", "8f14e45f-ceea-467f-a9d2-1c2f2c2b9e11", "build.7_3"):
        assert name(RequestIds("x"), shown) == shown


@given(shown=st.text(max_size=100))
def test_whatever_is_brought_along_a_name_is_one_short_word(shown: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name(RequestIds("x"), shown))

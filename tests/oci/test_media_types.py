import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci import media_types
from proxy.oci.media_types import accepts_any, parse_accept, parse_media_type
from tests.strategies import any_text

SCHEMA2 = "application/vnd.docker.distribution.manifest.v2+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"


def test_the_constants_are_what_the_specs_write() -> None:
    assert frozenset({LIST, OCI_INDEX}) == media_types.INDEXES
    assert frozenset({SCHEMA2, OCI_MANIFEST}) == media_types.IMAGE_MANIFESTS
    assert frozenset({SCHEMA1, SIGNED}) == media_types.SCHEMA1
    assert frozenset({LIST, SCHEMA2}) == media_types.DOCKER
    assert media_types.INDEXES | media_types.IMAGE_MANIFESTS == media_types.MANIFESTS


def test_upstream_is_always_asked_for_all_four_types() -> None:
    """A registry that misses one answers 404 or converts to amd64, instead of telling what it holds."""
    assert parse_accept([media_types.ACCEPT_MANIFESTS]) == media_types.MANIFESTS


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(OCI_INDEX, OCI_INDEX, id="bare"),
        pytest.param(f"{OCI_INDEX}; charset=utf-8", OCI_INDEX, id="with-parameter"),
        pytest.param(f"  {OCI_INDEX.upper()} ;q=1", OCI_INDEX, id="upper-case-and-blanks"),
        pytest.param("", "", id="empty"),
        pytest.param(";q=1", "", id="only-a-parameter"),
    ],
)
def test_a_content_type_is_its_bare_type(header: str, expected: str) -> None:
    assert parse_media_type(header) == expected


# What real clients send for a tag (clients.md §5)
ACCEPTED_BY = {
    "docker-29": ([SCHEMA2, LIST, OCI_MANIFEST, OCI_INDEX], {SCHEMA2, LIST, OCI_MANIFEST, OCI_INDEX}),
    "docker-20.10": (
        [OCI_INDEX, SIGNED, "application/json", LIST, OCI_MANIFEST, SCHEMA2],
        {SCHEMA2, LIST, OCI_MANIFEST, OCI_INDEX, SIGNED, "application/json"},
    ),
    "docker-18.05": ([SCHEMA2, LIST, SIGNED, "application/json"], {SCHEMA2, LIST, SIGNED, "application/json"}),
    "containerd": (
        [f"{SCHEMA2}, {LIST}, {OCI_MANIFEST}, {OCI_INDEX}, */*"],
        {SCHEMA2, LIST, OCI_MANIFEST, OCI_INDEX, "*/*"},
    ),
    "podman": (
        [OCI_MANIFEST, SCHEMA2, SIGNED, SCHEMA1, LIST, OCI_INDEX],
        {OCI_MANIFEST, SCHEMA2, SIGNED, SCHEMA1, LIST, OCI_INDEX},
    ),
    "crane": (
        [f"{SCHEMA1},{SIGNED},{SCHEMA2},{OCI_MANIFEST},{LIST},{OCI_INDEX}"],
        {SCHEMA1, SIGNED, SCHEMA2, OCI_MANIFEST, LIST, OCI_INDEX},
    ),
}


@pytest.mark.parametrize(("headers", "expected"), ACCEPTED_BY.values(), ids=ACCEPTED_BY)
def test_all_accept_lines_of_a_client_are_one_set(headers: list[str], expected: set[str]) -> None:
    assert parse_accept(headers) == expected
    assert parse_accept(reversed(headers)) == expected


@pytest.mark.parametrize(("headers", "_expected"), ACCEPTED_BY.values(), ids=ACCEPTED_BY)
def test_every_real_client_accepts_an_index(headers: list[str], _expected: set[str]) -> None:
    assert accepts_any(parse_accept(headers), media_types.INDEXES)


@pytest.mark.parametrize(
    ("entry", "is_kept"),
    [
        pytest.param("a/b;q=0", False, id="q-0"),
        pytest.param("a/b; q=0.000", False, id="q-0.000"),
        pytest.param("a/b; Q=0", False, id="upper-case"),
        pytest.param("a/b;v=1;q=0", False, id="after-another-parameter"),
        pytest.param("a/b;q=0.001", True, id="q-0.001"),
        pytest.param("a/b;q=1", True, id="q-1"),
        pytest.param("a/b;v=0", True, id="another-parameter"),
        pytest.param("a/b;q=x", True, id="no-number"),
    ],
)
def test_only_an_entry_with_quality_zero_is_left_out(entry: str, is_kept: bool) -> None:  # noqa: FBT001
    assert parse_accept([f"c/d, {entry}"]) == ({"c/d", "a/b"} if is_kept else {"c/d"})


@pytest.mark.parametrize(
    ("accepted", "is_taken"),
    [
        pytest.param([], True, id="no-accept-header"),
        pytest.param(["*/*"], True, id="anything"),
        pytest.param(["application/*"], True, id="any-application"),
        pytest.param([LIST], True, id="one-of-them"),
        pytest.param([SCHEMA2, SIGNED, "application/json"], False, id="docker-1.9"),
        pytest.param(["text/*"], False, id="another-range"),
    ],
)
def test_a_client_takes_an_index_if_it_says_so_or_says_nothing(accepted: list[str], is_taken: bool) -> None:  # noqa: FBT001
    assert accepts_any(parse_accept(accepted), media_types.INDEXES) is is_taken


@given(st.lists(any_text | st.text("a/*;q=0., \t", max_size=30), max_size=4))
def test_arbitrary_accept_headers_are_a_set_of_bare_types(headers: list[str]) -> None:
    for media_type in parse_accept(headers):
        assert not set(",;") & set(media_type)
        assert media_type == media_type.strip()


@given(st.permutations(sorted(media_types.MANIFESTS | media_types.SCHEMA1)), st.integers(0, 6))
def test_neither_the_order_nor_the_lines_of_accept_matter(types: list[str], split: int) -> None:
    headers = [", ".join(types[:split]), ", ".join(types[split:])]
    assert parse_accept(headers) == frozenset(types)

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.challenges import Challenge, parse_challenges
from tests.strategies import any_text

HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull"'
BEARER = Challenge("bearer", {"realm": "r"})
BASIC = Challenge("basic", {"realm": "x"})


def test_docker_hub_s_challenge_tells_realm_service_and_scope() -> None:
    (challenge,) = parse_challenges([HUB])
    assert challenge.scheme == "bearer"
    assert challenge.realm == "https://auth.docker.io/token"
    assert challenge.service == "registry.docker.io"
    assert challenge.parameters["scope"] == "repository:library/debian:pull"
    assert challenge.error == ""


def test_a_refused_token_s_challenge_tells_the_error() -> None:
    (challenge,) = parse_challenges([f'{HUB},error="insufficient_scope"'])
    assert challenge.error == "insufficient_scope"


def test_a_challenge_without_parameters_has_no_realm_and_no_service() -> None:
    (challenge,) = parse_challenges(["Basic"])
    assert (challenge.realm, challenge.service, challenge.error) == ("", "", "")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], (), id="no-header"),
        pytest.param([""], (), id="empty"),
        pytest.param([" , ,"], (), id="only-commas"),
        pytest.param(['Bearer realm="r"'], (BEARER,), id="quoted"),
        pytest.param(["Bearer realm=r"], (BEARER,), id="token"),
        pytest.param(["BEARER REALM=r"], (BEARER,), id="case-of-names-is-noise"),
        pytest.param(['Bearer realm = "r"'], (BEARER,), id="blanks-around-the-equals-sign"),
        pytest.param(['  Bearer   realm="r"  '], (BEARER,), id="blanks-around"),
        pytest.param(['Bearer ,, realm="r" ,'], (BEARER,), id="empty-list-elements"),
        pytest.param([', Bearer realm="r"'], (BEARER,), id="leading-comma"),
        pytest.param(['Bearer realm="r"', "Basic realm=x"], (BEARER, BASIC), id="two-lines"),
        pytest.param(['Bearer realm="r", Basic realm=x'], (BEARER, BASIC), id="two-in-one-line"),
        pytest.param(["Basic realm=x, Bearer realm=r"], (BASIC, BEARER), id="order-is-kept"),
        pytest.param(["Negotiate, Basic realm=x"], (Challenge("negotiate"), BASIC), id="bare-scheme-before-another"),
        pytest.param(["Basic realm=x, Negotiate"], (BASIC, Challenge("negotiate")), id="bare-scheme-after-another"),
        pytest.param([r'Bearer realm="a\"b\\c"'], (Challenge("bearer", {"realm": 'a"b\\c'}),), id="escaped"),
        pytest.param(['Bearer realm="a, b"'], (Challenge("bearer", {"realm": "a, b"}),), id="comma-in-quotes"),
        pytest.param(["Bearer realm=r,realm=other"], (BEARER,), id="first-of-a-repeated-parameter"),
        pytest.param(['Bearer realm="unterminated'], (Challenge("bearer"),), id="unterminated-quote"),
        pytest.param(['realm="r"'], (), id="no-scheme"),
        pytest.param(['"Bearer" realm=r'], (), id="quoted-scheme"),
        pytest.param(["Bearer realm=r, =broken, Basic realm=x"], (BEARER,), id="garbage-ends-its-line"),
        pytest.param(["=broken", "Basic realm=x"], (BASIC,), id="garbage-ends-only-its-line"),
    ],
)
def test_challenges_are_read_by_the_grammar(lines: list[str], expected: tuple[Challenge, ...]) -> None:
    assert parse_challenges(lines) == expected


@given(st.lists(any_text | st.text('Bearer realm="x\\, =', max_size=60), max_size=3))
def test_arbitrary_headers_are_read_without_an_error(headers: list[str]) -> None:
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower()
        assert all(key == key.lower() for key in challenge.parameters)


_token = st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True)
_value = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12)
_challenge = st.builds(Challenge, _token, st.dictionaries(_token, _value, min_size=1, max_size=3))


def _written(challenge: Challenge) -> str:
    escaped = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in challenge.parameters.items()}
    return challenge.scheme + " " + ",".join(f'{key}="{value}"' for key, value in escaped.items())


@given(st.lists(_challenge, max_size=3))
def test_challenges_written_by_the_grammar_are_read_back(challenges: list[Challenge]) -> None:
    assert parse_challenges([", ".join(_written(challenge) for challenge in challenges)]) == tuple(challenges)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Bearer a=b" + " " * 50_000 + "!", id="blanks"),
        pytest.param("Bearer a=b" + ", " * 25_000 + "!", id="commas"),
        pytest.param("Bearer a" + "=" * 50_000, id="equals-signs"),
        pytest.param("a " * 25_000, id="schemes"),
        pytest.param('Bearer a="' + '\\"' * 25_000, id="escapes"),
    ],
)
def test_a_hostile_header_costs_no_more_than_its_length(header: str) -> None:
    start = process_time()
    parse_challenges([header])
    assert process_time() - start < 1

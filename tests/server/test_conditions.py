import pytest

from proxy.oci.digests import Digest
from proxy.server.conditions import entity_tag, is_known, keeps_range

DIGEST, OTHER = Digest.of(b"this"), Digest.of(b"another")
THIS, ANOTHER = entity_tag(DIGEST), entity_tag(OTHER)


def test_an_entity_tag_is_the_digest_in_quotes() -> None:
    assert f'"{DIGEST}"' == THIS


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], False, id="no header"),
        pytest.param([""], False, id="an empty one"),
        pytest.param([THIS], True, id="this"),
        pytest.param([ANOTHER], False, id="another"),
        pytest.param([f"W/{THIS}"], True, id="weak"),
        pytest.param([f"{ANOTHER}, W/{THIS}"], True, id="a list"),
        pytest.param([f"{ANOTHER},{THIS}"], True, id="a list without spaces"),
        pytest.param([ANOTHER, THIS], True, id="two lines"),
        pytest.param([ANOTHER, f"W/{ANOTHER}"], False, id="two others"),
        pytest.param(["*"], True, id="anything"),
        pytest.param([" * "], True, id="anything, with spaces"),
        pytest.param(['"*"'], True, id="anything, in quotes"),
        pytest.param([str(DIGEST)], True, id="without quotes"),
        pytest.param([f'"x{DIGEST}"'], False, id="the digest is only a part of it"),
        pytest.param([f'"{DIGEST}-gzip"'], False, id="another coding of it"),
        pytest.param([f'"{DIGEST.encoded}"'], False, id="without its algorithm"),
        pytest.param([f'"{str(DIGEST).upper()}"'], False, id="in upper case"),
        pytest.param([f'"{DIGEST}'], True, id="a quote that never ends"),
    ],
)
def test_what_a_client_knows(lines: list[str], *, expected: bool) -> None:
    assert is_known(lines, DIGEST) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(None, True, id="no header"),
        pytest.param(THIS, True, id="this"),
        pytest.param(f" {THIS} ", True, id="this, with spaces"),
        pytest.param(ANOTHER, False, id="another"),
        pytest.param(f"W/{THIS}", False, id="a weak one is never enough"),
        pytest.param(str(DIGEST), False, id="without quotes"),
        pytest.param("Tue, 24 Nov 2026 02:05:12 GMT", False, id="a date"),
        pytest.param("", False, id="nothing"),
        pytest.param("*", False, id="anything"),
    ],
)
def test_a_range_holds_for_the_same_bytes_only(header: str | None, *, expected: bool) -> None:
    assert keeps_range(header, DIGEST) is expected

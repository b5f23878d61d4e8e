import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidManifest
from proxy.oci.manifests import MAX_MANIFEST_BYTES
from proxy.oci.schema1 import MAX_SIGNATURES, is_payload_digest, read_payload
from tests.lab.schema1 import build_schema1, encode, sign
from tests.strategies import json_values

OLD = build_schema1("library/old", "1", str(Digest.of(b"layer")))
PAYLOAD = b'{"schemaVersion": 1}'


def signed(*headers: object, payload: bytes = PAYLOAD) -> bytes:
    """Write a manifest with these headers for its signatures."""
    written = [{"protected": header if isinstance(header, str) else _encoded(header)} for header in headers]
    return payload[:-1] + b', "signatures": ' + json.dumps(written).encode() + b"}"


def _encoded(header: object) -> str:
    return encode(json.dumps(header).encode())


def header(length: object = len(PAYLOAD) - 1, tail: object = encode(b"}")) -> Mapping[str, object]:
    return {"formatLength": length, "formatTail": tail}


def test_the_payload_is_what_was_signed() -> None:
    assert read_payload(OLD.content) == OLD.payload
    assert is_payload_digest(Digest.parse(OLD.digest), OLD.content)
    assert not is_payload_digest(Digest.of(OLD.content), OLD.content)
    assert not is_payload_digest(Digest.of(b"another"), OLD.content)


def test_a_signature_more_changes_no_digest() -> None:
    fields = {"schemaVersion": 1, "name": "library/old"}
    assert read_payload(sign(fields, signatures=3).content) == read_payload(sign(fields).content)


_values = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=3)


@given(st.dictionaries(st.text(), _values, max_size=4), st.integers(1, 3))
def test_whatever_was_signed_comes_back(more: dict[str, object], signatures: int) -> None:
    fields = {**more, "schemaVersion": 1}
    fields.pop("signatures", None)
    made = sign(fields, signatures=signatures)
    assert read_payload(made.content) == made.payload


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"\xff\xfe{", id="no JSON"),
        pytest.param(b"[" * 100_000, id="nested without end"),
        pytest.param(PAYLOAD, id="unsigned"),
        pytest.param(signed(), id="no signature"),
        pytest.param(PAYLOAD[:-1] + b', "signatures": {}}', id="signatures that are no list"),
        pytest.param(PAYLOAD[:-1] + b', "signatures": ["x"]}', id="a signature that is no object"),
        pytest.param(PAYLOAD[:-1] + b', "signatures": [{}]}', id="a signature without a header"),
        pytest.param(signed(header(), payload=b'{"schemaVersion": 2}'), id="another schema"),
        pytest.param(signed(header(), payload=b'{"no": 1, "schema": 1}'), id="no schema"),
        pytest.param(signed("%%%"), id="no base64url"),
        pytest.param(signed("a"), id="base64url of no length"),
        pytest.param(signed("ä"), id="no ASCII"),
        pytest.param(signed(encode(b"[]")), id="a header that is no object"),
        pytest.param(signed({}), id="an empty header"),
        pytest.param(signed(header(length=-1)), id="a negative length"),
        pytest.param(signed(header(length=True)), id="a length that is none"),
        pytest.param(signed(header(length=1.5)), id="half a byte"),
        pytest.param(signed(header(length=10**9)), id="longer than the whole"),
        pytest.param(signed(header(length=3)), id="too short"),
        pytest.param(signed(header(tail=None)), id="no tail"),
        pytest.param(signed(header(tail=encode(b', "name": "x"}'))), id="a tail that says more"),
        pytest.param(signed(header(length=0, tail=encode(b'{"schemaVersion": 2}'))), id="something else was signed"),
        pytest.param(signed(header(), header(tail=encode(b" }"))), id="two payloads"),
        pytest.param(signed(*[header()] * (MAX_SIGNATURES + 1)), id="too many signatures"),
        pytest.param(signed(header()) + b" " * MAX_MANIFEST_BYTES, id="too large"),
    ],
)
def test_what_is_no_signed_manifest_has_no_payload(body: bytes) -> None:
    with pytest.raises(InvalidManifest):
        read_payload(body)
    assert not is_payload_digest(Digest.of(body), body)


def test_no_body_goes_by_the_digest_of_another_kind_of_manifest() -> None:
    """Its signature says that an image manifest's bytes were signed: it would be served under that one's digest."""
    image = b'{"schemaVersion": 2, "config": {}, "layers": []}'
    body = signed(header(length=0, tail=encode(image)))
    assert not is_payload_digest(Digest.of(image), body)
    spoken = b'{"schemaVersion": 1, "config": {}, "layers": []}'
    whole = signed(header(length=len(spoken) - 1), payload=spoken)
    assert read_payload(whole) == spoken  # it says what it says, of schema 1


@pytest.mark.parametrize(
    "more",
    [
        b', "fsLayers": [2]',
        b', "fsLayers": [2], "fsLayers": [1]',
        b', "FSLayers": [2]',
        b', "signatures": {"fsLayers": [2]}',
    ],
)
def test_nothing_is_said_beside_what_was_signed(more: bytes) -> None:
    """Not even under a key that stands there already: some parsers take the first one, some the last."""
    payload = b'{"schemaVersion": 1, "fsLayers": [1]}'
    ours = header(len(payload) - 1)
    assert read_payload(signed(ours, payload=payload)) == payload
    with pytest.raises(InvalidManifest):
        read_payload(signed(ours, payload=payload[:-1] + more + b"}"))


@given(st.binary(max_size=200) | st.builds(lambda value: signed(header(length=value)), json_values))
def test_reading_never_fails_otherwise(body: bytes) -> None:
    is_payload_digest(Digest.of(PAYLOAD), body)

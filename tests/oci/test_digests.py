import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.digests import ENCODED_LENGTHS, Digest
from proxy.oci.errors import InvalidDigest
from tests.strategies import any_text, digests

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(digests)
def test_a_digest_reads_back_what_it_writes(digest: Digest) -> None:
    assert Digest.parse(str(digest)) == digest


@given(any_text | st.builds("sha256:{}".format, any_text))
def test_arbitrary_text_is_a_digest_or_an_invalid_digest(text: str) -> None:
    with suppress(InvalidDigest):
        assert str(Digest.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("sha256", id="no-colon"),
        pytest.param("sha256:", id="nothing-encoded"),
        pytest.param(f":{EMPTY}", id="no-algorithm"),
        pytest.param(EMPTY, id="bare-hex"),
        pytest.param(f"sha256:{EMPTY[:-1]}", id="one-digit-short"),
        pytest.param(f"sha256:{EMPTY}0", id="one-digit-long"),
        pytest.param(f"sha256:{EMPTY.upper()}", id="upper-case-hex"),
        pytest.param(f"SHA256:{EMPTY}", id="upper-case-algorithm"),
        pytest.param(f"sha512:{EMPTY}", id="length-of-another-algorithm"),
        pytest.param(f"sha256:{EMPTY}\n", id="trailing-newline"),
        pytest.param(f" sha256:{EMPTY}", id="leading-space"),
        pytest.param(f"sha256:{'٣' * 64}", id="digits-of-another-script"),
        pytest.param(f"sha256:{'../' * 21}a", id="path-traversal"),
        pytest.param(f"sha256:{'g' * 64}", id="not-hex"),
        pytest.param(f"blake3:{EMPTY}", id="registered-but-not-verifiable"),
        pytest.param("md5:d41d8cd98f00b204e9800998ecf8427e", id="broken-algorithm"),
        pytest.param(f"sha256+b64:{EMPTY}", id="composed-algorithm"),
        pytest.param("sha256:baddigeststring", id="conformance-suite"),
        pytest.param("sha256:" + "a" * 10**6, id="a-million-digits"),
    ],
)
def test_a_malformed_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidDigest, match="not a sha256 or sha512 digest"):
        Digest.parse(text)


def test_the_message_of_a_refusal_does_not_repeat_a_long_text() -> None:
    with pytest.raises(InvalidDigest) as caught:
        Digest.parse("x" * 10**6)
    assert len(caught.value.message) < 200


def test_content_is_addressed_by_its_sha256() -> None:
    assert str(Digest.of(b"")) == f"sha256:{EMPTY}"


@pytest.mark.parametrize("algorithm", sorted(ENCODED_LENGTHS))
def test_a_digest_verifies_content_by_its_own_algorithm(algorithm: str) -> None:
    digest = Digest.parse(f"{algorithm}:{hashlib.new(algorithm, b'bytes').hexdigest()}")
    assert digest.matches(b"bytes")
    assert not digest.matches(b"other bytes")


@given(st.lists(st.binary(max_size=64), max_size=8), st.sampled_from(sorted(ENCODED_LENGTHS)))
def test_any_split_of_a_stream_hashes_to_the_same_digest(chunks: list[bytes], algorithm: str) -> None:
    whole = b"".join(chunks)
    digest = Digest.parse(f"{algorithm}:{hashlib.new(algorithm, whole).hexdigest()}")
    hasher = digest.hasher()
    for chunk in chunks:
        hasher.update(chunk)
    assert hasher.hexdigest() == digest.encoded

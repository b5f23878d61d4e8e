import pytest

from proxy.server.identity import Identity, make_challenge


def test_who_has_the_secret_is_known_by_it() -> None:
    identity, challenge = Identity(), make_challenge()
    proof = identity.answer(challenge)
    assert proof is not None
    assert identity.is_proven(challenge, proof)
    assert Identity(identity.secret).is_proven(challenge, proof)


def test_nobody_else_is() -> None:
    identity, challenge = Identity(), make_challenge()
    proof = Identity().answer(challenge)
    assert proof is not None
    assert not identity.is_proven(challenge, proof)
    assert not identity.is_proven(challenge, "")
    assert not identity.is_proven(challenge, "\udcff")
    assert not identity.is_proven(make_challenge(), identity.answer(challenge) or "")


@pytest.mark.parametrize("challenge", ["", "no hex" * 20, "ab", "a" * 129, "A" * 64])
def test_what_is_no_challenge_is_not_answered(challenge: str) -> None:
    assert Identity().answer(challenge) is None
    assert not Identity().is_proven(challenge, "")


def test_the_secret_is_not_shown() -> None:
    identity = Identity()
    assert identity.secret not in repr(identity)

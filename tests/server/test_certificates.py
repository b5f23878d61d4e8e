import os
import ssl
from pathlib import Path

import pytest

from proxy.oci.errors import InvalidSetting
from proxy.server.certificates import Certificate
from tests.server.serving import CERTIFICATE
from tests.server.test_encryption import OTHER_KEY


@pytest.fixture
def file(tmp_path: Path) -> Path:
    copy = tmp_path / "tls.pem"
    copy.write_bytes(CERTIFICATE.read_bytes())
    return copy


def touch(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns + 1_000_000_000))


def shakes_hands(context: ssl.SSLContext) -> bool:
    """Tell whether a server with this context can show its certificate, without a network."""
    trust = ssl.create_default_context(cafile=str(CERTIFICATE))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    server = context.wrap_bio(outgoing, incoming, server_side=True)
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return client.getpeercert() is not None


def test_files_that_stay_as_they_are_change_nothing(file: Path) -> None:
    certificate = Certificate(file, file)
    assert certificate.renew() is False
    assert repr(certificate) == f"<Certificate {file}>"


def test_a_renewed_certificate_is_taken_into_the_same_context(file: Path) -> None:
    certificate = Certificate(file, file)
    context = certificate.context
    touch(file, CERTIFICATE.read_bytes() + b"\n")
    assert certificate.renew() is True
    assert certificate.renew() is False
    assert certificate.context is context
    assert shakes_hands(context)


@pytest.mark.parametrize("content", [b"junk", b"", OTHER_KEY.encode()])
def test_one_that_is_of_no_use_leaves_the_old_one_and_is_told_once(file: Path, content: bytes) -> None:
    """Half of a renewal is seen like that: the new certificate with the old key, for a moment."""
    certificate = Certificate(file, file, section="listener[1]")
    touch(file, content)
    with pytest.raises(InvalidSetting, match=r"listener\[1\]\.tls_certificate"):
        certificate.renew()
    assert certificate.renew() is False
    assert shakes_hands(certificate.context)


def test_a_certificate_that_fits_another_key_leaves_the_old_pair(tmp_path: Path, file: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(CERTIFICATE.read_bytes())
    certificate = Certificate(file, key)
    touch(key, OTHER_KEY.encode())
    with pytest.raises(InvalidSetting):
        certificate.renew()
    assert shakes_hands(certificate.context)


def test_files_that_are_gone_leave_the_old_one(file: Path) -> None:
    certificate = Certificate(file, file)
    file.unlink()
    with pytest.raises(InvalidSetting, match="No such file"):
        certificate.renew()
    assert shakes_hands(certificate.context)


def test_it_may_move_to_other_files(tmp_path: Path, file: Path) -> None:
    certificate = Certificate(CERTIFICATE, CERTIFICATE)
    certificate.follow(Certificate(CERTIFICATE, CERTIFICATE))
    assert certificate.renew() is False
    certificate.follow(Certificate(file, file, section="listener[0]"))
    assert certificate.renew() is True
    assert shakes_hands(certificate.context)

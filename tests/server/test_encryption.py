import ssl
from pathlib import Path

import pytest

from proxy.oci.errors import InvalidSetting
from proxy.server.encryption import build_tls
from tests.server.serving import CERTIFICATE

OTHER_KEY = """\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIAhwfy5uie1N4DyrqtGlgWyn90cjd9XevtnXUSiIJ43HoAoGCCqGSM49
AwEHoUQDQgAErpjvRNUU6UIAy9ED7qAe8A86jBIVigwK1M/ixD9ioIsN7OuRaYF1
cqgv82Ga3teVtdCsCYELAGoy3Gk/6Hh+ow==
-----END EC PRIVATE KEY-----
"""
LOCKED_KEY = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAje3ZS+PeNNcgICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEO3GeLKGNrL3egSr2Fji6/IEgZAa
3gNBJP46P7I6ssZD/m+I2C8p5JF55dBWvKQiAnJ9dpHGUEbQgqJPNoCAjSWaozMd
SVhtdD9W4khLSTSsHUjbjEcVorHXmZxxreTFRCuMlwpwCWC6kZYNLvAnbYe4trjf
pZzsUxpWf1mE91IwIOwI0uJf5k8rW3uNgLvBAgNasI6pTroG0TzrkXLAjXBBzwU=
-----END ENCRYPTED PRIVATE KEY-----
"""


def test_a_certificate_and_its_key_may_be_in_one_file() -> None:
    context = build_tls(CERTIFICATE, CERTIFICATE)
    assert context.verify_mode is ssl.CERT_NONE  # clients need no certificate
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(OTHER_KEY, id="another's key"),
        pytest.param(LOCKED_KEY, id="a key with a password"),
        pytest.param("junk", id="no key"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_does_not_belong_together_is_named(tmp_path: Path, key: str) -> None:
    """And nobody is asked for a password at a terminal."""
    file = tmp_path / "tls.key"
    file.write_text(key)
    with pytest.raises(InvalidSetting, match=rf"server\.tls_certificate {CERTIFICATE} and server\.tls_key {file} must"):
        build_tls(CERTIFICATE, file)
    with pytest.raises(InvalidSetting, match="must be a certificate and its private key"):
        build_tls(file, CERTIFICATE)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(InvalidSetting, match=rf"server\.tls_certificate {missing}: No such file"):
        build_tls(missing, CERTIFICATE)
    with pytest.raises(InvalidSetting, match=rf"server\.tls_key {tmp_path}: Is a directory"):
        build_tls(CERTIFICATE, tmp_path)


def test_the_setting_that_is_wrong_is_named_where_it_stands(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(InvalidSetting, match=rf"^listener\[1\]\.tls_key {missing}: No such file"):
        build_tls(CERTIFICATE, missing, section="listener[1]")
    (tmp_path / "junk").write_text("junk")
    with pytest.raises(InvalidSetting, match=r"^listener\[1\]\.tls_certificate .* and listener\[1\]\.tls_key .*"):
        build_tls(tmp_path / "junk", CERTIFICATE, section="listener[1]")

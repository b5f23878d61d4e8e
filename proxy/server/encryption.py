"""HTTPS: the certificate that the server shows, and its key."""

import ssl
from pathlib import Path

from proxy.oci.errors import InvalidSetting

PROTOCOLS = ("http/1.1",)
"""What is spoken; HTTP/2 is not."""


def build_tls(certificate: Path, key: Path, *, section: str = "server") -> ssl.SSLContext:
    """Make what connections are encrypted by.

    Args:
        certificate: A PEM file: the certificate, and those that lead to its root.
        key: A PEM file: its private key, without a password: nobody is there to type it.
        section: Where the two are configured, for whoever has to mend it: `server`, or `listener[0]`.

    Raises:
        InvalidSetting: The files cannot be read, or do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(PROTOCOLS)
    for setting, file in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            file.read_bytes()
        except OSError as error:
            raise InvalidSetting(f"{section}.{setting} {file}: {error.strerror}") from error
    try:
        context.load_cert_chain(certificate, key, password="")  # without one, OpenSSL would ask for it at a terminal
    except ssl.SSLError as error:
        raise InvalidSetting(
            f"{section}.tls_certificate {certificate} and {section}.tls_key {key} must be a certificate and its "
            "private key, both PEM, the key without a password"
        ) from error
    return context

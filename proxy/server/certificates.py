"""Certificates that are renewed while they are in use, as Let's Encrypt's are every other month."""

from pathlib import Path

from proxy.server.encryption import build_tls


class Certificate:
    """The certificate of an address, and its key, as their files hold them."""

    def __init__(self, certificate: Path, key: Path, *, section: str = "server") -> None:
        """Read the files; `section` is where they are configured, as for `build_tls`.

        Raises:
            InvalidSetting: They cannot be read, or do not belong together.
        """
        self.files, self.section = (certificate, key), section
        self._seen = self._look()
        self.context = build_tls(certificate, key, section=section)
        """What connections are encrypted by: the same one for good, whatever is renewed."""

    def follow(self, other: "Certificate") -> None:
        """Use another one's files from now on; whatever they hold is taken by the next `renew`."""
        if other.files != self.files:
            self.files, self.section, self._seen = other.files, other.section, ()

    def renew(self) -> bool:
        """Take what the files hold now, for connections to come; tell whether they have changed at all.

        Raises:
            InvalidSetting: What they hold now is of no use: what was there before stays. Told once for each change.
        """
        found = self._look()
        if found == self._seen:
            return False
        self._seen = found
        # Tried first: OpenSSL lets go of the old key as soon as it is shown a certificate that it does not fit.
        build_tls(*self.files, section=self.section)
        self.context.load_cert_chain(*self.files, password="")
        return True

    def _look(self) -> tuple[tuple[int, ...] | None, ...]:
        return tuple(_stamp(file) for file in self.files)

    def __repr__(self) -> str:
        return f"<Certificate {self.files[0]}>"


def _stamp(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns

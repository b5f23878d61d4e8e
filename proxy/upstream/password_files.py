"""A password in a file that somebody else keeps new: ECR's hold for twelve hours, Kubernetes replaces its secrets."""

from pathlib import Path


class PasswordFile:
    """Reads a password, and reads it again whenever its file has changed."""

    def __init__(self, path: Path) -> None:
        """Read the file for the first time.

        Raises:
            OSError: It cannot be read.
            UnicodeDecodeError: It is no text.
        """
        self._path = path
        self._seen = self._look()
        self._password = path.read_text("utf-8").strip()

    def read(self) -> str:
        """Answer the password: the last one that could be read, where the file is gone or being written."""
        try:
            seen = self._look()
            if seen != self._seen:
                fresh = self._path.read_text("utf-8").strip()
                self._password, self._seen = fresh or self._password, seen
        except (OSError, UnicodeDecodeError):
            pass
        return self._password

    def _look(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def __repr__(self) -> str:
        return f"<PasswordFile {self._path}>"

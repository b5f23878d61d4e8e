"""The names of requests, by which a client's trouble is found in the log."""

import itertools
import re

from proxy.server.reading import Readable

HEADER = "X-Request-Id"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""A name from outside that may stand in a log line and in a header; UUIDs and trace ids are of this form."""


class RequestIds:
    """Gives each request its name: the one that it brings along, or the next one of ours."""

    def __init__(self, prefix: str) -> None:
        """Take what ours begin with: something that no other process has."""
        self._prefix = prefix
        self._numbers = itertools.count(1)

    def find(self, request: Readable) -> str:
        """Answer the name of a request; a new one each time where it brings none along."""
        shown = request.headers.get(HEADER)
        if shown is not None and _SANE.fullmatch(shown):
            return shown
        return f"{self._prefix}-{next(self._numbers):x}"

    def __repr__(self) -> str:
        return f"<RequestIds {self._prefix}-…>"

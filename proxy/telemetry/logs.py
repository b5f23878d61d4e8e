"""Log lines by structlog: readable on a terminal, JSON otherwise, one line an event.

No line ever holds an `Authorization` header, a token, or the query of a URL: callers do not pass them, and what looks
like one is cut here all the same (CVE-2025-48374 is a registry that logged its tokens).
"""

import logging
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_SECRETS = re.compile(
    r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9+/._~=-]{8,}"
    r"|([?&][^=\s&]+=)[^&\s\"']+"
    r"|(://)[^/?#@\s]+(?=@)"
)
"""Credentials in a header, the values of a query, which is where URLs are signed, and the user of a URL."""


_HARMLESS = frozenset({int, float, bool, type(None)})


class LogFormat(StrEnum):
    """How a line is written."""

    AUTO = "auto"
    """Like a terminal's reader wants it, if there is one; JSON otherwise."""
    PRETTY = "pretty"
    JSON = "json"


class LogEvents:
    """The `Events` port, written to a log."""

    def __init__(self, logger: structlog.typing.FilteringBoundLogger) -> None:
        """Take a logger made by `build_logger`."""
        self._logger = logger

    def change(self, logger: structlog.typing.FilteringBoundLogger) -> None:
        """Take another one, from now on."""
        self._logger = logger

    def note(self, event: str, /, **fields: object) -> None:
        """Tell that something happened as it should."""
        self._logger.info(event, **fields)

    def warn(self, event: str, /, **fields: object) -> None:
        """Tell that something happened that an operator may want to know."""
        self._logger.warning(event, **fields)

    def fail(self, event: str, /, **fields: object) -> None:
        """Tell of a fault of our own, with the exception that is being handled."""
        self._logger.error(event, exc_info=True, **fields)  # noqa: LOG014 - the caller handles one


class SilentEvents:
    """The `Events` port that tells nobody."""

    def note(self, event: str, /, **fields: object) -> None:
        """Tell nobody."""

    def warn(self, event: str, /, **fields: object) -> None:
        """Tell nobody."""

    def fail(self, event: str, /, **fields: object) -> None:
        """Tell nobody."""


def build_logger(
    level: str, log_format: LogFormat, stream: TextIO | None = None
) -> structlog.typing.FilteringBoundLogger:
    """Make a logger of its own, leaving structlog's process-wide configuration alone.

    Args:
        level: A key of LEVELS.
        log_format: How lines are written.
        stream: Where to; standard error if none is given.
    """
    out = stream or sys.stderr
    is_pretty = log_format is LogFormat.PRETTY or (log_format is LogFormat.AUTO and out.isatty())
    last: structlog.typing.Processor = (
        # Plain tracebacks: the pretty ones print every local variable, tokens too.
        structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if is_pretty
        else structlog.processors.JSONRenderer()
    )
    timestamp = "%H:%M:%S" if is_pretty else "iso"
    bound: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt=timestamp, utc=not is_pretty),
            structlog.processors.format_exc_info,
            _without_secrets,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    return bound


def redact(text: str) -> str:
    """Cut credentials and query values out of a text."""
    return _SECRETS.sub(lambda found: f"{found[1] or found[2] or found[3]}…", text)


def _without_secrets(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    for key, value in fields.items():
        if type(value) not in _HARMLESS:
            fields[key] = _redacted(value)
    return fields


def _redacted(value: object) -> object:
    if isinstance(value, str):
        # Most texts are one word, and no secret: the pattern is not asked about them.
        is_suspect = "=" in value or " " in value or "://" in value or not value.isprintable()
        return redact(value) if is_suspect else value
    if isinstance(value, bytes):
        return redact(value.decode(errors="replace"))
    if isinstance(value, Mapping):
        return {str(key): _redacted(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(inner) for inner in value]
    return redact(str(value))

"""Settings of how clients come in, and of what is told about it."""

from dataclasses import dataclass
from pathlib import Path

from proxy.config.declaring import setting
from proxy.config.parsers import one_of, parse_listen, parse_path


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`[server]`: where clients come in."""

    listen: tuple[str, int] = setting(
        parse_listen,
        "Where to listen: HOST:PORT.",
        default=("0.0.0.0", 5000),  # noqa: S104 - as above
    )
    tls_certificate: Path | None = setting(
        parse_path,
        "The certificate to serve HTTPS with, and those that lead to its root; HTTP if not set.",
        default=None,
    )
    tls_key: Path | None = setting(parse_path, "The certificate's private key.", default=None)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`[log]`: what is told of what happens."""

    level: str = setting(
        one_of("debug", "info", "warning", "error"), "The least important events that are told.", default="info"
    )
    format: str = setting(
        one_of("auto", "pretty", "json"),
        "How lines are written; auto means pretty on a terminal and JSON otherwise.",
        default="auto",
    )

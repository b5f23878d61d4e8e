"""Settings of how clients come in, and of what is told about it."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from proxy.arch.detection import AnswerMode, Assignment
from proxy.config.declaring import setting
from proxy.config.parsers import (
    one_of,
    parse_host,
    parse_listen,
    parse_networks,
    parse_one_platform,
    parse_path,
    parse_registry,
    parse_seconds,
    parse_text,
)
from proxy.oci.platforms import Platform
from proxy.oci.references import DOCKER_HUB


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
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = setting(
        parse_networks, "Addresses of proxies in front of this one, whose X-Forwarded-For is believed.", default=()
    )
    drain_seconds: float = setting(
        parse_seconds, "How long answers may go on once the server is told to stop.", default=30.0
    )


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`[api]`: who may look at the server from outside, and change it."""

    read: str = setting(
        one_of("open", "token", "off"),
        "Who may read: whoever reaches it, who has the token, or nobody.",
        default="open",
    )
    token: str = setting(
        parse_text,
        "What changing anything needs to be shown; only this machine may if not set.",
        default="",
        repr=False,
    )
    token_file: Path | None = setting(parse_path, "A file that holds the token.", default=None)


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """`[[listener]]`: a port or a host name of its own, for machines of one platform or for one upstream."""

    listen: tuple[str, int] | None = setting(
        parse_listen, "Its address, HOST:PORT; the server's own if not set.", default=None
    )
    host: str = setting(parse_host, "The host name that clients ask it by; any if not set.", default="")
    platform: Platform | None = setting(parse_one_platform, "What whoever comes in here is taken for.", default=None)
    answer: str | None = setting(
        one_of(*AnswerMode), "What a tag is answered with: the index, or the platform's one manifest.", default=None
    )
    upstream: str = setting(parse_registry, "The upstream of requests that name none.", default=DOCKER_HUB)
    tls_certificate: Path | None = setting(parse_path, "The certificate of its address, as the server's.", default=None)
    tls_key: Path | None = setting(parse_path, "The certificate's private key.", default=None)

    @property
    def assignment(self) -> Assignment:
        """What is said of whoever comes in here."""
        return Assignment(self.platform, AnswerMode(self.answer) if self.answer else None)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """`[[client]]`: what is said of the clients of some networks."""

    network: tuple[IPv4Network | IPv6Network, ...] = setting(
        parse_networks, "Their addresses or networks; the smallest one that holds an address speaks for it."
    )
    platform: Platform | None = setting(parse_one_platform, "What they are taken for.", default=None)
    answer: str | None = setting(
        one_of(*AnswerMode), "What a tag is answered with: the index, or the platform's one manifest.", default=None
    )

    @property
    def assignment(self) -> Assignment:
        """What is said of them."""
        return Assignment(self.platform, AnswerMode(self.answer) if self.answer else None)


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

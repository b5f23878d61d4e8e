"""What a person may write for a setting, and the value that it becomes.

Each parser takes a TOML value, or the text of an environment variable, and raises InvalidSetting with the end of a
sentence that begins with the setting's name.
"""

import contextlib
import difflib
import re
from collections.abc import Callable, Iterable
from functools import partial
from ipaddress import IPV4LENGTH, IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from proxy.arch.vocabulary import BUILT_IN, Vocabulary, parse_vocabulary
from proxy.oci.errors import InvalidPlatform, InvalidSetting
from proxy.oci.platforms import Platform

Parser = Callable[[object], Any]

_URL = re.compile(
    r"(?i)https?://(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?",
    re.ASCII,
)


def parse_text(value: object) -> str:
    """Take a text."""
    if not isinstance(value, str):
        raise InvalidSetting(f"must be a text, not {value!r}")
    return value


def parse_flag(value: object) -> bool:
    """Take true or false; also as words, for the environment."""
    words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise InvalidSetting(f"must be true or false, not {value!r}")


def parse_seconds(value: object) -> float:
    """Take a span of time: a number of seconds, or a number with `ms`, `s`, `m`, `h` or `d`."""
    units = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    found = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(ms|[smhd]?)\s*", str(value))
    if found is None or isinstance(value, bool):
        raise InvalidSetting(f"must be a time such as 500ms, 30s, 10m, 6h or 7d, not {value!r}")
    return float(found[1]) * units[found[2]]


def parse_bytes(value: object) -> int:
    """Take a size: a number of bytes, or a number with `KiB`, `MiB`, `GiB`, `TiB` (or `KB` … `TB`)."""
    units = {"": 1, "b": 1}
    units |= {f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", start=1)}
    units |= {f"{letter}b": 1000**power for power, letter in enumerate("kmgt", start=1)}
    found = re.fullmatch(r"\s*([0-9]{1,15})\s*([kmgt]?i?b?)\s*", str(value).lower())
    if found is None or isinstance(value, bool) or found[2] not in units:
        raise InvalidSetting(f"must be a size such as 512MiB or 20GiB, not {value!r}")
    return int(found[1]) * units[found[2]]


def parse_texts(value: object) -> tuple[str, ...]:
    """Take a list of texts; also with commas, for the environment."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, list):
        raise InvalidSetting(f"must be a list of texts, not {value!r}")
    return tuple(parse_text(item) for item in value)


def parse_words(value: object) -> Vocabulary:
    """Take a table of one's own words, each with the platform that it stands for."""
    if not isinstance(value, dict):
        raise InvalidSetting(f'must be a table such as {{ pi-zero = "rpi" }}, not {value!r}')
    for word, platform in value.items():
        if isinstance(platform, dict):
            raise InvalidSetting(f"has a table {word!r}: a word with a dot in it is written in quotes")
        if not isinstance(platform, str):
            raise InvalidSetting(f"has {word!r} for {platform!r}, which is no text")
    return parse_vocabulary(value)


def parse_one_platform(value: object, vocabulary: Vocabulary = BUILT_IN) -> Platform:
    """Take one platform, in any spelling."""
    try:
        return vocabulary.parse_platform(parse_text(value))
    except InvalidPlatform as error:
        raise InvalidSetting(error.message) from error


def parse_platforms(value: object, vocabulary: Vocabulary = BUILT_IN) -> tuple[Platform, ...]:
    """Take a list of platforms, in any spelling."""
    platforms = tuple(parse_one_platform(item, vocabulary) for item in parse_texts(value))
    if not platforms:
        raise InvalidSetting("must name at least one platform")
    return tuple(dict.fromkeys(platforms))


def parse_platforms_or_fleet(value: object, vocabulary: Vocabulary = BUILT_IN) -> tuple[Platform, ...]:
    """Take a list of platforms; `fleet`, which is answered with none, is whatever the proxy serves."""
    return () if value in ("fleet", ["fleet"]) else parse_platforms(value, vocabulary)


def parse_corrections(value: object, vocabulary: Vocabulary = BUILT_IN) -> tuple[tuple[Platform | None, Platform], ...]:
    """Take a table of platforms: what is claimed, or `*`, and what is meant."""
    if not isinstance(value, dict):
        raise InvalidSetting(f'must be a table such as {{ "linux/amd64" = "rpi" }}, not {value!r}')
    read = partial(parse_one_platform, vocabulary=vocabulary)
    pairs = [(None if key == "*" else read(key), read(true)) for key, true in value.items()]
    # What is said of one platform goes before what is said of all.
    return tuple(sorted(pairs, key=lambda pair: pair[0] is None))


def parse_platform_lists(
    value: object, vocabulary: Vocabulary = BUILT_IN
) -> tuple[tuple[Platform, tuple[Platform, ...]], ...]:
    """Take a table of platforms, each with a list of others."""
    if not isinstance(value, dict):
        raise InvalidSetting(f'must be a table such as {{ rpi = ["arm7", "linux/arm/v8"] }}, not {value!r}')
    return tuple(
        (parse_one_platform(key, vocabulary), parse_platforms(others, vocabulary)) for key, others in value.items()
    )


PLATFORM_PARSERS: frozenset[Callable[..., Any]] = frozenset(
    {parse_one_platform, parse_platforms, parse_platforms_or_fleet, parse_corrections, parse_platform_lists}
)
"""The parsers that take the words for platforms, too."""


def parse_listen(value: object) -> tuple[str, int]:
    """Take an address to listen at: `HOST:PORT`, `[IPV6]:PORT`, or `:PORT` for all addresses."""
    host, colon, port = parse_text(value).rpartition(":")
    is_port = re.fullmatch(r"[0-9]{1,5}", port) is not None and int(port) < 2**16
    if not colon or not is_port or (":" in host and not host.startswith("[")):
        raise InvalidSetting(f"must be HOST:PORT, not {value!r}")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - a mirror is there to be reached


def parse_networks(value: object) -> tuple[IPv4Network | IPv6Network, ...]:
    """Take addresses and networks: one or a list."""
    texts = parse_texts(value)
    try:
        return tuple(_parse_network(text) for text in texts)
    except ValueError as error:
        raise InvalidSetting(f"must be addresses or networks such as 192.168.7.0/24: {error}") from error


def _parse_network(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    bits = network.max_prefixlen - network.prefixlen
    # As clients' addresses are read: an IPv4 one in the dress of IPv6 is the IPv4 one.
    return IPv4Network((mapped, IPV4LENGTH - bits)) if mapped is not None and bits <= IPV4LENGTH else network


def parse_host(value: object) -> str:
    """Take the name of a host, without a port."""
    text = parse_text(value)
    with contextlib.suppress(InvalidSetting):
        if ":" not in text and parse_url(f"https://{text}"):
            return text.lower()
    raise InvalidSetting(f"must be the name of a host such as rpi.registry.lan, not {value!r}")


def parse_url(value: object) -> str:
    """Take the address of a registry: `http://` or `https://`, a host, perhaps a port."""
    text = parse_text(value).rstrip("/")
    if "@" in text:
        raise InvalidSetting("must not hold a user or a password: they have settings of their own")
    try:
        is_good = _URL.fullmatch(text) is not None and urlsplit(text).port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise InvalidSetting(f"must be a URL such as https://registry.example or http://127.0.0.1:5001, not {value!r}")
    return text


def parse_registry(value: object) -> str:
    """Take the name of a registry, as it stands before the first slash of an image: a host, perhaps a port."""
    text = parse_text(value)
    with contextlib.suppress(InvalidSetting):
        if parse_url(f"https://{text}") == f"https://{text}":
            return text
    raise InvalidSetting(f"must be the name of a registry such as ghcr.io or registry.lan:5000, not {value!r}")


def parse_path(value: object) -> Path:
    """Take the path of a file or folder; `~` is the home folder."""
    text = parse_text(value)
    if not text or "\0" in text:
        raise InvalidSetting(f"must be a path, not {value!r}")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InvalidSetting(f"is in the home folder of nobody: {text}") from error


def one_of(*words: str) -> Parser:
    """Make the parser of a setting that is one of some words."""

    def parse(value: object) -> str:
        text = str(value).lower() if isinstance(value, bool) else parse_text(value)
        if text not in words:
            raise InvalidSetting(f"must be one of {', '.join(words)}, not {value!r}{nearest(text, words)}")
        return text

    parse.__doc__ = f"Take {', '.join(words[:-1])} or {words[-1]}."
    return parse


def nearest(key: str, known: Iterable[str]) -> str:
    """Answer a hint at the known word that a text comes nearest to, or nothing."""
    near = difflib.get_close_matches(str(key), list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""

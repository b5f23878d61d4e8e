"""How a platform is read, wherever one may be written: settings, flags, headers, paths.

A vocabulary is the table of `words.py` and the operator's own words. It is a value that is handed to whoever reads
platforms, made once from the configuration; without one, there is `BUILT_IN`.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from proxy.arch.words import FROZEN, OFFICIAL, PROPOSAL, WORDS
from proxy.oci.errors import InvalidName, InvalidPlatform, InvalidSetting
from proxy.oci.platforms import Platform
from proxy.oci.references import parse_repository

MAX_WORD_LENGTH = 64
"""A longer word is nobody's."""

_SLUG_OS = "linux-"
_SYSTEMS = frozenset({"linux", "windows", "darwin", "freebsd"})
_SYSTEM_NAMES: Mapping[str, str] = MappingProxyType({"macos": "darwin", "win": "windows"})
_ARCHITECTURES = frozenset({platform.architecture for platform in WORDS.values()} | {"mips", "mips64"})
_VARIANTS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "arm": re.compile(r"v[4-8]"),
        "arm64": re.compile(r"(v8\.[0-9]|v9(\.[0-7])?)?"),
        "amd64": re.compile(r"(v[2-4])?"),
        "386": re.compile(r""),
    }
)
"""The variants that a normal form may have (image-spec, image-index.md, "Platform Variants"; compatibility.py)."""
_ANY_VARIANT = re.compile(r"[a-z0-9]*")

DOCKER_NAMESPACES = frozenset({*OFFICIAL, *FROZEN, "armel", "winamd64", "library"})
"""Namespaces of Docker's own on Docker Hub (platforms.md §4.1, §4.2): in a path they are repositories."""
_PATHS_OF_OURS = frozenset({"v2", "whoami"})


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words for platforms: everybody's, and the operator's own.

    >>> [str(BUILT_IN.find_platform(text)) for text in ("rpi", "linux/arm/v6", "linux-arm-v6", "ARM/6", "arm9")]
    ['linux/arm/v6', 'linux/arm/v6', 'linux/arm/v6', 'linux/arm/v6', 'None']
    """

    aliases: tuple[tuple[str, Platform], ...] = ()
    """The operator's own words, checked (`parse_vocabulary`)."""
    _own: Mapping[str, Platform] = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_own", dict(self.aliases))
        object.__setattr__(self, "_hash", hash(self.aliases))

    def __hash__(self) -> int:  # what is read with it is remembered, so this is asked for at every request
        return self._hash

    def parse_platform(self, text: str) -> Platform:
        """Read a platform in any spelling: a word, `[os/]architecture[/variant]`, or the path form `linux-arm-v6`.

        Raises:
            InvalidPlatform: No spelling that is known, with the nearest ones that are.
        """
        platform = self.find_platform(text)
        if platform is None:
            known = [*self._own, *WORDS, *sorted({str(platform) for platform in WORDS.values()})]
            near = difflib.get_close_matches(text.strip().lower()[:MAX_WORD_LENGTH], known, n=2)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; write for example arm7, rpi or linux/arm/v7"
            raise InvalidPlatform(f"unknown platform {text[:80]!r}{hint}")
        return platform

    def find_platform(self, text: str) -> Platform | None:
        """Answer the platform that a text means, in its normal form, or None."""
        lowered = text.strip().lower()
        found = self._own.get(lowered) or WORDS.get(lowered)
        if found is not None:
            return found
        if lowered.startswith(_SLUG_OS):
            return _find_triple(lowered.replace("-", "/"))
        system, slash, rest = lowered.partition("/")
        system = _SYSTEM_NAMES.get(system, system)
        word = WORDS.get(rest)
        if word is not None and word.os == system:  # linux/armhf, as Docker takes it too
            return word
        return _find_triple(f"{system}{slash}{rest}") or _find_triple(f"linux/{lowered}")

    def find_path_platform(self, component: str) -> Platform | None:
        """Answer the platform that a path component means: a word of the proposal's or one's own, or `linux-arm-v6`.

        Docker's own namespaces (`arm32v7/…`) are none of these: they are repositories, and are asked for as such.
        """
        if component in PROPOSAL or component in self._own or component.startswith(_SLUG_OS):
            return self.find_platform(component)
        return None

    def list_words(self, platform: Platform) -> tuple[str, ...]:
        """Answer the words for a platform, one's own first, then the best known."""
        own = [word for word, meant in self.aliases if meant == platform]
        known = (word for word, meant in WORDS.items() if meant == platform and word not in self._own)
        return (*own, *known)

    def list_platforms(self) -> tuple[Platform, ...]:
        """Answer every platform that there is a word for."""
        return tuple(sorted({*WORDS.values(), *self._own.values()}))


BUILT_IN = Vocabulary()
"""What everybody says."""


def parse_vocabulary(aliases: Mapping[str, str]) -> Vocabulary:
    """Take the operator's own words, each with the platform that it stands for, in any built-in spelling.

    Raises:
        InvalidSetting: The end of a sentence about them: which word cannot be one, and why.
    """
    return Vocabulary(tuple((word, _parse_alias(word, text)) for word, text in aliases.items()))


def _parse_alias(word: str, text: str) -> Platform:
    _check_spelling(word)
    if word in DOCKER_NAMESPACES:
        raise InvalidSetting(f"has {word!r}, a namespace of Docker's own: its repositories could not be asked for")
    if word in _PATHS_OF_OURS:
        raise InvalidSetting(f"has {word!r}, which is a path of this proxy's own")
    try:
        platform = BUILT_IN.parse_platform(text)
    except InvalidPlatform as error:
        raise InvalidSetting(f"has {word!r} for an {error.message}") from error
    known = BUILT_IN.find_platform(word)
    if known not in {None, platform}:
        raise InvalidSetting(f"has {word!r} for {platform}, but it means {known} already: choose another word")
    return platform


def _check_spelling(word: str) -> None:
    try:
        parse_repository(word)
    except InvalidName:
        is_good = False
    else:
        is_good = "/" not in word and len(word) <= MAX_WORD_LENGTH
    if not is_good:
        raise InvalidSetting(
            f"has {word[:80]!r}, which could not stand in a path: take lower-case letters and digits, with ., _ or - "
            f"between them, {MAX_WORD_LENGTH} at most"
        )


def _find_triple(text: str) -> Platform | None:
    try:
        platform = Platform.parse(text).normalised()
    except InvalidPlatform:
        return None
    if platform.os not in _SYSTEMS or platform.architecture not in _ARCHITECTURES:
        return None
    is_variant = _VARIANTS.get(platform.architecture, _ANY_VARIANT).fullmatch(platform.variant)
    return platform if is_variant else None

"""What is wished for a client, and the files that come of it."""

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.arch.vocabulary import BUILT_IN
from proxy.cli.clients.addresses import ProxyAddress
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform

_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)")
_WIDTH = 100

Version = tuple[int, ...]

PLATFORM_IN_PATH = (
    "The platform stands in the path: every tag is answered with the one image for it, so the client's own --platform "
    "changes nothing here."
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client is to be told."""

    proxy: ProxyAddress
    platform: Platform | None = None
    """What the proxy is to take this client for, if it is not to find out."""
    version: Version | None = None
    """The client's own; None where nobody said, and the file should do for all."""
    registries: tuple[str, ...] = ()
    """Registries beside docker.io that the proxy is asked for, `*` for all."""
    remarks: tuple[str, ...] = ()
    """What is to be said in every file, such as how the address was found."""

    def is_before(self, *version: int) -> bool:
        """Tell whether the client may be older than a version: an unknown one may."""
        return self.version is None or self.version < version

    @property
    def path_word(self) -> str:
        """What stands in the path for the platform: `linux-arm-v6`, or nothing.

        Raises:
            InvalidSetting: A path cannot name the platform, or names another one already.
        """
        if self.platform is None:
            return self.proxy.word
        word = str(self.platform).replace("/", "-")
        known = BUILT_IN.find_path_platform(self.proxy.word) if self.proxy.word else self.platform
        if known is None or not known.is_same(self.platform):
            raise InvalidSetting(
                f"--proxy has the path /{self.proxy.word} already, and --platform is {self.platform}: name one of them"
            )
        if BUILT_IN.find_path_platform(word) is None:
            raise InvalidSetting(f"--platform: {self.platform} cannot stand in a path; give it a [[listener]]")
        return self.proxy.word or word


@dataclass(frozen=True, slots=True)
class ClientFile:
    """A file of a client's."""

    path: str
    """Where it belongs, from the root of the file system or from `~`."""
    body: str
    notes: tuple[str, ...] = ()
    """What is to be known of it: why it is as it is, and what it does not do."""
    afterwards: tuple[str, ...] = ()
    """What is to be done when it is in place."""
    has_comments: bool = True
    """Whether the notes can stand in it; JSON has no comments."""

    @property
    def text(self) -> str:
        """The whole file, as it is put in place."""
        if not self.has_comments:
            return self.body
        comments = textwrap.indent(self.instructions, "# ", lambda _: True)
        return "\n".join(line.rstrip() for line in comments.splitlines()) + "\n\n" + self.body

    @property
    def instructions(self) -> str:
        """Its place, the notes, and what is to be done afterwards, for people."""
        lines = [self.path, "", *_points(self.notes)]
        return "\n".join([*lines, *(["", "Afterwards:", *_points(self.afterwards)] if self.afterwards else [])])


def _points(notes: Iterable[str]) -> list[str]:
    found: list[str] = []
    for note in notes:
        found += textwrap.wrap(
            note,
            _WIDTH,
            initial_indent="- ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return found


def parse_version(text: str) -> Version:
    """Read a version as a client prints it: `20.10.24+dfsg1`, `v1.30.2+k3s1`.

    Raises:
        InvalidSetting: It does not begin with a number.
    """
    found = _VERSION.match(text.strip())
    if found is None:
        raise InvalidSetting(f"--client-version must be a version such as 20.10.24, not {text[:80]!r}")
    return tuple(int(part) for part in found[1].split("."))


def with_word(place: str, word: str) -> str:
    """Write a place with the path component that names the platform, if there is one."""
    return f"{place}/{word}" if word else place

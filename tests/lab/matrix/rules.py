"""How clients choose an image for a platform, out of what they are offered (clients.md §4, platforms.md §3.1)."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum

from tests.lab.content import ARM_V5, ARM_V6, ARM_V7, ARM_V8
from tests.lab.matrix.columns import Column, Offer
from tests.lab.programs import CommandFailed


class Nothing(StrEnum):
    """Why a client has no image in the end."""

    NO_MATCH = "no match"
    """It was offered something, and takes none of it."""
    ABSENT = "absent"
    """It was told that there is no such tag."""


Outcome = Offer | Nothing
Rule = Callable[[str, Column], Outcome]
"""Answers what becomes of a client that wants a platform."""

_OLDER_ARMS = {
    ARM_V8: (ARM_V8, ARM_V7, ARM_V6, ARM_V5),
    ARM_V7: (ARM_V7, ARM_V6, ARM_V5),
    ARM_V6: (ARM_V6, ARM_V5),
}
_EVERY_CLIENTS_WORDS = {
    Nothing.NO_MATCH: re.compile(
        r"no image found in|no child with platform|no matching manifest|and no image for"
        r"|no match for platform|ctr: content digest \S+ not found|does not match target platform"
        r"|: Pulling from library/"
    ),
    # Docker and podman show what the real Docker Hub says, which they turn to next and which cannot be reached.
    Nothing.ABSENT: re.compile(r"manifest.unknown|:1: not found|registry-1\.docker\.io", re.IGNORECASE),
}


def take_own_variants(wanted: str, column: Column) -> Outcome:
    """Choose as podman, buildah and skopeo do: the best of what the machine runs, but never another architecture."""
    return _by_preference(wanted, column, _OLDER_ARMS)


def take_exactly(wanted: str, column: Column) -> Outcome:
    """Choose as crane and `ctr --platform` do: this platform, or none. A bare image is for any."""
    return _by_preference(wanted, column, {})


def take_exactly_or_refuse(wanted: str, column: Column) -> Outcome:
    """Choose as oras does, which holds a bare image to its platform too."""
    outcome = take_exactly(wanted, column)
    refuses = not column.is_index and isinstance(outcome, Offer) and outcome.platform != wanted
    return Nothing.NO_MATCH if refuses else outcome


def take_own_variants_or_first_arm(wanted: str, column: Column) -> Outcome:
    """Choose as Docker 18.06 to 20.10 do, by an index that was tailored for it.

    It takes exactly its platform; on 32-bit ARM else the first ARM image, whatever that is. polyarch puts what runs
    best there, if anything does.
    """
    outcome = take_own_variants(wanted, column)
    if outcome is Nothing.NO_MATCH and wanted.startswith("linux/arm/"):
        return next((offer for offer in column.offers if offer.platform.startswith("linux/arm/")), outcome)
    return outcome


def read_failure(failure: CommandFailed) -> Nothing:
    """Answer why a pull failed, by what the client printed."""
    for reason, words in _EVERY_CLIENTS_WORDS.items():
        if words.search(str(failure)):
            return reason
    raise failure


def _by_preference(wanted: str, column: Column, preferences: Mapping[str, tuple[str, ...]]) -> Outcome:
    if not column.offers:
        return Nothing.ABSENT
    if not column.is_index:
        return column.offers[0]
    by_platform = {offer.platform: offer for offer in column.offers} | dict(column.aliases)
    matches = (by_platform[platform] for platform in preferences.get(wanted, (wanted,)) if platform in by_platform)
    return next(matches, Nothing.NO_MATCH)

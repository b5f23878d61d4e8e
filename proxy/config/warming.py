"""Settings of what is warmed again and again, without anybody asking."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from cronsim import CronSim, CronSimError

from proxy.config.declaring import setting
from proxy.config.parsers import (
    Parser,
    parse_flag,
    parse_platforms_or_fleet,
    parse_seconds,
    parse_text,
    parse_texts,
)
from proxy.oci.errors import ClientError, InvalidSetting
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference

CRON_FIELDS = 5
MIN_INTERVAL_SECONDS = 60.0
MAX_INTERVAL_SECONDS = 366 * 86400.0
MAX_PARALLEL = 64
MAX_NEWEST = 1000


def parse_images(value: object) -> tuple[str, ...]:
    """Take a list of images; in a tag, `*` stands for a version."""
    images = parse_texts(value)
    if not images:
        raise InvalidSetting("must name at least one image")
    for image in images:
        name, colon, tag = image.rpartition(":")
        if "*" in (name if colon else image):
            raise InvalidSetting(f"has a * outside of a tag: {image!r}")
        try:
            Reference.parse(f"{name}:{tag.replace('*', '0')}" if colon else image)
        except ClientError as error:
            raise InvalidSetting(f"has {image!r}: {error.message}") from error
    return tuple(dict.fromkeys(images))


def parse_interval(value: object) -> float:
    """Take a span of time of at least a minute, and at most a year."""
    seconds = parse_seconds(value)
    if not MIN_INTERVAL_SECONDS <= seconds <= MAX_INTERVAL_SECONDS:
        raise InvalidSetting(f"must be between 1m and 366d, not {value!r}")
    return seconds


def parse_cron(value: object) -> str:
    """Take a cron line of five fields: minute, hour, day of the month, month, day of the week."""
    text = " ".join(parse_text(value).split())
    try:
        if len(text.split()) == CRON_FIELDS and next(CronSim(text, datetime(2000, 1, 1, tzinfo=UTC)), None):
            return text
    except CronSimError as error:
        raise InvalidSetting(f"must be five fields such as 15 3 * * *, not {value!r}: {error}") from error
    raise InvalidSetting(f"must be five fields such as 15 3 * * *, not {value!r}")


def _parse_number(value: object, *, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidSetting(f"must be a number between {low} and {high}, not {value!r}")
    return value


def number(low: int, high: int) -> Parser:
    """Make the parser of a setting that is a whole number within bounds."""
    return partial(_parse_number, low=low, high=high)


@dataclass(frozen=True, slots=True)
class WarmSettings:
    """`[[warm]]`: images that are kept in the cache, and how often they are looked after."""

    images: tuple[str, ...] = setting(parse_images, "The images; in a tag, * stands for a version: redis:7.*-alpine.")
    platforms: tuple[Platform, ...] = setting(
        parse_platforms_or_fleet, "The platforms that they are wanted for; fleet is all that are served.", default=()
    )
    every: float | None = setting(parse_interval, "How often, as a span of time; either this or cron.", default=None)
    cron: str = setting(parse_cron, "When, as a cron line in this machine's time; either this or every.", default="")
    jitter: float | None = setting(
        parse_seconds,
        "How late it may come, by chance; a tenth of the interval if not set, or 5 minutes for a cron line.",
        default=None,
    )
    pin: bool = setting(parse_flag, "Whether they stay, whatever else has to leave.", default=False)
    attestations: bool = setting(parse_flag, "Whether attestations (provenance, SBOM) are fetched, too.", default=False)
    parallel: int = setting(number(1, MAX_PARALLEL), "How many images and downloads at once.", default=4)
    reserve: int | None = setting(
        number(0, 10**9),
        "How much of an upstream's pull allowance is left alone; images wait until there is more.",
        default=None,
    )
    keep_newest: int = setting(
        number(1, MAX_NEWEST),
        "How many of the newest tags of each pattern; pins of this kind go on to them from older ones.",
        default=1,
    )

"""What is told of cached images to scripts: by `polyarch cache ls --json`, and by the API."""

from datetime import UTC, datetime

from proxy.service.inspection import ListedImage


def listed_fields(image: ListedImage) -> dict[str, object]:
    """Answer what is told of an image."""
    return {
        "reference": str(image.reference),
        "digest": str(image.digest),
        "media_type": image.media_type,
        "answer": str(image.answer) if image.answer else None,
        "platforms": [str(platform) if platform else None for platform in image.platforms],
        "missing_platforms": [str(platform) if platform else None for platform in image.missing_platforms],
        "size": image.size,
        "used_at": format_moment(image.used_at),
        "checked_at": format_moment(image.checked_at),
        "fresh": image.is_fresh,
        "pinned": image.is_pinned,
    }


def format_moment(moment: float | None) -> str | None:
    """Write a wall clock reading as RFC 3339 has it, in UTC and to the second.

    >>> format_moment(1_700_000_000.0)
    '2023-11-14T22:13:20Z'
    """
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

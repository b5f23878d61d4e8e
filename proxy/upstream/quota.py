"""What is left of a pull allowance, from the headers of Docker Hub (protocol_and_perf.md A2)."""

import re
from collections.abc import Mapping

from proxy.ports import Quota

_HEADER = re.compile(r"\s*(?P<count>[0-9]{1,9})\s*(?:;\s*w=(?P<window>[0-9]{1,9}))?\s*")


def parse_quota(headers: Mapping[str, str]) -> Quota | None:
    """Read `ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 76;w=21600`; None where they are not sent."""
    limit = _HEADER.fullmatch(headers.get("ratelimit-limit", ""))
    remaining = _HEADER.fullmatch(headers.get("ratelimit-remaining", ""))
    if limit is None or remaining is None:
        return None
    return Quota(int(limit["count"]), int(remaining["count"]), int(limit["window"] or 0))

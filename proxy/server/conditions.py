"""Preconditions of a request on content whose `ETag` is its digest (RFC 9110 §13): pure decisions."""

import re
from collections.abc import Iterable

from proxy.oci.digests import Digest

_ENTITY_TAG = re.compile(r'(?:W/)?"(?P<quoted>[^"]*)"|(?P<bare>[^\s,"]+)')


def entity_tag(digest: Digest) -> str:
    """Write the `ETag` of some content: a strong one, since a digest tells one byte from another."""
    return f'"{digest}"'


def is_known(if_none_match: Iterable[str], digest: Digest) -> bool:
    """Tell whether `If-None-Match` names some content, so that 304 is the answer (RFC 9110 §13.1.2).

    The comparison is the weak one: `W/` makes no difference. A digest without quotes counts too, as it does for
    Docker's own registry. `*` is any content that exists, which whoever asks here has yet to make sure of.
    """
    named = {found["quoted"] or found["bare"] for line in if_none_match for found in _ENTITY_TAG.finditer(line)}
    return not named.isdisjoint({"*", str(digest)})


def keeps_range(if_range: str | None, digest: Digest) -> bool:
    """Tell whether a `Range` still holds under an `If-Range` (RFC 9110 §13.1.5).

    The comparison is the strong one. A date never matches: content by digest has no `Last-Modified`.
    """
    return if_range is None or if_range.strip() == entity_tag(digest)

"""The tags out of a cache folder's `index.json`: what is left of them when the catalog is lost.

The inverse of `storage/layout_index.py`. Whatever in the file is not as that writes it is passed over: another program
may have written it, or a disk that failed.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from proxy.oci.digests import Digest
from proxy.oci.errors import ClientError
from proxy.oci.manifests import Descriptor
from proxy.oci.references import parse_repository, parse_tag
from proxy.ports import TagRecord, TagState
from proxy.storage.layout_index import INDEX_FILE, REF_NAME


def read_tags(root: Path) -> list[TagRecord]:
    """Answer the tags that a layout names, as if they had been checked long ago."""
    try:
        fields = json.loads((root / INDEX_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    entries = fields.get("manifests") if isinstance(fields, dict) else None
    return [record for entry in entries for record in _read_entry(entry)] if isinstance(entries, list) else []


def _read_entry(entry: Any) -> Iterator[TagRecord]:
    with contextlib.suppress(ClientError, TypeError, KeyError):
        upstream, _, rest = str(entry["annotations"][REF_NAME]).partition("/")
        repository, _, tag = rest.rpartition(":")
        media_type, digest, size = entry["mediaType"], Digest.parse(entry["digest"]), entry["size"]
        if isinstance(media_type, str) and isinstance(size, int) and upstream:
            found = Descriptor(media_type, digest, size)
            yield TagRecord(upstream, parse_repository(repository), parse_tag(tag), TagState.PRESENT, 0.0, found)

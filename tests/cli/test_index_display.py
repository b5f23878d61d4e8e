"""What stands under a reference. The rest is shown by `test_index`, over a registry."""

import pytest

from proxy.cli.index_display import as_table, read_entries
from proxy.oci.digests import Digest
from proxy.oci.errors import UpstreamMisbehaved
from proxy.oci.references import Reference
from proxy.ports import FetchedManifest
from tests.lab.schema1 import SIGNED, build_schema1

NAME = Reference.parse("registry.lan/app:1")


def test_what_leads_to_nothing_is_shown_by_itself() -> None:
    content = build_schema1(NAME.repository, "1").content
    found = FetchedManifest(content, SIGNED, Digest.of(content))
    assert read_entries(found) == []
    assert as_table(NAME, found, []).splitlines()[-1] == f"{SIGNED}, {len(content)} bytes"


def test_what_cannot_be_read_is_said() -> None:
    with pytest.raises(UpstreamMisbehaved, match="cannot be read: not JSON"):
        read_entries(FetchedManifest(b"x", "", Digest.of(b"x")))

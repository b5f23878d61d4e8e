"""The OCI distribution-spec conformance suite, in read-only mode: it asks for content that is there already."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import tools
from tests.lab.programs import CommandFailed, run

_READ_ONLY = {
    "OCI_TLS": "disabled",
    "OCI_VERSION": "dev",  # the strictest
    # The suite forgets the headers of content that it has not pushed, and then misses them: our own tests look.
    "OCI_API_BLOBS_DIGEST_HEADER": "false",
    "OCI_API_MANIFESTS_DIGEST_HEADER": "false",
    "OCI_API_PULL": "true",
    "OCI_API_TAGS_LIST": "true",
    "OCI_API_PUSH": "false",
    "OCI_API_BLOBS_DELETE": "false",
    "OCI_API_MANIFESTS_DELETE": "false",
    "OCI_API_TAGS_DELETE": "false",
}


@dataclass(frozen=True, slots=True)
class ReadOnlyContent:
    """What the suite is to ask for, all in one repository."""

    repository: str
    tags: Sequence[str]
    manifests: Sequence[str]
    blobs: Sequence[str]


@dataclass(frozen=True, slots=True)
class Report:
    """What the suite found."""

    passed: tuple[str, ...]
    failed: tuple[str, ...]
    """Tests that failed or could not be run."""
    text: str


async def run_conformance(registry: str, content: ReadOnlyContent, *, folder: Path, referrers: bool = True) -> Report:
    """Run the suite against `host:port`; the folder is for its own reports.

    Its exit code says nothing here: without pushes it ends in a crash while it writes those reports (August 2026).
    """
    environment = {
        **_READ_ONLY,
        "OCI_API_REFERRER": str(referrers).lower(),
        "OCI_REGISTRY": registry,
        "OCI_REPO1": content.repository,
        "OCI_REPO2": content.repository,
        "OCI_RO_DATA_TAGS": " ".join(content.tags),
        "OCI_RO_DATA_MANIFESTS": " ".join(content.manifests),
        "OCI_RO_DATA_BLOBS": " ".join(content.blobs),
        "OCI_RESULTS_DIR": str(folder),
    }
    finished = await run(tools.require("conformance"), environment=environment)
    text = finished.stdout
    outcomes = re.findall(r"^ *OCI Conformance Test/(.+): (Pass|FAIL|Error)$", text, re.MULTILINE)
    if "OCI Conformance Result:" not in text:
        raise CommandFailed(f"the conformance suite did not finish\n{text}{finished.stderr}")
    passed = tuple(name for name, outcome in outcomes if outcome == "Pass")
    return Report(passed, tuple(name for name, outcome in outcomes if outcome != "Pass"), text)

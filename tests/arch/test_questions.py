"""How answers read in a trail."""

import pytest

from proxy.arch.binaries import Binary
from proxy.arch.programs import Program
from proxy.arch.questions import (
    Absent,
    Answer,
    BinaryAnswer,
    ConfigPlatform,
    Present,
    Unreachable,
    describe,
    describe_claim,
    describe_kind,
    describe_platforms,
)
from proxy.oci import media_types
from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from proxy.oci.platforms import Platform

FOUND = Descriptor(media_types.OCI_MANIFEST, Digest.of(b"{}"), 2)
ARM7 = Platform("linux", "arm", "v7")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        pytest.param(Present(FOUND), str(FOUND.digest), id="present"),
        pytest.param(Present(FOUND, is_stale=True), f"{FOUND.digest} (stale)", id="stale"),
        pytest.param(Absent(), "absent", id="absent"),
        pytest.param(Absent("not shown"), "not shown", id="denied"),
        pytest.param(Unreachable("no answer within 10 s"), "no answer within 10 s", id="unreachable"),
        pytest.param(BinaryAnswer(None), "no binary to look at", id="no binary"),
        pytest.param(
            BinaryAnswer(Program("bin/sh", 0, Binary(62, 64, True, 2, 0))), "its /bin/sh is amd64", id="binary"
        ),
        pytest.param(ConfigPlatform(ARM7), "linux/arm/v7", id="config"),
        pytest.param(ConfigPlatform(None), "None", id="config without a platform"),
    ],
)
def test_an_answer_reads_as_what_it_says(answer: Answer, text: str) -> None:
    assert describe(answer) == text


def test_a_claim_that_is_none_reads_as_unknown() -> None:
    assert describe_claim(ConfigPlatform(ARM7)) == "linux/arm/v7"
    assert describe_claim(ConfigPlatform(None)) == describe_claim(Absent()) == "an unknown platform"


def test_a_list_of_platforms_names_what_has_none() -> None:
    assert describe_platforms([ARM7, None]) == "linux/arm/v7, no platform"
    assert describe_platforms([]) == "nothing"


def test_a_document_that_is_neither_image_nor_index_reads_as_what_it_is() -> None:
    assert describe_kind(media_types.DOCKER_SCHEMA1_SIGNED) == "an image of schema 1, which no index can list"
    assert describe_kind("application/vnd.example+json") == "a document of type application/vnd.example+json"

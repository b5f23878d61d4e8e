"""A short run of the fuzzer's texts, by hypothesis; the long one is `python -m tests.build.fuzzing`."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.build.dockerfiles import FORUM, PLAIN, anything, conditional
from tests.build.fuzzing import FRAGMENTS, text_of
from tests.build.invariants import examine

_fragments = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)
_well_formed = st.lists(st.sampled_from([one for one in FRAGMENTS if one.endswith("\n")]), max_size=6).map("".join)
_blocks = st.builds("FROM a AS build\n{}IFARCH arm7\n{}ELSE\n{}ENDIFARCH\n{}".format, *[_well_formed] * 4)


@settings(max_examples=300)
@example("IFARCH arm7\n# escape=`\nENDIFARCH\nFROM a\nRUN b `\nCMD c\n")
@example("IFARCH arm7\nFROM AS c\nENDIFARCH\nFROM b c\nRUN x --from=0 a\n")
@example("IFARCH arm7\nFROM a AS c\nENDIFARCH\nFROM a AS c\nRUN x --from=0 a\n")
@example("IFARCH arm7\nENDIFARCH\n\ufeffIFARCH arm6\n")
@given(_fragments | _blocks | conditional | anything)
def test_whatever_the_text_is(text: str) -> None:
    examine(text)


@pytest.mark.parametrize("text", [*PLAIN, FORUM])
def test_so_it_is_with_real_ones(text: str) -> None:
    examine(text)


def test_bytes_make_fragments_or_a_text() -> None:
    assert text_of(bytes([0, len(FRAGMENTS) + 1])) == "".join(FRAGMENTS[:2])
    assert text_of(b"\xffFROM a\xff") == "FROM a\ufffd"

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.compatibility import can_run
from proxy.build.conditions import read_dockerfile
from proxy.build.rendering import render
from proxy.oci.platforms import Platform
from tests.build.dockerfiles import FORUM, PLAIN, conditional

PLATFORMS = tuple(
    map(Platform.parse, ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/s390x", "linux/386"))
)
platforms = st.sampled_from(PLATFORMS)


def rendered(text: str, platform: str) -> str:
    return render(read_dockerfile(text), Platform.parse(platform)).text


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_file_is_answered_byte_for_byte(text: str) -> None:
    for platform in PLATFORMS:
        found = render(read_dockerfile(text), platform)
        assert (found.text, found.tags) == (text, ())


def test_the_forum_s_example() -> None:
    pc = rendered(FORUM, "linux/amd64")
    pi = render(read_dockerfile(FORUM), Platform.parse("linux/arm/v6"))
    assert ("rootfs-x64" in pc, "rootfs-rpi" in pc) == (True, False)
    assert ("rootfs-x64" in pi.text, "rootfs-rpi" in pi.text) == (False, True)
    assert "ARCH" not in pi.text.replace("archs", "")
    assert [one.word.text for one in pi.tags] == ["arm7", "arm8", "arm8.1", "rpi"]
    assert pi.text.startswith("# debian:jessie\nFROM scratch\n")
    assert pi.text.endswith('CMD ["/bin/bash"]\n')


@pytest.mark.parametrize(
    ("text", "platform", "found"),
    [
        ("IFARCH arm6\na\nENDIFARCH\nb\n", "linux/arm/v7", "a\nb\n"),  # a v7 machine runs v6
        ("IFARCH arm7\na\nENDIFARCH\nb\n", "linux/arm/v6", "b\n"),
        ("IFARCH arm7\na\nELSE\nc\nENDIFARCH\n", "linux/amd64", "c\n"),
        ("IFARCH arm7\na\nELSE\nc\nENDIFARCH\n", "linux/arm/v7", "a\n"),
        ("IFARCH arm7 amd64\nIFARCH amd64\na\nELSE\nb\nENDIFARCH\nENDIFARCH\n", "linux/amd64", "a\n"),
        ("IFARCH arm7 amd64\nIFARCH amd64\na\nELSE\nb\nENDIFARCH\nENDIFARCH\n", "linux/arm/v7", "b\n"),
        ("IFARCH amd64\nFROM a\nELSE\nFROM b\nENDIFARCH\nRUN c\n", "linux/arm/v7", "FROM b\nRUN c\n"),
        ("IFARCH armhf\r\na\r\nENDIFARCH\r\nb\r\n", "linux/amd64", "b\r\n"),
        ("a\nIFARCH arm7\nENDIFARCH", "linux/amd64", "a\n"),
    ],
)
def test_what_counts_for_a_platform(text: str, platform: str, found: str) -> None:
    assert rendered(text, platform) == found


@given(conditional, platforms)
def test_rendering_twice_is_rendering_once(text: str, platform: Platform) -> None:
    once = render(read_dockerfile(text), platform)
    again = render(read_dockerfile(once.text), platform)
    assert (again.text, again.tags) == (once.text, ())
    assert read_dockerfile(once.text).is_plain


@given(conditional, platforms)
def test_each_line_is_known_by_its_number(text: str, platform: Platform) -> None:
    found = render(read_dockerfile(text), platform)
    source = text.split("\n")
    lines = found.text.split("\n")
    assert len(found.lines) == len(lines) - (not lines[-1])
    assert [source[number - 1] for number in found.lines] == lines[: len(found.lines)]
    assert list(found.lines) == sorted(set(found.lines))


@given(st.sampled_from(PLATFORMS), st.sampled_from(PLATFORMS))
def test_a_block_counts_where_its_image_runs(machine: Platform, named: Platform) -> None:
    text = rendered(f"IFARCH {named}\na\nELSE\nb\nENDIFARCH\n", str(machine))
    assert text == ("a\n" if can_run(machine, named) else "b\n")

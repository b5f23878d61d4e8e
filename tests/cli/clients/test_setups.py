"""Wishes, versions, and files with their notes."""

import pytest

from proxy.cli.clients.setups import ClientFile, parse_version, with_word
from proxy.oci.errors import InvalidSetting
from tests.cli.clients.wishes import wish


@pytest.mark.parametrize(
    ("text", "version"),
    [("20.10.24+dfsg1", (20, 10, 24)), ("v1.30.2+k3s1", (1, 30, 2)), ("28", (28,)), (" 1.6.20~ds1 ", (1, 6, 20))],
)
def test_a_version_is_what_it_begins_with(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize("text", ["", "latest", "v", "x1"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="--client-version must be"):
        parse_version(text)


@pytest.mark.parametrize(("version", "is_before"), [(None, True), ("27.5.1", True), ("28", False), ("28.0.1", False)])
def test_an_unknown_version_may_be_any(version: str | None, *, is_before: bool) -> None:
    assert wish(version=version).is_before(28) is is_before


@pytest.mark.parametrize(
    ("proxy", "platform", "word"),
    [
        ("http://m:5000", None, ""),
        ("http://m:5000", "rpi", "linux-arm-v6"),
        ("http://m:5000/rpi", None, "rpi"),
        ("http://m:5000/rpi", "arm6", "rpi"),
        ("http://m:5000/pi-zero", None, "pi-zero"),
        ("http://m:5000", "arm8.1", "linux-arm64-v8.1"),
    ],
)
def test_the_path_names_the_platform(proxy: str, platform: str | None, word: str) -> None:
    assert wish(proxy, platform=platform).path_word == word


@pytest.mark.parametrize(
    ("proxy", "platform", "said"),
    [
        ("http://m:5000/rpi", "arm7", "has the path /rpi already"),
        ("http://m:5000/pi-zero", "arm7", "has the path /pi-zero already"),
        ("http://m:5000", "windows/amd64", "cannot stand in a path"),
    ],
)
def test_a_path_cannot_name_everything(proxy: str, platform: str, said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        _ = wish(proxy, platform=platform).path_word


def test_notes_stand_in_the_file_as_comments() -> None:
    file = ClientFile("/etc/x.toml", "a = 1\n", ("One thing.", "long " * 40), ("sudo true",))
    lines = file.text.splitlines()
    assert lines[:3] == ["# /etc/x.toml", "#", "# - One thing."]
    assert lines[-2:] == ["", "a = 1"]
    assert "# Afterwards:" in lines
    assert all(line.startswith("#") for line in lines[:-2])
    assert max(map(len, lines)) <= 102
    assert not any(line.endswith(" ") for line in lines)


def test_notes_of_json_stand_beside_it() -> None:
    file = ClientFile("/etc/x.json", "{}\n", ("One thing.",), has_comments=False)
    assert file.text == "{}\n"
    assert file.instructions == "/etc/x.json\n\n- One thing."


def test_a_word_follows_the_host() -> None:
    assert (with_word("m:5000", "rpi"), with_word("m:5000", "")) == ("m:5000/rpi", "m:5000")

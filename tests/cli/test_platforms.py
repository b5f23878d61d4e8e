"""`polyarch platforms`, and what the README says of the words."""

import json
from pathlib import Path

import pytest

from proxy.arch.candidates import official_templates, proposal_templates
from proxy.arch.vocabulary import BUILT_IN
from proxy.arch.words import TRAPS, WORDS, Trap
from proxy.cli.platforms import WIDTH
from tests.cli.conftest import Invoke

README = Path(__file__).parents[2] / "README.md"


def test_every_platform_is_told_with_all_there_is_to_say_of_it(invoke: Invoke) -> None:
    result = invoke("platforms")
    assert (result.exit_code, result.stderr) == (0, "")
    blocks = dict(block.split("\n", 1) for block in result.stdout.rstrip("\n").split("\n\n"))
    assert list(blocks) == [str(platform) for platform in BUILT_IN.list_platforms()]
    assert blocks["linux/arm/v6"].splitlines() == [
        "  runs        linux/arm/v6, linux/arm/v5",
        "  words       arm6, rpi, arm32v6, armv6h, armv6hl, raspbian, armv6l, goarm=6, armv6hf, raspberry-pi,",
        "              raspberrypi, armv6, arm-v6",
        "  path        arm6, rpi, linux-arm-v6",
        "  builds in   arm32v6/; on registries of your own arm6/, rpi/",
        "  shown by    arch/arm, and a kernel of these: Pi 1, Zero: Pi OS bookworm and trixie; Pi 1, Zero:",
        "              HypriotOS; Pi 1, Zero, CM1: Raspbian and Pi OS until bullseye; Home Assistant OS: one",
        "              name for all boards; any other one",
        "  beware      rpi, raspbian: ARMv6 with hard float, as Raspbian builds it: it runs on every Pi. A Pi",
        "              2 or later may say arm7, and a 64-bit system arm64.",
    ]
    assert "  shown by    os/linux arch/arm64\n" in blocks["linux/arm64"]
    assert "  shown by    no User-Agent\n" in blocks["linux/arm64/v8.1"]
    assert "  path        -\n  builds in   -\n" in blocks["windows/amd64"]


def test_no_line_is_too_wide_and_every_word_and_trap_is_there(invoke: Invoke) -> None:
    lines = invoke("platforms").stdout.splitlines()
    assert max(len(line) for line in lines) <= WIDTH
    told = " ".join(" ".join(lines).replace(",", " ").split())
    assert set(WORDS) <= set(told.split())
    for trap in TRAPS:
        assert " ".join(trap.sentence.replace(",", " ").split()) in told


def test_json_has_the_same(invoke: Invoke) -> None:
    cards = {card["platform"]: card for card in json.loads(invoke("platforms", "--json").stdout)}
    assert list(cards) == [str(platform) for platform in BUILT_IN.list_platforms()]
    v7 = cards["linux/arm/v7"]
    assert v7["runs"] == ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]
    assert v7["path"] == ["arm7", "linux-arm-v7"]
    assert (v7["official_namespaces"], v7["proposal_namespaces"]) == (["arm32v7/", "armhf/"], ["arm7/"])
    assert v7["traps"].keys() == {"arm", "armhf", "arm-linux-gnueabihf", "raspberrypi3", "raspberrypi4"}
    assert all(sign.startswith("os/linux arch/arm kernel/…: ") for sign in v7["shown_by"])
    namespaces = [one for card in cards.values() for one in card["official_namespaces"] + card["proposal_namespaces"]]
    assert len(namespaces) == len((*official_templates(), *proposal_templates()))


def test_words_are_explained(invoke: Invoke) -> None:
    result = invoke("platforms", "armhf", "ARM/6")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "armhf: linux/arm/v7\n"
        "  said by     Docker's namespaces until 2017, Debian and Ubuntu\n"
        "  beware      ARMv7, as for Debian, Ubuntu and containerd; the armhf of Raspbian, Alpine and Home\n"
        "              Assistant is ARMv6: say rpi for that.\n"
        "  runs        linux/arm/v7, linux/arm/v6, linux/arm/v5\n"
        "  path        arm7, linux-arm-v7\n"
        "\n"
        "arm/6: linux/arm/v6\n"
        "  said by     the platform itself\n"
        "  runs        linux/arm/v6, linux/arm/v5\n"
        "  path        arm6, rpi, linux-arm-v6\n"
    )


def test_words_are_explained_in_json(invoke: Invoke) -> None:
    (card,) = json.loads(invoke("platforms", "--json", "linux/armel").stdout)
    assert (card["word"], card["platform"], card["runs"]) == ("linux/armel", "linux/arm/v5", ["linux/arm/v5"])
    assert "containerd takes it for v6" in card["trap"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["armfh"], "polyarch: unknown platform 'armfh'; did you mean armhf or arm?\n"),
        (["rpi", "zzzz"], "polyarch: unknown platform 'zzzz'; write for example arm7, rpi or linux/arm/v7\n"),
        ([""], "polyarch: unknown platform ''; write for example arm7, rpi or linux/arm/v7\n"),
    ],
)
def test_an_unknown_word_is_one_line_and_exit_code_2(invoke: Invoke, words: list[str], said: str) -> None:
    result = invoke("platforms", *words)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", said)


def test_the_operator_s_own_words_are_told_first(invoke: Invoke, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[words]\npi-zero = "rpi"\narmv7l = "arm7"\nserver = "linux/arm64/v9.2"\n')
    options = ("--config", str(config))
    explained = invoke("platforms", "Pi-Zero", "armv7l", *options).stdout
    assert "pi-zero: linux/arm/v6\n  said by     your configuration\n" in explained
    assert "  path        pi-zero, arm6, rpi, linux-arm-v6\n" in explained
    assert "armv7l: linux/arm/v7\n  said by     your configuration, uname -m\n" in explained
    cards = {card["platform"]: card for card in json.loads(invoke("platforms", "--json", *options).stdout)}
    assert cards["linux/arm/v6"]["words"][:2] == ["pi-zero", "arm6"]
    assert cards["linux/arm64/v9.2"]["words"] == ["server"]
    assert invoke("platforms", "pi-zero").exit_code == 2


def test_a_bad_configuration_is_one_line_and_exit_code_2(invoke: Invoke, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[words]\narmhf = "arm6"\n')
    result = invoke("platforms", "--config", str(config))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"polyarch: {config}: words has 'armhf', a namespace of Docker's own: its repositories could not be asked for\n"
    )


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: str(trap.words[0]))
def test_the_readme_tells_every_trap(trap: Trap) -> None:
    row = f"| {', '.join(f'`{word}`' for word in trap.words)} | {trap.sentence} |"
    assert row in README.read_text("utf-8").splitlines()

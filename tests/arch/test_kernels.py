import pytest
from hypothesis import given

from proxy.arch.kernels import FLOOR, ROWS, find_variant
from tests.strategies import any_text

# Kernel release of a 32-bit userland → its variant, or None where the release tells nothing.
RELEASES = {
    # Raspbian and Raspberry Pi OS until bullseye, rpi-update (platforms.md §5.2, clients.md §1.2)
    "4.9.35+": "v6",
    "6.1.21+": "v6",
    "5.10+": "v6",
    "4.9.35-v7+": "v7",
    "4.4.38-v7+": "v7",
    "4.19.75-v7+": "v7",
    "5.10.17-v7l+": "v7",
    "5.10.63-v7l+": "v7",
    "4.19.97-v7l+": "v7",
    "5.10.17-v8+": "v8",
    "4.19.75-v8+": "v8",
    "6.1.21-v8+": "v8",
    "6.6.51-v8-16k+": "v8",
    "6.6.31-v8-16k+": "v8",
    "6.6.31-v8_16k+": "v8",  # as the modules of rpi-update are named
    "6.6.51-v8-rt+": "v8",
    # Raspberry Pi OS bookworm until 2024-02
    "6.1.0-rpi4-rpi-v6": "v6",
    "6.1.0-rpi8-rpi-v6": "v6",
    "6.1.0-rpi7-rpi-v7": "v7",
    "6.1.0-rpi7-rpi-v7l": "v7",
    "6.1.0-rpi7-rpi-v8": "v8",
    "6.1.0-rpi7-rpi-2712": "v8",
    # Raspberry Pi OS bookworm since 2024-03, trixie, DietPi
    "6.6.51+rpt-rpi-v6": "v6",
    "6.12.25+rpt-rpi-v6": "v6",
    "6.12.47+rpt-rpi-v6": "v6",
    "6.18.39+rpt-rpi-v6": "v6",
    "6.12.25+rpt-rpi-v7": "v7",
    "6.12.47+rpt-rpi-v7": "v7",
    "6.12.25+rpt-rpi-v7l": "v7",
    "6.12.25+rpt-rpi-v8": "v8",
    "6.6.31+rpt-rpi-v8": "v8",
    "6.12.75+rpt-rpi-v8": "v8",
    "6.12.75+rpt-rpi-v8-rt": "v8",
    "6.6.51+rpt-rpi-2712": "v8",
    "6.12.25+rpt-rpi-2712": "v8",
    "6.12.75+rpt-rpi-2712": "v8",
    # HypriotOS
    "4.4.15-hypriotos+": "v6",
    "4.4.24-hypriotos-v7+": "v7",
    # Ubuntu
    "4.15.0-1038-raspi2": "v7",
    "5.3.0-1008-raspi2": "v7",
    "5.15.0-1034-raspi": "v7",
    "6.8.0-1021-raspi": "v7",
    "3.18.0-25-rpi2": "v7",
    # Alpine
    "4.19.86-0-rpi2": "v7",
    "4.19.86-1-rpi4": "v7",
    "4.19.86-0-rpi": None,  # armhf (v6) once, and every Pi later
    # balenaOS, Yocto
    "5.4.51-v7": "v7",
    "5.4.51-v7l": "v7",
    "5.15.32-v8": "v8",
    "5.15.32-v8-16k": "v8",
    "5.4.51": None,
    # Debian
    "6.1.0-18-armmp": "v7",
    "6.1.0-18-armmp-lpae": "v7",
    "6.1.0-18-arm64": "v8",
    "6.1.0-18-rpi": None,  # armel
    # Others
    "6.18.3-current-bcm2711": None,
    "5.4.0-88-generic": None,
    "4.19.58": None,
    "6.10.14-linuxkit": None,
    "3.10.0-862.14.4.el7.x86_64": None,
    "5.15.167.4-microsoft-standard-WSL2": None,
    "6.18.44-fc-v669": None,  # neither v6 nor v9
    "6.1.0-v70": None,
    "5.15.32-haos-raspi": "v6",
    "6.1.0-custom+": None,  # a bare + only counts right after the version
    "6.1.0-v7-custom": None,
    "": None,
}


@pytest.mark.parametrize(("release", "variant"), RELEASES.items(), ids=[release or "empty" for release in RELEASES])
def test_a_kernel_release_tells_this_variant_of_a_32_bit_userland(release: str, variant: str | None) -> None:
    assert find_variant(release) == variant


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.pattern.pattern)
def test_every_row_decides_about_some_kernel(row: object) -> None:
    """A row that no known kernel reaches is dead, or stands behind one that is too greedy."""
    deciding = {next((each for each in ROWS if each.pattern.search(release)), None) for release in RELEASES}
    assert row in deciding


@given(any_text)
def test_an_arbitrary_release_tells_a_known_variant_or_nothing(release: str) -> None:
    assert find_variant(release) in {"v6", "v7", "v8", None}


def test_the_floor_runs_on_every_raspberry_pi() -> None:
    assert FLOOR == "v6"

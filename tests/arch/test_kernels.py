import pytest
from hypothesis import given

from proxy.arch.kernels import FLOOR, ROWS, find_variant
from tests.strategies import any_text

# Where it is told → kernel release of a 32-bit userland → its variant, or None where the release tells nothing. Issues
# are named as `owner/repository#number`, on GitHub.
SEEN: dict[str, dict[str, str | None]] = {
    "platforms.md §5.2, Raspbian and Pi OS until bullseye, rpi-update": {
        "4.9.35+": "v6",
        "4.9.35-v7+": "v7",
        "5.10.17-v7l+": "v7",
        "5.10.17-v8+": "v8",
        "6.6.51-v8-16k+": "v8",
        "6.6.51-v8_16k+": "v8",  # as its modules are named
        "6.6.51-v8-rt+": "v8",
    },
    "clients.md §1.2, the same": {
        "6.1.21+": "v6",
        "4.4.38-v7+": "v7",
        "4.19.75-v7+": "v7",
        "5.10.63-v7l+": "v7",
        "4.19.97-v7l+": "v7",
        "4.19.75-v8+": "v8",
        "6.1.21-v8+": "v8",
        "6.6.31-v8-16k+": "v8",
        "6.6.31-v8_16k+": "v8",
    },
    "clients.md §1.1, a missing patch number is written as none or as .0": {
        "5.10+": "v6",
        "5.10.0+": "v6",
    },
    "platforms.md §5.2 and clients.md §1.2, Pi OS bookworm until 2024-02": {
        "6.1.0-rpi4-rpi-v6": "v6",
        "6.1.0-rpi8-rpi-v6": "v6",
        "6.1.0-rpi7-rpi-v7": "v7",
        "6.1.0-rpi7-rpi-v7l": "v7",
        "6.1.0-rpi7-rpi-v8": "v8",
        "6.1.0-rpi7-rpi-2712": "v8",
    },
    "platforms.md §5.2 and clients.md §1.2, Pi OS bookworm since 2024-03, trixie, DietPi": {
        "6.6.51+rpt-rpi-v6": "v6",
        "6.12.25+rpt-rpi-v6": "v6",
        "6.12.47+rpt-rpi-v6": "v6",
        "6.18.39+rpt-rpi-v6": "v6",
        "6.12.25+rpt-rpi-v7": "v7",
        "6.12.47+rpt-rpi-v7": "v7",
        "6.12.25+rpt-rpi-v7l": "v7",
        "6.12.47+rpt-rpi-v7l": "v7",
        "6.12.25+rpt-rpi-v8": "v8",
        "6.6.31+rpt-rpi-v8": "v8",
        "6.12.75+rpt-rpi-v8": "v8",
        "6.12.75+rpt-rpi-v8-rt": "v8",
        "6.6.51+rpt-rpi-2712": "v8",
        "6.12.25+rpt-rpi-2712": "v8",
        "6.12.75+rpt-rpi-2712": "v8",
    },
    "DietPi of before, MichaIng/DietPi#3128 and #7291": {"4.19.66+": "v6", "6.1.21-v8+": "v8"},
    "rpi-update with a 32-bit userland, linuxserver/docker-wireguard#283": {"6.1.34-v8+": "v8"},
    "real-time kernels, guysoft/RealtimePi#17 and kdoren/linux#18": {
        "4.19.59-rt23-v7l+": "v7",
        "5.10.73-rt54-v7l+": "v7",
    },
    "platforms.md §5.2, HypriotOS": {
        "4.4.15-hypriotos+": "v6",
        "4.4.24-hypriotos-v7+": "v7",
        "4.19.97-v7l+": "v7",
        "4.19.58": None,  # 64-bit, and no name for it
    },
    "HypriotOS of 64 bits, distribution/distribution-library-image#78": {"4.14.37-hypriotos-v8": "v8"},
    "RancherOS, Joxit/docker-registry-ui#95": {"4.14.114-rancheros-v8": "v8"},
    "platforms.md §5.2 and clients.md §1.2, Ubuntu, of which armhf is v7 at least": {
        "4.15.0-1038-raspi2": "v7",
        "5.3.0-1008-raspi2": "v7",
        "5.15.0-1034-raspi": "v7",
        "6.8.0-1021-raspi": "v7",
        "3.18.0-25-rpi2": "v7",
    },
    "platforms.md §5.2, Alpine": {
        "4.19.86-0-rpi": None,  # v6 once, and every Pi later
        "4.19.86-0-rpi2": "v7",
        "4.19.86-1-rpi4": "v7",
        "6.12.13-0-rpi": None,
    },
    "platforms.md §5.2 and clients.md §1.2, balenaOS and Yocto": {
        "5.4.51": None,
        "5.4.51-v7": "v7",
        "5.4.51-v7l": "v7",
        "5.15.32-v8": "v8",
        "5.15.32-v8-16k": "v8",
    },
    "balenaOS on a Zero 2 W, balena-os/meta-balena#3595": {"5.15.92-v8": "v8"},
    "clients.md §1.2, Home Assistant OS: one name for all boards": {"5.15.32-haos-raspi": "v6"},
    "Home Assistant OS elsewhere and before, home-assistant/operating-system#2912, home-assistant/docker-base#6": {
        "6.1.63-haos": None,
        "4.14.81": None,  # a Zero
    },
    "OSMC: one name for all boards, mmoller2k/pikeyd#9": {"4.14.78-4-osmc": None},
    "LibreELEC: no name at all, LibreELEC/LibreELEC.tv#7648": {"6.1.19": None},
    "platforms.md §5.2, Debian": {
        "6.1.0-18-armmp": "v7",
        "6.1.0-18-armmp-lpae": "v7",
        "6.1.0-18-arm64": "v8",
        "6.1.0-18-rpi": None,  # armel on a Pi 1
    },
    "Debian's armel on ARMv5, syncthing/syncthing#10412 and rogers0/OpenLinkstation#7": {
        "5.10.0-32-marvell": "v5",
        "3.16.0-4-kirkwood": "v5",
        "3.16.0-4-orion5x": "v5",
    },
    "platforms.md §5.2, Armbian and k3OS": {"6.18.3-current-bcm2711": None, "5.4.0-88-generic": None},
    "seen with other architectures, in the sources of test_user_agents": {
        "6.10.14-linuxkit": None,
        "3.10.0-862.14.4.el7.x86_64": None,
        "5.15.153.1-microsoft-standard-WSL2": None,
        "6.18.44-fc-v669": None,  # neither v6 nor v9
        "6.12.85": None,
    },
    "our own: what is nearly one of them": {
        "6.1.0-v70": None,
        "6.1.21-v18+": None,
        "6.1.0-custom+": None,  # a bare + only counts right after the version
        "6.1.0-v7-custom": None,
        "6.1.21++": None,
        "6+": None,
        "-v7+": "v7",
        "+": None,
        "": None,
    },
}
CASES = [
    pytest.param(release, variant, id=f"{source}: {release or 'empty'}")
    for source, releases in SEEN.items()
    for release, variant in releases.items()
]


@pytest.mark.parametrize(("release", "variant"), CASES)
def test_a_kernel_release_tells_this_variant_of_a_32_bit_userland(release: str, variant: str | None) -> None:
    assert find_variant(release) == variant


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.pattern.pattern)
def test_every_row_decides_about_some_kernel(row: object) -> None:
    """A row that no known kernel reaches is dead, or stands behind one that is too greedy."""
    seen = [release for releases in SEEN.values() for release in releases]
    deciding = {next((each for each in ROWS if each.pattern.search(release)), None) for release in seen}
    assert row in deciding


@given(any_text)
def test_an_arbitrary_release_tells_a_known_variant_or_nothing(release: str) -> None:
    assert find_variant(release) in {"v5", "v6", "v7", "v8", None}


def test_the_floor_runs_on_every_raspberry_pi() -> None:
    assert FLOOR == "v6"

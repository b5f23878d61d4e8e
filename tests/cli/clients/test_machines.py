"""What a machine is, and what its engine would tell of it."""

import pytest

from proxy.arch.user_agents import parse_user_agent
from proxy.cli.clients.machines import machine_by_docker, machine_by_uname
from proxy.oci.platforms import Platform


@pytest.mark.parametrize(
    ("system", "machine", "release", "is_narrow", "platform", "shown"),
    [
        ("Linux", "x86_64", "6.1.0-25-amd64", False, "linux/amd64", "linux/amd64"),
        ("Linux", "x86_64", "6.1.0-25-amd64", True, "linux/386", "linux/386"),
        ("Linux", "aarch64", "6.6.31+rpt-rpi-v8", False, "linux/arm64", "linux/arm64"),
        ("Linux", "aarch64", "6.6.31+rpt-rpi-v8", True, "linux/arm/v8", "linux/arm/v8"),
        ("Linux", "armv7l", "6.1.21-v7+", True, "linux/arm/v7", "linux/arm/v7"),
        ("Linux", "armv6l", "6.1.21+", True, "linux/arm/v6", "linux/arm/v6"),
        ("Darwin", "arm64", "24.0.0", False, None, None),
        ("Linux", "vax", "1.0", False, None, None),
    ],
)
def test_uname_is_told_as_an_engine_would(
    system: str, machine: str, release: str, *, is_narrow: bool, platform: str | None, shown: str | None
) -> None:
    found = machine_by_uname(system, machine, release, is_narrow=is_narrow)
    assert found.platform == (Platform.parse(platform) if platform else None)
    if shown is not None:
        engine = parse_user_agent(found.user_agent)
        assert engine is not None
        assert engine.platform is not None
        assert engine.platform.is_same(Platform.parse(shown))


def test_an_engine_tells_of_itself_and_of_this_machine_only_with_its_kernel() -> None:
    own = machine_by_uname("Linux", "armv7l", "6.1.21-v7+", is_narrow=True)
    server: dict[str, object] = {"Version": "28.5.1", "GoVersion": "go1.24", "KernelVersion": "6.1.21-v7+"}
    server |= {"Os": "linux", "Arch": "arm"}
    here = machine_by_docker(server, own, "6.1.21-v7+")
    assert (here.shown_by, here.platform) == ("Docker 28.5.1", own.platform)
    assert here.user_agent == "docker/28.5.1 go/go1.24 kernel/6.1.21-v7+ os/linux arch/arm"
    assert machine_by_docker(server, own, "6.8.0").platform is None

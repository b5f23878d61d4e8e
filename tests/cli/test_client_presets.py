import pytest

from proxy.arch.picking import take_best, take_exactly, take_literally, take_own_or_first_arm
from proxy.cli.client_kinds import KINDS, MACHINES, Kind
from proxy.cli.client_presets import parse_preset, render_presets
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform

ARM_V6, ARM_V7, AMD64 = (Platform.parse(text) for text in ("linux/arm/v6", "linux/arm/v7", "linux/amd64"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_each_is_known_by_its_name(kind: Kind) -> None:
    for text in (kind.name, f"{kind.name}@pi-zero", f" {kind.name.upper()}@Pi-Zero "):
        preset = parse_preset(text)
        assert preset.kind is kind
        assert "{" not in preset.user_agent
        assert preset.list_headers()[0] == ("User-Agent", preset.user_agent)
        assert parse_preset(preset.name) == preset


def test_who_shows_a_machine_shows_a_pc_unless_told_otherwise() -> None:
    assert parse_preset("docker").name == "docker-29@amd64"
    assert parse_preset("docker@pi-3").name == "docker-29@pi-3"
    assert parse_preset("podman").machine is None
    assert "kernel/6.1.21+ os/linux arch/arm " in parse_preset("docker-28@pi-zero").user_agent
    assert parse_preset("docker-28@pi-zero").described == "Docker Engine 24 to 28, on a Raspberry Pi 1 or Zero"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dokcer", "unknown client 'dokcer'; did you mean docker"),
        ("docker-2.10@pi-3", "did you mean docker-20.10"),
        ("zzz", "unknown client 'zzz'; --as-client list shows them all"),
        ("", "unknown client ''"),
        ("docker@pi3", "unknown machine 'pi3'; did you mean pi-3"),
        ("docker@", "unknown machine ''; --as-client list"),
    ],
)
def test_what_is_unknown_is_told_with_the_nearest(text: str, said: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        parse_preset(text)
    assert said in str(caught.value)


def test_a_client_looks_for_what_it_takes_its_machine_for() -> None:
    zero = parse_preset("docker-19.03@pi-zero").make_chooser(None)
    assert (zero.rule, zero.wanted, zero.machine) == (take_own_or_first_arm, ARM_V7, ARM_V6)
    newer = parse_preset("docker-20.10@pi-zero").make_chooser(None)
    assert (newer.rule, newer.wanted) == (take_own_or_first_arm, ARM_V6)
    assert parse_preset("docker-28@pi-zero").make_chooser(None).wanted == ARM_V6
    containerd = parse_preset("containerd@pi-3").make_chooser(None)
    assert (containerd.rule, containerd.wanted) == (take_exactly, ARM_V7)
    assert parse_preset("cri-o@pi-3").make_chooser(None).wanted == ARM_V7


def test_it_looks_for_what_it_is_told() -> None:
    told = parse_preset("docker-28@pi-zero").make_chooser(AMD64)
    assert (told.rule, told.wanted, told.machine) == (take_best, AMD64, AMD64)


def test_crane_wants_amd64_everywhere_and_oras_the_whole_index() -> None:
    crane, oras = parse_preset("crane@pi-3"), parse_preset("oras@pi-3")
    assert (crane.make_chooser(None).wanted, crane.make_chooser(ARM_V7).wanted) == (AMD64, ARM_V7)
    assert oras.make_chooser(None).rule is None
    assert oras.make_chooser(ARM_V7).rule is take_literally


def test_all_are_listed() -> None:
    text = render_presets()
    names = [kind.name for kind in KINDS] + [machine.name for machine in MACHINES]
    assert all(f"\n{name} " in f"\n{text}" for name in names)
    assert "docker-28@pi-zero" in text

"""What clients pick out of an index; the lab's client matrix holds the same rules against real clients."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.compatibility import can_run, pick_best
from proxy.arch.picking import (
    Rule,
    list_own_labels,
    rule_of,
    take_best,
    take_best_or_first_arm,
    take_exactly,
    take_first_of_architecture,
    take_literally,
    take_own_architecture,
    take_own_or_first_arm,
    take_own_variants,
)
from proxy.arch.user_agents import parse_user_agent
from proxy.oci.platforms import Platform
from tests.arch.worlds import linux

ZERO, PI_3, PI_4 = "6.1.21+", "6.1.21-v7+", "6.1.21-v8+"

# rule, what the client looks for, what is offered, what it takes (clients.md §4.1, platforms.md §3.1)
PICKS = [
    pytest.param(take_first_of_architecture, "arm/v7", "amd64 arm/v5 arm/v7", "arm/v5", id="18.05: list order"),
    pytest.param(take_first_of_architecture, "arm/v7", "amd64 arm64", None, id="18.05: no ARM at all"),
    pytest.param(take_own_or_first_arm, "arm/v7", "arm/v5 arm/v7", "arm/v7", id="20.10: its own"),
    pytest.param(take_own_or_first_arm, "arm/v6", "amd64 arm/v7 arm/v5", "arm/v7", id="20.10: or the first ARM"),
    pytest.param(take_own_or_first_arm, "arm64", "arm/v7", None, id="20.10: nothing else on arm64"),
    pytest.param(take_own_or_first_arm, "amd64", "- 386", None, id="20.10: not one without a platform"),
    pytest.param(take_own_or_first_arm, "arm/v7", "arm/v6 arm", "arm", id="20.10: a bare arm is v7"),
    pytest.param(take_best, "arm/v7", "arm/v5 arm/v6", "arm/v6", id="23: the best that runs"),
    pytest.param(take_best, "arm/v6", "arm", None, id="23: a bare arm is v7, which no v6 runs"),
    pytest.param(take_best, "arm64", "amd64 arm/v7", "arm/v7", id="23: 32 bits on 64"),
    pytest.param(take_best, "amd64", "386 -", "386", id="23: one without a platform comes last"),
    pytest.param(take_best_or_first_arm, "arm/v5", "arm/v7 arm/v6", "arm/v7", id="23.0: the old way as a last resort"),
    pytest.param(take_best_or_first_arm, "arm/v6", "arm/v7 arm/v5", "arm/v5", id="23.0: else the best"),
    pytest.param(take_best_or_first_arm, "arm64", "amd64", None, id="23.0: for 32-bit ARM only"),
    pytest.param(take_exactly, "arm/v7", "arm/v6 arm/v5", None, id="containerd 2.1: exactly, or nothing"),
    pytest.param(take_exactly, "arm/v7", "arm/v6 -", "-", id="containerd 2.1: or one without a platform"),
    pytest.param(take_exactly, "arm64", "arm/v8 arm64/v8", "arm64/v8", id="containerd 2.1: by any spelling"),
    pytest.param(take_own_variants, "arm/v7", "arm arm/v6", "arm/v6", id="podman: best first, a bare arm last"),
    pytest.param(take_own_variants, "arm/v6", "arm/v7 arm", "arm", id="podman: a bare arm is for any"),
    pytest.param(take_own_variants, "arm64", "arm/v7", None, id="podman: never from arm64 to arm"),
    pytest.param(take_own_variants, "arm64", "arm64 arm64/v8", "arm64/v8", id="podman: v8 before none"),
    pytest.param(take_own_variants, "amd64", "386 amd64/v2", None, id="podman: no other level"),
    pytest.param(take_own_variants, "amd64", "386 -", "-", id="podman: one without a platform"),
    pytest.param(take_literally, "amd64", "arm/v7 -", "-", id="crane: without a platform means linux/amd64"),
    pytest.param(take_literally, "arm64", "- arm64/v8", "arm64/v8", id="crane: any variant if none is asked for"),
    pytest.param(take_literally, "arm/v7", "arm arm/v6", None, id="crane: literally"),
    pytest.param(take_own_architecture, "arm64", "arm/v7", None, id="regctl: never another architecture"),
    pytest.param(take_own_architecture, "arm/v7", "arm64 arm/v5 arm/v6", "arm/v6", id="regctl: the highest that runs"),
]


@pytest.mark.parametrize(("rule", "wanted", "offered", "taken"), PICKS)
def test_each_kind_of_client_picks_in_its_own_way(rule: Rule, wanted: str, offered: str, taken: str | None) -> None:
    texts = offered.split()
    position = rule(linux(wanted), [None if text == "-" else linux(text) for text in texts])
    assert (None if position is None else texts[position]) == taken


@pytest.mark.parametrize(
    ("user_agent", "rule", "labels"),
    [
        (f"docker/17.09.1 kernel/{ZERO} os/linux arch/arm", take_first_of_architecture, "linux/arm/v6"),
        (f"docker/19.03.15 kernel/{ZERO} os/linux arch/arm", take_own_or_first_arm, "linux/arm/v7"),
        (f"docker/19.03.15 kernel/{PI_4} os/linux arch/arm", take_own_or_first_arm, "linux/arm/v8"),
        (f"docker/20.10.24 kernel/{ZERO} os/linux arch/arm", take_own_or_first_arm, "linux/arm/v6"),
        (f"docker/20.10.24 kernel/{PI_4} os/linux arch/arm", take_own_or_first_arm, "linux/arm/v7 linux/arm/v8"),
        (f"balenaEngine/20.10.43 kernel/{PI_3} os/linux arch/arm", take_own_or_first_arm, "linux/arm/v7"),
        (f"docker/23.0.6 kernel/{PI_4} os/linux arch/arm", take_best_or_first_arm, "linux/arm/v8"),
        (f"docker/29.1.0 kernel/{PI_4} os/linux arch/arm", take_best, "linux/arm/v8"),
        ("docker/dev os/linux arch/arm64", take_best, "linux/arm64"),
        ("cri-o/1.20.0 os/linux arch/arm", take_best, "linux/arm/v6"),
    ],
)
def test_the_version_of_an_engine_tells_how_it_picks(user_agent: str, rule: Rule, labels: str) -> None:
    engine = parse_user_agent(user_agent)
    assert engine is not None
    assert rule_of(engine) is rule
    assert " ".join(str(one) for one in list_own_labels(engine)) == labels


def test_of_whom_nothing_is_known_the_best_is_expected() -> None:
    assert rule_of(None) is take_best


_platforms = st.sampled_from(["amd64", "amd64/v2", "386", "arm64", "arm64/v8", "arm", "arm/v7", "arm/v6", "arm/v5"])
_offers = st.lists(st.one_of(st.none(), _platforms.map(linux)), max_size=6)


@given(_platforms.map(linux), _offers)
def test_nobody_takes_what_does_not_run_while_looking_for_it(wanted: Platform, offered: list[Platform | None]) -> None:
    for rule in (take_best, take_exactly, take_own_architecture):
        position = rule(wanted, offered)
        taken = None if position is None else offered[position]
        assert taken is None or can_run(wanted, taken)
        assert position is not None or rule is not take_best or pick_best(wanted, offered) is None

"""Every row of the tables: what it shows is read as it is meant, and it picks as its version does."""

import re

import pytest

from proxy.arch.detection import ClientHints, detect
from proxy.arch.picking import rule_of
from proxy.arch.user_agents import parse_user_agent
from proxy.cli.client_kinds import ALIASES, KINDS, MACHINES, Kind, Machine
from proxy.cli.client_presets import Preset
from proxy.oci import media_types

ENGINES = [kind for kind in KINDS if kind.user_agent.startswith(("docker/", "balenaEngine/"))]


@pytest.mark.parametrize("kind", ENGINES, ids=lambda kind: str(kind.name))
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: str(machine.name))
def test_an_engine_is_told_by_its_user_agent(kind: Kind, machine: Machine) -> None:
    engine = parse_user_agent(Preset(kind, machine).user_agent)
    assert engine is not None
    assert engine.platform == machine.platform.normalised()
    assert rule_of(engine) is kind.rule


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.shows_machine], ids=lambda kind: str(kind.name))
def test_the_others_show_no_machine(kind: Kind) -> None:
    user_agent = Preset(kind, MACHINES[0]).user_agent
    assert user_agent == kind.user_agent
    assert detect(ClientHints(user_agent=user_agent)).platform is None


def test_every_row_says_where_it_is_from() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert len({machine.name for machine in MACHINES}) == len(MACHINES)
    for kind in KINDS:
        assert kind.described
        assert re.search(r"(clients|platforms)\.md §\d", kind.source)


def test_every_kind_takes_a_docker_manifest_and_all_but_the_oldest_an_oci_index() -> None:
    for kind in KINDS:
        accepted = media_types.parse_accept(kind.accept)
        assert {media_types.DOCKER_MANIFEST, media_types.DOCKER_LIST} <= accepted
        assert (media_types.OCI_INDEX in accepted) is (kind.name != "docker-18.05")


def test_a_second_name_is_for_a_row_that_there_is() -> None:
    names = {kind.name for kind in KINDS}
    assert set(ALIASES.values()) <= names
    assert not set(ALIASES) & names

"""What follows from the settings alone."""

from ipaddress import ip_network

import pytest

from proxy.config.parsers import parse_one_platform, parse_words
from proxy.config.resolving import CandidateSettings, ResolutionSettings, TemplateSettings
from proxy.config.schema import Settings
from proxy.config.serving import ApiSettings, ClientSettings, ListenerSettings
from proxy.config.upstreams import UpstreamSettings
from proxy.config.warming import WarmSettings
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform
from proxy.policies import asks_proposal, build_access, build_clients, build_policy, list_doors, list_standing_orders

HUB = UpstreamSettings()
OWN = UpstreamSettings(url="http://127.0.0.1:5001", public="false")
GHCR = UpstreamSettings(name="ghcr.io")


@pytest.mark.parametrize("token", ["tökén", " ", " a", "a\tb"])
def test_a_token_that_cannot_be_sent_is_refused(token: str) -> None:
    with pytest.raises(InvalidSetting, match=r"api\.token cannot be sent in a header"):
        build_access(Settings(api=ApiSettings(token=token)))


def patterns(settings: Settings, upstream: UpstreamSettings) -> set[str]:
    return {template.pattern for template in build_policy(settings, upstream).templates}


@pytest.mark.parametrize(
    ("upstream", "has_official", "has_proposal"),
    [
        pytest.param(HUB, True, False, id="Docker Hub: Docker's names, no stranger's"),
        pytest.param(OWN, True, True, id="a registry of one's own: all"),
        pytest.param(GHCR, False, False, id="another public one: neither"),
    ],
)
def test_no_name_is_asked_that_a_stranger_may_own(
    upstream: UpstreamSettings, *, has_official: bool, has_proposal: bool
) -> None:
    found = patterns(Settings(), upstream)
    assert ("arm32v7/{name}:{tag}" in found) is has_official
    assert ("arm6/{name}:{tag}" in found) is has_proposal
    assert ("rpi/{name}:{tag}" in found) is has_proposal


@pytest.mark.parametrize(("proposal", "upstream", "asked"), [("on", HUB, True), ("off", OWN, False)])
def test_the_operator_decides_about_the_proposal(proposal: str, upstream: UpstreamSettings, *, asked: bool) -> None:
    assert asks_proposal(CandidateSettings(proposal=proposal), upstream) is asked


def test_an_operator_s_pattern_comes_first_and_only_for_its_registry() -> None:
    mine = TemplateSettings(pattern="resin/rpi-{name}", platform=parse_one_platform("rpi"), registry="docker.io")
    settings = Settings(candidates=CandidateSettings(template=(mine,)))
    assert build_policy(settings, HUB).templates[0].pattern == "resin/rpi-{name}:{tag}"
    assert patterns(settings, GHCR) == set()


def test_clients_may_write_the_operator_s_own_words() -> None:
    words = parse_words({"pi-zero": "rpi"})
    assert build_clients(Settings(words=words)).vocabulary is words


def test_official_names_can_be_switched_off() -> None:
    assert patterns(Settings(candidates=CandidateSettings(official=False)), HUB) == set()


@pytest.mark.parametrize(("on_missing", "refuses"), [("serve", False), ("refuse", True)])
def test_the_policy_is_the_operator_s(on_missing: str, *, refuses: bool) -> None:
    fleet = (parse_one_platform("rpi"),)
    policy = build_policy(Settings(resolution=ResolutionSettings(fleet=fleet, on_missing=on_missing)), HUB)
    assert (policy.fleet, policy.refuse_missing) == (fleet, refuses)


def test_a_mirror_that_is_called_public_is_treated_as_one() -> None:
    mirror = UpstreamSettings(name="registry.lan", url="http://127.0.0.1:9", public="true")
    assert patterns(Settings(), mirror) == set()
    hub_at_home = UpstreamSettings(url="http://127.0.0.1:9", public="true")
    assert "arm32v7/{name}:{tag}" in patterns(Settings(), hub_at_home)
    assert "arm6/{name}:{tag}" not in patterns(Settings(), hub_at_home)


def test_whoever_is_taken_for_a_platform_is_served_it() -> None:
    found = [parse_one_platform(text) for text in ("linux/386", "arm8.1", "s390x")]
    settings = Settings(
        resolution=ResolutionSettings(fleet=(parse_one_platform("rpi"),), default_platform=found[0]),
        listener=(ListenerSettings(host="a", platform=found[1]),),
        client=(ClientSettings((ip_network("10.0.0.0/8"),), platform=found[2]), ClientSettings((), answer="index")),
    )
    assert set(build_policy(settings, HUB).fleet) == {parse_one_platform("rpi"), *found}


@pytest.mark.parametrize(
    ("listen", "host", "name"),
    [(("127.0.0.1", 5006), "", "127.0.0.1:5006"), (("::", 5006), "", "[::]:5006"), (None, "rpi.lan", "rpi.lan")],
)
def test_a_way_in_is_called_by_its_host_or_its_address(listen: tuple[str, int] | None, host: str, name: str) -> None:
    settings = Settings(listener=(ListenerSettings(listen=listen, host=host),))
    (*_, (_, _, _, door)) = list_doors(settings)
    assert door.find(host).name == name


def test_a_standing_order_is_for_the_fleet_unless_it_names_platforms() -> None:
    rpi = Platform("linux", "arm", "v6")
    warm = (
        WarmSettings(images=("debian",), every=60.0),
        WarmSettings(images=("debian",), cron="1 2 * * *", platforms=(rpi,), reserve=5),
    )
    fleet, own = list_standing_orders(Settings(warm=warm))
    assert (fleet.platforms, fleet.schedule.every) == (Settings().resolution.fleet, 60.0)
    assert (own.platforms, own.schedule.cron, own.limits.reserve) == ((rpi,), "1 2 * * *", 5)

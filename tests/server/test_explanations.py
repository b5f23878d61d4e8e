"""What a request would be answered, and what its client would take of it."""

import dataclasses
import json
from ipaddress import ip_network

import pytest
from multidict import CIMultiDict

from proxy.arch.detection import AnswerMode, Assignment
from proxy.arch.picking import Chooser, Rule, take_best, take_exactly, take_own_or_first_arm
from proxy.oci import media_types
from proxy.oci.errors import ManifestUnknown, NameUnknown
from proxy.oci.platforms import Platform
from proxy.server.clients import Clients
from proxy.server.doors import Door, Listener
from proxy.server.explanations import Explanation, Inquiry, explain
from proxy.server.fronts import Front
from proxy.server.imagined import ImaginedRequest
from proxy.server.networks import ClientRule, Neighbourhood
from tests.fakes.upstream import FakeUpstream
from tests.service.bench import AMD64, ARM64, ARM_V6, ARM_V7, HUB, SOURCES, jessie, open_bench

JESSIE = "/v2/library/debian/manifests/jessie"
OLD_ZERO = "docker/19.03.15 go/go1.13 kernel/6.1.21+ os/linux arch/arm"
DOOR = Door([Listener("rpi.lan", "rpi.lan", Assignment(Platform.parse("linux/arm/v6")))])
RULE = ClientRule(ip_network("192.168.7.0/24"), Assignment(Platform.parse("linux/arm/v7"), AnswerMode.MANIFEST))


async def ask(
    upstream: FakeUpstream,
    path: str = JESSIE,
    *,
    platform: str = "",
    chooser: Chooser | None = None,
    remote: str | None = None,
    headers: dict[str, str] | None = None,
) -> Explanation:
    request = ImaginedRequest(path, CIMultiDict(headers or {}), remote)
    taken_for = Platform.parse(platform) if platform else None
    async with open_bench(upstream) as bench:
        front = Front(bench.puller, has_library=True)
        clients = Clients(Neighbourhood([RULE]))
        return await explain({HUB: front}, clients, Inquiry(request, DOOR, taken_for, chooser))


@pytest.mark.parametrize("platform", SOURCES)
async def test_it_names_the_image_and_the_reasons(upstream: FakeUpstream, platform: str) -> None:
    told = await ask(upstream, platform=platform)
    source = SOURCES[platform].removeprefix("library/")
    assert told.reference == "docker.io/library/debian:jessie"
    assert told.image == f"{source}:jessie@{jessie(platform).manifest.digest}"
    assert told.image_platform == told.platform == str(Platform.parse(platform).explicit())
    assert (told.evidence, told.media_type, told.cache) == ("asked for", media_types.DOCKER_LIST, "miss")
    assert told.trail[0].startswith("library/debian:jessie: sha256:")
    assert told.trail[-2].startswith("answer: synthesised index")
    assert told.trail[-1] == "this client: the synthesised index"
    assert bool(told.warning) is (platform != AMD64)
    assert '"' not in told.warning


async def test_everybody_is_told_the_same_digest(upstream: FakeUpstream) -> None:
    told = [await ask(upstream, platform=platform) for platform in ("", ARM_V6, ARM_V7)]
    assert len({one.digest for one in told}) == 1
    assert (told[0].platform, told[0].image_platform) == (None, None)


async def test_a_digest_is_never_rewritten(upstream: FakeUpstream) -> None:
    digest = jessie(ARM_V7).manifest.digest
    told = await ask(upstream, f"/v2/arm32v7/debian/manifests/{digest}", platform=ARM_V6)
    assert (told.digest, told.image) == (digest, f"docker.io/arm32v7/debian@{digest}")
    assert told.trail == ["a digest is never rewritten"]


async def test_it_can_be_written_as_json(upstream: FakeUpstream) -> None:
    told = dataclasses.asdict(await ask(upstream, chooser=Chooser(take_best, None)))
    assert json.loads(json.dumps(told)) == told


async def test_it_fails_as_the_client_would(upstream: FakeUpstream) -> None:
    with pytest.raises(ManifestUnknown):
        await ask(upstream, "/v2/library/nothing/manifests/1")
    with pytest.raises(NameUnknown):
        await ask(upstream, "/v2/me/app/manifests/1?ns=ghcr.io")
    with pytest.raises(NameUnknown, match="only a manifest"):
        await ask(upstream, "/v2/")


async def test_the_platform_is_told_by_the_evidence_of_the_request(upstream: FakeUpstream) -> None:
    by_path = await ask(upstream, "/v2/arm7/library/debian/manifests/jessie", headers={"Host": "rpi.lan:5000"})
    by_listener = await ask(upstream, headers={"Host": "rpi.lan:5000"}, remote="192.168.7.3")
    by_rule = await ask(upstream, remote="192.168.7.3", headers={"User-Agent": OLD_ZERO})
    told = [(one.evidence, one.platform, one.answer, one.answer_evidence) for one in (by_path, by_listener, by_rule)]
    assert told == [
        ("path", ARM_V7, "manifest", "path"),
        ("listener", ARM_V6, "manifest", "client-rule"),
        ("client-rule", ARM_V7, "manifest", "client-rule"),
    ]
    assert by_path.digest == by_rule.digest == str(jessie(ARM_V7).manifest.digest)
    assert by_listener.digest == str(jessie(ARM_V6).manifest.digest)
    assert by_listener.listener == "rpi.lan"
    assert [row["platform"] for row in by_rule.considered] == [None, None, None, ARM_V7, ARM_V6, None]


async def test_who_accepts_no_index_is_answered_an_image(upstream: FakeUpstream) -> None:
    told = await ask(upstream, headers={"Accept": media_types.DOCKER_MANIFEST, "X-Platform": "arm6"})
    assert (told.answer, told.digest) == ("index", str(jessie(ARM_V6).manifest.digest))


# How a client picks, what it looks for, and the platform of what it takes
PICKS = [
    pytest.param(take_best, ARM_V7, ARM_V7, id="the best"),
    pytest.param(take_exactly, "linux/arm/v8", None, id="exactly, and nothing is"),
    pytest.param(take_best, "linux/arm/v8", ARM_V7, id="the best of another level"),
    pytest.param(take_best, ARM64, f"{ARM64.removesuffix('/v8')}/v8", id="64 bits"),
]


@pytest.mark.parametrize(("rule", "wanted", "taken"), PICKS)
async def test_what_the_client_takes_of_the_index(
    upstream: FakeUpstream, rule: Rule, wanted: str, taken: str | None
) -> None:
    pick = (await ask(upstream, chooser=Chooser(rule, Platform.parse(wanted)))).pick
    assert pick is not None
    assert (pick.wanted, pick.platform) == (str(Platform.parse(wanted).explicit()), taken)
    if taken is None:
        assert (pick.digest, pick.image) == (None, None)
        assert pick.verdict.startswith("nothing")
    else:
        source = SOURCES[wanted if wanted in SOURCES else taken].removeprefix("library/")
        assert pick.image == f"{source}:jessie@{pick.digest}"


async def test_an_index_of_its_own_saves_an_old_engine(upstream: FakeUpstream) -> None:
    """It takes itself for v7, and what is labelled so for it is the v6 image."""
    chooser = Chooser(take_own_or_first_arm, Platform.parse(ARM_V7), Platform.parse(ARM_V6))
    saved = await ask(upstream, headers={"User-Agent": OLD_ZERO}, chooser=chooser)
    lost = await ask(upstream, chooser=chooser)
    assert saved.pick is not None
    assert lost.pick is not None
    assert (saved.pick.digest, saved.pick.platform) == (str(jessie(ARM_V6).manifest.digest), ARM_V6)
    assert (saved.pick.wanted, saved.pick.verdict) == (ARM_V7, f"it looks for {ARM_V7}")
    assert (lost.pick.platform, lost.pick.verdict) == (
        ARM_V7,
        f"it looks for {ARM_V7}, and takes what does not run: {ARM_V7}",
    )


async def test_nothing_is_foretold_of_who_is_not_known(upstream: FakeUpstream) -> None:
    unknown = (await ask(upstream, chooser=Chooser(take_best, None))).pick
    whole = await ask(upstream, chooser=Chooser(None, Platform.parse(ARM_V7)))
    by_evidence = (await ask(upstream, chooser=Chooser(take_best, None), headers={"X-Platform": "arm7"})).pick
    assert (await ask(upstream)).pick is None
    assert unknown is not None
    assert (unknown.digest, unknown.wanted) == (None, None)
    assert whole.pick is not None
    assert (whole.pick.digest, whole.pick.verdict) == (whole.digest, "the whole index")
    assert by_evidence is not None
    assert by_evidence.platform == ARM_V7


async def test_the_one_image_is_taken_by_everybody(upstream: FakeUpstream) -> None:
    chooser = Chooser(take_exactly, Platform.parse(AMD64))
    told = await ask(upstream, "/v2/arm6/library/debian/manifests/jessie", chooser=chooser)
    pinned = await ask(upstream, f"/v2/arm32v7/debian/manifests/{jessie(ARM_V7).manifest.digest}", chooser=chooser)
    assert told.pick is not None
    assert (told.pick.digest, told.pick.platform) == (told.digest, ARM_V6)
    assert pinned.pick is not None
    assert (pinned.pick.digest, pinned.pick.platform) == (pinned.digest, None)

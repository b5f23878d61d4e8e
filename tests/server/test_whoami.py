"""What the proxy takes a client for; and each channel over a real socket, overriding what comes after it."""

from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from proxy.arch.detection import AnswerMode, Assignment
from proxy.arch.vocabulary import parse_vocabulary
from proxy.oci.errors import NameUnknown
from proxy.oci.platforms import Platform
from proxy.server.doors import Door, Listener
from proxy.server.networks import ClientRule, Neighbourhood
from proxy.server.whoami import find_whoami
from tests.fakes.upstream import FakeUpstream
from tests.lab.images import build_image
from tests.server.serving import Served, serve
from tests.service.bench import ARM_V6, ARM_V7, jessie

PI_ZERO = "docker/28.5.1 go/go1.24 kernel/6.1.21+ os/linux arch/arm UpstreamClient(x)"
LISTENER = Assignment(Platform.parse("linux/arm/v7"))
RULE = Assignment(Platform.parse("linux/arm64"))


@pytest.mark.parametrize(
    ("path", "word"),
    [("/whoami", ""), ("/arm6/whoami", "arm6"), ("/linux-arm-v6/whoami", "linux-arm-v6"), ("/v2/", None)],
)
def test_it_is_asked_with_or_without_a_platform(path: str, word: str | None) -> None:
    assert find_whoami(path) == word


@pytest.mark.parametrize("path", ["/nonsense/whoami", "/v2/whoami"])
def test_nothing_else_stands_before_it(path: str) -> None:
    with pytest.raises(NameUnknown):
        find_whoami(path)
    assert find_whoami("/v2/a/whoami") is None


async def ask(served: Served, path: str = "/whoami", **headers: str) -> dict[str, Any]:
    answer = await served.client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_who_shows_nothing_is_told_how_to(served: Served) -> None:
    told = await ask(served, **{"User-Agent": "containerd/2.1.4"})
    assert (told["platform"], told["evidence"], told["engine"], told["runs"]) == (None, "none", None, [])
    assert told["answer"] == "index"
    assert "it is answered the index, and chooses by itself" in told["hint"]
    assert told["address"] == "127.0.0.1"
    assert [row["evidence"] for row in told["considered"]] == [
        "path",
        "header",
        "listener",
        "client-rule",
        "user-agent",
        "default",
    ]
    assert told["answer_evidence"] == "default"


async def test_a_pi_zero_is_told_what_it_runs(served: Served) -> None:
    told = await ask(served, **{"User-Agent": PI_ZERO})
    assert (told["platform"], told["evidence"]) == ("linux/arm/v6", "user-agent")
    assert told["runs"] == ["linux/arm/v6", "linux/arm/v5"]
    assert told["engine"] == {"product": "docker", "version": "28.5.1"}
    assert "taken for v6" in told["hint"]


async def test_an_old_engine_is_told_that_it_may_choose_wrongly(served: Served) -> None:
    told = await ask(served, **{"User-Agent": PI_ZERO.replace("28.5.1", "19.03.15").replace("6.1.21+", "6.1.21-v7+")})
    assert "answered an index of its own" in told["hint"]
    by_path = await ask(served, "/arm7/whoami", **{"User-Agent": PI_ZERO.replace("28.5.1", "19.03.15")})
    assert (by_path["answer"], by_path["answer_evidence"], by_path["hint"]) == ("manifest", "path", "")


async def test_the_default_is_a_row_of_its_own(upstream: FakeUpstream) -> None:
    async with serve(upstream, default_platform=Platform.parse("linux/arm64")) as served:
        told = await ask(served)
    assert (told["platform"], told["evidence"]) == ("linux/arm64/v8", "default")
    assert told["considered"][-1] == {"evidence": "default", "shown": "linux/arm64", "platform": "linux/arm64/v8"}


async def test_a_head_is_answered_without_a_body(served: Served) -> None:
    assert (await served.client.head("/whoami")).status_code == 200
    assert (await served.client.post("/whoami")).status_code == 405


DOOR = Door(
    [Listener("rpi.lan", "rpi.lan", LISTENER), Listener("old.lan", "old.lan", Assignment(answer=AnswerMode.MANIFEST))]
)
NEIGHBOURHOOD = Neighbourhood([ClientRule(ip_network("127.0.0.7"), RULE)], [ip_network("127.0.0.0/8")])
CHANNELS = {
    "path": ("/arm5/whoami", {}),
    "header": ("/whoami", {"X-Meta-Platform": "linux/386"}),
    "listener": ("/whoami", {"Host": "rpi.lan:5000"}),
    "client-rule": ("/whoami", {"X-Forwarded-For": "127.0.0.7"}),
    "user-agent": ("/whoami", {"User-Agent": PI_ZERO}),
}
"""One thing that each channel says, all of them different."""
MEANT = ("linux/arm/v5", "linux/386", "linux/arm/v7", "linux/arm64/v8", "linux/arm/v6")


@pytest.mark.parametrize("first", range(len(CHANNELS)))
async def test_each_channel_overrides_those_that_come_after_it(upstream: FakeUpstream, first: int) -> None:
    names = list(CHANNELS)
    async with serve(upstream, door=DOOR, neighbourhood=NEIGHBOURHOOD) as served:
        headers = {key: value for name in names[first:] for key, value in CHANNELS[name][1].items()}
        told = await ask(served, CHANNELS[names[first]][0], **headers)
    assert (told["evidence"], told["platform"]) == (names[first], MEANT[first])


async def test_a_rule_is_for_the_peer_s_own_address_too(upstream: FakeUpstream) -> None:
    async with serve(upstream, neighbourhood=NEIGHBOURHOOD) as served:
        transport = httpx.AsyncHTTPTransport(local_address="127.0.0.7")
        async with httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{served.port}") as client:
            told = (await client.get("/whoami")).json()
    assert (told["platform"], told["evidence"], told["address"]) == ("linux/arm64/v8", "client-rule", "127.0.0.7")


TAG = "/v2/library/debian/manifests/jessie"


async def test_a_tag_is_answered_by_the_same_evidence(upstream: FakeUpstream) -> None:
    async with serve(upstream, door=DOOR, neighbourhood=NEIGHBOURHOOD) as served:
        by_header = await served.client.get(TAG, headers={"X-Platform": "rpi", "User-Agent": "containerd/2.1"})
        by_listener = await served.client.get(TAG, headers={"Host": "rpi.lan", "User-Agent": PI_ZERO})
        whole = await served.client.get(TAG, headers={"User-Agent": PI_ZERO})
        old = await served.client.get(TAG, headers={"Host": "old.lan", "User-Agent": PI_ZERO})
    assert (by_header.headers["Polyarch-Platform"], by_header.headers["Polyarch-Evidence"]) == (ARM_V6, "header")
    assert (by_listener.headers["Polyarch-Platform"], by_listener.headers["Polyarch-Evidence"]) == (ARM_V7, "listener")
    assert by_header.content == by_listener.content == whole.content
    assert old.content == jessie(ARM_V6).manifest.content


async def test_one_endpoint_serves_several_registries(upstream: FakeUpstream) -> None:
    """By `?ns=`, by path, and by a listener; and what one has is not shown as another's."""
    door = Door([Listener("ghcr.lan", "ghcr.lan", upstream="ghcr.io")])
    image = build_image("linux/amd64", label="ghcr")
    async with serve(upstream, own_name="ghcr.io", door=door) as served:
        served.own.push("me/app:1", image)
        answers = [
            await served.client.get("/v2/me/app/manifests/1", params={"ns": "ghcr.io"}),
            await served.client.get("/v2/ghcr.io/me/app/manifests/1"),
            await served.client.get("/linux-amd64/v2/ghcr.io/me/app/manifests/1"),
            await served.client.get("/ghcr.io/v2/me/app/manifests/1"),
            await served.client.get("/v2/me/app/manifests/1", headers={"Host": "ghcr.lan"}),
        ]
        blob = f"/blobs/{image.config.digest}"
        shown = await served.client.get(f"/v2/ghcr.io/me/app{blob}")
        hidden = [await served.client.get(f"/v2/{name}{blob}") for name in ("me/app", "docker.io/me/app")]
    assert [answer.content for answer in answers] == [image.manifest.content] * 5
    assert shown.content == image.config.content
    assert [answer.status_code for answer in hidden] == [404, 404]


@pytest.mark.parametrize(
    ("path", "headers", "evidence"),
    [("/pi-zero/whoami", {}, "path"), ("/whoami", {"X-Platform": "pi-zero"}, "header")],
)
async def test_the_operator_s_own_words_are_understood(
    upstream: FakeUpstream, path: str, headers: dict[str, str], evidence: str
) -> None:
    async with serve(upstream, vocabulary=parse_vocabulary({"pi-zero": "rpi"})) as served:
        told = await ask(served, path, **headers)
        assert (told["platform"], told["evidence"]) == ("linux/arm/v6", evidence)
        assert (await served.client.get("/pi-zero/v2/")).status_code == 200
        assert (await served.client.get("/pi-one/v2/")).status_code == 404
    async with serve(upstream) as served:
        assert (await served.client.get("/pi-zero/whoami")).status_code == 404

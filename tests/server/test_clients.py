"""Who asks: each row of evidence as it is told, and where the answer mode comes from."""

from ipaddress import ip_network

import pytest
from multidict import CIMultiDict

from proxy.arch.detection import AnswerMode, Assignment
from proxy.arch.vocabulary import parse_vocabulary
from proxy.oci import media_types
from proxy.oci.platforms import Platform
from proxy.server.clients import Client, Clients
from proxy.server.doors import MAIN, Listener
from proxy.server.imagined import ImaginedRequest
from proxy.server.networks import ClientRule, Neighbourhood

TAG = "/v2/library/debian/manifests/jessie"
PI_ZERO = "docker/28.5.1 kernel/6.1.21+ os/linux arch/arm"
RULE = ClientRule(ip_network("192.168.7.0/24"), Assignment(Platform.parse("linux/arm/v7"), AnswerMode.MANIFEST))
CLIENTS = Clients(Neighbourhood([RULE]), Platform.parse("linux/arm64"))


def see(remote: str | None = None, word: str = "", listener: Listener = MAIN, **headers: str) -> Client:
    return CLIENTS.see(ImaginedRequest(TAG, CIMultiDict(headers), remote), word, listener)


def test_every_row_is_told_with_what_was_shown_and_read() -> None:
    client = see(
        "192.168.7.9",
        "rpi",
        Listener("a:1", assignment=Assignment(Platform.parse("linux/386"))),
        **{
            "X-Platform": "nonsense",
            "User-Agent": PI_ZERO,
        },
    )
    assert client.list_evidence() == [
        {"evidence": "path", "shown": "rpi", "platform": "linux/arm/v6"},
        {"evidence": "header", "shown": "nonsense", "platform": None},
        {"evidence": "listener", "shown": "a:1", "platform": "linux/386"},
        {"evidence": "client-rule", "shown": "192.168.7.0/24", "platform": "linux/arm/v7"},
        {"evidence": "user-agent", "shown": PI_ZERO, "platform": "linux/arm/v6"},
        {"evidence": "default", "shown": "linux/arm64", "platform": "linux/arm64/v8"},
    ]
    assert (str(client.detection.platform), client.detection.evidence) == ("linux/arm/v6", "path")


def test_who_shows_nothing_is_what_is_configured() -> None:
    client = see()
    assert (str(client.detection.platform), client.detection.evidence) == ("linux/arm64", "default")
    assert [row["platform"] for row in client.list_evidence()[:-1]] == [None] * 5


def test_the_operator_s_own_words_are_read_in_path_and_header() -> None:
    own = Clients(vocabulary=parse_vocabulary({"pi-zero": "rpi"}))
    headers = CIMultiDict({"X-Meta-Platform": "pi-one", "X-Platform": "pi-zero"})
    for word, evidence in (("pi-zero", "path"), ("", "header")):
        client = own.see(ImaginedRequest(TAG, headers), word, MAIN)
        assert (str(client.detection.platform), client.detection.evidence) == ("linux/arm/v6", evidence)


BY_INDEX = Listener("a:1", assignment=Assignment(answer=AnswerMode.INDEX))


@pytest.mark.parametrize(
    ("client", "mode", "evidence"),
    [
        pytest.param(see(), AnswerMode.INDEX, "default", id="nobody says anything"),
        pytest.param(see(word="arm6"), AnswerMode.MANIFEST, "path", id="the path"),
        pytest.param(see(word="debian"), AnswerMode.INDEX, "default", id="a path without a platform"),
        pytest.param(see("192.168.7.1"), AnswerMode.MANIFEST, "client-rule", id="the network"),
        pytest.param(
            see("192.168.7.1", listener=BY_INDEX), AnswerMode.INDEX, "listener", id="the listener goes before"
        ),
    ],
)
def test_the_answer_mode_is_told_with_who_decided_it(client: Client, mode: AnswerMode, evidence: str) -> None:
    assert (client.detection.answer, client.detection.answer_evidence) == (mode, evidence)
    assert client.make_asker(frozenset()).wants_manifest is (mode is AnswerMode.MANIFEST)


def test_who_asks_is_known_by_what_it_accepts() -> None:
    asker = see().make_asker(frozenset({media_types.DOCKER_MANIFEST}))
    assert asker.takes(media_types.DOCKER_MANIFEST)
    assert not asker.takes(media_types.OCI_INDEX)

import pytest

from proxy.arch.vocabulary import parse_vocabulary
from proxy.oci.errors import NameUnknown
from proxy.server.fronts import Front, Place, check_prefix, locate, pick_front, place_in
from tests.fakes.upstream import FakeUpstream
from tests.service.bench import HUB, open_bench

OWN = "registry.lan:5000"


async def make_front(*, has_library: bool = False, has_words: bool = False) -> Front:
    async with open_bench(FakeUpstream()) as bench:
        return Front(bench.puller, has_library=has_library, has_words=has_words)


@pytest.mark.parametrize("namespace", [None, "", "docker.io", "registry-1.docker.io", "Index.Docker.io"])
async def test_docker_hub_is_meant_if_nothing_is_said(namespace: str | None) -> None:
    hub, own = await make_front(), await make_front()
    assert pick_front({HUB: hub, OWN: own}, namespace) is hub


async def test_a_registry_is_meant_by_its_name() -> None:
    hub, own = await make_front(), await make_front()
    assert pick_front({HUB: hub, OWN: own}, "Registry.LAN:5000") is own


@pytest.mark.parametrize("namespace", ["registry.lan", "evil.example", "docker.io.evil.example", "127.0.0.1"])
async def test_an_unknown_registry_is_told_which_ones_there_are(namespace: str) -> None:
    with pytest.raises(NameUnknown, match=r"docker\.io, registry\.lan:5000"):
        pick_front({HUB: await make_front(), OWN: await make_front()}, namespace)


@pytest.mark.parametrize(
    ("prefix", "repository", "place"),
    [
        pytest.param("", "debian", Place("", ("library/debian",)), id="a short name"),
        pytest.param("", "library/debian", Place("", ("library/debian",)), id="a whole name"),
        pytest.param("", "me/app", Place("", ("me/app",)), id="somebody's name"),
        pytest.param("", "arm6/debian", Place("arm6", ("library/debian",)), id="a word and a short name"),
        pytest.param("", "arm6/me/app", Place("arm6", ("me/app",)), id="a word and somebody's name"),
        pytest.param("linux-arm-v6", "debian", Place("linux-arm-v6", ("library/debian",)), id="a prefix"),
        pytest.param("", "arm6", Place("", ("library/arm6",)), id="a word alone is a name"),
        pytest.param("", "arm32v7/debian", Place("", ("arm32v7/debian",)), id="Docker's own namespaces are names"),
    ],
)
async def test_a_path_on_docker_hub(prefix: str, repository: str, place: Place) -> None:
    assert place_in(await make_front(has_library=True), prefix, repository) == place


@pytest.mark.parametrize(
    ("prefix", "repository", "place"),
    [
        pytest.param("", "app", Place("", ("app",)), id="a name"),
        pytest.param("", "arm6/app", Place("arm6", ("arm6/app", "app")), id="a word that may be a namespace"),
        pytest.param("arm6", "app", Place("arm6", ("app",)), id="a prefix is none"),
    ],
)
async def test_a_path_on_a_registry_of_ones_own(prefix: str, repository: str, place: Place) -> None:
    assert place_in(await make_front(has_words=True), prefix, repository) == place


async def test_a_word_is_no_namespace_where_strangers_may_own_it() -> None:
    assert place_in(await make_front(), "", "arm6/app") == Place("arm6", ("app",))


@pytest.mark.parametrize("prefix", ["mirror", "v1", "..", "arm6x"])
async def test_a_prefix_that_is_no_platform_is_not_there(prefix: str) -> None:
    with pytest.raises(NameUnknown, match="neither v2 nor a platform"):
        place_in(await make_front(), prefix, "library/debian")
    with pytest.raises(NameUnknown, match="neither v2 nor a platform"):
        check_prefix({HUB: await make_front()}, prefix)


@pytest.mark.parametrize("prefix", ["", "arm6", "linux-arm-v6", "ghcr.io", "docker.io", "index.docker.io"])
async def test_a_platform_or_an_upstream_may_stand_before_v2(prefix: str) -> None:
    check_prefix({HUB: await make_front(), "ghcr.io": await make_front()}, prefix)


@pytest.mark.parametrize(
    ("namespace", "default", "prefix", "repository", "upstream", "place"),
    [
        pytest.param("", "", "", "debian", HUB, Place("", ("library/debian",)), id="nothing said"),
        pytest.param("ghcr.io", "", "", "me/app", "ghcr.io", Place("", ("me/app",)), id="ns"),
        pytest.param("", "", "", "ghcr.io/me/app", "ghcr.io", Place("", ("me/app",)), id="a path"),
        pytest.param("", "", "", "GHCR.io/me/app", "ghcr.io", Place("", ("me/app",)), id="in any case"),
        pytest.param("", "", "", "docker.io/debian", HUB, Place("", ("library/debian",)), id="Docker Hub by name"),
        pytest.param("", "ghcr.io", "", "docker.io/me/app", HUB, Place("", ("me/app",)), id="a path before a listener"),
        pytest.param("", "ghcr.io", "", "me/app", "ghcr.io", Place("", ("me/app",)), id="a listener"),
        pytest.param("docker.io", "ghcr.io", "", "me/app", HUB, Place("", ("me/app",)), id="ns before a listener"),
        pytest.param("ghcr.io", "", "", "ghcr.io/me/app", "ghcr.io", Place("", ("me/app",)), id="ns and path agree"),
        pytest.param(
            "docker.io", "", "", "ghcr.io/me/app", HUB, Place("", ("ghcr.io/me/app",)), id="ns and path do not"
        ),
        pytest.param("", "", "", "arm6/ghcr.io/me/app", "ghcr.io", Place("arm6", ("me/app",)), id="word, upstream"),
        pytest.param("", "", "", "ghcr.io/arm6/me/app", "ghcr.io", Place("arm6", ("me/app",)), id="upstream, word"),
        pytest.param(
            "",
            "",
            "linux-arm-v6",
            "ghcr.io/me/app",
            "ghcr.io",
            Place("linux-arm-v6", ("me/app",)),
            id="prefix, upstream",
        ),
        pytest.param("", "", "ghcr.io", "me/app", "ghcr.io", Place("", ("me/app",)), id="upstream before v2"),
        pytest.param("", "", "", "quay.io/me/app", HUB, Place("", ("quay.io/me/app",)), id="no upstream of ours"),
        pytest.param("", "", "", "ghcr.io", HUB, Place("", ("library/ghcr.io",)), id="a name alone"),
        pytest.param("", "", "", "me/ghcr.io/app", HUB, Place("", ("me/ghcr.io/app",)), id="no word before it"),
    ],
)
async def test_an_upstream_is_named_by_query_by_path_or_by_listener(
    namespace: str, default: str, prefix: str, repository: str, upstream: str, place: Place
) -> None:
    fronts = {HUB: await make_front(has_library=True), "ghcr.io": await make_front()}
    found = locate(fronts, namespace, default, prefix, repository)
    assert found.front is fronts[upstream]
    assert found.place == place


OWN_WORDS = parse_vocabulary({"pi-zero": "rpi"})


@pytest.mark.parametrize(
    ("prefix", "repository", "upstream", "place"),
    [
        pytest.param("", "pi-zero/debian", HUB, Place("pi-zero", ("library/debian",)), id="before a name"),
        pytest.param("pi-zero", "debian", HUB, Place("pi-zero", ("library/debian",)), id="before v2"),
        pytest.param("", "pi-zero/ghcr.io/me/app", "ghcr.io", Place("pi-zero", ("me/app",)), id="word, upstream"),
        pytest.param("", "ghcr.io/pi-zero/me/app", "ghcr.io", Place("pi-zero", ("me/app",)), id="upstream, word"),
        pytest.param("", "pi-zero", HUB, Place("", ("library/pi-zero",)), id="a name alone"),
    ],
)
async def test_the_operator_s_own_words_may_stand_in_a_path(
    prefix: str, repository: str, upstream: str, place: Place
) -> None:
    fronts = {HUB: await make_front(has_library=True), "ghcr.io": await make_front()}
    found = locate(fronts, "", "", prefix, repository, OWN_WORDS)
    assert (found.front is fronts[upstream], found.place) == (True, place)
    # Remembered places are those of one vocabulary
    if not prefix:
        assert locate(fronts, "", "", prefix, repository).place.path_word == ""
    check_prefix(fronts, "pi-zero", OWN_WORDS)
    with pytest.raises(NameUnknown):
        check_prefix(fronts, "pi-zero")


async def test_a_path_never_leads_to_a_host_that_is_not_configured() -> None:
    fronts = {HUB: await make_front(), "localhost": await make_front()}
    assert locate(fronts, "", "", "", "localhost/app").front is fronts[HUB]
    assert locate(fronts, "", "", "", "evil.example/app").place == Place("", ("evil.example/app",))
    with pytest.raises(NameUnknown, match="none of this proxy's upstreams"):
        locate(fronts, "evil.example", "", "", "app")

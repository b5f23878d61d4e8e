import pytest

from proxy.oci.errors import NameUnknown
from proxy.server.fronts import Front, Place, check_prefix, pick_front, place_in
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
        check_prefix(prefix)


@pytest.mark.parametrize("prefix", ["", "arm6", "linux-arm-v6"])
def test_a_platform_may_stand_before_v2(prefix: str) -> None:
    check_prefix(prefix)

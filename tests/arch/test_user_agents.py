import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.user_agents import MAX_USER_AGENT_LENGTH, parse_user_agent
from proxy.oci.platforms import Platform
from tests.arch.seen_user_agents import SEEN, UNBELIEVABLE, WITHOUT_A_PLATFORM
from tests.strategies import any_text

CASES = [
    pytest.param(user_agent, platform, id=f"{source}-{position}")
    for source, user_agents in SEEN.items()
    for position, (user_agent, platform) in enumerate(user_agents.items(), 1)
]
SILENT = [
    pytest.param(user_agent, id=f"{source}-{user_agent}")
    for source, user_agents in {**WITHOUT_A_PLATFORM, **UNBELIEVABLE}.items()
    for user_agent in user_agents
]
MIN_SEEN = 80


def test_enough_of_what_is_sent_in_the_world_was_looked_at() -> None:
    """Of real clients, told and untold; what we made up to be refused does not count."""
    told = {user_agent for user_agents in SEEN.values() for user_agent in user_agents}
    untold = {user_agent for user_agents in WITHOUT_A_PLATFORM.values() for user_agent in user_agents}
    assert len(told | untold) >= MIN_SEEN


@pytest.mark.parametrize(("user_agent", "platform"), CASES)
def test_a_user_agent_tells_this_platform(user_agent: str, platform: str | None) -> None:
    found = parse_user_agent(user_agent)
    assert (None if found is None else str(found.platform)) == platform


@pytest.mark.parametrize("user_agent", SILENT)
def test_a_user_agent_tells_nothing(user_agent: str) -> None:
    assert parse_user_agent(user_agent) is None


@pytest.mark.parametrize(
    ("user_agent", "platform"),
    [
        pytest.param(
            "docker/27.5.1 kernel/6.1.21+ os/linux arch/arm UpstreamClient(x os/linux arch/amd64 kernel/5-v7+)",
            "linux/arm/v6",
            id="the-caller-contradicts",
        ),
        pytest.param("docker/27.5.1 os/linux arch/arm64 arch/amd64", "linux/arm64", id="of-two-the-first"),
        pytest.param("docker/27.5.1 docker/9 os/linux arch/arm64", "linux/arm64", id="two-products"),
        pytest.param(
            "docker/27.5.1 kernel/6.1-\u00e9+ os/linux arch/arm", "linux/arm/v6", id="a-kernel-of-other-letters"
        ),
        pytest.param("docker/27.5.1 kernel/ os/linux arch/arm", "linux/arm/v6", id="an-empty-kernel"),
        pytest.param(
            "docker/27.5.1 kernel/10.0 17763 os/windows arch/amd64", "windows/amd64", id="a-kernel-with-a-space"
        ),
        pytest.param("DOCKER/27.5.1 OS/LINUX ARCH/arm64", "linux/arm64", id="capitals-that-some-proxy-made"),
        pytest.param("docker/27.5.1 arch/arm os/linux kernel/6.1.21-v7+", "linux/arm/v7", id="another-order"),
    ],
)
def test_what_is_odd_but_plain_is_understood(user_agent: str, platform: str) -> None:
    found = parse_user_agent(user_agent)
    assert found is not None
    assert str(found.platform) == platform


@pytest.mark.parametrize("length", [MAX_USER_AGENT_LENGTH + 1, 100_000])
@pytest.mark.parametrize("user_agent", [user_agent for each in SEEN.values() for user_agent in each])
def test_an_overlong_user_agent_tells_nothing(user_agent: str, length: int) -> None:
    assert parse_user_agent(user_agent.ljust(length)) is None
    assert parse_user_agent(user_agent.ljust(length, "x")) is None


def test_the_longest_user_agent_is_still_read() -> None:
    user_agent = "docker/27.5.1 os/linux arch/arm64 UpstreamClient("
    assert parse_user_agent(user_agent.ljust(MAX_USER_AGENT_LENGTH, "x"))
    assert parse_user_agent(user_agent.ljust(MAX_USER_AGENT_LENGTH + 1, "x")) is None


_tokens = st.sampled_from(
    ("docker/1", "cri-o/1", "os/linux", "os/windows", "arch/arm", "arch/arm64", "arch/s390x", "kernel/5.4.51-v7+", "x/")
)


@given(any_text | st.lists(_tokens | any_text, max_size=8).map(" ".join))
def test_an_arbitrary_user_agent_tells_a_normal_platform_or_nothing(user_agent: str) -> None:
    engine = parse_user_agent(user_agent)
    assert engine is None or engine.platform == engine.platform.normalised()


@given(any_text)
def test_what_the_engine_s_caller_writes_changes_nothing(text: str) -> None:
    machine = "docker/27.5.1 kernel/6.1.21+ os/linux arch/arm"
    with_caller = f"{machine} UpstreamClient({text})"[:MAX_USER_AGENT_LENGTH]
    engine = parse_user_agent(with_caller)
    assert engine is not None
    assert engine.platform == Platform("linux", "arm", "v6")
    assert engine.version == (27, 5, 1)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("docker/20.10.24+dfsg1", (20, 10, 24)),
        ("docker/1.11.2", (1, 11, 2)),
        ("docker/18.06.1-ce", (18, 6, 1)),
        ("docker/29", (29,)),
        ("docker/dev", ()),
        ("cri-o/1.30.3", (1, 30, 3)),
        ("balenaEngine/20.10.43", (20, 10, 43)),
    ],
)
def test_an_engine_s_version_is_read_as_far_as_it_is_numbers(text: str, version: tuple[int, ...]) -> None:
    engine = parse_user_agent(f"{text} os/linux arch/arm64")
    assert engine is not None
    assert (engine.product, engine.version) == (text.partition("/")[0].lower(), version)

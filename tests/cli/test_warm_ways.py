"""Who warms: the server that is named, the one that has the cache open, or the command itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from proxy.arch.vocabulary import Vocabulary
from proxy.cli.servers import ServerUnusable
from proxy.cli.warm_remote import Wanted, WarmWish
from proxy.cli.warm_ways import Errand, Way, carry_out
from proxy.config.parsers import parse_one_platform
from proxy.config.schema import Settings
from proxy.config.serving import ApiSettings
from proxy.config.upstreams import UpstreamSettings
from proxy.oci.errors import InvalidPlatform, InvalidSetting
from proxy.oci.references import Reference
from proxy.storage.presence import Presence, leaving_word
from proxy.warm_folder import WarmLimits
from tests.cli.folders import AMD64, ARM_V7, IMAGES
from tests.cli.jobs import job_of, order_of, part_of
from tests.cli.registries import documents_of, serving
from tests.cli.warm_server import standing_in_to_warm
from tests.fakes.events import RecordingEvents
from tests.live import Live, run_proxy

TOKEN = "sesame"


@pytest.fixture
def url() -> Iterator[str]:
    with serving(documents_of(IMAGES)) as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def settings_with(url: str, api: ApiSettings | None = None) -> Settings:
    kitchen = Vocabulary((("kitchen", parse_one_platform("arm7")),))
    upstream = UpstreamSettings(url=url, public="true")
    return Settings(upstream=(upstream,), api=api or ApiSettings(), words=kitchen)


@asynccontextmanager
async def present(url: str, folder: Path, api: ApiSettings | None = None) -> AsyncIterator[Live]:
    """Run a server that the cache folder names."""
    async with AsyncExitStack() as stack:
        live = await stack.enter_async_context(run_proxy(settings_with(url, api), folder))
        presence = Presence(live.url, live.identity.secret)
        await stack.enter_async_context(leaving_word(folder, presence, RecordingEvents()))
        yield live


def errand(folder: Path, *words: str, settings: Settings | None = None, name: str = "debian:jessie") -> Errand:
    """What is wanted, by who knows of no upstream where anything could be had."""
    dead = Settings(upstream=(UpstreamSettings(url="http://127.0.0.1:9", public="true"),))
    wanted = [Wanted(Reference.parse(name), words or ("amd64", "arm7"))]
    return Errand(wanted, WarmWish(WarmLimits()), settings or dead, folder)


async def test_the_server_that_has_the_cache_open_does_it_in_its_own_words(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with present(url, folder) as live:
        (result,) = await carry_out(errand(folder, "kitchen", "amd64"), Way())
        assert {AMD64.config.digest, ARM_V7.config.digest} <= live.stored()
    assert result.is_done
    assert result.plan is not None
    assert [str(platform) for platform in result.plan.images] == ["linux/arm/v7", "linux/amd64"]
    assert str(result.plan.root.digest).startswith("sha256:")
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"warming by the server at {live.url}, which has this cache open"
    assert told[-1].startswith("debian:jessie: done in ")


async def test_what_it_tells_is_what_the_command_itself_would(url: str, folder: Path, tmp_path: Path) -> None:
    async with present(url, folder):
        (by_server,) = await carry_out(errand(folder), Way())
    (by_itself,) = await carry_out(errand(tmp_path / "other", settings=settings_with(url)), Way())
    assert by_server.plan is not None
    assert by_itself.plan is not None
    assert by_server.spending.blob_bytes == by_itself.spending.blob_bytes > 0
    assert by_server.spending.requests.total() == by_itself.spending.requests.total()
    for mine, its in ((by_server.plan, by_itself.plan),):
        assert mine.root.digest == its.root.digest
        assert {one: found.digest for one, found in mine.images.items()} == {
            one: found.digest for one, found in its.images.items()
        }
        assert [(part.descriptor.digest, part.state, part.lacking) for part in mine.parts] == [
            (part.descriptor.digest, part.state, part.lacking) for part in its.parts
        ]


async def test_by_force_or_where_none_runs_it_is_the_command_itself(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with present(url, folder):
        (result,) = await carry_out(errand(folder, settings=settings_with(url)), Way(is_local=True))
        assert result.is_done
    (again,) = await carry_out(errand(folder, settings=settings_with(url)), Way())
    assert again.is_done
    assert again.spending.requests.total() == 0
    told = capsys.readouterr().err
    assert told.count(f"warming the cache folder {folder} itself\n") == 2


@pytest.mark.parametrize(
    ("api", "reason"),
    [
        (ApiSettings(read="off"), "has no such call"),
        (ApiSettings(token=TOKEN), "does not let us"),
    ],
)
async def test_where_the_server_does_not_let_us_it_is_the_command_itself_and_says_why(
    url: str, folder: Path, api: ApiSettings, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with present(url, folder, api):
        (result,) = await carry_out(errand(folder, settings=settings_with(url)), Way())
    assert result.is_done
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith(f"warming the cache folder {folder} itself: http://127.0.0.1:")
    assert reason in first


async def test_the_token_is_that_of_the_settings_or_in_a_file(url: str, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    async with present(url, folder, ApiSettings(token=TOKEN)) as live:
        for settings, way in (
            (None, Way(server=live.url, token_file=file)),
            (settings_with(url, ApiSettings(token=TOKEN)), Way(server=live.url)),
            (settings_with(url, ApiSettings(token_file=file)), Way()),
        ):
            (result,) = await carry_out(errand(folder, settings=settings), way)
            assert result.is_done
        with pytest.raises(ServerUnusable, match="name its token by --token-file FILE"):
            await carry_out(errand(folder), Way(server=live.url))
        file.write_text("another")
        with pytest.raises(ServerUnusable, match="does not take this token"):
            await carry_out(errand(folder), Way(server=live.url, token_file=file))


async def test_one_that_fails_stops_no_other_there_either(url: str, folder: Path) -> None:
    async with present(url, folder) as live:
        both = [*errand(folder, name="nowhere:1").wanted, *errand(folder).wanted]
        wish = WarmWish(WarmLimits())
        failed, done = await carry_out(Errand(both, wish, Settings(), folder), Way(server=live.url))
    assert "absent" in failed.error
    assert done.is_done


async def test_a_named_server_that_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(ServerUnusable, match="nothing listens there"):
        await carry_out(errand(folder), Way(server="http://127.0.0.1:9"))
    with pytest.raises(InvalidSetting, match="--server must be a URL"):
        await carry_out(errand(folder), Way(server="127.0.0.1:9"))


async def test_a_word_that_the_server_does_not_know_is_bad_input(url: str, folder: Path) -> None:
    async with present(url, folder):
        with pytest.raises(InvalidSetting, match="unknown platform 'kitchn'; did you mean kitchen"):
            await carry_out(errand(folder, "kitchn"), Way())


async def test_a_word_that_nobody_knows_begins_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidPlatform):
        await carry_out(errand(folder, "kitchen"), Way())
    assert capsys.readouterr().err == ""


async def test_ended_it_ends_on_the_server_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with standing_in_to_warm() as server:
        server.streams, server.holds = [[job_of(order_of("planned", part_of(b"layer", 100, 0)))]], True
        warming = asyncio.ensure_future(carry_out(errand(folder), Way(server=server.host)))
        await server.reached.wait()
        warming.cancel()
        await asyncio.wait([warming])
        assert warming.cancelled()
        assert server.asked[-1][:2] == ("DELETE", "/warm/job-1")
    assert capsys.readouterr().err.splitlines()[-1] == "cancelled on the server; what has come is kept"

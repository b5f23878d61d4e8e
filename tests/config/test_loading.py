"""Reading settings: precedence, and one clear line for whatever is wrong."""

from pathlib import Path

import pytest

from proxy.config.loading import default_cache_directory, load_settings, read_environment
from proxy.oci.errors import InvalidSetting


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_nothing_at_all_is_docker_hub() -> None:
    settings = load_settings(None, {})
    assert [one.address for one in settings.upstreams] == ["https://registry-1.docker.io"]
    assert settings.server.listen == ("0.0.0.0", 5000)  # noqa: S104 - a mirror is there to be reached


def test_flags_win_over_the_environment_and_that_over_the_file(file: Path) -> None:
    file.write_text('[cache]\ntag_ttl = "1s"\nabsent_ttl = "1s"\nretry_interval = "1s"\n')
    environment = {"POLYARCH_CACHE_ABSENT_TTL": "2s", "POLYARCH_CACHE_RETRY_INTERVAL": "2s", "HOME": "/"}
    settings = load_settings(file, environment, {"cache": {"retry_interval": "3s"}})
    cache = settings.cache
    assert (cache.tag_ttl, cache.absent_ttl, cache.retry_interval) == (1.0, 2.0, 3.0)


def test_the_environment_may_name_the_file(file: Path) -> None:
    file.write_text('[log]\nlevel = "error"\n')
    assert load_settings(None, {"POLYARCH_CONFIG": str(file)}).log.level == "error"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param('[cache]\ntag_tll = "1s"', "unknown key cache.tag_tll; did you mean tag_ttl?", id="near"),
        pytest.param('tag_ttl = "1s"', "unknown key tag_ttl; did you mean cache.tag_ttl?", id="elsewhere"),
        pytest.param("[cachet]", "unknown key cachet; did you mean cache?", id="section"),
        pytest.param("zzzz = 1", "unknown key zzzz", id="nothing near"),
        pytest.param('[cache]\ntag_ttl = "soon"', "cache.tag_ttl must be a time", id="value"),
        pytest.param("cache = 3", "cache must be a table", id="no table"),
        pytest.param('[upstream]\nname = "x"', "upstream must be written as [[upstream]]", id="no list"),
        pytest.param('[[upstream]]\nnames = "x"', "unknown key upstream[0].names; did you mean name?", id="in a list"),
        pytest.param('[[candidates.template]]\nplatform = "rpi"', "candidates.template[0] needs pattern", id="missing"),
        pytest.param("[cache", "not TOML", id="broken"),
        pytest.param('[[upstream]]\nusername = "me"', "has a username but no repositories", id="credentials"),
        pytest.param(
            '[[upstream]]\nname = "ghcr.io"\n[[upstream]]\nname = "ghcr.io"', "ghcr.io is named twice", id="twice"
        ),
        pytest.param(
            '[[candidates.template]]\npattern = "x/{name}"\nplatform = "rpi"\nregistry = "ghcr.io"',
            "which is no upstream here",
            id="template for nobody",
        ),
        pytest.param(
            '[[candidates.template]]\npattern = "x/y"\nplatform = "rpi"', "needs {name} or {repository}", id="template"
        ),
        pytest.param('[resolution]\nfleet = ["arm77"]', "resolution.fleet unknown platform 'arm77'", id="platform"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidSetting) as caught:
        load_settings(file, {})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_line_names_the_file(file: Path) -> None:
    file.write_text("zzzz = 1")
    with pytest.raises(InvalidSetting, match=str(file)):
        load_settings(file, {})


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(InvalidSetting, match="cannot be read: No such file"):
        load_settings(file, {})


def test_an_unknown_variable_of_ours_is_an_error() -> None:
    with pytest.raises(InvalidSetting, match="POLYARCH_CACHE_TAG_TTL"):
        load_settings(None, {"POLYARCH_CACHE_TAG_TLL": "1s"})


def test_root_keeps_the_cache_where_the_system_does_and_others_in_their_data_folder() -> None:
    assert default_cache_directory({}, is_root=True) == Path("/var/lib/polyarch")
    assert default_cache_directory({"HOME": "/home/pi"}, is_root=False) == Path("/home/pi/.local/share/polyarch")
    data = {"HOME": "/home/pi", "XDG_DATA_HOME": "/data"}
    assert default_cache_directory(data, is_root=False) == Path("/data/polyarch")


def test_the_environment_is_read_as_it_is() -> None:
    assert "PATH" in read_environment()

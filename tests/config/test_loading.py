"""Reading settings: precedence, and one clear line for whatever is wrong."""

import dataclasses
import json
import re
import string
import tempfile
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.loading import default_cache_directory, load_settings, read_environment
from proxy.config.schema import Settings
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform


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
        pytest.param('[server]\ntls_key = "k"', "tls_certificate and server.tls_key go together", id="a key alone"),
        pytest.param('[server]\ntls_certificate = "c"', "one of them is not set", id="a certificate alone"),
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
            '[[candidates.template]]\npattern = "x/y"\nplatform = "rpi"', "needs one of {name}", id="template"
        ),
        pytest.param('[[image]]\nexclude = ["x/*"]', "image[0] needs match", id="an image without a name"),
        pytest.param(
            '[[image]]\nmatch = "x"\nregistry = "ghcr.io"', "which is no upstream here", id="image for nobody"
        ),
        pytest.param(
            '[[image]]\nmatch = "x"\ncorrections = { arm77 = "rpi" }', "unknown platform 'arm77'", id="correction"
        ),
        pytest.param('[[image]]\nmatch = "x"\ncorrections = "rpi"', "must be a table such as", id="no corrections"),
        pytest.param('[[image]]\nmatch = "x"\nalso_runs_on = ["rpi"]', "must be a table such as", id="no list"),
        pytest.param(
            '[[image]]\nmatch = "x"\n[[image.source]]\nplatform = "rpi"\nname = "A/b"', "no valid name", id="source"
        ),
        pytest.param('[resolution]\nfleet = ["arm77"]', "resolution.fleet unknown platform 'arm77'", id="platform"),
        pytest.param(
            '[words]\npi-zero = "arm77"', "words has 'pi-zero' for an unknown platform", id="word for nothing"
        ),
        pytest.param('[words]\narmv7l = "arm6"', "words has 'armv7l' for linux/arm/v6, but it means", id="known word"),
        pytest.param("words = 3", "words must be a table such as", id="no words"),
        pytest.param('[[words]]\npi = "rpi"', "words must be a table such as", id="a list of words"),
        pytest.param(
            '[words]\n"ghcr.io" = "rpi"\n[[upstream]]\nname = "ghcr.io"',
            "'ghcr.io', which is an upstream",
            id="upstream",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidSetting) as caught:
        load_settings(file, {})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            '[[upstream]]\nurl = "https://me:secret@x"', "upstream[0].url must not hold a user", id="password"
        ),
        pytest.param('[[upstream]]\nname = "a b"', "upstream[0].name must be the name of a registry", id="name"),
        pytest.param('[[upstream]]\nname = "docker.io"\n[[upstream]]\nname = "index.docker.io"', "twice", id="aliases"),
        pytest.param("upstream = [3]", "upstream[0] must be a table", id="a number for a table"),
        pytest.param("[candidates]\ntemplate = 3", "must be written as [[candidates.template]]", id="no list"),
        pytest.param('[candidates]\nproposal = "yes"', "candidates.proposal must be one of auto, on, off", id="word"),
        pytest.param('[log]\nlevel = "warn"', "did you mean warning?", id="nearest word"),
        pytest.param("[server]\nlisten = 5000", "server.listen must be a text, not 5000", id="kind"),
        pytest.param("[log]\nlevel = 1979-05-27", "log.level must be a text", id="a date"),
    ],
)
def test_more_that_is_wrong_is_said_in_one_line(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidSetting, match=re.escape(said)) as caught:
        load_settings(file, {})
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_text_or_no_file_is_named(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidSetting, match=f"{file}: not TOML"):
        load_settings(file, {})
    with pytest.raises(InvalidSetting, match=f"{file.parent}: cannot be read: Is a directory"):
        load_settings(file.parent, {})


SCALARS = {
    "POLYARCH_SERVER_LISTEN": ("127.0.0.1:7", ("127.0.0.1", 7)),
    "POLYARCH_SERVER_TLS_CERTIFICATE": ("/etc/tls.crt", Path("/etc/tls.crt")),
    "POLYARCH_SERVER_TLS_KEY": ("/etc/tls.key", Path("/etc/tls.key")),
    "POLYARCH_SERVER_DRAIN_SECONDS": ("2m", 120.0),
    "POLYARCH_SERVER_TRUSTED_PROXIES": ("10.0.0.0/8,::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
    "POLYARCH_API_READ": ("token", "token"),
    "POLYARCH_API_TOKEN": ("secret", "secret"),
    "POLYARCH_API_TOKEN_FILE": ("/t", Path("/t")),
    "POLYARCH_LOG_LEVEL": ("debug", "debug"),
    "POLYARCH_LOG_FORMAT": ("json", "json"),
    "POLYARCH_CACHE_DIRECTORY": ("/srv/cache", Path("/srv/cache")),
    "POLYARCH_CACHE_TAG_TTL": ("1h", 3600.0),
    "POLYARCH_CACHE_ABSENT_TTL": ("2m", 120.0),
    "POLYARCH_CACHE_RETRY_INTERVAL": ("500ms", 0.5),
    "POLYARCH_CACHE_STALE_LIMIT": ("30d", 30 * 86400.0),
    "POLYARCH_CACHE_REFRESH_AHEAD": ("false", False),
    "POLYARCH_CACHE_OFFLINE": ("true", True),
    "POLYARCH_CACHE_MAX_BYTES": ("20GiB", 20 * 1024**3),
    "POLYARCH_CACHE_MIN_FREE_BYTES": ("0", 0),
    "POLYARCH_CACHE_MEMORY": ("1MiB", 1024**2),
    "POLYARCH_FILL_KEEP_WITHOUT_CLIENTS": ("false", False),
    "POLYARCH_RESOLUTION_FLEET": ("arm7, x86-64", (Platform("linux", "arm", "v7"), Platform("linux", "amd64"))),
    "POLYARCH_RESOLUTION_DEFAULT_PLATFORM": ("rpi", Platform("linux", "arm", "v6")),
    "POLYARCH_RESOLUTION_ON_MISSING": ("refuse", "refuse"),
    "POLYARCH_CANDIDATES_OFFICIAL": ("no", False),
    "POLYARCH_CANDIDATES_PROPOSAL": ("off", "off"),
    "POLYARCH_CANDIDATES_ABSENT_TTL": ("1d", 86400.0),
    "POLYARCH_CANDIDATES_VERIFY": ("elf", "elf"),
    "POLYARCH_INDEX_ALIASES": ("exact", "exact"),
}


def test_every_scalar_of_a_section_has_a_variable() -> None:
    names = {
        f"POLYARCH_{section.name}_{item.name}".upper()
        for section in dataclasses.fields(Settings)
        if callable(section.default_factory)
        for item in dataclasses.fields(section.default_factory())
        if "parser" in item.metadata
    }
    assert names == set(SCALARS)


@pytest.mark.parametrize("variable", SCALARS)
def test_a_variable_sets_its_setting_and_no_other(variable: str) -> None:
    variables = [one for one in SCALARS if "_TLS_" in one] if "_TLS_" in variable else [variable]  # a pair
    section = variable.split("_")[1].lower()
    meant = {name.removeprefix(f"POLYARCH_{section}_".upper()).lower(): SCALARS[name][1] for name in variables}
    expected = dataclasses.replace(getattr(Settings(), section), **meant)
    found = load_settings(None, {name: SCALARS[name][0] for name in variables})
    assert found == dataclasses.replace(Settings(), **{section: expected})


@pytest.mark.parametrize(
    "variable",
    [name for name, (_, meant) in SCALARS.items() if not isinstance(meant, Path) and not name.endswith("_TOKEN")],
)
def test_a_bad_variable_names_the_setting_and_where_it_stands(variable: str) -> None:
    section, _, key = variable.removeprefix("POLYARCH_").lower().partition("_")
    with pytest.raises(InvalidSetting, match=rf"^the environment: {section}\.{key} ") as caught:
        load_settings(None, {variable: "no such thing"})
    assert "\n" not in str(caught.value)


def test_a_bad_flag_says_that_it_was_one() -> None:
    with pytest.raises(InvalidSetting, match=r"^the command line: server\.listen must be HOST:PORT"):
        load_settings(None, {}, {"server": {"listen": "nowhere"}})


@pytest.mark.parametrize(
    "variable", ["POLYARCH_UPSTREAM_URL", "POLYARCH_", "POLYARCH_CACHE", "POLYARCH_CANDIDATES_TEMPLATE"]
)
def test_what_has_no_variable_is_refused(variable: str) -> None:
    with pytest.raises(InvalidSetting, match=f"the environment: unknown variable {variable}"):
        load_settings(None, {variable: "x"})


def test_other_people_s_variables_are_none_of_ours() -> None:
    assert load_settings(None, {"POLYARCHY": "x", "polyarch_cache_memory": "x", "HTTP_PROXY": "x"}) == Settings()


def test_a_named_file_wins_over_the_environment_s(file: Path, tmp_path: Path) -> None:
    file.write_text('[log]\nlevel = "error"\n')
    assert load_settings(file, {"POLYARCH_CONFIG": str(tmp_path / "missing.toml")}).log.level == "error"
    with pytest.raises(InvalidSetting, match=r"missing\.toml: cannot be read"):
        load_settings(None, {"POLYARCH_CONFIG": str(tmp_path / "missing.toml")})
    assert load_settings(None, {"POLYARCH_CONFIG": ""}) == Settings()


_words = st.sampled_from(
    ("cache", "server", "log", "upstream", "candidates", "resolution", "words", "template", "tag_ttl", "url")
)
_values = st.recursive(
    st.integers() | st.booleans() | st.text(string.printable, max_size=8) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_words | st.text("abc_", max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(_words | st.text("abc_\n", min_size=1, max_size=4), _values, max_size=4))
def test_any_table_is_settings_or_one_clear_line(table: dict[str, object]) -> None:
    """JSON's tables, inline, are TOML's but for the colon."""
    text = "\n".join(f"{json.dumps(key)} = {_toml(value)}" for key, value in table.items())
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        try:
            load_settings(Path(file.name), {})
        except InvalidSetting as error:
            line = str(error)
        else:
            return
    assert file.name in line or "upstream" in line or "candidate" in line
    assert "\n" not in line


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    return json.dumps(value)


WORDS = """
[resolution]
fleet = ["kitchen", "pi-zero"]
default_platform = "pi-zero"
[[candidates.template]]
pattern = "x/{name}"
platform = "pi-zero"
[[image]]
match = "x/y"
corrections = { kitchen = "pi-zero" }
also_runs_on = { pi-zero = ["kitchen"] }
[[image.source]]
platform = "pi-zero"
name = "x/z"
[[listener]]
host = "zero.lan"
platform = "pi-zero"
[[client]]
network = "10.0.0.0/8"
platform = "pi-zero"
[words]
pi-zero = "rpi"
kitchen = "linux/arm/v7"
"""


def test_one_s_own_words_may_stand_wherever_a_platform_may(file: Path) -> None:
    file.write_text(WORDS)
    v6, v7 = Platform("linux", "arm", "v6"), Platform("linux", "arm", "v7")
    settings = load_settings(file, {})
    (image,), (template,) = settings.image, settings.candidates.template
    assert settings.resolution.fleet == (v7, v6)
    assert settings.resolution.default_platform == template.platform == v6
    assert (image.corrections, image.also_runs_on, image.source[0].platform) == (((v7, v6),), ((v6, (v7,)),), v6)
    assert settings.listener[0].platform == settings.client[0].platform == v6
    assert settings.words.find_path_platform("kitchen") == v7


def test_one_s_own_words_are_known_to_the_environment_and_to_flags(file: Path) -> None:
    file.write_text('[words]\npi-zero = "rpi"\n')
    v6 = Platform("linux", "arm", "v6")
    assert load_settings(file, {"POLYARCH_RESOLUTION_FLEET": "pi-zero"}).resolution.fleet == (v6,)
    flags = {"resolution": {"default_platform": "pi-zero"}}
    assert load_settings(file, {}, flags).resolution.default_platform == v6


def test_one_s_own_words_are_for_the_file_only() -> None:
    with pytest.raises(InvalidSetting, match="unknown variable POLYARCH_WORDS"):
        load_settings(None, {"POLYARCH_WORDS": "pi-zero=rpi"})


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

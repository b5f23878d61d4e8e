"""What a person may write for a setting."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import parsers
from proxy.oci.errors import InvalidSetting

GOOD: list[tuple[Callable[[object], object], object, object]] = [
    (parsers.parse_text, "x", "x"),
    (parsers.parse_flag, True, True),
    (parsers.parse_flag, "no", False),
    (parsers.parse_seconds, "500ms", 0.5),
    (parsers.parse_seconds, "10m", 600.0),
    (parsers.parse_seconds, "6h", 21600.0),
    (parsers.parse_seconds, "7d", 604800.0),
    (parsers.parse_seconds, 3, 3.0),
    (parsers.parse_seconds, 1.5, 1.5),
    (parsers.parse_bytes, "512MiB", 512 * 1024**2),
    (parsers.parse_bytes, "20 GB", 20 * 1000**3),
    (parsers.parse_bytes, 7, 7),
    (parsers.parse_texts, ["a", "b"], ("a", "b")),
    (parsers.parse_texts, "a, b", ("a", "b")),
    (parsers.parse_listen, "127.0.0.1:5000", ("127.0.0.1", 5000)),
    (parsers.parse_listen, "[::1]:5000", ("::1", 5000)),
    (parsers.parse_listen, ":5000", ("0.0.0.0", 5000)),  # noqa: S104 - what the short form means
    (parsers.parse_url, "http://127.0.0.1:5001/", "http://127.0.0.1:5001"),
    (parsers.parse_url, "https://registry.example", "https://registry.example"),
    (parsers.parse_url, "http://[::1]:5001", "http://[::1]:5001"),
    (parsers.parse_url, "https://registry_1.lan", "https://registry_1.lan"),
    (parsers.parse_registry, "ghcr.io", "ghcr.io"),
    (parsers.parse_registry, "registry.lan:5000", "registry.lan:5000"),
    (parsers.parse_registry, "[::1]:5000", "[::1]:5000"),
    (parsers.parse_path, "/tmp/x", Path("/tmp/x")),  # noqa: S108 - nothing is written there
    (parsers.one_of("a", "b"), "b", "b"),
    (parsers.one_of("true", "auto"), True, "true"),
]
BAD: list[tuple[Callable[[object], object], object]] = [
    (parsers.parse_text, 3),
    (parsers.parse_flag, "maybe"),
    (parsers.parse_flag, 1.0),
    (parsers.parse_seconds, "10 parsecs"),
    (parsers.parse_seconds, "-1s"),
    (parsers.parse_seconds, True),
    (parsers.parse_bytes, "12XB"),
    (parsers.parse_bytes, "i"),
    (parsers.parse_bytes, True),
    (parsers.parse_texts, 3),
    (parsers.parse_texts, [3]),
    (parsers.parse_platforms, []),
    (parsers.parse_platforms, ["arm9"]),
    (parsers.parse_one_platform, "arm33"),
    (parsers.parse_listen, "5000"),
    (parsers.parse_listen, "host:99999"),
    (parsers.parse_listen, "::1:5000"),
    (parsers.parse_url, "registry.example"),
    (parsers.parse_url, "ftp://registry.example"),
    (parsers.parse_url, "https://registry.example/path"),
    (parsers.parse_url, "https://user:pass@registry.example"),
    (parsers.parse_url, "https://registry.example:0"),
    (parsers.parse_url, "https://registry.example:99999"),
    (parsers.parse_url, "https://registry.example:"),
    (parsers.parse_url, "https://registry.example?"),
    (parsers.parse_url, "https://registry.example#"),
    (parsers.parse_url, "https://registry example"),
    (parsers.parse_url, "https://registry.exam\tple"),
    (parsers.parse_url, "https://:password@registry.example"),
    (parsers.parse_url, "https://@registry.example"),
    (parsers.parse_url, "https://[::1"),
    (parsers.parse_url, "https://[12]"),
    (parsers.parse_url, "https://"),
    (parsers.parse_url, 3),
    (parsers.parse_registry, "https://ghcr.io"),
    (parsers.parse_registry, "ghcr.io/owner"),
    (parsers.parse_registry, "ghcr.io/"),
    (parsers.parse_registry, "me@ghcr.io"),
    (parsers.parse_registry, ""),
    (parsers.parse_registry, 3),
    (parsers.parse_listen, "host:"),
    (parsers.parse_listen, "host:" + "1" * 5000),
    (parsers.parse_listen, "host:٣"),
    (parsers.parse_seconds, "1e3"),
    (parsers.parse_seconds, "inf"),
    (parsers.parse_seconds, "٣s"),
    (parsers.parse_seconds, None),
    (parsers.parse_bytes, 1.5),
    (parsers.parse_bytes, "-1"),
    (parsers.parse_bytes, "5k"),
    (parsers.parse_bytes, "5ib"),
    (parsers.parse_path, ""),
    (parsers.parse_path, "~nobody-at-all/cache"),
    (parsers.parse_path, "a\0b"),
    (parsers.one_of("serve", "refuse"), "refuze"),
    (parsers.parse_words, "pi-zero"),
    (parsers.parse_words, {"pi-zero": 6}),
    (parsers.parse_words, {"pi": {"zero": "rpi"}}),
    (parsers.parse_words, {"pi\nzero": "rpi"}),
]


def name_of(value: object) -> str:
    """Name a value in a test's name, in the same way in every process."""
    return str(getattr(value, "__name__", value))[:40]


@pytest.mark.parametrize(("parse", "value", "meant"), GOOD, ids=name_of)
def test_a_good_value_is_what_it_means(parse: Callable[[object], object], value: object, meant: object) -> None:
    assert parse(value) == meant


@pytest.mark.parametrize(("parse", "value"), BAD, ids=name_of)
def test_a_bad_value_says_what_would_do(parse: Callable[[object], object], value: object) -> None:
    with pytest.raises(InvalidSetting) as caught:
        parse(value)
    assert "\n" not in str(caught.value)


def test_platforms_are_told_once_each_in_any_spelling() -> None:
    assert [str(one) for one in parsers.parse_platforms(["rpi", "arm6", "x86-64"])] == ["linux/arm/v6", "linux/amd64"]


def test_a_word_with_a_dot_that_lacks_its_quotes_is_told_so() -> None:
    with pytest.raises(InvalidSetting, match="has a table 'pi': a word with a dot in it is written in quotes"):
        parsers.parse_words({"pi": {"zero": "rpi"}})


OWN = parsers.parse_words({"pi-zero": "rpi", "pi.two": "arm7"})
V6, V7 = OWN.parse_platform("rpi"), OWN.parse_platform("arm7")


@pytest.mark.parametrize(
    ("parse", "value", "meant"),
    [
        (parsers.parse_one_platform, "pi-zero", V6),
        (parsers.parse_platforms, ["pi.two", "pi-zero"], (V7, V6)),
        (parsers.parse_corrections, {"*": "pi-zero", "pi.two": "pi-zero"}, ((V7, V6), (None, V6))),
        (parsers.parse_platform_lists, {"pi-zero": ["pi.two"]}, ((V6, (V7,)),)),
    ],
)
def test_one_s_own_words_are_read_like_all_others(parse: Callable[..., object], value: object, meant: object) -> None:
    assert parse in parsers.PLATFORM_PARSERS
    assert parse(value, OWN) == meant
    with pytest.raises(InvalidSetting, match="unknown platform 'pi"):
        parse(value)


def test_a_word_that_is_nearly_right_is_named() -> None:
    with pytest.raises(InvalidSetting, match="did you mean refuse"):
        parsers.one_of("serve", "refuse")("refuze")


@given(st.integers(0, 10**6), st.sampled_from(["s", "m", "h", "d"]))
def test_a_time_in_any_unit_is_its_seconds(count: int, unit: str) -> None:
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert parsers.parse_seconds(f"{count}{unit}") == count * seconds


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(InvalidSetting) as caught:
        parsers.parse_url("https://me:secret@registry.example")
    assert "secret" not in str(caught.value)


@given(count=st.integers(0, 10**9 - 1), milliseconds=st.integers(0, 999))
def test_a_time_with_a_fraction_is_its_seconds(count: int, milliseconds: int) -> None:
    assert parsers.parse_seconds(f"{count}.{milliseconds:03}s") == pytest.approx(count + milliseconds / 1000)
    assert parsers.parse_seconds(f" {milliseconds} ms ") == pytest.approx(milliseconds / 1000)


@given(count=st.integers(0, 10**12), power=st.integers(1, 4), is_binary=st.booleans(), is_upper=st.booleans())
def test_a_size_in_any_unit_is_its_bytes(count: int, power: int, *, is_binary: bool, is_upper: bool) -> None:
    unit = f"{'kmgt'[power - 1]}{'i' if is_binary else ''}b"
    text = f"{count}{unit.upper() if is_upper else unit}"
    assert parsers.parse_bytes(text) == count * (1024 if is_binary else 1000) ** power
    assert parsers.parse_bytes(count) == parsers.parse_bytes(f"{count}b") == count


@given(
    st.from_regex(r"https?://[a-zA-Z0-9._\-:\[\]@?#\\ \t]{0,20}", fullmatch=True)
    | st.from_regex(r"https?://[a-z0-9.-]{1,20}(:[0-9]{0,6})?/?", fullmatch=True)
    | st.builds("http://{}".format, st.text(max_size=10))
)
def test_an_address_that_is_taken_is_one_that_can_be_asked(text: str) -> None:
    """What is sent to is what was written: the same scheme, host and port, and nothing beside."""
    try:
        address = parsers.parse_url(text)
    except InvalidSetting:
        return
    url, written = httpx.URL(f"{address}/v2/"), urlsplit(address)
    assert (url.scheme, url.host, url.path, url.userinfo) == (written.scheme, written.hostname, "/v2/", b"")
    assert url.port in {written.port, None}
    assert yarl.URL(str(url), encoded=True).host == url.host


@given(st.text(max_size=30) | st.integers() | st.floats() | st.none() | st.lists(st.text(max_size=4), max_size=3))
def test_whatever_is_written_is_a_value_or_one_clear_error(value: object) -> None:
    for parse in {parse for parse, *_ in BAD}:
        with contextlib.suppress(InvalidSetting):
            parse(value)

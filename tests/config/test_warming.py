"""What is said of images that are warmed again and again, and what is refused."""

from pathlib import Path

import pytest

from proxy.config.loading import load_settings
from proxy.config.warming import WarmSettings, number, parse_cron, parse_images, parse_interval
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform


def load(tmp_path: Path, text: str) -> tuple[WarmSettings, ...]:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load_settings(path, {}).warm


def test_an_entry_as_people_write_it(tmp_path: Path) -> None:
    (entry,) = load(
        tmp_path,
        '[[warm]]\nimages = ["redis:7.*-alpine", "debian"]\nplatforms = ["arm7", "rpi"]\nevery = "6h"\nkeep_newest = 2',
    )
    assert entry == WarmSettings(
        images=("redis:7.*-alpine", "debian"),
        platforms=(Platform("linux", "arm", "v7"), Platform("linux", "arm", "v6")),
        every=21600.0,
        keep_newest=2,
    )


@pytest.mark.parametrize("written", ['"fleet"', '["fleet"]'])
def test_the_fleet_is_meant_by_its_word_and_if_nobody_says(tmp_path: Path, written: str) -> None:
    rest = 'images = ["debian"]\ncron = "15 3 * * *"\n'
    assert load(tmp_path, f"[[warm]]\n{rest}platforms = {written}") == load(tmp_path, f"[[warm]]\n{rest}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('images = ["debian"]', r"warm\[0\] needs every or cron"),
        ('images = ["debian"]\nevery = "6h"\ncron = "15 3 * * *"', r"warm\[0\] needs every or cron"),
        ('every = "6h"', r"warm\[0\] needs images"),
        ('images = ["ghcr.io/a/b:*"]\nevery = "6h"', r"'ghcr.io/a/b:\*' is on ghcr.io, which is no upstream here"),
        ('images = ["debian"]\nevery = "6h"\nplatforms = ["fleeet"]', r"warm\[0\].platforms"),
    ],
)
def test_an_entry_that_cannot_be_carried_out_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InvalidSetting, match=reason):
        load(tmp_path, f"[[warm]]\n{text}")


@pytest.mark.parametrize("value", [[], ["li*/debian:1"], ["debi*"], ["Debian:1"], ["debian:a b"], "", 3, ["a@b:*"]])
def test_what_is_no_list_of_images(value: object) -> None:
    with pytest.raises(InvalidSetting):
        parse_images(value)


def test_each_image_counts_once() -> None:
    digest = f"debian@sha256:{'0' * 64}"
    assert parse_images(["a:*", digest, "a:*", "host:5000/a"]) == ("a:*", digest, "host:5000/a")


@pytest.mark.parametrize("value", ["@daily", "* * * * * *", "61 * * * *", "", "0 0 31 2 *", 5, "* * *"])
def test_what_is_no_cron_line(value: object) -> None:
    with pytest.raises(InvalidSetting):
        parse_cron(value)


def test_a_cron_line_is_read_whatever_is_between_its_fields() -> None:
    assert parse_cron(" 15  3 * *\tsun ") == "15 3 * * sun"


@pytest.mark.parametrize("value", ["1s", 0, "400d", "often"])
def test_what_is_no_interval(value: object) -> None:
    with pytest.raises(InvalidSetting):
        parse_interval(value)


@pytest.mark.parametrize("value", [True, 0, 11, "5", 5.0])
def test_what_is_no_number_within_its_bounds(value: object) -> None:
    with pytest.raises(InvalidSetting, match="between 1 and 10"):
        number(1, 10)(value)
    assert number(1, 10)(5) == 5

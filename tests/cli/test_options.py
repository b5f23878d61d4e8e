"""Options that several commands share."""

from pathlib import Path

import pytest

from proxy.cli.options import cache_directory, read_settings
from proxy.oci.errors import InvalidSetting


def test_upstream_is_where_docker_hub_is_and_nothing_else_moves(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[[upstream]]\nname = "ghcr.io"\n[[upstream]]\nname = "index.docker.io"\ntimeout = "3s"\n')
    settings = read_settings(file, cache=None, upstream="http://127.0.0.1:5001")
    assert [(one.name, one.address, one.timeout) for one in settings.upstreams] == [
        ("ghcr.io", "https://ghcr.io", 10.0),
        ("index.docker.io", "http://127.0.0.1:5001", 3.0),
    ]


def test_upstream_moves_docker_hub_where_no_file_names_it() -> None:
    settings = read_settings(None, cache=None, upstream="http://127.0.0.1:5001")
    assert [one.address for one in settings.upstreams] == ["http://127.0.0.1:5001"]


def test_a_bad_upstream_names_the_flag() -> None:
    with pytest.raises(InvalidSetting, match="--upstream must be a URL"):
        read_settings(None, cache=None, upstream="registry.lan")


def test_cache_and_listen_win(tmp_path: Path) -> None:
    settings = read_settings(None, cache=tmp_path, upstream=None, listen="127.0.0.1:1")
    assert cache_directory(settings) == tmp_path
    assert settings.server.listen == ("127.0.0.1", 1)


def test_the_cache_has_a_place_of_its_own_by_default() -> None:
    assert cache_directory(read_settings(None, cache=None, upstream=None)).name == "polyarch"

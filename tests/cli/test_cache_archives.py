"""`polyarch cache export` and `import`, on folders that no server has open."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.config.schema import CacheSettings
from tests.cli.conftest import Invoke
from tests.cli.folders import AMD64, ARM_V7, IMAGES, blob_file, damage, fill
from tests.cli.registries import documents_of, serving
from tests.lab.programs import Program, wait_until
from tests.lab.proxies import COMMAND, ENVIRONMENT
from tests.live import Pulled
from tests.service.archiving import archive_of, layout_files, saved_files
from tests.storage.tarballs import unpack


@pytest.fixture
def registry() -> Iterator[str]:
    with serving(documents_of(IMAGES)) as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def pulled(folder: Path, registry: str) -> Pulled:
    """What a Pi 2 pulled as `debian:jessie`."""
    return fill(folder, registry)


def test_what_is_exported_and_imported_is_pulled_without_upstream(
    invoke: Invoke, folder: Path, tmp_path: Path, pulled: Pulled
) -> None:
    archive, other = tmp_path / "debian.tar", tmp_path / "other"
    result = invoke("cache", "export", "debian:jessie", str(archive), "--cache", str(folder))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"exported debian:jessie for linux/arm/v7 to {archive}, ")
    assert result.stdout.endswith("  not cached, and not in it: linux/amd64\n")
    result = invoke("cache", "import", str(archive), "--cache", str(other))
    assert (result.exit_code, result.stderr) == (0, "")
    first, second, third = result.stdout.splitlines()
    assert first == f"imported debian:jessie, {pulled.digest}"
    assert second == "  not in the archive: linux/amd64"
    assert third.startswith("4 new blobs, ")
    assert fill(other, "http://127.0.0.1:9") == pulled
    assert "docker.io/library/debian:jessie" in (other / "index.json").read_text()


def test_json_tells_the_same(invoke: Invoke, folder: Path, tmp_path: Path, pulled: Pulled) -> None:
    archive = str(tmp_path / "debian.tar")
    result = invoke("cache", "export", "--json", "debian:jessie", archive, "--platform", "arm7", "--cache", str(folder))
    exported = json.loads(result.stdout)
    assert exported == {
        "reference": "docker.io/library/debian:jessie",
        "digest": ARM_V7.manifest.digest,
        "platforms": ["linux/arm/v7"],
        "missing_platforms": [],
        "size": sum(len(part.content) for part in (ARM_V7.manifest, ARM_V7.config, *ARM_V7.layers)),
        "docker": True,
        "file": archive,
    }
    imported = json.loads(invoke("cache", "import", "--json", archive, "--cache", str(tmp_path / "other")).stdout)
    assert (imported["blobs"], imported["size"]) == (3, exported["size"])
    (image,) = imported["images"]
    assert (image["references"], image["digest"]) == ([exported["reference"]], exported["digest"])


def test_a_platform_may_be_written_in_the_operator_s_own_words(
    invoke: Invoke, folder: Path, tmp_path: Path, pulled: Pulled
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[words]\nkitchen = "arm7"\n')
    options = ("--platform", "kitchen", "--config", str(config), "--cache", str(folder))
    result = invoke("cache", "export", "--json", "debian:jessie", str(tmp_path / "debian.tar"), *options)
    assert json.loads(result.stdout)["platforms"] == ["linux/arm/v7"]


@pytest.mark.parametrize("name", ["layout/", "there"])
def test_a_folder_is_written_where_one_is_named(
    invoke: Invoke, folder: Path, tmp_path: Path, pulled: Pulled, name: str
) -> None:
    (tmp_path / "there").mkdir()
    target = f"{tmp_path}/{name}"
    assert invoke("cache", "export", "debian:jessie", target, "--cache", str(folder)).exit_code == 0
    assert (Path(target) / "oci-layout").is_file()
    again = invoke("cache", "export", "debian:jessie", target, "--cache", str(folder))
    assert again.exit_code == 2
    assert again.stderr.endswith(" is not empty; name a folder that is not there yet\n")
    assert invoke("cache", "import", target, "--cache", str(tmp_path / "other")).exit_code == 0


def test_an_archive_goes_through_a_pipe(folder: Path, pulled: Pulled) -> None:
    command = (*COMMAND, "cache", "export", "debian:jessie", "-", "--platform", "arm7", "--cache", str(folder))
    finished = subprocess.run(command, capture_output=True, check=True, env=ENVIRONMENT, timeout=60)
    assert unpack(finished.stdout)["oci-layout"] == b'{"imageLayoutVersion":"1.0.0"}'
    assert finished.stderr.startswith(b"exported debian:jessie for linux/arm/v7 to -, ")


def test_a_reader_that_has_seen_enough_is_no_crash(folder: Path, pulled: Pulled) -> None:
    command = " ".join((*COMMAND, "cache", "export", "debian:jessie", "-", "--cache", str(folder)))
    finished = subprocess.run(
        ("sh", "-c", f"{command} | true"), capture_output=True, check=False, env=ENVIRONMENT, timeout=60
    )
    assert b"Traceback" not in finished.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_an_export_that_is_ended_leaves_nothing_behind(
    folder: Path, tmp_path: Path, pulled: Pulled, number: signal.Signals
) -> None:
    """A layer that claims more than can be written in a moment gives the time to end it."""
    layer = blob_file(folder, ARM_V7.layers[0].digest)
    layer.chmod(0o644)
    os.truncate(layer, 50_000_000_000)
    out = tmp_path / "out"
    out.mkdir()
    command = (*COMMAND, "cache", "export", "debian:jessie", str(out / "a.tar"), "--cache", str(folder))

    async def end() -> int:
        program = Program(*command, log=tmp_path / "log", environment=ENVIRONMENT)

        async def has_begun() -> bool:
            return any(out.iterdir())

        await wait_until(has_begun, seconds=30, purpose="an export that has begun")
        os.kill(program.pid, number)

        async def has_ended() -> bool:
            return program.code is not None

        await wait_until(has_ended, seconds=30, purpose="its end")
        return await program.stop()

    assert asyncio.run(end()) == 128 + number
    assert list(out.iterdir()) == []
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_who_is_told_not_to_hear_of_a_closed_terminal_does_not() -> None:
    told = "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    script = f"import signal, proxy.cli.root as root\nroot.cli.main = lambda **_: {told}\nroot.main()"
    command = ("nohup", sys.executable, "-c", script)
    assert subprocess.run(command, capture_output=True, check=True, timeout=60).stdout == b"True\n"


def test_a_terminal_is_not_written_to(invoke: Invoke, folder: Path, pulled: Pulled) -> None:
    command = ("script", "-qec", " ".join((*COMMAND, "cache", "export", "debian:jessie", "-", "--cache", str(folder))))
    finished = subprocess.run((*command, "/dev/null"), capture_output=True, check=False, env=ENVIRONMENT, timeout=60)
    assert finished.returncode == 2
    assert b"an archive is nothing for a terminal" in finished.stdout


def test_docker_s_format_is_of_one_image(
    invoke: Invoke, folder: Path, registry: str, tmp_path: Path, pulled: Pulled
) -> None:
    archive = tmp_path / "debian.tar"
    options = ("debian:jessie", str(archive), "--format", "docker", "--cache", str(folder))
    assert invoke("cache", "export", *options).exit_code == 0
    (entry,) = json.loads(unpack(archive.read_bytes())["index.json"])["manifests"]
    assert entry["digest"] == ARM_V7.manifest.digest
    archive.unlink()
    fill(folder, registry, platform="linux/amd64")
    result = invoke("cache", "export", *options)
    assert result.exit_code == 1
    assert result.stderr.endswith("is cached for linux/amd64, linux/arm/v7: choose by --platform\n")
    assert not archive.exists()
    both = invoke("cache", "export", "debian:jessie", str(archive), "--cache", str(folder))
    assert "load archives of one image only: --platform chooses it" in both.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("debian:wheezy",), 1, "docker.io/library/debian:wheezy is not cached; pull it through the proxy first"),
        (("debian:jessie", "--platform", "amd64"), 1, "is not cached whole; there is linux/arm/v7"),
        (("debian:jessie", "--platform", "s390x"), 1, "has nothing that runs there; there is linux/arm/v7"),
        (("debian:jessie", "--platform", "nonesuch"), 2, "unknown platform"),
        (("Debian:",), 2, "is no image reference"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_exported_leaves_nothing_behind(
    invoke: Invoke, folder: Path, tmp_path: Path, pulled: Pulled, arguments: tuple[str, ...], code: int, told: str
) -> None:
    (tmp_path / "out").mkdir()
    reference, *options = arguments
    result = invoke("cache", "export", reference, str(tmp_path / "out" / "a.tar"), *options, "--cache", str(folder))
    assert (result.exit_code, result.stdout) == (code, "")
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_blob_ends_an_export(invoke: Invoke, folder: Path, tmp_path: Path, pulled: Pulled) -> None:
    damage(folder, ARM_V7.layers[0].digest)
    archive = tmp_path / "debian.tar"
    result = invoke("cache", "export", "debian:jessie", str(archive), "--cache", str(folder))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"polyarch: {ARM_V7.layers[0].digest} is damaged; `polyarch cache verify --repair` fetches it again\n"
    )
    assert not archive.exists()


def test_what_docker_saved_is_imported_under_all_its_names(invoke: Invoke, folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "saved.tar"
    archive.write_bytes(archive_of(saved_files(AMD64, "debian:jessie", "debian:8")))
    result = invoke("cache", "import", str(archive), "--cache", str(folder))
    assert result.stdout.startswith("imported debian:jessie, debian:8, sha256:")
    assert fill(folder, "http://127.0.0.1:9", "library/debian:8", "linux/amd64").config == AMD64.config.digest


def test_what_upstream_does_not_have_is_served_until_it_can_say_so(
    invoke: Invoke, folder: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "saved.tar"
    archive.write_bytes(archive_of(saved_files(AMD64, "me/app:1")))
    invoke("cache", "import", str(archive), "--cache", str(folder))
    expired = replace(CacheSettings(), tag_ttl=0.0)
    with serving({}) as url:
        assert fill(folder, url, "me/app:1", "linux/amd64").state == "hit"
        offline = replace(expired, offline=True)
        assert fill(folder, url, "me/app:1", "linux/amd64", cache=offline).state == "stale"
        with pytest.raises(AssertionError, match="404"):
            fill(folder, url, "me/app:1", "linux/amd64", cache=expired)


def test_the_name_can_be_chosen(invoke: Invoke, folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "layout.tar"
    archive.write_bytes(archive_of(layout_files({"": AMD64})))
    nameless = invoke("cache", "import", str(archive), "--cache", str(folder))
    assert nameless.exit_code == 2
    assert nameless.stderr == (
        f"polyarch: {archive}: nothing in it says what it is called; name it with --as NAME:TAG\n"
    )
    result = invoke("cache", "import", str(archive), "--as", "me/app:1", "--cache", str(folder))
    assert result.stdout.startswith(f"imported me/app:1, {AMD64.manifest.digest}\n")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8b\x08" + b"x" * 100], ids=["empty", "text", "gzip"])
def test_what_is_no_archive_is_one_line_and_exit_code_2(
    invoke: Invoke, folder: Path, tmp_path: Path, content: bytes
) -> None:
    archive = tmp_path / "archive.tar"
    archive.write_bytes(content)
    result = invoke("cache", "import", str(archive), "--cache", str(folder))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"polyarch: {archive}: ")
    assert len(result.stderr.splitlines()) == 1
    assert [path for path in folder.rglob("blobs/*/*") if path.is_file()] == []


def test_an_archive_that_is_not_there_makes_no_cache(invoke: Invoke, folder: Path, tmp_path: Path) -> None:
    result = invoke("cache", "import", str(tmp_path / "nowhere.tar"), "--cache", str(folder))
    assert result.exit_code == 2
    assert result.stderr == f"polyarch: {tmp_path}/nowhere.tar: it cannot be read: No such file or directory\n"
    assert not folder.exists()

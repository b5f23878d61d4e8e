"""`polyarch index`, against a registry in memory."""

import io
import json
import sys
from collections.abc import Iterator

import pytest

from proxy.cli.index import _tell
from proxy.oci.digests import Digest
from proxy.ports import FetchedManifest
from proxy.publication import Step
from tests.cli.conftest import Invoke
from tests.fakes.pushable import Manners, PushableServer, pushable_in_thread
from tests.fakes.registry import MemoryRegistry
from tests.lab.images import DOCKER_LIST, OCI_INDEX, build_image, build_index
from tests.lab.schema1 import SIGNED, build_schema1
from tests.service.bench import address

PC, PI = build_image("linux/amd64", label="app"), build_image("linux/arm/v6", label="app")


@pytest.fixture
def server() -> Iterator[PushableServer]:
    registry = MemoryRegistry()
    registry.fill("builds/app", PC, tag="pc")
    registry.fill("builds/app", PI, tag="pi")
    with pushable_in_thread(registry) as server:
        yield server


def host(server: PushableServer) -> str:
    return server.url.removeprefix("http://")


def create(invoke: Invoke, server: PushableServer, *arguments: str) -> dict[str, object]:
    name = f"{host(server)}/team/app"
    images = (f"x86-64={host(server)}/builds/app:pc", f"rpi,arm7,arm8={host(server)}/builds/app:pi")
    result = invoke("index", "create", f"{name}:1", *images, "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    told: dict[str, object] = json.loads(result.stdout)
    return told


def test_one_name_for_all(invoke: Invoke, server: PushableServer) -> None:
    told = create(invoke, server)
    assert [str(digest) for name, digest in server.registry.tags().items() if name == "team/app:1"] == [told["digest"]]
    shown = invoke("index", "show", f"{host(server)}/team/app:1")
    assert shown.exit_code == 0, shown.stderr
    lines = [line.split() for line in shown.stdout.splitlines()[5:]]
    assert [line[0] for line in lines] == ["linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8"]
    assert len({line[1] for line in lines}) == 2
    assert all("shared by 3" in " ".join(line) for line in lines[1:])
    raw = invoke("index", "show", f"{host(server)}/team/app:1", "--raw")
    assert address(PI.manifest).encoded in raw.stdout
    fields = json.loads(invoke("index", "show", f"{host(server)}/team/app:1", "--json").stdout)
    assert (fields["digest"], len(fields["entries"])) == (told["digest"], 4)


def test_dry_it_only_tells(invoke: Invoke, server: PushableServer) -> None:
    told = create(invoke, server, "--dry-run")
    assert server.registry.steps == []
    assert told["dry_run"] is True
    assert create(invoke, server)["digest"] == told["digest"]


def test_an_index_may_say_something_of_itself(invoke: Invoke, server: PushableServer) -> None:
    plain = create(invoke, server)
    told = create(invoke, server, "--annotation", "org.example.title=a=b", "--annotation", "org.example.empty=")
    assert (plain["media_type"], told["media_type"]) == (DOCKER_LIST, OCI_INDEX)
    shown = json.loads(invoke("index", "show", f"{host(server)}/team/app:1", "--raw").stdout)
    assert shown["annotations"] == {"org.example.title": "a=b", "org.example.empty": ""}


def test_dry_people_are_told_step_by_step(invoke: Invoke, server: PushableServer) -> None:
    arguments = (f"{host(server)}/team/app:1", f"rpi,arm7={host(server)}/builds/app:pi")
    lines = invoke("index", "create", *arguments, "--dry-run").stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("ACTION"))
    rows = [tuple(line.split()[:3]) for line in lines[start + 1 :] if line and not line.startswith("would")]
    blobs = [PI.config.digest, *(layer.digest for layer in PI.layers)]
    assert sorted(rows[: len(blobs)]) == sorted(("mount", "team/app", digest) for digest in blobs)
    index = lines[-1].split(" as ")[1].partition(": ")[0]
    assert rows[len(blobs) :] == [
        ("push", "team/app", PI.manifest.digest),
        ("push", "team/app", index),
        ("tag", "team/app", "1"),
    ]


def test_again_there_is_nothing_to_do(invoke: Invoke, server: PushableServer) -> None:
    create(invoke, server)
    before = list(server.registry.steps)
    told = create(invoke, server)
    assert server.registry.steps == before
    assert {step["action"] for step in told["steps"]} == {"skip"}  # type: ignore[attr-defined]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("action", "is_told"), [("push", True), ("skip", False)])
def test_who_sits_there_sees_each_step(monkeypatch: pytest.MonkeyPatch, action: str, *, is_told: bool) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    _tell(Step(action, "team/app", "sha256:abc", 2048))
    assert terminal.getvalue() == ("push team/app sha256:abc (2.0 KiB)\n" if is_told else "")


def test_people_are_told_in_words(invoke: Invoke, server: PushableServer) -> None:
    result = invoke("index", "create", f"{host(server)}/team/app:1", f"rpi,arm7={host(server)}/builds/app:pi")
    assert result.stdout.splitlines()[0] == f"linux/arm/v6     {PI.manifest.digest}"
    assert "note: " in result.stdout
    assert "published" in result.stdout
    assert "mounted" in result.stdout


def test_an_image_is_shown_by_its_parts(invoke: Invoke, server: PushableServer) -> None:
    result = invoke("index", "show", f"{host(server)}/builds/app:pi")
    lines = result.stdout.splitlines()
    assert lines[3] == "linux/arm/v6"
    assert [line.split()[-1] for line in lines[6:]] == ["config", *["layer"] * len(PI.layers)]


def test_schema_1_is_shown_too(invoke: Invoke, server: PushableServer) -> None:
    content = build_schema1("builds/old", "1", PC.layers[0].digest).content
    found = FetchedManifest(content, SIGNED, Digest.of(content))
    server.registry.fill("builds/old", PC)
    held = server.registry.repositories["builds/old"]
    held.manifests[found.digest], held.tags["1"] = found, found.digest
    fields = json.loads(invoke("index", "show", f"{host(server)}/builds/old:1", "--json").stdout)
    assert (fields["media_type"], fields["platform"]) == (SIGNED, "linux/amd64")
    assert [one["digest"] for one in fields["entries"]] == [PC.layers[0].digest]


def test_attestations_and_nested_indexes_are_named(invoke: Invoke, server: PushableServer) -> None:
    server.registry.fill("builds/more", build_index([PC], attested=True), tag="1")
    result = invoke("index", "show", f"{host(server)}/builds/more:1")
    assert f"attestation of {address(PC.manifest).encoded[:12]}" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("x/app:1", "rpi"), "should be PLATFORM=REF"),
        (("x/app:1", "=x/app:pi"), "should be PLATFORM=REF"),
        (("x/app:1", "rpi=x/app:pi", "--annotation", "=x"), "should be NAME=TEXT"),
        (("x/app:1", "toaster=x/app:pi"), "toaster"),
        (("x/app:1", "rpi=x/app:pi", "arm6=x/app:pc"), "linux/arm/v6 is named twice"),
        ((f"x/app@{PC.manifest.digest}", "rpi=x/app:pi"), "published under a tag"),
        (("x/app:1", "rpi=x/builds/app:pc"), "is for linux/amd64, which linux/arm/v6 does not run"),
    ],
)
def test_a_wish_that_cannot_be_meant(
    invoke: Invoke, server: PushableServer, arguments: tuple[str, ...], reason: str
) -> None:
    result = invoke("index", "create", *(one.replace("x/", f"{host(server)}/") for one in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr


def test_who_may_not_write_is_told_how_to(invoke: Invoke, server: PushableServer) -> None:
    server.registry.is_read_only = True
    result = invoke("index", "create", f"{host(server)}/team/app:1", f"rpi={host(server)}/builds/app:pi")
    assert result.exit_code == 1
    assert "does not let us write to team/app (DENIED: " in result.stderr
    assert f"docker login {host(server)}" in result.stderr
    assert "team/app:1" not in server.registry.tags()


def test_a_registry_that_takes_no_such_index_says_so(invoke: Invoke, server: PushableServer) -> None:
    server.manners = Manners(refuses={"application/vnd.docker.distribution.manifest.list.v2+json"})
    result = invoke("index", "create", f"{host(server)}/team/app:1", f"rpi={host(server)}/builds/app:pi")
    assert (result.exit_code, "does not take manifest" in result.stderr) == (1, True)
    assert server.registry.tags().keys() == {"builds/app:pc", "builds/app:pi"}

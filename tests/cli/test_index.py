"""`polyarch index`, against a registry in memory."""

import json
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Invoke
from tests.fakes.pushable import Manners, PushableServer, pushable_in_thread
from tests.fakes.registry import MemoryRegistry
from tests.lab.images import DOCKER_LIST, OCI_INDEX, build_image, build_index
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


def test_people_are_told_in_words(invoke: Invoke, server: PushableServer) -> None:
    result = invoke("index", "create", f"{host(server)}/team/app:1", f"rpi,arm7={host(server)}/builds/app:pi")
    assert result.stdout.splitlines()[0] == f"linux/arm/v6     {PI.manifest.digest}"
    assert "note: " in result.stdout
    assert "published" in result.stdout
    assert "mounted" in result.stdout


def test_an_image_is_shown_by_its_parts(invoke: Invoke, server: PushableServer) -> None:
    result = invoke("index", "show", f"{host(server)}/builds/app:pi")
    assert [line.split()[-1] for line in result.stdout.splitlines()[5:]] == ["config", *["layer"] * len(PI.layers)]


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

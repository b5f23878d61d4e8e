"""What is shipped to run polyarch with, each file held to what a server needs and an operator may expect."""

import json
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.config.loading import load_settings

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "deploy/systemd/polyarch.service"
COMPOSE = ROOT / "deploy/compose/compose.yaml"
KUBERNETES = ROOT / "deploy/kubernetes/polyarch.yaml"
CONTAINERFILE = ROOT / "Containerfile"
USER = 10001
CACHE = "/var/lib/polyarch"
EXPOSURE = 1.5
"""The most that systemd may find fault with in the unit, of 10: 252 finds 1.2, and a newer one may look at more."""


@pytest.fixture
def compose() -> Any:
    return yaml.safe_load(COMPOSE.read_text())["services"]["polyarch"]


@pytest.fixture
def kubernetes() -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(KUBERNETES.read_text())}


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


# systemd


def systemd_analyze(*arguments: str) -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed")
    finished = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, check=False)
    return finished.stdout + finished.stderr


def test_the_unit_leaves_little_to_attack() -> None:
    found = re.search(
        r"exposure level for polyarch.service: ([0-9.]+)", systemd_analyze("security", "--offline=true", str(UNIT))
    )
    assert found is not None
    assert float(found[1]) <= EXPOSURE


def test_the_unit_is_understood(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/polyarch/bin/polyarch", "/bin/true"))
    told = [line for line in systemd_analyze("verify", str(copy)).splitlines() if UNIT.name in line]
    assert told == []


def test_the_unit_waits_as_long_as_answers_may_go_on() -> None:
    unit = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and line[:1] != "#")
    assert float(unit["TimeoutStopSec"]) > load_settings(None, {}).server.drain_seconds
    assert unit["Type"] == "notify"
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert unit["ExecStart"].endswith(f"serve --cache {CACHE}")
    assert f"/var/lib/{unit['StateDirectory']}" == CACHE


# Compose


def test_the_compose_file_names_real_settings(compose: Any) -> None:
    settings = load_settings(None, compose["environment"])
    assert settings.cache.max_bytes
    assert seconds(compose["stop_grace_period"]) > settings.server.drain_seconds


def test_the_compose_file_gives_no_more_than_is_needed(compose: Any) -> None:
    assert compose["read_only"] is True
    assert compose["cap_drop"] == ["ALL"]
    assert compose["user"] == f"{USER}:{USER}"
    assert compose["security_opt"] == ["no-new-privileges:true"]
    assert compose["ports"] == ["5000:5000"]
    assert compose["volumes"] == [f"cache:{CACHE}"]
    assert "cache" in yaml.safe_load(COMPOSE.read_text())["volumes"]
    assert (COMPOSE.parent / compose["build"] / "Containerfile").exists()


# Kubernetes


def test_the_kubernetes_objects_belong_together(kubernetes: dict[str, Any]) -> None:
    assert set(kubernetes) == {"PersistentVolumeClaim", "Deployment", "Service"}
    deployment, service = kubernetes["Deployment"]["spec"], kubernetes["Service"]["spec"]
    template = deployment["template"]
    assert deployment["selector"]["matchLabels"] == template["metadata"]["labels"] == service["selector"]
    (container,) = template["spec"]["containers"]
    (port,) = container["ports"]
    assert (service["ports"][0]["targetPort"], port["containerPort"]) == (port["name"], 5000)
    (volume,), (mount,) = template["spec"]["volumes"], container["volumeMounts"]
    assert (mount["name"], mount["mountPath"]) == (volume["name"], CACHE)
    assert volume["persistentVolumeClaim"]["claimName"] == kubernetes["PersistentVolumeClaim"]["metadata"]["name"]


def test_one_process_at_a_time_has_the_cache(kubernetes: dict[str, Any]) -> None:
    deployment = kubernetes["Deployment"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})


def test_the_pod_runs_with_real_settings_and_no_rights(kubernetes: dict[str, Any]) -> None:
    pod = kubernetes["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    settings = load_settings(None, {one["name"]: one["value"] for one in container["env"]})
    assert pod["terminationGracePeriodSeconds"] > settings.server.drain_seconds
    assert pod["enableServiceLinks"] is False  # POLYARCH_PORT would be an unknown setting
    assert pod["automountServiceAccountToken"] is False
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, USER)
    rights = container["securityContext"]
    assert (rights["readOnlyRootFilesystem"], rights["allowPrivilegeEscalation"]) == (True, False)
    assert rights["capabilities"] == {"drop": ["ALL"]}
    paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        assert container[probe]["httpGet"] == {"path": path, "port": "registry"}


# The container


@pytest.fixture
def container_lines() -> list[str]:
    return CONTAINERFILE.read_text().splitlines()


def test_the_container_file_runs_as_somebody_without_rights(container_lines: list[str]) -> None:
    assert f"USER {USER}:{USER}" in container_lines
    assert f"ENV POLYARCH_CACHE_DIRECTORY={CACHE}" in container_lines
    assert f"VOLUME {CACHE}" in container_lines
    assert container_lines[-1] == 'CMD ["serve"]'


def test_the_container_bears_the_version_that_it_has(container_lines: list[str]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'LABEL org.opencontainers.image.version="{version}"' in container_lines


def test_the_build_is_given_what_it_copies_and_nothing_else(container_lines: list[str]) -> None:
    given = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = [line.split()[1:-1] for line in container_lines if re.match("COPY [^-]", line)]
    assert {name for names in copied for name in names} == given
    assert all((ROOT / name).exists() for name in given)


def test_the_container_says_what_it_is(container_lines: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = {"title": project["name"], "description": project["description"], "licenses": project["license"]}
    for name, value in told.items():
        assert f'LABEL org.opencontainers.image.{name}="{value}"' in container_lines


@pytest.fixture(params=["Containerfile", "compose"])
def health_check(request: pytest.FixtureRequest, container_lines: list[str], compose: Any) -> list[str]:
    if request.param == "compose":
        kind, *command = compose["healthcheck"]["test"]
        assert kind == "CMD"  # without a shell
        return [str(word) for word in command]
    (check,) = (line.partition("CMD ")[2] for line in container_lines if line.startswith("HEALTHCHECK"))
    return [str(word) for word in json.loads(check)]


@pytest.mark.parametrize(("answer", "healthy"), [(200, True), (503, False), (None, False)])
def test_the_container_asks_itself_whether_it_serves(
    health_check: list[str], answer: int | None, *, healthy: bool
) -> None:
    program, *arguments = health_check
    assert program == "/opt/polyarch/bin/python"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        environment = {"POLYARCH_SERVER_LISTEN": address, "http_proxy": "http://nowhere.invalid"}
        with subprocess.Popen([sys.executable, *arguments], env=environment, stderr=subprocess.DEVNULL) as asking:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(4096).startswith(b"GET /healthz HTTP/1.1\r\n")
                if answer is not None:
                    connection.sendall(b"HTTP/1.1 %d Word\r\nContent-Length: 0\r\n\r\n" % answer)
            assert (asking.wait(timeout=30) == 0) is healthy

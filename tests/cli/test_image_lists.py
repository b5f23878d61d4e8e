import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cli.image_lists import read_assignments, read_names
from proxy.oci.errors import InvalidSetting

COMPOSE = """\
# of a homelab
services:
  web:
    image: nginx:1.27-alpine
    ports: ["80:80"]
  db:
    image: ${DB_IMAGE:-postgres}:${DB_TAG-17}
    platform: linux/arm64
  again:
    image: nginx:1.27-alpine
  own:
    build: .
volumes:
  data: {}
"""
KUBERNETES = """\
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      initContainers: [{name: wait, image: busybox:1.36}]
      containers:
        - {name: app, image: "ghcr.io/owner/app:1"}
        - name: sidecar
          image: redis@sha256:0000000000000000000000000000000000000000000000000000000000000000
      volumes:
        - {name: model, image: {reference: "quay.io/models/small:1"}}
---
apiVersion: batch/v1
kind: CronJob
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: job, image: alpine}]}}}}}
---
"""
LIST = """\
# what the fleet runs
debian:bookworm
redis:7   arm/v7,arm64   # for the sensors

debian:bookworm
"""


def names(text: str, **variables: str) -> list[tuple[str, str]]:
    return [(one.image, one.platform) for one in read_names(text, "list", variables)]


def test_a_compose_file() -> None:
    assert names(COMPOSE) == [("nginx:1.27-alpine", ""), ("postgres:17", "linux/arm64")]
    assert names(COMPOSE, DB_IMAGE="mariadb", DB_TAG="11")[1] == ("mariadb:11", "linux/arm64")


def test_kubernetes_objects_of_every_kind() -> None:
    found = [image for image, _ in names(KUBERNETES)]
    digest = f"redis@sha256:{'0' * 64}"
    assert sorted(found) == sorted(["busybox:1.36", "quay.io/models/small:1", "ghcr.io/owner/app:1", digest, "alpine"])


def test_names_by_line_each_once_and_perhaps_with_their_platforms() -> None:
    assert names(LIST) == [("debian:bookworm", ""), ("redis:7", "arm/v7,arm64")]


@pytest.mark.parametrize(
    ("image", "variables", "meant"),
    [
        ("$TAG", {"TAG": "a"}, "a"),
        ("${TAG}", {"TAG": "a"}, "a"),
        ("${TAG:-b}", {"TAG": ""}, "b"),
        ("${TAG-b}", {"TAG": ""}, ""),
        ("x${TAG:+-slim}", {"TAG": "1"}, "x-slim"),
        ("x${TAG:+-slim}", {}, "x"),
        ("x$$y", {}, "x$y"),
        ("${TAG:?say which}", {"TAG": "a"}, "a"),
    ],
)
def test_variables_are_replaced_as_compose_does_it(image: str, variables: dict[str, str], meant: str) -> None:
    (found,) = read_names(f"services: {{a: {{image: '{image}'}}}}", "list", variables)
    assert found.image == meant


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("services: {a: {image: '${TAG}'}}", r"list: services.a: TAG has no value; set it, or write it into .env"),
        ("services: {a: {image: '${TAG:?which}'}}", r"TAG has no value \(which\)"),
        ("services: {a: {image: 'a$-b'}}", r"a \$ that begins no variable"),
        ("services: {a: {image: [", r"list:1: "),
        ("services: {a: {build: .}}", "names no image"),
        ("kind: ConfigMap", "names no image"),
        ("# nothing\n", "names no image"),
        ("debian arm64 and more", "list:1: more than an image and a platform"),
        ("kind: " + "[" * 10_000, "list"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(InvalidSetting, match=reason):
        read_names(text, "list", {})


@given(st.text(max_size=200) | st.text("services: {}[]$image\n-a", max_size=200))
def test_whatever_it_is_there_are_names_or_a_reason(text: str) -> None:
    try:
        found = read_names(text, "list", {})
    except InvalidSetting:
        return
    assert found
    assert len(found) == len(set(found))


def test_assignments_as_they_stand_in_env() -> None:
    text = "# tags\nA=1\nexport B = two words # and why\nC='x # y'\nD=\nnonsense\n"
    assert read_assignments(text) == {"A": "1", "B": "two words", "C": "x # y", "D": ""}

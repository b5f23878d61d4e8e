import pytest
from hypothesis import given

from proxy.build.bases import Base, Way, route_bases
from proxy.oci.platforms import Platform
from tests.build.dockerfiles import PLAIN, conditional

WAY = Way("polyarch.lan:5000", Platform.parse("linux/arm/v6"))
PI = "polyarch.lan:5000/linux-arm-v6"
DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("image", "routed"),
    [
        ("debian", f"{PI}/library/debian:latest"),
        ("debian:jessie", f"{PI}/library/debian:jessie"),
        ("me/app:1", f"{PI}/me/app:1"),
        ("docker.io/library/debian:1", f"{PI}/library/debian:1"),
        ("ghcr.io/owner/app:1", f"{PI}/ghcr.io/owner/app:1"),
        (f"debian@{DIGEST}", f"{PI}/library/debian@{DIGEST}"),
        ("registry.lan:5000/app:1", "registry.lan:5000/app:1"),
        ("scratch", "scratch"),
        ("$UNKNOWN", "$UNKNOWN"),
        ("debian:${TAG}", f"{PI}/library/debian:1"),
        ("debian-$TARGETARCH$TARGETVARIANT", f"{PI}/library/debian-armv6:latest"),
        ("${BASE:-alpine}", f"{PI}/library/alpine:latest"),
        ("Not:A:Name", "Not:A:Name"),
    ],
)
def test_each_image_comes_by_way_of_the_proxy(image: str, routed: str) -> None:
    assert (
        route_bases(f'ARG TAG="1"\nFROM {image} AS x\nRUN y\n', WAY, {}).text
        == f'ARG TAG="1"\nFROM {routed} AS x\nRUN y\n'
    )


def test_a_build_argument_counts_more_than_its_default() -> None:
    assert "debian:2" in route_bases("ARG TAG=1\nFROM debian:$TAG\n", WAY, {"TAG": "2"}).text


def test_what_comes_by_way_of_the_proxy_is_listed() -> None:
    text = "ARG B=debian\nFROM $B\n\nFROM scratch\nCOPY --from=nginx:1 /a /b\n"
    assert route_bases(text, WAY, {}).bases == (
        Base(2, "$B", f"{PI}/library/debian:latest"),
        Base(5, "nginx:1", f"{PI}/library/nginx:1"),
    )


def test_a_stage_is_no_image_and_a_platform_that_is_named_stays() -> None:
    text = """\
FROM --platform=$BUILDPLATFORM golang AS Build
FROM build AS more
COPY --from=build /a /b
COPY --from=0 /a /b
COPY --from=nginx:1 /c /d
RUN --mount=type=bind,from=alpine,target=/x y
"""
    assert route_bases(text, WAY, {}).text == (
        text.replace("golang", "polyarch.lan:5000/library/golang:latest")
        .replace("nginx:1", f"{PI}/library/nginx:1")
        .replace("from=alpine", f"from={PI}/library/alpine:latest")
    )


@pytest.mark.parametrize("text", PLAIN)
def test_every_line_stays_where_it_was(text: str) -> None:
    assert route_bases(text, WAY, {}).text.count("\n") == text.count("\n")


@given(conditional)
def test_so_it_is_with_whatever_comes(text: str) -> None:
    assert route_bases(text, WAY, {}).text.count("\n") == text.count("\n")

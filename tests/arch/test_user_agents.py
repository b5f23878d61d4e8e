import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.user_agents import MAX_USER_AGENT_LENGTH, parse_user_agent
from proxy.oci.platforms import Platform
from tests.strategies import any_text

CALLER = "UpstreamClient(Docker-Client/20.10.24 \\(linux\\))"


def _dockerd(kernel: str, arch: str, version: str = "27.5.1") -> str:
    return f"docker/{version} go/go1.22.11 git-commit/4c9b3b0 kernel/{kernel} os/linux arch/{arch} {CALLER}"


# User-Agent → platform, or None where it does not tell (clients.md §1.1)
USER_AGENTS = {
    # dockerd, classic store: seen on the wire in our laboratory
    "lab-dockerd-20.10": (
        (
            "docker/20.10.24+dfsg1 go/go1.19.8 git-commit/5d6db84 kernel/6.18.44-fc-v669 os/linux arch/amd64 "
            "UpstreamClient(Docker-Client/20.10.24+dfsg1 \\(linux\\))"
        ),
        "linux/amd64",
    ),
    # dockerd on Raspberry Pi: arch/arm, and the variant by the kernel (clients.md §1.2)
    "pi-zero-bullseye": (_dockerd("6.1.21+", "arm"), "linux/arm/v6"),
    "pi-zero-bookworm": (_dockerd("6.6.51+rpt-rpi-v6", "arm"), "linux/arm/v6"),
    "pi-zero-early-bookworm": (_dockerd("6.1.0-rpi8-rpi-v6", "arm"), "linux/arm/v6"),
    "pi-zero-hypriotos": (_dockerd("4.4.15-hypriotos+", "arm", "1.11.1"), "linux/arm/v6"),
    "pi-3-stretch": (_dockerd("4.19.75-v7+", "arm", "18.09.9"), "linux/arm/v7"),
    "pi-4-bullseye": (_dockerd("5.10.63-v7l+", "arm"), "linux/arm/v7"),
    "pi-4-bookworm": (_dockerd("6.12.47+rpt-rpi-v7l", "arm"), "linux/arm/v7"),
    "pi-2-ubuntu": (_dockerd("4.15.0-1038-raspi2", "arm"), "linux/arm/v7"),
    "pi-4-32-bit-userland-64-bit-kernel": (_dockerd("6.1.21-v8+", "arm"), "linux/arm/v8"),
    "pi-4-32-bit-userland-bookworm": (_dockerd("6.6.31+rpt-rpi-v8", "arm"), "linux/arm/v8"),
    "pi-5-32-bit-userland": (_dockerd("6.6.51+rpt-rpi-2712", "arm"), "linux/arm/v8"),
    "pi-5-32-bit-userland-rpi-update": (_dockerd("6.6.31-v8_16k+", "arm"), "linux/arm/v8"),
    "pi-4-64-bit": (_dockerd("6.6.31+rpt-rpi-v8", "arm64"), "linux/arm64"),
    "pi-5-64-bit": (_dockerd("6.12.75+rpt-rpi-2712", "arm64"), "linux/arm64"),
    "pi-4-ubuntu-64-bit": (_dockerd("5.15.0-1034-raspi", "arm64"), "linux/arm64"),
    "arm-unknown-kernel": (_dockerd("5.4.51", "arm"), "linux/arm/v6"),
    "arm-alpine-kernel": (_dockerd("4.19.86-0-rpi", "arm"), "linux/arm/v6"),
    "arm-debian-armhf": (_dockerd("6.1.0-18-armmp", "arm"), "linux/arm/v7"),
    # dockerd elsewhere
    "amd64-v8-kernel-name": (_dockerd("6.1.21-v8+", "amd64"), "linux/amd64"),
    "fedora": (_dockerd("6.10.14-200.fc40.x86_64", "amd64"), "linux/amd64"),
    "i386": (_dockerd("4.9.0-19-686", "386"), "linux/386"),
    "ppc64le": (_dockerd("5.14.0-70.el9.ppc64le", "ppc64le"), "linux/ppc64le"),
    "s390x": (_dockerd("5.14.0-70.el9.s390x", "s390x"), "linux/s390x"),
    "riscv64": (_dockerd("6.6.0", "riscv64"), "linux/riscv64"),
    "loong64": (_dockerd("6.6.0", "loong64"), "linux/loong64"),
    "mips64le": (_dockerd("4.14.0", "mips64le"), "linux/mips64le"),
    "oldest-1.11": (
        "docker/1.11.2 go/go1.5.4 git-commit/b9f10c9 kernel/4.4.38-v7+ os/linux arch/arm",
        "linux/arm/v7",
    ),
    "rhel-without-git-commit": (
        (
            "docker/1.13.1 go/go1.9.2 kernel/3.10.0-862.14.4.el7.x86_64 os/linux arch/amd64 "
            "UpstreamClient(Docker-Client/1.13.1 \\(linux\\))"
        ),
        "linux/amd64",
    ),
    "windows-without-kernel": (
        (
            "docker/20.10.9 go/go1.16.8 git-commit/79ea9d3 os/windows arch/amd64 "
            "UpstreamClient(Docker-Client/20.10.9 \\(windows\\))"
        ),
        "windows/amd64",
    ),
    "ubuntu-package-version": (_dockerd("6.8.0-1021-raspi", "arm64", "24.0.7-0ubuntu2~22.04.1"), "linux/arm64"),
    "underscore-in-the-version": (_dockerd("6.1.21+", "arm", "20.10.3_p1"), "linux/arm/v6"),
    "remote-cli-of-another-system": (
        _dockerd("6.1.21+", "arm").replace("\\(linux\\)", "\\(windows\\)"),
        "linux/arm/v6",
    ),
    # dockerd, containerd store (moby commit a32a53ae01)
    "docker-desktop-containerd-store": (
        (
            "docker/dev go/go1.24.7 git-commit/8e89fe7e kernel/6.10.14-linuxkit os/linux arch/arm64 "
            "containerd-client/2.1.4+unknown storage-driver/overlayfs UpstreamClient(Docker-Client/28.3.2 \\(linux\\))"
        ),
        "linux/arm64",
    ),
    # CRI-O: arch, and no kernel
    "cri-o-arm64": ("cri-o/1.31.2 go/go1.22.6 os/linux arch/arm64", "linux/arm64"),
    "cri-o-arm": ("cri-o/1.18.3 go/go1.13.4 os/linux arch/arm", "linux/arm/v6"),
    # balenaEngine
    "balena-pi-zero": (
        (
            "balenaEngine/20.10.43 go/go1.19 git-commit/6e8c1d0 kernel/5.15.76+ os/linux arch/arm "
            "UpstreamClient(Balena-Engine-Client/20.10.43 \\(linux\\))"
        ),
        "linux/arm/v6",
    ),
    "balena-pi-3-64-bit": (
        "balenaEngine/20.10.43 go/go1.19 kernel/5.15.32-v8 os/linux arch/arm64",
        "linux/arm64",
    ),
    # Clients that show no architecture
    "containerd": ("containerd/1.6.20~ds1", None),
    "containerd-in-docker-23": ("containerd/1.6.20+unknown", None),
    "buildkit": ("buildkit/v0.12", None),
    "buildkit-23.0": ("buildkit/0.0.0+unknown", None),
    "podman": ("containers/5.23.1 (github.com/containers/image)", None),
    "skopeo": ("skopeo/1.9.3", None),
    "buildah": ("Buildah/1.28.2", None),
    "crane": ("crane/v0.20.2 go-containerregistry/v0.20.2", None),
    "regctl": ("regclient/regctl (v0.8.0)", None),
    "oras": ("oras-go", None),
    "go-default": ("Go-http-client/1.1", None),
    "curl": ("curl/7.88.1", None),
    "empty": ("", None),
    "blank": ("   ", None),
    # What must not be believed
    "another-product-with-an-arch": ("curl/8 os/linux arch/arm64", None),
    "docker-not-first": ("curl/8 docker/27.5.1 os/linux arch/arm64", None),
    "docker-without-version": ("docker os/linux arch/arm64", None),
    "docker-with-empty-version": ("docker/ os/linux arch/arm64", None),
    "client-injects-arch": (
        "docker/27.5.1 os/linux UpstreamClient(x/1 arch/arm64 y)",
        None,
    ),
    "client-overrides-arch": (
        "docker/27.5.1 kernel/6.1.21+ os/linux arch/arm UpstreamClient(x os/linux arch/amd64 kernel/5-v7+)",
        "linux/arm/v6",
    ),
    "only-an-upstream-client": (" UpstreamClient(docker/1 os/linux arch/arm64)", None),
    "arch-twice-the-first-counts": ("docker/27.5.1 os/linux arch/arm64 arch/amd64", "linux/arm64"),
    "no-os": ("docker/27.5.1 arch/arm64", None),
    "no-arch": ("docker/27.5.1 os/linux", None),
    "unknown-os": ("docker/27.5.1 os/plan9 arch/arm64", None),
    "unknown-arch": ("docker/27.5.1 os/linux arch/arm64v8", None),
    "arch-of-another-spelling": ("docker/27.5.1 os/linux arch/x86_64", None),
    "empty-arch": ("docker/27.5.1 os/linux arch/", None),
    "arch-with-a-slash": ("docker/27.5.1 os/linux arch/arm/v7", None),
    "control-characters": ("docker/27.5.1\0 os/linux arch/arm64", None),
    "overlong": (_dockerd("6.1.21+", "arm") + "x" * MAX_USER_AGENT_LENGTH, None),
}


@pytest.mark.parametrize(("user_agent", "platform"), USER_AGENTS.values(), ids=USER_AGENTS)
def test_a_user_agent_tells_this_platform(user_agent: str, platform: str | None) -> None:
    found = parse_user_agent(user_agent)
    assert (None if found is None else str(found.platform)) == platform


def test_the_longest_user_agent_is_still_read() -> None:
    user_agent = "docker/27.5.1 os/linux arch/arm64 UpstreamClient("
    assert parse_user_agent(user_agent.ljust(MAX_USER_AGENT_LENGTH, "x"))
    assert parse_user_agent(user_agent.ljust(MAX_USER_AGENT_LENGTH + 1, "x")) is None


_tokens = st.sampled_from(
    ("docker/1", "cri-o/1", "os/linux", "os/windows", "arch/arm", "arch/arm64", "arch/s390x", "kernel/5.4.51-v7+", "x/")
)


@given(any_text | st.lists(_tokens | any_text, max_size=8).map(" ".join))
def test_an_arbitrary_user_agent_tells_a_normal_platform_or_nothing(user_agent: str) -> None:
    engine = parse_user_agent(user_agent)
    assert engine is None or engine.platform == engine.platform.normalised()


@given(any_text)
def test_what_the_engine_s_caller_writes_changes_nothing(text: str) -> None:
    machine = "docker/27.5.1 kernel/6.1.21+ os/linux arch/arm"
    with_caller = f"{machine} UpstreamClient({text})"[:MAX_USER_AGENT_LENGTH]
    engine = parse_user_agent(with_caller)
    assert engine is not None
    assert engine.platform == Platform("linux", "arm", "v6")
    assert engine.version == (27, 5, 1)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("docker/20.10.24+dfsg1", (20, 10, 24)),
        ("docker/1.11.2", (1, 11, 2)),
        ("docker/18.06.1-ce", (18, 6, 1)),
        ("docker/29", (29,)),
        ("docker/dev", ()),
        ("cri-o/1.30.3", (1, 30, 3)),
        ("balenaEngine/20.10.43", (20, 10, 43)),
    ],
)
def test_an_engine_s_version_is_read_as_far_as_it_is_numbers(text: str, version: tuple[int, ...]) -> None:
    engine = parse_user_agent(f"{text} os/linux arch/arm64")
    assert engine is not None
    assert (engine.product, engine.version) == (text.partition("/")[0].lower(), version)

"""User-Agents by where they were seen, and the platform that each tells; None where it does not tell.

A source is a section of our facts, or an issue or pull request on GitHub as `owner/repository#number`, or a page. Where
a source tells the kernel only, or the pattern only, the rest of the header is made up, as `clients.md §1.1` has it.
"""

_SHAPE = (
    "docker/{} go/go1.22.11 git-commit/4c9b3b0 kernel/{} os/linux arch/{} UpstreamClient(Docker-Client/{} \\(linux\\))"
)


def _dockerd(kernel: str, arch: str, version: str = "27.5.1") -> str:
    return _SHAPE.format(version, kernel, arch, version)


DOCKERD: dict[str, dict[str, str | None]] = {
    "clients.md §1.1, on the wire of our laboratory": {
        "docker/20.10.24+dfsg1 go/go1.19.8 git-commit/5d6db84 kernel/6.18.44-fc-v669 os/linux arch/amd64 "
        "UpstreamClient(Docker-Client/20.10.24+dfsg1 \\(linux\\))": "linux/amd64",
    },
    "docker-archive/docker-registry#261": {
        "docker/0.8.1 go/go1.2 git-commit/a1598d1 kernel/3.11.0-15-generic os/linux arch/amd64": "linux/amd64",
    },
    "docker-archive/docker-registry#904, and its ping": {
        "docker/1.3.3 go/go1.3.3 git-commit/d344625 kernel/3.13.0-36-generic os/linux arch/amd64": "linux/amd64",
        "Go 1.1 package http": None,
    },
    "docker-archive/docker-registry#942": {
        "docker/1.5.0 go/go1.4.1 git-commit/a8a31ef kernel/3.16.0-0.bpo.4-amd64 os/linux arch/amd64": "linux/amd64",
    },
    "distribution/distribution#1021": {
        "docker/1.8.2 go/go1.4.2 git-commit/0a8c2e3 kernel/3.13.0-63-generic os/linux arch/amd64": "linux/amd64",
    },
    "moby/moby#22300, as nginx writes it": {
        "docker/1.11.0 go/go1.5.4 git-commit/4dc5990 kernel/4.4.0-1-amd64 os/linux arch/amd64 "
        "UpstreamClient(Docker-Client/1.11.0 \\x5C(linux\\x5C))": "linux/amd64",
    },
    "distribution/distribution#1965, with two spaces": {
        "docker/1.12.0 go/go1.6.3 git-commit/8eab29e kernel/4.4.0-31-generic os/linux  arch/amd64 "
        "UpstreamClient(Docker-Client/1.12.1 \\(linux\\))": "linux/amd64",
    },
    "goharbor/harbor#641": {
        "docker/1.12.5 go/go1.6.4 git-commit/7392c3b kernel/3.10.0-229.14.1.el7.x86_64 os/linux arch/amd64 "
        "UpstreamClient(Docker-Client/1.12.5 \\(linux\\))": "linux/amd64",
    },
    "goharbor/harbor#2349, Windows without a kernel": {
        "docker/1.12.2-cs2-ws-beta go/go1.7.1 git-commit/050b611 os/windows arch/amd64 "
        "UpstreamClient(Docker-Client/1.12.2-cs2-ws-beta \\(windows\\))": "windows/amd64",
    },
    "clients.md §1.1, RHEL without a commit": {
        "docker/1.13.1 go/go1.9.2 kernel/3.10.0-862.14.4.el7.x86_64 os/linux arch/amd64 "
        "UpstreamClient(Docker-Client/1.13.1 \\(linux\\))": "linux/amd64",
    },
    "openshift/image-registry#110": {
        "docker/1.13.1 go/go1.10.2 git-commit/1ab62f1-unsupported kernel/4.16.13-300.fc28.x86_64 os/linux arch/amd64 "
        "UpstreamClient(Docker-Client/1.13.1 \\(linux\\))": "linux/amd64",
    },
    "learn.microsoft.com/azure/container-registry/container-registry-webhook-reference": {
        "docker/17.09.0-ce go/go1.8.3 git-commit/afdb6d4 kernel/4.10.0-27-generic os/linux arch/amd64 "
        "UpstreamClient(Docker-Client/17.09.0-ce \\(linux\\))": "linux/amd64",
    },
    "learn.microsoft.com/azure/event-grid/event-schema-container-registry": {
        "docker/18.03.0-ce go/go1.9.4 git-commit/0520e24 os/windows arch/amd64 "
        "UpstreamClient(Docker-Client/18.03.0-ce \\\\(windows\\\\))": "windows/amd64",
    },
    "docs.gitlab.com/12.10/ee/administration/packages/container_registry.html": {
        "docker/19.03.2 go/go1.12.8 git-commit/6a30dfc kernel/3.10.0-693.2.2.el7.x86_64 os/linux arch/amd64 "
        "UpstreamClient(Docker-Client/19.03.2 \\(linux\\))": "linux/amd64",
    },
    "bottlerocket-os/bottlerocket#1629": {
        "docker/20.10.4 go/go1.16.3 git-commit/363e9a88a11be517d9e8c65c998ff56f774eb4dc kernel/5.10.35 os/linux "
        "arch/amd64 UpstreamClient(Go-http-client/1.1)": "linux/amd64",
    },
    "docker/compose#8901, Compose 2 and 1": {
        "docker/20.10.9 go/go1.16.8 git-commit/79ea9d3 kernel/5.4.0-77-generic os/linux arch/amd64 "
        "UpstreamClient(Docker-Client/unknown-version \\(linux\\))": "linux/amd64",
        "docker/20.10.9 go/go1.16.8 git-commit/79ea9d3 kernel/5.4.0-77-generic os/linux arch/amd64 "
        "UpstreamClient(docker-compose/1.29.2 docker-py/5.0.0 Linux/5.4.0-88-generic)": "linux/amd64",
    },
    "moby/moby#43640, Ubuntu's package": {
        "docker/20.10.12 go/go1.16.2 git-commit/20.10.12-0ubuntu2~20.04.1 kernel/5.4.0-113-generic os/linux arch/amd64 "
        "UpstreamClient(Docker-Client/20.10.12 \\x5C(linux\\x5C))": "linux/amd64",
    },
    "bufbuild/buf#1678, Docker Desktop on Apple silicon": {
        "docker/20.10.21 go/go1.18.7 git-commit/3056208 kernel/5.15.49-linuxkit os/linux arch/arm64 "
        "UpstreamClient(buf-cli-1.11.0-dev)": "linux/arm64",
    },
    "containerd/overlaybd#328": {
        "docker/20.10.25 go/go1.20.10 git-commit/5df983c kernel/5.15.138.1-4.cm2 os/linux arch/amd64 "
        "UpstreamClient(Docker-Client/20.10.25 \\(linux\\))": "linux/amd64",
    },
    "goharbor/harbor-helm#1743": {
        "docker/24.0.5 go/go1.20.6 git-commit/a61e2b4 kernel/5.15.49-linuxkit-pr os/linux arch/amd64 "
        "UpstreamClient(Docker-Client/26.0.0 \\x5C(linux\\x5C))": "linux/amd64",
    },
}

CONTAINERD_STORE: dict[str, dict[str, str | None]] = {
    "moby/moby#45671, before and after": {
        "containerd/1.6.21+unknown": None,
        "docker/dev go/go1.20.4 git-commit/8d67d0c1a8 kernel/5.15.49-linuxkit-pr os/linux arch/arm64 "
        "UpstreamClient(Docker-Client/24.0.2 \\(linux\\))": "linux/arm64",
    },
    "clients.md §1.1, moby commit a32a53ae01": {
        "docker/dev go/go1.24.7 git-commit/8e89fe7e kernel/6.10.14-linuxkit os/linux arch/arm64 "
        "containerd-client/2.1.4+unknown storage-driver/overlayfs UpstreamClient(Docker-Client/28.3.2 \\(linux\\))": (
            "linux/arm64"
        ),
    },
    "keygen-sh/keygen-api, features/api/v1/engines/oci/conformance.feature": {
        "docker/27.0.3 go/go1.21.11 git-commit/662f78c kernel/5.15.153.1-microsoft-standard-WSL2 os/linux arch/amd64 "
        "containerd-client/1.7.18+unknown storage-driver/overlayfs UpstreamClient(Docker-Client/27.0.3 \\(linux\\))": (
            "linux/amd64"
        ),
    },
    "clients.md §1.1 and §1.2, a Pi of 2026": {
        "docker/29.2.1 go/go1.25.6 git-commit/6bc6209 kernel/6.12.75+rpt-rpi-v8 os/linux arch/arm64 "
        "containerd-client/2.2.1+unknown storage-driver/overlayfs UpstreamClient(Docker-Client/29.2.1 \\(linux\\))": (
            "linux/arm64"
        ),
        "docker/28.5.1 go/go1.24.8 git-commit/f8215cc kernel/6.12.47+rpt-rpi-v6 os/linux arch/arm "
        "containerd-client/2.1.4+unknown storage-driver/overlayfs UpstreamClient(Docker-Client/28.5.1 \\(linux\\))": (
            "linux/arm/v6"
        ),
    },
}

ON_ARM: dict[str, dict[str, str | None]] = {
    "clients.md §1.2, Pi 1 and Zero": {
        _dockerd("6.1.21+", "arm"): "linux/arm/v6",
        _dockerd("6.1.0-rpi4-rpi-v6", "arm"): "linux/arm/v6",
        _dockerd("6.1.0-rpi8-rpi-v6", "arm"): "linux/arm/v6",
        _dockerd("6.6.51+rpt-rpi-v6", "arm"): "linux/arm/v6",
    },
    "dylangmiles/docker-must-homeassistant#1, a Pi 1 by its docker version and uname": {
        "docker/20.10.5 go/go1.13.15 git-commit/363e9a8 kernel/5.10.17+ os/linux arch/arm "
        "UpstreamClient(Docker-Client/20.10.5 \\(linux\\))": "linux/arm/v6",
    },
    "MichaIng/DietPi#3258, a Pi 1 by its docker version and uname": {
        "docker/19.03.5 go/go1.12.12 git-commit/633a0ea kernel/4.19.66+ os/linux arch/arm "
        "UpstreamClient(Docker-Client/19.03.5 \\(linux\\))": "linux/arm/v6",
    },
    "platforms.md §5.2, HypriotOS": {
        "docker/1.11.1 go/go1.5.4 git-commit/5604cbe kernel/4.4.15-hypriotos+ os/linux arch/arm": "linux/arm/v6",
        _dockerd("4.4.24-hypriotos-v7+", "arm", "1.12.1"): "linux/arm/v7",
    },
    "clients.md §1.2, Pi 2, 3, 4": {
        "docker/1.11.2 go/go1.5.4 git-commit/b9f10c9 kernel/4.4.38-v7+ os/linux arch/arm": "linux/arm/v7",
        _dockerd("4.19.75-v7+", "arm", "18.09.9"): "linux/arm/v7",
        _dockerd("5.10.63-v7l+", "arm", "20.10.5+dfsg1"): "linux/arm/v7",
        _dockerd("6.1.0-rpi7-rpi-v7l", "arm"): "linux/arm/v7",
        _dockerd("6.12.47+rpt-rpi-v7", "arm"): "linux/arm/v7",
        _dockerd("6.12.47+rpt-rpi-v7l", "arm"): "linux/arm/v7",
    },
    "clients.md §1.2, a 32-bit userland on a 64-bit kernel": {
        _dockerd("6.1.21-v8+", "arm"): "linux/arm/v8",
        _dockerd("6.1.0-rpi7-rpi-v8", "arm"): "linux/arm/v8",
        _dockerd("6.6.31+rpt-rpi-v8", "arm"): "linux/arm/v8",
        _dockerd("6.6.51+rpt-rpi-2712", "arm"): "linux/arm/v8",
        _dockerd("6.6.31-v8-16k+", "arm"): "linux/arm/v8",
    },
    "linuxserver/docker-wireguard#283, the same": {_dockerd("6.1.34-v8+", "arm", "23.0.6"): "linux/arm/v8"},
    "clients.md §1.2, 64 bits whatever the kernel is called": {
        _dockerd("6.1.21-v8+", "arm64"): "linux/arm64",
        _dockerd("6.6.31+rpt-rpi-v8", "arm64"): "linux/arm64",
        _dockerd("6.12.75+rpt-rpi-2712", "arm64"): "linux/arm64",
        _dockerd("5.15.0-1034-raspi", "arm64", "24.0.7-0ubuntu2~22.04.1"): "linux/arm64",
        _dockerd("6.18.3-current-bcm2711", "arm64"): "linux/arm64",
        _dockerd("6.1.21-v7+", "arm64"): "linux/arm64",
    },
    "distribution/distribution-library-image#78, HypriotOS of 64 bits": {
        _dockerd("4.14.37-hypriotos-v8", "arm64", "18.04.0-ce"): "linux/arm64",
    },
    "platforms.md §5.2, Ubuntu, Debian and Alpine": {
        _dockerd("4.15.0-1038-raspi2", "arm"): "linux/arm/v7",
        _dockerd("6.8.0-1021-raspi", "arm"): "linux/arm/v7",
        _dockerd("6.1.0-18-armmp", "arm"): "linux/arm/v7",
        _dockerd("6.1.0-18-rpi", "arm"): "linux/arm/v6",
        _dockerd("4.19.86-0-rpi", "arm", "20.10.3_p1"): "linux/arm/v6",
    },
    "clients.md §1.2, Home Assistant OS": {_dockerd("5.15.32-haos-raspi", "arm"): "linux/arm/v6"},
    "LibreELEC/LibreELEC.tv#7648": {
        "docker/library-import go/go1.20.3 git-commit/library-import kernel/6.1.19 os/linux arch/arm "
        "UpstreamClient(Docker-Client/23.0.3 \\(linux\\))": "linux/arm/v6",
    },
    "syncthing/syncthing#10412, an ARMv5 network storage": {_dockerd("5.10.0-32-marvell", "arm"): "linux/arm/v5"},
    "MichaIng/DietPi#860, no Pi": {_dockerd("4.10.3-sun8i", "arm", "17.04.0-ce"): "linux/arm/v6"},
    "clients.md §1.1, the engine under emulation": {_dockerd("6.1.0-18-amd64", "arm"): "linux/arm/v6"},
}

ELSEWHERE: dict[str, dict[str, str | None]] = {
    "clients.md §1.1, other values of GOARCH": {
        _dockerd("4.9.0-19-686", "386"): "linux/386",
        _dockerd("6.1.21-v8+", "amd64"): "linux/amd64",
        _dockerd("5.14.0-70.el9.ppc64le", "ppc64le"): "linux/ppc64le",
        _dockerd("5.14.0-70.el9.s390x", "s390x"): "linux/s390x",
        _dockerd("6.6.0", "riscv64"): "linux/riscv64",
        _dockerd("6.6.0", "loong64"): "linux/loong64",
        _dockerd("4.14.0", "mips64le"): "linux/mips64le",
    },
    "clients.md §1.1, a CLI of another system": {
        _dockerd("6.1.21+", "arm").replace("\\(linux\\)", "\\(windows\\)"): "linux/arm/v6",
        _dockerd("6.1.21-v7+", "arm").replace("\\(linux\\)", "\\(darwin\\)"): "linux/arm/v7",
    },
    "cri-o/cri-o#1555": {"cri-o/1.10.0-dev go/go1.10.1 os/linux arch/amd64": "linux/amd64"},
    "kubernetes/registry.k8s.io#286": {
        "cri-o/1.27.8-2.rhaos4.14.gitbfac241.el9 go/go1.20.12 os/linux arch/amd64": "linux/amd64",
    },
    "clients.md §1.1, CRI-O, which tells no kernel": {
        "cri-o/1.31.2 go/go1.22.6 os/linux arch/arm64": "linux/arm64",
        "cri-o/1.18.3 go/go1.13.4 os/linux arch/arm": "linux/arm/v6",
    },
    "clients.md §1.1 and platforms.md §5.2, balenaEngine": {
        "balenaEngine/20.10.43 go/go1.19 git-commit/6e8c1d0 kernel/5.15.76+ os/linux arch/arm "
        "UpstreamClient(Balena-Engine-Client/20.10.43 \\(linux\\))": "linux/arm/v6",
        "balenaEngine/20.10.43 go/go1.19 kernel/5.4.51 os/linux arch/arm": "linux/arm/v6",
        "balenaEngine/20.10.43 go/go1.19 kernel/5.15.32-v8 os/linux arch/arm64": "linux/arm64",
    },
    "balena-os/meta-balena#1433, a Pi 3": {
        "balenaEngine/17.12.0-dev go/go1.9.7 git-commit/dceb2fc48071b78a8a828e0468a15a479515385f kernel/5.4.51-v7 "
        "os/linux arch/arm UpstreamClient(Balena-Engine-Client/17.12.0-dev \\(linux\\))": "linux/arm/v7",
    },
    "balena-os/meta-balena#3595, a Zero 2 W": {
        "balenaEngine/20.10.43 go/go1.19 kernel/5.15.92-v8 os/linux arch/arm64": "linux/arm64",
    },
}

WITHOUT_A_PLATFORM: dict[str, tuple[str, ...]] = {
    "clients.md §1.1": (
        "containerd/1.6.20~ds1",
        "containerd/1.6.20+unknown",
        "containerd/1.4.0+unknown",
        "buildkit/v0.12",
        "buildkit/v0.12-dev",
        "buildkit/0.0.0+unknown",
        "containers/5.23.1 (github.com/containers/image)",
        "skopeo/1.9.3",
        "Buildah/1.28.2",
        "crane/v0.20.2 go-containerregistry/v0.20.2",
        "go-containerregistry/v0.20.2",
        "regclient/regctl (v0.8.0)",
        "regclient/regsync (v0.8.0)",
        "regclient/regclient",
        "oras-go",
        "Go-http-client/1.1",
    ),
    "containerd/containerd#5532": ("containerd/v1.5.2",),
    "containerd/overlaybd#328": ("containerd/1.7.2", "EASE/0.21.6"),
    "k3s-io/k3s#3859": ("containerd/v1.4.9-k3s1",),
    "cockpit-project/bots#5515": ("containers/5.28.1-dev (github.com/containers/image)",),
    "podman-container-tools/podman#3793": ("libpod/1.5.1",),
    "bootc-dev/bootc#1943": ("bootc/1.12.0 skopeo/1.21.0",),
    "oras-project/oras#1559": ("oras/1.2.0+unreleased",),
    "GoogleContainerTools/kaniko#262 and #3361": ("kaniko/v1.23.2", "Go-http-client/2.0"),
    "werf/werf#6264": ("werf/v2.7.3 go-containerregistry/v0.19.1",),
    "google/go-containerregistry#830": ("ko/0.6.2 go-containerregistry/0.1.4",),
    "regclient/regclient#172, whatever one likes": ("override/value",),
    "kubernetes-retired/contrib#2444": ("curl/7.51.0",),
    "docker manifest and docker buildx, of the CLI itself": ("Docker-Client/27.5.1 (linux)",),
    "browsers, which tell of themselves": (
        "Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 (KHTML, like Gecko) Chromium/113.0 Safari/537.36",
        "Mozilla/5.0 (X11; Linux aarch64; rv:109.0) Gecko/20100101 Firefox/115.0",
    ),
    "nothing": ("", "   "),
}

SEEN = {**DOCKERD, **CONTAINERD_STORE, **ON_ARM, **ELSEWHERE}

UNBELIEVABLE: dict[str, tuple[str, ...]] = {
    "of another product": (
        "curl/8 os/linux arch/arm64",
        "curl/8 docker/27.5.1 os/linux arch/arm64",
        "dockerish/27.5.1 os/linux arch/arm64",
        "containerd/2.0.0 os/linux arch/arm64",
        " UpstreamClient(docker/1 os/linux arch/arm64)",
        "(docker/27.5.1 os/linux arch/arm64)",
    ),
    "written by the engine's caller": ("docker/27.5.1 os/linux UpstreamClient(x/1 arch/arm64 y)",),
    "broken": (
        "docker os/linux arch/arm64",
        "docker/ os/linux arch/arm64",
        "docker/27.5.1 arch/arm64",
        "docker/27.5.1 os/linux",
        "docker/27.5.1 os/linux arch/",
        "docker/27.5.1 os/linux arch/arm/v7",
        "docker/27.5.1 os/linux arch",
        "docker/27.5.1;os/linux;arch/arm64",
        "docker/27.5.1,os/linux,arch/arm64",
        '"docker/27.5.1 os/linux arch/arm64"',
    ),
    "of an unknown machine": (
        "docker/27.5.1 os/plan9 arch/arm64",
        "docker/27.5.1 os/linux arch/arm64v8",
        "docker/27.5.1 os/linux arch/x86_64",
        "docker/27.5.1 os/linux arch/ARM64",
        "docker/27.5.1 os/linux arch/unknown",
    ),
    "of other characters": (
        "docker/27.5.1\0 os/linux arch/arm64",
        "docker/27.5.1\tos/linux\tarch/arm64",
        "docker/27.5.1\u00a0os/linux\u00a0arch/arm64",
        "docker/27.5.1\u2028os/linux\u2028arch/arm64",
        "docker/27.5.1\r\nos/linux arch/arm64",
        "docker/27.5.1 os/linux arch/\u0430rm64",  # a Cyrillic letter
        "d\u03bfcker/27.5.1 os/linux arch/arm64",  # a Greek one
        "docker/\u0662\u0667 os/linux arch/arm64",  # Arabic digits
        "docker/27.5.1 os/linux arch/arm64\udcff",  # a byte that is no UTF-8
        "\ufeffdocker/27.5.1 os/linux arch/arm64",
    ),
}

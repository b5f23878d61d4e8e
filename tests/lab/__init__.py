"""The lab: real registries, a stand-in for Docker Hub and real clients, all on loopback.

Nothing here imports `proxy`: the lab judges polyarch from outside, as a client and as an upstream.

- `images`, `content`: container images built in memory, with true digests, and the set that every test knows.
- `registry`, `hub/`: a real `docker-registry`, and Docker Hub's behaviour in front of it, faults included.
- `clients/`, `engines/`: podman, skopeo, buildah, containerd, crane, oras; Docker Engines, ARM ones under qemu-user.
- `downloads`, `pulling`, `killing`: downloads and pulls whose every byte is checked; pulls that end in a kill.
- `disks`, `names`: a small disk that gets full or breaks, and a name service that goes away, for one program only.
- `programs`, `tools`: starting and ending programs, finding them, or saying why a test is skipped.
- `python -m tests.lab --help` runs the parts by hand.
"""

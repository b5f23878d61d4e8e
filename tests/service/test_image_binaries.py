from collections.abc import Sequence

import pytest

from proxy.oci.errors import BlobUnknown, UpstreamUnreachable
from proxy.oci.manifests import Descriptor
from proxy.service.image_binaries import MAX_LAYERS, ImageBinaries
from tests.elves import AMD64, ARMEL, ARMHF, GO_ARM, RASPBIAN, V7, arm
from tests.fakes.events import RecordingEvents
from tests.fakes.store import FailingBlobStore
from tests.fakes.upstream import FakeUpstream
from tests.service.bench import put_blob
from tests.service.layers import build_layer, build_tar, describe

REPOSITORY = "owner/app"
QEMU = ("usr/bin/qemu-arm-static", AMD64)
SCRIPT = ("bin/sh", b"#!/bin/busybox sh\n")


def put(upstream: FakeUpstream, *layers: bytes) -> list[Descriptor]:
    for layer in layers:
        upstream.put_blob(REPOSITORY, layer)
    return [describe(layer) for layer in layers]


async def find(upstream: FakeUpstream, layers: Sequence[Descriptor]) -> str:
    found = await ImageBinaries(upstream, FailingBlobStore(), RecordingEvents()).find(REPOSITORY, layers)
    return "" if found is None else f"{found.path}: {found.binary}"


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        pytest.param([build_layer(("bin/busybox", RASPBIAN))], "bin/busybox: ARM v6KZ, VFPv2, hard float", id="alpine"),
        pytest.param([build_tar(("./bin/dash", ARMEL))], "bin/dash: ARM v5TE, soft float", id="plain-tar"),
        pytest.param([build_layer(QEMU, ("bin/bash", RASPBIAN))], "bin/bash: ARM v6KZ, VFPv2, hard float", id="resin"),
        pytest.param(
            [build_layer(QEMU), build_layer(("bin/sh", ARMHF))], "bin/sh: ARM v7, VFPv3-D16, hard float", id="2"
        ),
        pytest.param(
            [build_layer(("app", GO_ARM)), build_layer(("bin/sh", AMD64))], "bin/sh: amd64", id="system-first"
        ),
        pytest.param([build_layer(("app", GO_ARM))], "app: ARM", id="scratch"),
        pytest.param([build_layer(SCRIPT, ("usr/bin/env", AMD64))], "usr/bin/env: amd64", id="script"),
        pytest.param([build_layer(("etc/arch", b"arm"))], "", id="nothing"),
        pytest.param([build_layer()] * MAX_LAYERS + [build_layer(("bin/sh", AMD64))], "", id="too-far-up"),
        pytest.param([b"no layer at all"], "", id="no-layer"),
        pytest.param([], "", id="no-layers"),
    ],
)
async def test_an_image_s_own_program_speaks_for_it(layers: list[bytes], text: str) -> None:
    upstream = FakeUpstream()
    upstream.put_blob(REPOSITORY, b"")
    assert await find(upstream, put(upstream, *layers)) == text


async def test_a_shell_that_is_cut_off_tells_what_its_header_does() -> None:
    upstream, layer = FakeUpstream(), build_tar(("bin/sh", arm(V7, padding=5000)))
    (described,) = put(upstream, layer)
    upstream.manners.ends_early_at = 2000
    assert await find(upstream, [described]) == "bin/sh: ARM, hard float"


async def test_what_was_found_in_a_layer_is_remembered() -> None:
    upstream = FakeUpstream()
    layers = put(upstream, build_layer(("bin/sh", ARMHF)))
    binaries = ImageBinaries(upstream, FailingBlobStore(), RecordingEvents())
    assert await binaries.find(REPOSITORY, layers) == await binaries.find(REPOSITORY, layers)
    assert upstream.counts == {"get-blob": 1}
    assert repr(binaries) == "<ImageBinaries: 1 layers>"


async def test_what_could_not_be_read_is_not_remembered() -> None:
    upstream = FakeUpstream()
    layers = put(upstream, build_layer(("bin/sh", ARMHF)))
    binaries = ImageBinaries(upstream, FailingBlobStore(), RecordingEvents())
    upstream.go_offline()
    with pytest.raises(UpstreamUnreachable):
        await binaries.find(REPOSITORY, layers)
    upstream.recover()
    assert await binaries.find(REPOSITORY, layers) is not None
    with pytest.raises(BlobUnknown):
        await binaries.find(REPOSITORY, [describe(b"another")])


async def test_a_stored_layer_that_cannot_be_read_is_put_aside_and_asked_for() -> None:
    upstream, store, events = FakeUpstream(), FailingBlobStore(), RecordingEvents()
    layer = build_layer(("bin/sh", ARMHF))
    layers = put(upstream, layer)
    store.unreadable.add(await put_blob(store, layer))
    assert await ImageBinaries(upstream, store, events).find(REPOSITORY, layers) is not None
    assert events.warnings == ["blob.quarantined"]
    assert store.find_size(layers[0].digest) is None

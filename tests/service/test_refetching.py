"""Fetching again what was lost."""

import pytest

from proxy.oci.errors import NameUnknown, RegistryError
from proxy.ports import Link
from proxy.service.pull import Puller
from proxy.service.refetching import Refetching
from tests.fakes.upstream import FakeUpstream
from tests.lab.images import Blob
from tests.service.bench import AMD64, DEBIAN, HUB, Bench, address, jessie, open_bench


def link_of(blob: Blob, media_type: str | None = None) -> Link:
    return Link(HUB, DEBIAN, address(blob), DEBIAN, media_type or blob.media_type, len(blob.content), is_proven=True)


async def test_each_kind_of_content_comes_back_as_a_client_would_get_it(bench: Bench) -> None:
    refetching = Refetching(lambda _: bench.puller)
    image = jessie(AMD64)
    for blob in (image.manifest, image.config, image.layers[0]):
        await refetching(link_of(blob), None)
        assert bench.store.find_size(address(blob)) == len(blob.content)


async def test_a_synthesised_index_is_made_again_by_its_tag(bench: Bench) -> None:
    resolved = await bench.resolver.resolve(DEBIAN, "jessie", is_head=False)
    made = resolved.resolution.synthesis
    assert made is not None
    await bench.store.remove(made.digest)
    bench.manifests.forget([made.digest])
    bench.resolver.forget()
    await Refetching(lambda _: bench.puller)(Link(HUB, DEBIAN, made.digest, ""), "jessie")
    assert bench.store.find_size(made.digest) == len(made.content)


async def test_what_cannot_be_had_is_said(upstream: FakeUpstream) -> None:
    async with open_bench(upstream) as bench:
        upstream.go_offline()
        with pytest.raises(RegistryError):
            await Refetching(lambda _: bench.puller)(link_of(jessie(AMD64).manifest), None)


async def test_an_upstream_that_is_ours_no_more_is_named() -> None:
    def find(name: str) -> Puller:
        raise NameUnknown(f"{name} is none of this proxy's upstreams")

    with pytest.raises(NameUnknown, match=r"docker\.io is none"):
        await Refetching(find)(link_of(jessie(AMD64).manifest), None)

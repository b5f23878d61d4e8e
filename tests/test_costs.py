"""What pulls cost upstream, counted by the lab's Docker Hub. The README's table says the same."""

import asyncio
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.lab.hub import HubStandIn
from tests.lab.programs import wait_until
from tests.live import Live, pull, run_proxy, settings_for

pytestmark = pytest.mark.lab

PI_2 = "linux/arm/v7"
CANDIDATES = ("arm32v6", "arm32v7", "arm64v8", "armhf", "aarch64")


def costs(live_hub: HubStandIn) -> dict[str, int]:
    """Count the requests by kind and repository; those that were refused for want of a token apart."""
    return dict(
        Counter(
            f"{record.kind} {record.repository}{' refused' if record.status == 401 else ''}"
            for record in live_hub.requests()
        )
    )


COLD_JESSIE = {
    # The tag, once it is known that a token is wanted; the config of its one image tells a platform.
    "manifest-get library/debian refused": 1,
    "token library/debian": 1,
    "manifest-get library/debian": 1,
    "blob library/debian": 1,
    "cdn library/debian": 1,
    # The candidates for the other platforms: two of five are not there.
    **{f"token {namespace}/debian": 1 for namespace in CANDIDATES},
    **{f"manifest-head {namespace}/debian": 1 for namespace in ("arm32v6", "arm32v7", "arm64v8")},
    **{f"manifest-head {namespace}/debian refused": 1 for namespace in ("armhf", "aarch64")},
    # The client's own image: its manifest, its config and its layer.
    "manifest-get arm32v7/debian": 1,
    "blob arm32v7/debian": 2,
    "cdn arm32v7/debian": 2,
}


async def test_a_cold_pull_of_an_image_that_has_to_be_put_together(live_hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        await pull(live.client, "library/debian:jessie", PI_2)
    assert costs(live_hub) == COLD_JESSIE
    assert live_hub.spent_pulls == 2


async def test_a_warm_pull_costs_nothing(live_hub: HubStandIn, tmp_path: Path) -> None:
    """Also after a restart."""
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        first = await pull(live.client, "library/debian:jessie", PI_2)
        live_hub.reset()
        assert await pull(live.client, "library/debian:jessie", PI_2) == first
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        assert await pull(live.client, "library/debian:jessie", PI_2) == first
    assert live_hub.requests() == []


async def test_the_next_platform_costs_its_own_image_only(live_hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        await pull(live.client, "library/debian:jessie", PI_2)
        live_hub.reset()
        await pull(live.client, "library/debian:jessie", "linux/arm/v6")
        assert costs(live_hub) == {
            "manifest-get arm32v6/debian": 1,
            "blob arm32v6/debian": 2,
            "cdn arm32v6/debian": 2,
        }
        live_hub.reset()
        await pull(live.client, "library/debian:jessie", "linux/amd64")
        assert costs(live_hub) == {"blob library/debian": 1, "cdn library/debian": 1}


async def test_a_tag_that_has_expired_costs_heads(live_hub: HubStandIn, tmp_path: Path) -> None:
    """One for itself, and one for each build that was added to it; no pull."""
    async with run_proxy(settings_for(live_hub, tag_ttl=0), tmp_path) as live:
        await pull(live.client, "library/debian:jessie", PI_2)
        live_hub.reset()
        again = await pull(live.client, "library/debian:jessie", PI_2)
    assert again.state == "revalidated"
    assert costs(live_hub) == {
        f"manifest-head {repository}": 1
        for repository in ("library/debian", "arm32v6/debian", "arm32v7/debian", "arm64v8/debian")
    }
    assert live_hub.spent_pulls == 0


async def test_a_cold_pull_of_an_index_that_lacks_one_platform(live_hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        await pull(live.client, "library/redis:3-alpine", PI_2)
    assert costs(live_hub) == {
        "manifest-get library/redis refused": 1,
        "token library/redis": 1,
        "manifest-get library/redis": 2,  # the index, the client's own image
        "blob library/redis": 2,
        "cdn library/redis": 2,
        "token arm32v6/redis": 1,
        "manifest-head arm32v6/redis refused": 1,
    }


async def test_a_complete_index_costs_no_candidate_anything(live_hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        await pull(live.client, "library/multi:latest", PI_2)
    assert costs(live_hub) == {
        "manifest-get library/multi refused": 1,
        "token library/multi": 1,
        "manifest-get library/multi": 2,
        "blob library/multi": 2,
        "cdn library/multi": 2,
    }


async def test_many_clients_at_once_cost_what_one_costs(live_hub: HubStandIn, tmp_path: Path) -> None:
    """But for HEADs of what has just come in for somebody else, one a client at most: they spend nothing."""
    clients = 8
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        pulls = [pull(live.client, "library/debian:jessie", PI_2) for _ in range(clients)]
        assert len(set(await asyncio.gather(*pulls))) == 1
    heads = [one for one in live_hub.requests(repository="arm32v7/debian") if one.method == "HEAD"]
    shown = Counter((one.kind, one.reference) for one in heads)
    assert all(count <= clients for count in shown.values())
    gets = dict(costs(live_hub))
    for one in heads:
        gets[f"{one.kind} {one.repository}"] -= 1
    of_the_tag = "manifest-head arm32v7/debian"
    assert {**gets, of_the_tag: 1} == COLD_JESSIE
    assert live_hub.spent_pulls == 2


PURPOSES = {
    "manifest": "manifest-get",
    "manifest-head": "manifest-head",
    "blob": "blob",
    "redirect": "cdn",
    "token": "token",
}


def told(live: Live, name: str, label: str) -> dict[str, float]:
    """Answer what a metric tells, added up by one of its labels."""
    found: dict[str, float] = defaultdict(float)
    for family in live.metrics.registry.collect():
        for sample in family.samples:
            if sample.name == f"polyarch_{name}":
                found[sample.labels.get(label, "")] += sample.value
    return dict(found)


async def test_the_metrics_tell_what_was_asked_of_upstream_and_what_came(live_hub: HubStandIn, tmp_path: Path) -> None:
    async with run_proxy(settings_for(live_hub), tmp_path) as live:
        pulled = await pull(live.client, "library/debian:jessie", PI_2)
        await pull(live.client, "library/debian:jessie", PI_2)
        await live.settle()

        async def is_told() -> bool:  # a blob is whole on the disk a moment before that is told
            return sum(told(live, "fills_ended_total", "outcome").values()) > len(pulled.blobs)

        await wait_until(is_told, seconds=10, purpose="the last download to be told of")
        asked = {
            PURPOSES[purpose]: count for purpose, count in told(live, "upstream_requests_total", "purpose").items()
        }
        sent = Counter(record.kind for record in live_hub.requests())
        assert asked == dict(sent)
        assert told(live, "upstream_request_seconds_count", "upstream") == {"docker.io": sum(sent.values())}
        fetched = sum(record.sent_bytes for record in live_hub.requests("cdn"))
        assert told(live, "fetched_bytes_total", "") == {"": fetched}
        # Beside the client's own blobs, the config of upstream's one image.
        assert told(live, "fills_ended_total", "outcome") == {"kept": len(pulled.blobs) + 1}
        assert told(live, "resolutions_total", "outcome") == {"synthesised": 1}
        kinds = {"ping": 2, "tag": 2, "manifest": 4, "blob": 2 * len(pulled.blobs)}
        assert told(live, "requests_total", "kind") == kinds
        assert told(live, "detections_total", "platform") == {PI_2: 2}
        assert told(live, "cache_bytes", "")[""] >= fetched  # manifests are counted with the next look at all of it
        pulls = [line for line in live.events.named("request") if line["kind"] != "ping"]
        sizes = sum(int(str(line["bytes"])) for line in pulls)
        assert told(live, "served_bytes_total", "") == {"": sizes}
        assert live.metrics.traffic.hits == 6

"""Metrics: what is heard is counted, labels stay few, and what the shipped files and pages name is what there is."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from proxy.ports import Quota
from proxy.spending import Purpose, Traffic
from proxy.telemetry.metrics import CONTENT_TYPE, PLATFORMS, CacheSight, CountedEvents, Metrics, Sights
from tests.fakes.events import RecordingEvents
from tests.lab.tools import require

SIGHT = CacheSight(stored=700, bound=1000, free=5000, min_free=100)
QUOTAS = {"docker.io": Quota(100, 76, 21600)}


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics(Traffic(), version="1.2.3")
    made.watch(Sights(lambda: 2, lambda: SIGHT, lambda: QUOTAS))
    return made


@pytest.fixture
def events(metrics: Metrics) -> CountedEvents:
    return CountedEvents(RecordingEvents(), metrics)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"polyarch_{name}", labels)


def request(**fields: object) -> Mapping[str, object]:
    """Answer the fields of a request's log line."""
    return {"kind": "tag", "status": 200, "ms": 1.5, "platform": "linux/arm/v7", "evidence": "header", **fields}


def test_what_is_told_is_told_on() -> None:
    inner = RecordingEvents()
    events = CountedEvents(inner, Metrics(Traffic(), version="1"))
    events.note("fill.committed", bytes=1)
    events.warn("fill.failed", reason="x")
    events.fail("request.crashed", path="/")
    told = [(one.level, one.name) for one in inner.told]
    assert told == [("note", "fill.committed"), ("warn", "fill.failed"), ("fail", "request.crashed")]
    assert inner.told[0].fields == {"bytes": 1}


def test_requests_are_counted_by_what_they_were(metrics: Metrics, events: CountedEvents) -> None:
    for _ in range(3):
        events.note("request", **request(cache="hit", bytes=10))
    events.note("request", **request(cache="miss", bytes=5))
    labels = {"kind": "tag", "platform": "linux/arm/v7", "status": "2xx"}
    assert value(metrics, "requests_total", cache="hit", **labels) == 3
    assert value(metrics, "requests_total", cache="miss", **labels) == 1
    assert value(metrics, "detections_total", platform="linux/arm/v7", evidence="header") == 4
    assert value(metrics, "request_seconds_count", kind="tag") == 4
    assert value(metrics, "request_seconds_bucket", kind="tag", le="0.005") == 4
    assert value(metrics, "served_bytes_total") == 35
    assert (metrics.traffic.requests, metrics.traffic.hits) == (4, 3)


def test_what_is_not_known_of_a_request_is_said(metrics: Metrics, events: CountedEvents) -> None:
    events.note("request", status="gone", ms=1.0)
    events.note("request", status=404, ms=1.0, kind="blob")
    assert value(metrics, "requests_total", kind="other", platform="none", cache="none", status="none") == 1
    assert value(metrics, "requests_total", kind="blob", platform="none", cache="none", status="4xx") == 1


@given(platforms=st.lists(st.text(max_size=20), max_size=50))
def test_clients_cannot_make_labels_of_their_own(platforms: list[str]) -> None:
    metrics = Metrics(Traffic(), version="1")
    for platform in platforms:
        metrics.hear("request", request(platform=platform))
    shown = {
        sample.labels["platform"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if "platform" in sample.labels
    }
    assert shown <= PLATFORMS | {"other"}


def test_the_platforms_of_the_fleet_are_told_apart() -> None:
    assert {"linux/amd64", "linux/arm64/v8", "linux/arm/v7", "linux/arm/v6"} <= PLATFORMS


@pytest.mark.parametrize(
    ("event", "fields", "name", "labels"),
    [
        ("fill.committed", {"bytes": 9}, "fills_ended_total", {"outcome": "kept"}),
        ("fill.failed", {}, "fills_ended_total", {"outcome": "failed"}),
        ("fill.uncached", {}, "fills_ended_total", {"outcome": "unkept"}),
        ("fill.resumed", {}, "fills_resumed_total", {}),
        ("blob.quarantined", {}, "quarantined_blobs_total", {}),
        ("task.crashed", {}, "faults_total", {}),
        (
            "tag.tailored",
            {"upstream": "ghcr.io"},
            "resolutions_total",
            {"upstream": "ghcr.io", "outcome": "tailored"},
        ),
        (
            "tag.resolved",
            {"reference": "docker.io/library/debian:jessie", "outcome": "synthesised", "cache": "miss"},
            "resolutions_total",
            {"upstream": "docker.io", "outcome": "synthesised"},
        ),
        (
            "tag.resolved",
            {"reference": "docker.io/library/debian:jessie", "outcome": "synthesised", "cache": "stale"},
            "resolutions_total",
            {"upstream": "docker.io", "outcome": "stale"},
        ),
    ],
)
def test_what_happens_is_counted(
    metrics: Metrics,
    events: CountedEvents,
    event: str,
    fields: Mapping[str, object],
    name: str,
    labels: Mapping[str, str],
) -> None:
    events.warn(event, **fields)
    assert value(metrics, name, **labels) == 1


def test_what_leaves_the_cache_is_counted(metrics: Metrics, events: CountedEvents) -> None:
    for _ in range(2):
        events.note("cache.evicted", images=2, blobs=5, suspended=0, bytes=300, left=700)
    assert [value(metrics, f"evicted_{one}_total") for one in ("images", "blobs", "bytes")] == [4, 10, 600]


def test_whether_the_cache_keeps_anything_is_shown(metrics: Metrics, events: CountedEvents) -> None:
    seen = [value(metrics, "cache_writable")]
    for event in ("cache.unwritable", "cache.writable"):
        events.note(event)
        seen.append(value(metrics, "cache_writable"))
    assert seen == [1, 0, 1]


def test_a_fault_is_counted(metrics: Metrics, events: CountedEvents) -> None:
    events.fail("request.crashed")
    assert value(metrics, "faults_total") == 1


@pytest.mark.parametrize(
    ("status", "shown", "error"),
    [
        (200, "2xx", None),
        (404, "4xx", None),
        (429, "4xx", "limited"),
        (503, "5xx", "failed"),
        (None, "none", "unanswered"),
    ],
)
def test_requests_to_upstreams_are_counted(metrics: Metrics, status: int | None, shown: str, error: str | None) -> None:
    metrics.count_request("docker.io", Purpose.MANIFEST, status, 0.2)
    labels = {"upstream": "docker.io", "purpose": "manifest"}
    assert value(metrics, "upstream_requests_total", status=shown, **labels) == 1
    assert value(metrics, "upstream_request_seconds_sum", **labels) == 0.2
    errors = {name: value(metrics, "upstream_errors_total", upstream="docker.io", error=name) for name in [error or ""]}
    assert errors == {error or "": 1 if error else None}
    others = {"limited", "failed", "unanswered"} - {error}
    assert {value(metrics, "upstream_errors_total", upstream="docker.io", error=name) for name in others} == {0}


def test_errors_begin_at_nothing_so_that_the_first_is_an_increase() -> None:
    metrics = Metrics(Traffic(), version="1")
    sights = Sights(lambda: 0, lambda: CacheSight(1, None, 2, 0), dict)
    metrics.watch(sights, ["ghcr.io"])
    assert value(metrics, "upstream_errors_total", upstream="ghcr.io", error="limited") == 0


def test_what_is_no_pull_is_in_no_ratio(metrics: Metrics, events: CountedEvents) -> None:
    for kind in ("operations", "ping", "whoami"):
        events.note("request", **{**request(cache="hit", bytes=10), "kind": kind})
    assert (metrics.traffic.requests, metrics.traffic.hits, metrics.traffic.served_bytes) == (0, 0, 0)


def test_what_others_know_is_looked_at(metrics: Metrics) -> None:
    metrics.traffic.fills_started, metrics.traffic.fills_joined, metrics.traffic.fetched_bytes = 3, 4, 5
    names = ("fills_started_total", "fills_joined_total", "fetched_bytes_total", "fills_running")
    assert [value(metrics, name) for name in names] == [3, 4, 5, 2]
    caches = ("cache_bytes", "cache_bound_bytes", "cache_free_bytes", "cache_min_free_bytes")
    assert [value(metrics, name) for name in caches] == [700, 1000, 5000, 100]
    assert value(metrics, "upstream_quota_limit", upstream="docker.io") == 100
    assert value(metrics, "upstream_quota_remaining", upstream="docker.io") == 76


def test_a_cache_without_a_bound_shows_none() -> None:
    metrics = Metrics(Traffic(), version="1")
    metrics.watch(Sights(lambda: 0, lambda: CacheSight(1, None, 2, 3), dict))
    assert value(metrics, "cache_bound_bytes") is None
    assert value(metrics, "cache_bytes") == 1


def test_it_is_written_as_prometheus_reads_it(metrics: Metrics, events: CountedEvents) -> None:
    events.note("request", **request(cache="hit", bytes=10))
    text = metrics.render().decode()
    samples = {
        sample.name: sample.labels for family in text_string_to_metric_families(text) for sample in family.samples
    }
    assert samples["polyarch_build_info"]["version"] == "1.2.3"
    assert samples["polyarch_requests_total"]["cache"] == "hit"
    assert {"process_resident_memory_bytes", "process_start_time_seconds"} <= samples.keys()
    assert not [name for name in samples if name.endswith("_created")]
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")
    assert repr(metrics).startswith("<Metrics: Traffic(requests=1")


def test_names_follow_the_conventions(metrics: Metrics) -> None:
    for family in metrics.registry.collect():
        if family.name.startswith("polyarch_"):
            assert family.documentation.endswith(".")
            assert not family.name.endswith(("_total", "_count", "_sum", "_ms"))


def test_two_of_them_have_nothing_in_common(events: CountedEvents, metrics: Metrics) -> None:
    events.note("fill.resumed")
    assert value(Metrics(Traffic(), version="1"), "fills_resumed_total") == 0


# What is shipped with it

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy/grafana/polyarch.json"
ALERTS = ROOT / "deploy/prometheus/alerts.yaml"
PAGE = ROOT / "docs/metrics.md"
_ROW = re.compile(r"\| `(\w+)` \| (\w+) \| ([`\w ]*)\|")
_SELECTOR = re.compile(r"\b((?:polyarch|process)_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(?:=~|!=|!~|=)"')
SCRAPED = {"job", "instance"}
"""The labels that Prometheus itself adds."""


def list_families(metrics: Metrics) -> dict[str, tuple[str, set[str]]]:
    """Answer every metric under the name that is written for it, with its type and its labels."""
    found = {}
    for family in metrics.registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = family.type, {label for sample in family.samples for label in sample.labels} - {"le"}
    return found


@pytest.fixture
def busy(metrics: Metrics, events: CountedEvents) -> Metrics:
    """Metrics of which each has a sample."""
    events.note("request", **request(cache="hit"))
    events.note("tag.resolved", reference="docker.io/a:b", outcome="absent", cache="miss")
    events.note("fill.committed", bytes=1)
    metrics.count_request("docker.io", Purpose.MANIFEST, None, 0.1)
    return metrics


def list_expressions() -> list[str]:
    """Answer the PromQL of the dashboard and of the alerts."""
    dashboard = json.loads(DASHBOARD.read_text())
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [*asked, *(rule["expr"] for rule in rules)]


def test_the_page_has_every_metric_with_its_type_and_its_labels(busy: Metrics) -> None:
    rows = _ROW.findall(PAGE.read_text())
    assert {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows} == list_families(busy)


@pytest.mark.parametrize("expression", list_expressions())
def test_what_is_asked_for_is_there(busy: Metrics, expression: str) -> None:
    families = list_families(busy)
    for name, matchers in _SELECTOR.findall(expression):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert name in families or families[base][0] == "histogram"
        assert set(_MATCHER.findall(matchers)) <= families[base][1] | SCRAPED
    grouped = {label for labels in re.findall(r"by \(([^)]*)\)", expression) for label in labels.split(", ")}
    named = [families[re.sub(r"_bucket$", "", name)][1] for name, _ in _SELECTOR.findall(expression)]
    assert grouped <= set.union(*named) | SCRAPED | {"le"}


@pytest.mark.parametrize("expression", list_expressions())
def test_an_expression_is_balanced_and_a_counter_is_never_taken_as_it_is(expression: str) -> None:
    plain = re.sub(r'"[^"]*"', '""', expression)
    for opening, closing in ("()", "[]", "{}"):
        assert plain.count(opening) == plain.count(closing)
    for found in re.finditer(r"\w+_total", plain):
        assert re.search(r"(rate|increase)\($", plain[: found.start()])


def test_the_dashboard_can_be_imported() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells), "panels overlap"
    assert max(x for x, _ in cells) < 24
    assert {one["name"] for one in dashboard["templating"]["list"]} == {"datasource", "job", "instance"}


def test_every_alert_says_what_to_do() -> None:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}


@pytest.mark.lab
def test_prometheus_reads_the_alerts() -> None:
    check_rules(ALERTS)


@pytest.mark.lab
def test_prometheus_reads_what_the_dashboard_asks(tmp_path: Path) -> None:
    asked = [expression.replace("$__rate_interval", "5m") for expression in list_expressions()]
    rules = [{"record": f"asked:{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    check_rules(file)


@pytest.mark.lab
def test_prometheus_reads_the_metrics(busy: Metrics) -> None:
    """And finds no fault with their names; those of the process are not ours to choose."""
    checked = subprocess.run(
        [require("promtool"), "check", "metrics"], input=busy.render(), capture_output=True, timeout=30, check=False
    )
    told = [line for line in checked.stderr.decode().splitlines() if not line.startswith("process_")]
    assert told == []


def check_rules(file: Path) -> None:
    command = [require("promtool"), "check", "rules", str(file)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr

"""Metrics for Prometheus: what is counted, and what is looked at when somebody asks (docs/metrics.md).

Most of it is heard from the same events that the log is written from; requests to upstreams are counted where they
leave (`UpstreamMeter`); bytes and joined downloads are plain numbers (`Traffic`). Labels have few values each, whatever
clients send: never a repository's name, and a platform only if there is a word for it.
"""

from bisect import bisect_left
from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from platform import python_version
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy.arch.vocabulary import BUILT_IN
from proxy.ports import Events, Quota
from proxy.spending import Purpose, Traffic

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What `Metrics.render` writes."""
PLATFORMS = frozenset(str(platform.explicit()) for platform in BUILT_IN.list_platforms())
"""The platforms that are told apart."""
NONE, OTHER = "none", "other"
"""Of a label: nothing is known of it, as of a blob's platform; and what there is no value for."""
UNANSWERED, LIMITED, FAILED = "unanswered", "limited", "failed"
"""The errors of upstreams: no answer, 429, and 5xx."""
TOO_MANY_REQUESTS, SERVER_ERROR = 429, 500
REQUEST_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120)
_REQUEST_MILLISECONDS = tuple(bound * 1000 for bound in REQUEST_SECONDS)
UPSTREAM_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

Fields = Mapping[str, object]


class FaultEvents(Events, Protocol):
    """Events, and faults of our own."""

    def fail(self, event: str, /, **fields: object) -> None:
        """Tell of a fault, with the exception that is being handled."""


@dataclass(frozen=True, slots=True)
class CacheSight:
    """How full the cache is, all of it in bytes."""

    stored: int
    bound: int | None
    """None where only the disk is a bound."""
    free: int
    """What could still be written to its disk."""
    min_free: int
    """What is left to others of that."""


@dataclass(frozen=True, slots=True)
class Sights:
    """What is looked at whenever somebody asks for the metrics."""

    count_fills: Callable[[], int]
    look_at_cache: Callable[[], CacheSight]
    list_quotas: Callable[[], Mapping[str, Quota]]
    """Answers the pull allowances by the upstream's name, of those that told theirs."""


class CountedEvents:
    """The `Events` port, and faults: counts what it is told, and tells it on."""

    def __init__(
        self, inner: FaultEvents, metrics: "Metrics", hear: Callable[[str, Fields], None] | None = None
    ) -> None:
        """Take whom to tell, who counts, and who else is told of everything but faults."""
        self._inner = inner
        self._metrics = metrics
        self._hear = hear or _hear_nothing

    def note(self, event: str, /, **fields: object) -> None:
        """Tell that something happened as it should."""
        self._metrics.hear(event, fields)
        self._hear(event, fields)
        self._inner.note(event, **fields)

    def warn(self, event: str, /, **fields: object) -> None:
        """Tell that something happened that an operator may want to know."""
        self._metrics.hear(event, fields)
        self._hear(event, fields)
        self._inner.warn(event, **fields)

    def fail(self, event: str, /, **fields: object) -> None:
        """Tell of a fault of our own, with the exception that is being handled."""
        self._metrics.count_fault()
        self._inner.fail(event, **fields)


class Metrics:
    """Everything that is counted, in a registry of its own. It is the `UpstreamMeter` port, too."""

    def __init__(self, traffic: Traffic, *, version: str) -> None:
        """Take the numbers that others count, and the version to show."""
        # A second series for each, which 0.0.4 has no use for; nobody else in this process has metrics.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        self.traffic = traffic
        self.registry = registry = CollectorRegistry()
        self._requests = _Requests(registry, traffic)
        self._upstreams = _Upstreams(registry)
        self._happenings = _Happenings(registry)
        self._faults = Counter("polyarch_faults", "Faults of polyarch's own; the log has them.", registry=registry)
        built = Gauge("polyarch_build_info", "What runs here.", ["version", "python"], registry=registry)
        built.labels(version, python_version()).set(1)
        ProcessCollector(registry=registry)
        self._hearers: Mapping[str, Callable[[Fields], None]] = {
            "request": self._requests.count,
            "task.crashed": lambda _: self.count_fault(),
            **self._happenings.list_hearers(),
        }

    def watch(self, sights: Sights, upstreams: Iterable[str] = ()) -> None:
        """Take what is looked at whenever somebody asks, and the upstreams, which have had no errors yet; once."""
        for name in upstreams:
            self._upstreams.expect(name)
        self.registry.register(_Looking(sights, self.traffic))

    def hear(self, event: str, fields: Fields) -> None:
        """Count what was told, if it is something that is counted."""
        count = self._hearers.get(event)
        if count is not None:
            count(fields)

    def count_fault(self) -> None:
        """Count a fault of our own."""
        self._faults.inc()

    def count_request(self, upstream: str, purpose: Purpose, status: int | None, seconds: float, /) -> None:
        """Count one request to an upstream, and how long it took; None is the status of one without an answer."""
        self._upstreams.count(upstream, purpose, status, seconds)

    def render(self) -> bytes:
        """Write all of it, as Prometheus reads it: of the type CONTENT_TYPE."""
        return generate_latest(self.registry)

    def __repr__(self) -> str:
        return f"<Metrics: {self.traffic}>"


class _Happenings:
    """What becomes of tags, of downloads and of what the cache holds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"polyarch_{name}", text, labels, registry=registry)

        self._resolutions = counter("resolutions", "Tags worked out anew.", "upstream", "outcome")
        self._fills_ended = counter("fills_ended", "Downloads into the cache that ended.", "outcome")
        self._fills_resumed = counter("fills_resumed", "Downloads taken up again after a break.")
        self._evicted = {
            "images": counter("evicted_images", "Images that left the cache to make room."),
            "blobs": counter("evicted_blobs", "Blobs that left the cache to make room."),
            "bytes": counter("evicted_bytes", "Bytes that left the cache to make room."),
        }
        self._quarantined = counter("quarantined_blobs", "Stored blobs that turned out damaged.")
        self._is_writable = Gauge(
            "polyarch_cache_writable", "Whether the cache keeps what comes in.", registry=registry
        )
        self._is_writable.set(1)

    def list_hearers(self) -> dict[str, Callable[[Fields], None]]:
        """Answer who counts which event."""
        return {
            "tag.resolved": self._count_resolution,
            "tag.tailored": lambda told: self._resolutions.labels(str(told.get("upstream")), "tailored").inc(),
            "fill.committed": lambda _: self._fills_ended.labels("kept").inc(),
            "fill.failed": lambda _: self._fills_ended.labels("failed").inc(),
            "fill.uncached": lambda _: self._fills_ended.labels("unkept").inc(),
            "fill.resumed": lambda _: self._fills_resumed.inc(),
            "cache.evicted": self._count_evicted,
            "cache.unwritable": lambda _: self._is_writable.set(0),
            "cache.writable": lambda _: self._is_writable.set(1),
            "blob.quarantined": lambda _: self._quarantined.inc(),
        }

    def _count_resolution(self, told: Fields) -> None:
        upstream = str(told.get("reference")).partition("/")[0]
        outcome = "stale" if told.get("cache") == "stale" else str(told.get("outcome"))
        self._resolutions.labels(upstream, outcome).inc()

    def _count_evicted(self, told: Fields) -> None:
        for field, counter in self._evicted.items():
            counter.inc(_number(told, field))


class _Times:
    """How long requests of a kind took: how many of them up to each bound, and the sum."""

    __slots__ = ("counts", "milliseconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(REQUEST_SECONDS) + 1)
        self.milliseconds = 0.0

    def list_buckets(self) -> list[tuple[str, float]]:
        """Answer the bounds in seconds, each with how many took no longer."""
        bounds = [*(str(float(bound)) for bound in REQUEST_SECONDS), "+Inf"]
        return list(zip(bounds, accumulate(self.counts), strict=True))


_PULLS = frozenset({"tag", "manifest", "blob"})
"""What is asked for by whoever pulls. A dashboard that is open asks for other things all the time."""

_FROM_CACHE = frozenset({"hit", "revalidated", "stale"})


class _Requests(Collector):
    """The requests of clients. As this is asked at every one of them, it adds plain numbers, and tells them when asked.

    The library's own counters, each with a lock, would take three times as long.
    """

    def __init__(self, registry: CollectorRegistry, traffic: Traffic) -> None:
        self._traffic = traffic
        self._counts: dict[tuple[object, object, object, object, object], int] = {}
        """By kind, platform, cache, status and evidence."""
        self._times: defaultdict[object, _Times] = defaultdict(_Times)
        registry.register(self)

    def count(self, told: Fields) -> None:
        find = told.get
        kind, platform, cache = find("kind", OTHER), find("platform"), find("cache", NONE)
        if platform is not None and platform not in PLATFORMS:
            platform = OTHER
        key = (kind, platform, cache, find("status"), find("evidence"))
        self._counts[key] = self._counts.get(key, 0) + 1
        milliseconds = find("ms")
        if isinstance(milliseconds, float):
            times = self._times[kind]
            times.counts[bisect_left(_REQUEST_MILLISECONDS, milliseconds)] += 1
            times.milliseconds += milliseconds
        if kind in _PULLS:
            traffic = self._traffic
            traffic.requests += 1
            traffic.hits += cache in _FROM_CACHE
            traffic.served_bytes += _number(told, "bytes")

    def collect(self) -> Iterable[Metric]:
        """Answer what was added up."""
        requests, detections = Counts[tuple[str, ...]](), Counts[tuple[str, ...]]()
        for (kind, platform, cache, status, evidence), count in self._counts.items():
            shown = NONE if platform is None else str(platform)
            requests[str(kind), shown, str(cache), _class_of(status)] += count
            if evidence is not None:
                detections[shown, str(evidence)] += count
        told = CounterMetricFamily(
            "polyarch_requests", "Requests of clients.", labels=["kind", "platform", "cache", "status"]
        )
        detected = CounterMetricFamily(
            "polyarch_detections",
            "Requests for tags, by the client's platform and what it was told by.",
            labels=["platform", "evidence"],
        )
        for family, found in ((told, requests), (detected, detections)):
            for labels, count in found.items():
                family.add_metric(labels, count)
        seconds = HistogramMetricFamily(
            "polyarch_request_seconds", "How long requests of clients took.", labels=["kind"]
        )
        for kind, times in self._times.items():
            seconds.add_metric([str(kind)], times.list_buckets(), times.milliseconds / 1000)
        return told, detected, seconds


class _Upstreams:
    """The requests to upstreams."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._expected = set[str]()
        self._requests = Counter(
            "polyarch_upstream_requests",
            "Requests to upstreams.",
            ["upstream", "purpose", "status"],
            registry=registry,
        )
        self._errors = Counter(
            "polyarch_upstream_errors",
            "Requests to upstreams that got no answer, or one that says later.",
            ["upstream", "error"],
            registry=registry,
        )
        self._seconds = Histogram(
            "polyarch_upstream_request_seconds",
            "How long upstreams took to begin an answer.",
            ["upstream", "purpose"],
            buckets=UPSTREAM_SECONDS,
            registry=registry,
        )

    def count(self, upstream: str, purpose: Purpose, status: int | None, seconds: float) -> None:
        self._requests.labels(upstream, str(purpose), _class_of(status)).inc()
        self._seconds.labels(upstream, str(purpose)).observe(seconds)
        self.expect(upstream)
        error = _error_of(status)
        if error is not None:
            self._errors.labels(upstream, error).inc()

    def expect(self, upstream: str) -> None:
        """Begin to count an upstream's errors at nothing: of what begins at one, no increase is ever seen."""
        if upstream not in self._expected:
            self._expected.add(upstream)
            for error in (UNANSWERED, LIMITED, FAILED):
                self._errors.labels(upstream, error)


class _Looking(Collector):
    """What is not counted here, but looked at."""

    def __init__(self, sights: Sights, traffic: Traffic) -> None:
        self._sights = sights
        self._traffic = traffic

    def collect(self) -> Iterable[Metric]:
        """Answer what there is to see now."""
        traffic, cache = self._traffic, self._sights.look_at_cache()
        yield _counter("polyarch_served_bytes", "Bytes of manifests and blobs sent to clients.", traffic.served_bytes)
        yield _counter("polyarch_fetched_bytes", "Bytes of blobs received from upstreams.", traffic.fetched_bytes)
        yield _counter("polyarch_fills_started", "Downloads into the cache that began.", traffic.fills_started)
        yield _counter("polyarch_fills_joined", "Requests that joined such a download.", traffic.fills_joined)
        yield _gauge("polyarch_fills_running", "Downloads under way.", self._sights.count_fills())
        yield _gauge("polyarch_cache_bytes", "Bytes in the cache, those of broken downloads too.", cache.stored)
        yield _gauge("polyarch_cache_bound_bytes", "Bytes that the cache may take, if that is bounded.", cache.bound)
        yield _gauge("polyarch_cache_free_bytes", "Bytes that are free on the cache's disk.", cache.free)
        yield _gauge("polyarch_cache_min_free_bytes", "Bytes that are left free on that disk.", cache.min_free)
        limit = GaugeMetricFamily(
            "polyarch_upstream_quota_limit", "Pulls that an upstream allows in its window of time.", labels=["upstream"]
        )
        remaining = GaugeMetricFamily(
            "polyarch_upstream_quota_remaining", "Pulls that are left of them, as last told.", labels=["upstream"]
        )
        for name, quota in self._sights.list_quotas().items():
            limit.add_metric([name], quota.limit)
            remaining.add_metric([name], quota.remaining)
        yield limit
        yield remaining


def _hear_nothing(_event: str, _fields: Fields) -> None:
    """Hear what nobody else wants to know."""


def _counter(name: str, text: str, value: int) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: int | None) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _class_of(status: object) -> str:
    """Answer the class of a status: `2xx`; none of an answer that was not given to its end."""
    return f"{status // 100}xx" if isinstance(status, int) else NONE


def _error_of(status: int | None) -> str | None:
    if status is None:
        return UNANSWERED
    if status == TOO_MANY_REQUESTS:
        return LIMITED
    return FAILED if status >= SERVER_ERROR else None


def _number(told: Fields, field: str) -> int:
    value = told.get(field)
    return value if isinstance(value, int) else 0

"""The fakes keep the contracts of what they stand for."""

import pytest

from proxy.oci.digests import Digest
from proxy.oci.media_types import OCI_INDEX
from proxy.ports import BlobStore, Clock, Destination, Events
from tests.contracts.blob_store import BlobStoreContract
from tests.contracts.destination import DestinationContract
from tests.contracts.upstream import JESSIE, PUSHED, REFERRERS, REPOSITORY, Stage, UpstreamContract
from tests.fakes.clock import ManualClock
from tests.fakes.events import Level, RecordingEvents
from tests.fakes.registry import MemoryRegistry
from tests.fakes.store import FailingBlobStore
from tests.fakes.upstream import FakeUpstream


@pytest.fixture
def fake() -> FakeUpstream:
    upstream = FakeUpstream()
    for tag, image in PUSHED.items():
        upstream.push(f"{REPOSITORY}:{tag}", image)
    upstream.put_referrers(REPOSITORY, Digest.parse(JESSIE.manifest.digest), REFERRERS, OCI_INDEX)
    return upstream


def _stage(fake: FakeUpstream, *, has_referrers: bool) -> Stage:
    async def go_offline() -> None:
        fake.go_offline()

    def break_blobs() -> None:
        fake.manners.breaks_at = [500_000]

    def refuse_ranges() -> None:
        fake.manners.ignores_range = True

    return Stage(fake, go_offline, break_blobs, refuse_ranges, has_referrers)


class TestFakeUpstream(UpstreamContract):
    @pytest.fixture
    def stage(self, fake: FakeUpstream) -> Stage:
        return _stage(fake, has_referrers=True)


class TestFakeUpstreamLikeDockerHub(UpstreamContract):
    @pytest.fixture
    def stage(self, fake: FakeUpstream) -> Stage:
        fake.hides_absent, fake.has_referrers = True, False
        return _stage(fake, has_referrers=False)


class TestFailingBlobStoreBeforeItFails(BlobStoreContract):
    @pytest.fixture
    def store(self) -> BlobStore:
        return FailingBlobStore()


class TestMemoryRegistry(DestinationContract):
    @pytest.fixture
    def destination(self) -> Destination:
        return MemoryRegistry()


def test_the_manual_clock_moves_by_hand_and_its_monotonic_side_never_jumps() -> None:
    manual = ManualClock(1000.0)
    clock: Clock = manual
    began = clock.monotonic()
    manual.tick(5)
    assert (clock.now(), clock.monotonic()) == (1005.0, began + 5)
    manual.jump(-60)
    assert (clock.now(), clock.monotonic()) == (945.0, began + 5)


def test_the_recording_events_keep_what_they_are_told() -> None:
    recording = RecordingEvents()
    events: Events = recording
    events.note("fill.committed", bytes=1)
    events.warn("fill.failed", reason="x")
    assert [(told.level, told.name, dict(told.fields)) for told in recording.told] == [
        (Level.NOTE, "fill.committed", {"bytes": 1}),
        (Level.WARN, "fill.failed", {"reason": "x"}),
    ]

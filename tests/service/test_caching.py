from proxy.service.caching import Caching
from tests.fakes.events import RecordingEvents


def test_it_tells_once_an_episode() -> None:
    events = RecordingEvents()
    caching = Caching(events)
    caching.works()
    for _ in range(3):
        caching.fails("No space left on device")
    caching.works()
    caching.works()
    caching.fails("Read-only file system")
    assert [told.name for told in events.told] == ["cache.unwritable", "cache.writable", "cache.unwritable"]
    assert events.told[0].fields["reason"] == "No space left on device"
    assert repr(caching) == "<Caching: fails>"

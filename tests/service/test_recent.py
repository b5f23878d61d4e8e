from proxy.service.recent import KEPT_RESOLUTIONS, MAX_LISTENERS, MAX_OF_ONE, MAX_WAITING, Happening, Recent, Resolution
from tests.fakes.clock import ManualClock

NAME = "docker.io/library/debian:jessie"
ANSWERED = {
    "kind": "tag",
    "reference": NAME,
    "platform": "linux/arm/v7",
    "evidence": "user-agent",
    "source": "arm32v7/debian:jessie@sha256:aa",
    "cache": "hit",
}
NOW = 1_700_000_000.0


def test_a_resolution_has_the_trail_of_its_tag() -> None:
    recent = Recent(ManualClock())
    recent.hear("tag.resolved", {"reference": NAME, "trail": ["upstream has amd64", "arm32v7 has arm/v7"]})
    recent.hear("request", ANSWERED)
    trail = ("upstream has amd64", "arm32v7 has arm/v7")
    source = "arm32v7/debian:jessie@sha256:aa"
    assert recent.resolutions == [Resolution(NOW, NAME, "linux/arm/v7", "user-agent", source, "hit", trail)]


def test_other_requests_and_failed_ones_are_none() -> None:
    recent = Recent(ManualClock())
    for fields in ({"kind": "blob"}, {"kind": "tag", "reference": NAME}, {}):
        recent.hear("request", fields)
    assert recent.resolutions == []


def test_the_newest_come_first_and_the_oldest_are_forgotten() -> None:
    clock = ManualClock()
    recent = Recent(clock)
    for _ in range(KEPT_RESOLUTIONS + 5):
        clock.tick(1)
        recent.hear("request", {**ANSWERED, "platform": None})
    moments = [one.at for one in recent.resolutions]
    assert len(moments) == KEPT_RESOLUTIONS
    assert moments == sorted(moments, reverse=True)
    assert (moments[0], recent.resolutions[0].client_platform) == (clock.now(), None)


def test_listeners_are_told_what_happens_and_nothing_else() -> None:
    recent = Recent(ManualClock())
    with recent.listen() as queue:
        assert queue is not None
        recent.hear("fill.committed", {"digest": "sha256:aa"})
        recent.hear("tag.tailored", {})
        recent.hear("request", ANSWERED)
        told = [queue.get_nowait(), queue.get_nowait()]
        assert queue.empty()
    assert told[0] == Happening("fill", {"digest": "sha256:aa", "state": "ended", "event": "fill.committed"})
    assert (told[1].name, told[1].fields["reference"]) == ("resolution", NAME)


def test_a_slow_listener_misses_some_and_one_who_left_is_told_nothing() -> None:
    recent = Recent(ManualClock())
    with recent.listen() as queue:
        assert queue is not None
        for _ in range(MAX_WAITING + 5):
            recent.hear("cache.evicted", {"images": 1})
        assert queue.qsize() == MAX_WAITING
    while not queue.empty():
        queue.get_nowait()
    recent.hear("cache.evicted", {"images": 1})
    assert queue.empty()


def test_nobody_takes_the_places_of_all_others() -> None:
    recent = Recent(ManualClock())
    held = [recent.listen("10.0.0.1") for _ in range(MAX_OF_ONE)]
    for one in held:
        one.__enter__()
    assert recent.is_full("10.0.0.1")
    assert not recent.is_full("10.0.0.2")
    with recent.listen("10.0.0.1") as refused, recent.listen("10.0.0.2") as queue:
        assert (refused, queue is None) == (None, False)


def test_there_are_only_so_many_listeners() -> None:
    recent = Recent(ManualClock())
    held = [recent.listen(f"10.0.0.{number // MAX_OF_ONE}") for number in range(MAX_LISTENERS)]
    for one in held:
        one.__enter__()
    with recent.listen() as refused:
        assert refused is None
    held.pop().__exit__(None, None, None)
    with recent.listen() as queue:
        assert queue is not None

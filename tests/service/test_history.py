from proxy.service.history import STEPS, History, Point
from proxy.spending import Traffic
from tests.fakes.clock import ManualClock

BEGAN = 1_700_000_000.0


def test_each_step_has_what_went_through_in_it() -> None:
    traffic, clock = Traffic(requests=5, hits=1), ManualClock()
    history = History(traffic, clock)
    traffic.requests, traffic.hits, traffic.served_bytes, traffic.fetched_bytes = 8, 3, 100, 40
    clock.tick(60)
    history.turn()
    traffic.requests, traffic.fetched_bytes = 9, 50
    assert history.points == [Point(BEGAN, 3, 2, 100, 40), Point(BEGAN + 60, 1, 0, 0, 10)]


def test_it_is_a_day_long() -> None:
    clock = ManualClock()
    history = History(Traffic(), clock)
    for _ in range(STEPS + 10):
        clock.tick(60)
        history.turn()
    assert len(history.points) == STEPS
    assert history.points[0].at == BEGAN + 11 * 60
    assert history.points[-1].at == clock.now()

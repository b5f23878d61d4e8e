import io
from dataclasses import replace

import pytest
from rich.console import Console
from rich.progress import Progress

from proxy.cli.warm_display import LiveDisplay, SpeedColumn, showing_orders
from proxy.oci.digests import Digest
from proxy.oci.manifests import Descriptor
from proxy.oci.media_types import DOCKER_MANIFEST
from proxy.spending import Spending
from proxy.warm_folder import CacheState, Ended, Moved, Planned, WarmPart, WarmPlan, WarmResult
from tests.service.warmth import order

ORDER = order("debian:jessie", "linux/amd64")
LAYER = Descriptor("application/octet-stream", Digest.of(b"layer"), 1000)
CONFIG = Descriptor("application/json", Digest.of(b"config"), 100)
ROOT = Descriptor(DOCKER_MANIFEST, Digest.of(b"root"), 500)
PARTS = (WarmPart(CONFIG, CacheState.HIT), WarmPart(LAYER, CacheState.MISS, written=200))
PLAN = WarmPlan(ORDER, ROOT, {ORDER.platforms[0]: ROOT}, (), PARTS)


def result(error: str = "", *, is_postponed: bool = False) -> WarmResult:
    return WarmResult(ORDER, PLAN, Spending(), 1.25, error, is_postponed)


@pytest.fixture
def progress() -> Progress:
    return Progress(console=Console(file=io.StringIO(), force_terminal=True), auto_refresh=False)


def bars(progress: Progress) -> list[tuple[str, float, float | None]]:
    return [(task.description, task.completed, task.total) for task in progress.tasks]


def printed(progress: Progress) -> str:
    assert isinstance(progress.console.file, io.StringIO)
    return progress.console.file.getvalue()


def test_an_image_has_a_bar_and_each_part_on_its_way_another(progress: Progress) -> None:
    display = LiveDisplay(progress, 2)
    display.show(Planned(PLAN))
    assert bars(progress) == [("0 of 2 images", 300, 1100), ("debian:jessie", 300, 1100)]
    display.show(Moved(ORDER, PARTS[1], 200))
    display.show(Moved(ORDER, PARTS[1], 600))
    layer = f"  {LAYER.digest.encoded[:12]}"
    assert bars(progress) == [
        ("0 of 2 images", 700, 1100),
        ("debian:jessie", 700, 1100),
        (layer, 600, 1000),
    ]
    display.show(Moved(ORDER, PARTS[1], 1000))
    display.show(Moved(ORDER, PARTS[0], 100))
    assert bars(progress) == [("0 of 2 images", 1100, 1100), ("debian:jessie", 1100, 1100)]
    display.show(Ended(result()))
    assert bars(progress) == [("1 of 2 images", 1100, 1100)]
    assert "debian:jessie: done in 1.2 s" in printed(progress)


def test_what_failed_says_why_and_leaves_no_bar(progress: Progress) -> None:
    display = LiveDisplay(progress, 2)
    display.show(Planned(PLAN))
    display.show(Moved(ORDER, PARTS[1], 300))
    display.show(Ended(result("upstream is [gone]")))
    assert bars(progress) == [("1 of 2 images", 400, 1100)]
    assert "debian:jessie: upstream is [gone]" in printed(progress)


def test_what_came_to_nothing_had_no_bar(progress: Progress) -> None:
    display = LiveDisplay(progress, 2)
    display.show(Ended(replace(result("absent"), plan=None)))
    display.show(Ended(result(is_postponed=True)))
    assert bars(progress) == [("2 of 2 images", 0, 0)]
    assert "debian:jessie: postponed" in printed(progress)


def test_without_a_terminal_there_is_a_line_for_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    with showing_orders(3) as watch:
        watch(Planned(PLAN))
        watch(Moved(ORDER, PARTS[1], 300))
        for end in (result(), result("gone"), result(is_postponed=True)):
            watch(Ended(end))
    assert capsys.readouterr().err.splitlines() == [
        "debian:jessie: 800 B of 1.1 KiB to fetch",
        "debian:jessie: done in 1.2 s",
        "debian:jessie: gone",
        "debian:jessie: postponed",
    ]


def test_dry_there_is_a_line_for_each_plan_and_for_what_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    with showing_orders(3, is_dry=True) as watch:
        watch(Planned(PLAN))
        for end in (result(), result("gone"), result(is_postponed=True)):
            watch(Ended(end))
    assert capsys.readouterr().err.splitlines() == [
        "debian:jessie: 800 B of 1.1 KiB to fetch",
        "debian:jessie: gone",
        "debian:jessie: postponed",
    ]


def test_the_speed_is_told_while_something_comes() -> None:
    progress = Progress(get_time=iter(range(100)).__next__)
    task_id = progress.add_task("debian:jessie", total=4096)
    (task,) = progress.tasks
    column = SpeedColumn()
    assert column.render(task).plain == ""
    progress.update(task_id, completed=1024)
    progress.update(task_id, completed=2048)
    assert column.render(task).plain.endswith("/s")
    progress.update(task_id, completed=4096)
    assert column.render(task).plain == ""

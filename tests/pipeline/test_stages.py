"""Moments of two stages: how old, how often failed, what is running."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from portal_simulator import DOCUMENTED

from check_cqd_integration.errors import AnswerError
from check_cqd_integration.pipeline.clock import Clock
from check_cqd_integration.pipeline.stages import DataAge, Pipeline, Stage, StageAge, build_pipeline
from check_cqd_integration.pipeline.status import IntegrationStatus, StageLog, parse_status

UTC = timezone.utc
BERLIN, LOCAL_BERLIN = ZoneInfo("Europe/Berlin"), "CET-1CEST,M3.5.0,M10.5.0/3"
FAR_EAST, FAR_WEST = ZoneInfo("Etc/GMT-14"), ZoneInfo("Etc/GMT+12")
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
ADVICE = "; is --timezone the portal's zone, and are both clocks right?"
PAST, FUTURE = datetime(2026, 11, 24, 11), datetime(2026, 11, 24, 12, 6)
NOTHING = StageLog((), (), None)

SetZone = Callable[[str], None]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ago(*seconds: float) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(seconds=count) for count in seconds)


def stage(
    successes: tuple[float, ...] = (),
    failures: tuple[float, ...] = (),
    started: float | None = None,
) -> Stage:
    """A stage whose moments are so many seconds ago."""
    return Stage(NOW, ago(*successes), ago(*failures), None if started is None else ago(started)[0])


# --- one stage ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "successes"),
    [
        (None, ()),
        (0, (0,)),
        (47, (47,)),
        (47, (47, 60, 86400)),
        (47, (47.999,)),
        (0, (-1,)),
        (0, (-0.001,)),
    ],
)
def test_age(age: int | None, successes: tuple[float, ...]) -> None:
    assert stage(successes).age == age


@pytest.mark.parametrize(
    ("seconds", "failures"), [(None, ()), (0, (0,)), (2, (2, 92, 86400)), (0, (-5,))]
)
def test_last_failure(seconds: int | None, failures: tuple[float, ...]) -> None:
    assert stage((1,), failures).last_failure == seconds


@pytest.mark.parametrize(
    ("streak", "successes", "failures"),
    [
        (0, (), ()),
        (3, (), (1, 2, 3)),
        (0, (60,), ()),
        (0, (60,), (61, 62)),
        (0, (60,), (60,)),
        (2, (60, 300), (10, 59, 60, 61, 250)),
        (5, (60,), (1, 2, 3, 4, 5)),
        (1, (-60,), (-61,)),
    ],
)
def test_streak(streak: int, successes: tuple[float, ...], failures: tuple[float, ...]) -> None:
    assert stage(successes, failures).streak == streak


@pytest.mark.parametrize(
    ("running", "duration", "successes", "failures", "started"),
    [
        (None, None, (60,), (90,), None),
        (None, None, (), (), None),
        (30, None, (), (), 30),
        (30, None, (60,), (90,), 30),
        (30, None, (60,), (), 30),
        (30, None, (), (60,), 30),
        (59, None, (60,), (), 59),
        (None, 0, (60,), (), 60),
        (None, 1, (60,), (), 61),
        (None, 42, (86400,), (2,), 44),
        (None, 42, (2,), (86400,), 44),
        (None, 42, (2, 100), (), 44),
        (None, 1000, (200, 1200), (1300,), 1200),
        (None, None, (500, 1200), (200,), 1200),  # another run has ended since
        (None, None, (200, 500), (), 1200),
        (0, None, (60,), (), 0),
        (0, None, (60,), (), -5),
        (None, 9, (-5,), (), 4),
    ],
)
def test_running_or_the_duration_of_the_last_run(
    running: int | None,
    duration: int | None,
    successes: tuple[float, ...],
    failures: tuple[float, ...],
    started: float | None,
) -> None:
    seen = stage(successes, failures, started)
    assert (seen.running, seen.duration) == (running, duration)


# --- both stages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_age", "integrations", "cubes"),
    [
        (None, (), ()),
        (None, (60,), ()),
        (None, (), (60,)),
        (DataAge(100, exact=True), (100,), (60,)),
        (DataAge(60, exact=True), (60,), (60,)),
        (DataAge(100, exact=True), (10, 59, 100, 200), (60, 150)),
        (DataAge(60, exact=False), (59,), (60,)),
        (DataAge(86400, exact=False), (1, 2, 3, 4, 5), (86400, 90000)),
        (DataAge(0, exact=True), (-5,), (-9,)),
        (DataAge(0, exact=False), (-9,), (-5,)),
    ],
)
def test_data_age(
    data_age: DataAge | None, integrations: tuple[float, ...], cubes: tuple[float, ...]
) -> None:
    assert Pipeline(stage(integrations), stage(cubes), UTC).data_age == data_age


@pytest.mark.parametrize(
    ("age", "own", "other"),
    [
        (StageAge(None, None, None), stage(), stage()),
        (StageAge(None, None, None), stage((), (), 30), stage()),
        (StageAge(60, None, None), stage((60,)), stage((10,))),
        (StageAge(60, None, None), stage((60,), (), 90), stage((10,), (), 20)),
        (StageAge(60, None, None), stage((60,), (10,), 30), stage()),
        # a run of its own
        (StageAge(60, 20, 40), stage((60, 500), (), 40), stage()),
        (StageAge(60, 60, 0), stage((60,), (), -5), stage()),
        # one of the other stage
        (StageAge(60, 20, 40), stage((60,)), stage((90,), (), 40)),
        (StageAge(60, 20, 40), stage((60,)), stage((), (), 40)),
        (StageAge(60, None, None), stage((60,)), stage((), (), 90)),
        (StageAge(60, None, None), stage((60,)), stage((), (), 60)),
        # two at once
        (StageAge(60, 50, 10), stage((60,), (), 40), stage((90,), (), 10)),
        (StageAge(60, 50, 10), stage((60,), (), 10), stage((90,), (), 40)),
    ],
)
def test_age_of_a_stage_and_at_the_start_of_a_run(age: StageAge, own: Stage, other: Stage) -> None:
    assert Pipeline(own, other, UTC).age_of(own) == age
    assert Pipeline(other, own, UTC).age_of(own) == age


def test_stages_in_the_order_in_which_they_run() -> None:
    integration, cube = stage((1,)), stage((2,))
    stages = Pipeline(integration, cube, UTC).stages()
    assert list(stages.items()) == [("integration", integration), ("cube", cube)]


def test_documented_answer() -> None:
    seen = build_pipeline(
        parse_status(DOCUMENTED), Clock(datetime(2015, 1, 18, 10, 31, tzinfo=UTC), UTC, 300)
    )
    assert (seen.integration.age, seen.integration.streak) == (47, 0)
    assert seen.integration.last_failure is None
    assert (seen.integration.running, seen.integration.duration) == (None, None)
    assert (seen.cube.age, seen.cube.streak, seen.cube.last_failure) == (69260, 2, 2)
    assert (seen.cube.running, seen.cube.duration) == (None, 42)
    assert seen.data_age == DataAge(69343, exact=True)
    assert seen.zone is UTC


def test_unsorted_and_doubled_timestamps() -> None:
    first, second, third = (datetime(2026, 11, 24, 11, minute) for minute in (10, 20, 30))
    log = StageLog((first, third, first), (second, third, second, first), third)
    seen = build_pipeline(IntegrationStatus(log, NOTHING), Clock(NOW, UTC, 300))
    assert seen.integration == Stage(
        now=NOW,
        successes=ago(1800, 3000),
        failures=ago(1800, 2400, 3000),
        started=ago(1800)[0],
    )
    assert seen.cube == Stage(NOW, (), (), None)


@pytest.mark.parametrize(
    "log",
    [
        StageLog((PAST, FUTURE), (), None),
        StageLog((), (PAST, FUTURE), None),
        StageLog((PAST,), (), FUTURE),
    ],
    ids=["success", "failure", "start"],
)
def test_every_timestamp_is_looked_at(log: StageLog) -> None:
    for status in IntegrationStatus(log, NOTHING), IntegrationStatus(NOTHING, log):
        with pytest.raises(AnswerError) as caught:
            build_pipeline(status, Clock(NOW, UTC, 300))
        assert str(caught.value) == (
            f"the timestamp 2026-11-24 12:06:00 is 6m ahead of this host's clock{ADVICE}"
        )


OFFSET = PAST.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("log", "has_offsets"),
    [
        (StageLog((PAST,), (PAST,), PAST), False),
        (StageLog((PAST, OFFSET), (PAST,), PAST), True),
        (StageLog((PAST,), (OFFSET,), PAST), True),
        (StageLog((), (), OFFSET), True),
        (NOTHING, False),
    ],
)
def test_offset_makes_a_hint_of_zones_needless(log: StageLog, has_offsets: bool) -> None:
    clock = Clock(NOW, UTC, 300)
    for status in IntegrationStatus(log, NOTHING), IntegrationStatus(NOTHING, log):
        assert build_pipeline(status, clock).has_offsets is has_offsets


def test_failed_run_of_a_stage_without_failures() -> None:
    assert stage((60,), (), 90).failed_run_start is None


def test_timestamp_millennia_ago() -> None:
    log = StageLog((datetime.min,), (datetime.min,), datetime.min)
    seen = build_pipeline(IntegrationStatus(log, log), Clock(NOW, UTC, 300))
    assert seen.cube.age == (NOW - datetime.min.replace(tzinfo=UTC)).total_seconds()
    assert seen.cube.streak == 0


@pytest.mark.parametrize(
    ("integration", "cube", "idle"),
    [
        (stage((60,)), stage((90,)), 60),
        (stage((90,)), stage((60,), (30,)), 30),
        (stage((90,), (20,)), stage((60,)), 20),
        (stage((90,), started=99), stage((60,), started=70), 60),
        (stage((90,), started=50), stage((60,)), None),  # it is running
        (stage((90,)), stage((60,), started=0), None),
        (stage(started=10), stage(), None),
        (stage(), stage(), None),
    ],
)
def test_time_since_anything_happened(integration: Stage, cube: Stage, idle: int | None) -> None:
    assert Pipeline(integration, cube, UTC).idle == idle

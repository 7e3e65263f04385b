"""A simulated pipeline, written in UTC and in local time, through the nights when clocks change.

The state that the plugin finds in the local timestamps is compared with that of the true moments.
With CQD_EVERY_MINUTE=1 it is looked at every minute, which takes minutes.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from nagiosplugin import Ok
from nagiosplugin.state import ServiceState

from check_cqd_integration.check import build_contexts
from check_cqd_integration.options import parse
from check_cqd_integration.pipeline import Clock
from check_cqd_integration.portal import Answer
from check_cqd_integration.resource import IntegrationLog
from check_cqd_integration.summary import worst

UTC = timezone.utc
CYCLE = timedelta(minutes=15)
STEP = 1 if os.environ.get("CQD_EVERY_MINUTE") else 13
"""Minutes between two looks; 13 meets every phase of the cycle."""
NIGHTS = [
    ("Europe/Berlin", "2026-10-25T01:00"),
    ("Europe/Berlin", "2026-03-29T01:00"),
    ("Europe/London", "2026-10-25T01:00"),
    ("Europe/London", "2026-03-29T01:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("America/New_York", "2026-03-08T07:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),  # by half an hour
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("Asia/Tokyo", "2026-10-25T01:00"),  # never
]
"""The zones, and when their clocks change (UTC)."""
STAGES = ("integration", "cube")
CONTEXTS = {each.name: each for each in build_contexts(parse(["-H", "portal"]), STAGES)}


class Run(NamedTuple):
    """One run of a stage."""

    start: datetime
    end: datetime
    succeeds: bool


Runs = tuple[list[Run], list[Run]]
"""Of the integration and of the cube."""
Outcome = Callable[[str, datetime], "bool | None"]
"""Whether the run of a stage that is due at a moment succeeds; None if the job does not run."""


def scheduled(change: datetime, outcome: Outcome) -> Runs:
    """Return the runs of the job, every 15 minutes, from hours before a change to hours after."""
    integration: list[Run] = []
    cube: list[Run] = []
    for number in range(-32, 24):
        due = change + number * CYCLE
        middle = due + timedelta(seconds=25 + number * 37 % 60)
        end = middle + timedelta(seconds=60 + number * 53 % 200)
        for name, runs, run in (
            ("integration", integration, (due, middle)),
            ("cube", cube, (middle, end)),
        ):
            succeeds = outcome(name, due)
            if succeeds is not None:
                runs.append(Run(*run, succeeds))
    return integration, cube


def at_random(change: datetime, chance: random.Random) -> Runs:
    """Return runs that fail and last as it happens, and may stop; a long one delays the next."""
    integration, cube = [], []
    due, stop = change - 32 * CYCLE, change + timedelta(minutes=chance.randrange(-240, 480))
    succeed, longest = chance.choice([0.3, 0.7, 0.95]), chance.choice([200, 1500, 4000])
    while due < min(stop, change + 24 * CYCLE):
        middle = due + timedelta(seconds=chance.randrange(20, 120))
        end = middle + timedelta(seconds=chance.randrange(60, longest))
        integration.append(Run(due, middle, chance.random() < succeed))
        cube.append(Run(middle, end, chance.random() < succeed))
        while due < end:
            due += CYCLE
    return integration, cube


def told(runs: Runs, now: datetime, zone: tzinfo) -> bytes:
    """Return what the portal answers, in its local time."""

    def local(moments: Iterable[datetime]) -> list[str]:
        newest_first = [*moments][::-1][:5]
        return [each.astimezone(zone).strftime("%m/%d/%Y %H:%M:%S") for each in newest_first]

    fields: dict[str, object] = {}
    for name, start, stage in (
        ("Integrations", "LastDataIntegrationStart", runs[0]),
        ("CubeProcessings", "LastCubeProcessingStart", runs[1]),
    ):
        begun = [run for run in stage if run.start <= now]
        ended = [run for run in begun if run.end <= now]
        fields[f"LastSuccess{name}"] = local(run.end for run in ended if run.succeeds)
        fields[f"LastFailed{name}"] = local(run.end for run in ended if not run.succeeds)
        fields[start] = next(iter(local(run.start for run in begun)), None)
    return json.dumps(fields).encode()


def state(runs: Runs, now: datetime, zone: tzinfo) -> ServiceState:
    """Return the state by the default limits, if the portal writes its timestamps in a zone."""
    answer = Answer(told(runs, now, zone))
    log = IntegrationLog(lambda: answer, lambda: Clock(now, zone, 300), STAGES)
    return worst(CONTEXTS[each.name].evaluate(each, log) for each in log.probe())


def minutes(change: datetime, step: int) -> Iterator[datetime]:
    for minute in range(-180, 240, step):
        yield change + timedelta(minutes=minute, seconds=30)


@pytest.mark.parametrize(("zone", "change"), NIGHTS)
def test_healthy_pipeline_raises_no_alarm(zone: str, change: str) -> None:
    moment = datetime.fromisoformat(change).replace(tzinfo=UTC)
    runs = scheduled(moment, lambda *_: True)
    for now in minutes(moment, min(STEP, 5)):
        assert state(runs, now, ZoneInfo(zone)) == Ok, now


def troubles(since: datetime) -> Iterator[Outcome]:
    """Yield what may go wrong from a moment on: the job stops, or one step of it fails."""
    yield lambda _, due: None if due >= since else True
    yield lambda _, due: due < since  # the cube step is not reached, which counts as its failure
    yield lambda stage, due: stage == "integration" or due < since


@pytest.mark.parametrize(("zone", "change"), NIGHTS)
def test_pipeline_in_trouble_is_graded_as_by_the_true_moments(zone: str, change: str) -> None:
    moment = datetime.fromisoformat(change).replace(tzinfo=UTC)
    for since in range(-180, 180, 5 * STEP):
        for outcome in troubles(moment + timedelta(minutes=since)):
            runs = scheduled(moment, outcome)
            for now in minutes(moment, STEP):
                assert state(runs, now, ZoneInfo(zone)) == state(runs, now, UTC), (since, now)


def test_nothing_is_better_than_the_truth() -> None:
    """Pipelines that fail now and then, with long runs: what cannot be told is graded as worse."""
    chance, compared, others = random.Random(1), 0, 0
    for zone, change in NIGHTS:
        moment = datetime.fromisoformat(change).replace(tzinfo=UTC)
        for _ in range(8):
            runs = at_random(moment, chance)
            for now in minutes(moment, STEP):
                by_local, truth = state(runs, now, ZoneInfo(zone)), state(runs, now, UTC)
                assert truth == Ok or by_local != Ok, (zone, now)
                compared += 1
                others += by_local != truth
    if STEP == 13:  # the same every time
        assert (others, compared) == (16, 2376)

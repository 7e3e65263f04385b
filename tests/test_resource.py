"""Answer and clock to metrics: which there are, and what they hold."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta, timezone
from typing import Any

import pytest
from expected import DOCUMENTED_MOMENT
from portal_simulator import DOCUMENTED

from check_cqd_integration.errors import AnswerError, PluginError, UnreachableError
from check_cqd_integration.pipeline.clock import Clock
from check_cqd_integration.pipeline.stages import DataAge, StageAge
from check_cqd_integration.portal.answer import Answer
from check_cqd_integration.resource import IntegrationLog

UTC = timezone.utc
STAGES = ("integration", "cube")


def log_of(answer: Answer, stages: Collection[str] = STAGES) -> IntegrationLog:
    return IntegrationLog(lambda: answer, lambda: Clock(DOCUMENTED_MOMENT, UTC, 300), stages)


def metrics(log: IntegrationLog) -> list[tuple[str, Any, Any, Any]]:
    """What is measured: name, value, unit and minimum of each; a stage's streak as a number."""
    return [
        (found.name, getattr(found.value, "streak", found.value), found.uom, found.min)
        for found in log.probe()
    ]


INTEGRATION = [
    ("integration_age", StageAge(47, None, None), "s", 0),
    ("integration_streak", 0, None, 0),
    ("integration_running", 0, "s", 0),
]
CUBE = [
    ("cube_age", StageAge(69260, None, None), "s", 0),
    ("cube_streak", 2, None, 0),
    ("cube_last_failure", 2, "s", 0),
    ("cube_running", 0, "s", 0),
    ("cube_duration", 42, "s", 0),
]
BOTH = [
    ("data_age", DataAge(69343, exact=True), "s", 0),
]
"""Of the whole pipeline, whichever stages are graded."""


@pytest.mark.parametrize(
    ("measured", "stages"),
    [([*INTEGRATION, *CUBE], STAGES), (INTEGRATION, STAGES[:1]), (CUBE, STAGES[1:])],
    ids=["all", "integration", "cube"],
)
def test_documented_answer(measured: list[Any], stages: Collection[str]) -> None:
    assert metrics(log_of(Answer(DOCUMENTED), stages)) == [*measured, *BOTH]


def test_run_in_progress() -> None:
    body = DOCUMENTED.replace(b"01/18/2015 10:30:58", b"01/18/2015 10:30:06")
    measured = [found for found in metrics(log_of(Answer(body), ["cube"])) if "cube" in found[0]]
    assert measured == [
        ("cube_age", StageAge(69260, 69216, 44), "s", 0),
        ("cube_streak", 2, None, 0),
        ("cube_last_failure", 54, "s", 0),
        ("cube_running", 44, "s", 0),
    ]


@pytest.mark.parametrize(
    ("skew", "ahead"),
    [(0, 0.0), (600, 600.0), (-600, -600.0), (1, 0.6), (-1, -0.6), (0, 0.4), (0, -0.4)],
)
def test_over_the_network(skew: int, ahead: float) -> None:
    date = DOCUMENTED_MOMENT - timedelta(seconds=ahead)
    assert metrics(log_of(Answer(DOCUMENTED, date, 0.0), ())) == [
        *BOTH,
        ("clock_skew", skew, "s", None),
        ("response_time", 0.0, "s", 0),
    ]


@pytest.mark.parametrize("error", [UnreachableError("why"), AnswerError("why")], ids=repr)
def test_error_instead_of_an_answer(error: PluginError) -> None:
    def fetch() -> Answer:
        raise error

    log = IntegrationLog(fetch, lambda: Clock(DOCUMENTED_MOMENT, UTC, 300), STAGES)
    assert metrics(log) == [("trouble", error, None, None)]
    assert log.pipeline is None


def test_answer_that_cannot_be_read() -> None:
    log = log_of(Answer(b"[]"))
    ((name, error, _, _),) = metrics(log)
    assert (name, str(error)) == ("trouble", "the answer is a list, not the status object")
    assert log.pipeline is None


def test_clock_is_asked_once_when_the_answer_is_there() -> None:
    asked = []

    def fetch() -> Answer:
        asked.append("portal")
        return Answer(DOCUMENTED)

    def clock() -> Clock:
        asked.append("clock")
        return Clock(DOCUMENTED_MOMENT, UTC, 300)

    IntegrationLog(fetch, clock, STAGES).probe()
    assert asked == ["portal", "clock"]

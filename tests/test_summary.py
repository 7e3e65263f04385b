"""What is said of the findings, in the line and below it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from measures import context, finding
from nagiosplugin import Critical, Ok, Range, Result, Results, Unknown, Warn
from nagiosplugin.state import ServiceState

from check_cqd_integration.contexts import Measure, Reading
from check_cqd_integration.errors import AnswerError, UnreachableError
from check_cqd_integration.pipeline.clock import Clock
from check_cqd_integration.pipeline.stages import DataAge, Pipeline, Stage
from check_cqd_integration.portal.answer import Answer
from check_cqd_integration.report.output import MAX_TEXT, first_line
from check_cqd_integration.resource import IntegrationLog
from check_cqd_integration.summary import StatusText, worst
from check_cqd_integration.thresholds import NO_LIMITS, Limits, parse_duration

UTC = timezone.utc
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NEVER = Stage(NOW, (), (), None)
NOTHING_LISTED = Pipeline(NEVER, NEVER, UTC)

SCHEDULE = {
    "age": Limits(Range("3600"), Range("7200")),
    "streak": Limits(Range("0"), Range("2")),
    "failure": Limits(Range("1800:"), Range("")),
    "running": Limits(Range("7200"), Range("")),
}
STRICT = {
    "age": Limits(Range("3600"), Range("7200")),
    "streak": Limits(Range("0"), Range("2")),
    "failure": Limits(Range("31536000:"), Range("")),
    "running": Limits(Range("0"), Range("")),
}


def stage(success: str = "", failures: str = "", started: str = "") -> Stage:
    """A stage whose moments are so long ago: "1h", "2m 5m"."""

    def ago(words: str) -> tuple[datetime, ...]:
        return tuple(NOW - timedelta(seconds=parse_duration(word)) for word in words.split())

    return Stage(NOW, ago(success), ago(failures), ago(started)[0] if started else None)


def of_stage(
    name: str,
    seen: Stage,
    limits: dict[str, Limits] = SCHEDULE,
    no_success: ServiceState = Critical,
) -> list[Result]:
    given: dict[str, Any] = {**limits, name: limits["age"], "no_success_state": no_success}

    def graded(measure: str, value: Any) -> Result:
        return finding(context(f"{name}_{measure}", **given), value)

    found = [graded("age", Pipeline(seen, NEVER, UTC).age_of(seen)), graded("streak", seen)]
    if seen.last_failure is not None:
        found.append(graded("last_failure", seen.last_failure))
    found.append(graded("running", seen.running or 0))
    if seen.duration is not None:
        found.append(graded("duration", seen.duration))
    return found


def of_data(words: str, limits: Limits = NO_LIMITS, exact: bool = True) -> Result:
    return finding(context("data_age", data=limits), DataAge(parse_duration(words), exact))


def of_clock(seconds: int) -> Result:
    return finding(context("clock_skew"), seconds)


def of_portal(seconds: float) -> Result:
    return finding(context("response_time"), seconds)


def of_trouble(error: Exception, unreachable: ServiceState) -> Result:
    return finding(context("trouble", unreachable_state=unreachable), error)


def unread(verbosity: int = 0, exchange: list[str] | None = None) -> StatusText:
    """The summary of a log that could not be read."""
    stages = ("integration", "cube")
    log = IntegrationLog(lambda: Answer(b""), lambda: Clock(NOW, UTC, 300), stages)
    return StatusText(log, verbosity, lambda: exchange or [])


def summary(
    verbosity: int = 0,
    pipeline: Pipeline = NOTHING_LISTED,
    exchange: list[str] | None = None,
) -> StatusText:
    """The summary of a log that was read."""
    log = IntegrationLog(lambda: Answer(b""), lambda: Clock(NOW, UTC, 300), ())
    log.pipeline = pipeline
    return StatusText(log, verbosity, lambda: exchange or [])


def problem(*findings: Result) -> str:
    return summary().problem(Results(*findings))


@pytest.mark.parametrize(
    ("state", "states"),
    [
        (Ok, [Ok]),
        (Warn, [Ok, Warn, Ok]),
        (Unknown, [Warn, Unknown, Ok]),
        (Critical, [Warn, Critical, Ok]),
        (Critical, [Unknown, Critical, Warn]),
        (Critical, [Critical, Unknown]),
    ],
    ids=str,
)
def test_worst(state: ServiceState, states: list[ServiceState]) -> None:
    assert worst(Results(*map(Result, states))) == state


# --- the line -------------------------------------------------------------------------------------


def test_ok_tells_how_old_everything_is() -> None:
    found = [
        *of_stage("integration", stage("47s", "2h")),
        *of_stage("cube", stage("50m")),
        of_data("8040s"),
        of_clock(3),
        of_portal(0.5),
    ]
    assert summary().ok(Results(*found)) == (
        "integration: last success 47s ago / cube: last success 50m ago / data: 2h 14m old"
    )


def test_ok_of_one_stage() -> None:
    found = [*of_stage("cube", stage("47s")), of_data("1h", exact=False)]
    assert summary().ok(Results(*found)) == "cube: last success 47s ago / data: at least 1h old"


@pytest.mark.parametrize("error", [UnreachableError("why"), AnswerError("why")])
@pytest.mark.parametrize("state", [Warn, Critical, Unknown], ids=str)
def test_trouble_is_told_as_it_is(state: ServiceState, error: Exception) -> None:
    assert unread().problem(Results(of_trouble(error, state))) == "why"


def test_trouble_that_counts_as_ok_is_told_as_it_is() -> None:
    assert unread().ok(Results(of_trouble(UnreachableError("why"), Ok))) == "why"


def test_problem_and_what_is_needed_to_understand_it() -> None:
    cube = of_stage("cube", stage("8040s", "40m 1h", "30s"))
    integration = of_stage("integration", stage("47s", "2h", "20s"))
    assert problem(*integration, *cube, of_data("3h"), of_clock(3), of_portal(0.5)) == (
        "cube: last success 2h 14m ago (limit 2h), 2 failures since (limit 0), running for 30s / "
        "integration ok, last success 47s ago, running for 20s"
    )


def test_problem_of_the_other_stage() -> None:
    integration, cube = stage("61m", "29m", "80m"), stage("47s", "2h")
    assert problem(*of_stage("integration", integration), *of_stage("cube", cube)) == (
        "integration: last success 1h 1m ago (limit 1h), 1 failure since (limit 0), "
        "newest failure 29m ago (within 30m) / cube ok, last success 47s ago"
    )


AGEING, STALE, FRESH = stage("61m"), stage("3h"), stage("5m")
OLD = "last success 1h 1m ago (limit 1h), no failures since"
OLDER = "last success 3h ago (limit 2h), no failures since"
NONE = "no success listed, no failures listed"


@pytest.mark.parametrize(
    ("told", "integration", "cube", "no_success"),
    [
        (f"cube: {OLDER} / integration: {OLD}", AGEING, STALE, Critical),
        (f"integration: {OLDER} / cube: {OLD}", STALE, AGEING, Critical),
        (f"integration: {OLD} / cube: {OLD}", AGEING, AGEING, Critical),
        (f"cube: {OLD} / integration ok, last success 5m ago", FRESH, AGEING, Critical),
        (f"cube: {OLDER} / integration: {NONE}", NEVER, STALE, Unknown),
        (f"integration: {NONE} / cube: {OLD}", NEVER, AGEING, Unknown),
        (f"cube: {NONE} / integration: {OLD}", AGEING, NEVER, Unknown),
        (f"integration: {NONE} / cube: {OLDER}", NEVER, STALE, Critical),
        (f"cube: {OLDER} / integration ok, no success listed", NEVER, STALE, Ok),
    ],
)
def test_worst_stage_first(
    told: str, integration: Stage, cube: Stage, no_success: ServiceState
) -> None:
    found = of_stage("integration", integration, no_success=no_success)
    assert problem(*found, *of_stage("cube", cube, no_success=no_success)) == told


def test_worst_subject_first() -> None:
    data = of_data("3h", Limits(Range("3600"), Range("7200")))
    found = [*of_stage("integration", FRESH), *of_stage("cube", AGEING), data, of_clock(301)]
    assert problem(*found) == (
        f"data: 3h old (limit 2h) / cube: {OLD} / clock: this host is 5m 1s ahead of the portal "
        "(limit 5m) / integration ok, last success 5m ago"
    )


def test_three_lengths() -> None:
    cube = of_stage("cube", stage("8040s", "2m 5m 9m", "30s"), STRICT)
    assert problem(*cube) == (
        "cube: last success 2h 14m ago (limit 2h), 3 failures since (limit 2), newest failure 2m "
        "ago (within 365d), running for 30s (limit 0s)"
    )
    assert problem(*cube, *of_stage("integration", AGEING, STRICT)) == (
        "cube: age 2h 14m (2h), streak 3 (2), failure 2m ago (within 365d), running 30s (0s) / "
        "integration: age 1h 1m (1h)"
    )
    integration = of_stage("integration", stage("8040s", "2m 5m 9m", "30s"), STRICT)
    assert problem(*integration, *cube, of_data("2h", Limits(Range("3600"), Range("")))) == (
        "integration: age 2h 14m, streak 3, failure 2m ago, running 30s / "
        "cube: age 2h 14m, streak 3, failure 2m ago, running 30s / data: 2h"
    )


def test_no_room_for_what_is_fine() -> None:
    cube = of_stage("cube", stage("3h", "29m29s 59m 2h", "2m59s"), STRICT)
    integration = of_stage("integration", stage("5m", "", "2m59s"))
    assert problem(*integration, *cube, of_data("2h"), of_clock(3), of_portal(0.5)) == (
        "cube: age 3h (2h), streak 3 (2), failure 29m 29s ago (within 365d), running 2m 59s (0s)"
    )


def spoken(letters: tuple[int, int]) -> Reading:
    """A problem in so many letters, usually and briefly."""
    return Reading(1, None, "L" * letters[0], "b" * letters[1])


@pytest.mark.parametrize(
    ("told", "letters"),
    [
        (f"data: {'L' * 168} (limit 0s)", (168, 1)),
        ("data: b (0s)", (169, 1)),
        (f"data: {'b' * 174} (0s)", (169, 174)),
        (f"data: {'b' * 175}", (169, 175)),
        (f"data: {'b' * 179}", (169, 179)),
        (f"data: {'b' * 500}", (169, 500)),
    ],
    ids=lambda value: value[:7] if isinstance(value, str) else str(value),
)
def test_longest_text_there_is_room_for(told: str, letters: tuple[int, int]) -> None:
    assert problem(finding(Measure("x", "data", spoken, STRICT["running"]), letters)) == told


def ten_problems(long: str, short: str) -> str:
    """Both stages with all their problems, the data and the clock."""
    seen = stage(long, f"{short} {short} {short} {short} {short}", "1s")
    return problem(
        *of_stage("integration", seen, STRICT),
        *of_stage("cube", seen, STRICT),
        of_data(long, Limits(Range("1"), Range("2")), exact=False),
        of_clock(-86400),
    )


def test_ten_problems_at_once() -> None:
    assert ten_problems("3h", "9m") == (
        "integration: age 3h, streak 5, failure 9m ago, running 1s / "
        "cube: age 3h, streak 5, failure 9m ago, running 1s / "
        "data: 3h / clock: 1d behind"
    )


@pytest.mark.parametrize("long", ["23h59m", "364d23h", "9999d23h"])
def test_ten_problems_of_any_length_stay_within_the_limit(long: str) -> None:
    line = first_line("critical", ten_problems(long, "59m59s"), [])
    assert line.startswith("CQD CRITICAL - integration: age ")
    assert len(line) <= MAX_TEXT


# --- below the line -------------------------------------------------------------------------------

ZONE = ZoneInfo("Europe/Berlin")
SEEN = Pipeline(stage("1m 16m"), stage("80m", "2m 17m", "3h"), ZONE)
EXCHANGE = ["GET / HTTP/1.1", "HTTP/1.1 200 OK"]
SUBJECTS = [
    "[OK] integration: last success 1m ago, no failures since, not running",
    "[WARNING] cube: last success 1h 20m ago (limit 1h), 2 failures since (limit 0), newest "
    "failure 2m ago (within 30m), not running",
    "data: 1h 21m old",
    "[WARNING] clock: this host is 5m 1s ahead of the portal (limit 5m)",
    "portal: answered in 0.500s",
]
TIMELINE = [
    "time ago     3h   2h       1h     30m     15m  10m      5m      2m   1m      now",
    "integration   -----c--------w       .       .    .       .       .    .        .",
    "  success     .    .        .       .       +    .       .       .    +        .",
    "  failure     (none listed)",
    "cube          -----c--------w       .       .    .       .       .    .        .",
    "  success     .    .    +   .       .       .    .       .       .    .        .",
    "  failure     .    .        .       .      x.    .       .       x    .        .",
    "+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them",
    "integration, newest first:",
    "  2026-11-24 12:59:00+01:00          1m ago  success",
    "  2026-11-24 12:44:00+01:00         16m ago  success",
    "cube, newest first:",
    "  2026-11-24 12:58:00+01:00          2m ago  failure",
    "  2026-11-24 12:43:00+01:00         17m ago  failure",
    "  2026-11-24 11:40:00+01:00      1h 20m ago  success",
    "  2026-11-24 10:00:00+01:00          3h ago  start of the newest run",
]


@pytest.mark.parametrize(
    ("lines", "verbosity"),
    [
        ([], 0),
        (SUBJECTS, 1),
        (SUBJECTS + TIMELINE, 2),
        (SUBJECTS + TIMELINE + EXCHANGE, 3),
        (SUBJECTS + TIMELINE + EXCHANGE, 4),
    ],
    ids=["none", "subjects", "timeline", "exchange", "exchange-as-well"],
)
def test_verbose(lines: list[str], verbosity: int) -> None:
    found = [
        *of_stage("integration", SEEN.integration),
        *of_stage("cube", SEEN.cube),
        of_data("81m"),
        of_clock(301),
        of_portal(0.5),
    ]
    assert summary(verbosity, SEEN, EXCHANGE).verbose(Results(*found)) == lines


UNREAD = ["[CRITICAL] integration: not read", "[CRITICAL] cube: not read"]


@pytest.mark.parametrize(
    ("lines", "verbosity"),
    [([], 0), (UNREAD, 1), (UNREAD, 2), (UNREAD + EXCHANGE, 3)],
    ids=["none", "subjects", "no-timeline", "exchange"],
)
def test_verbose_about_what_could_not_be_read(lines: list[str], verbosity: int) -> None:
    trouble = of_trouble(UnreachableError("why"), Critical)
    assert unread(verbosity, EXCHANGE).verbose(Results(trouble)) == lines


@pytest.mark.parametrize(
    ("line", "cube", "no_success"),
    [
        ("[OK] cube: last success 5m ago, no failures since, not running", FRESH, Critical),
        (f"[WARNING] cube: {OLD}, not running", AGEING, Critical),
        (f"[CRITICAL] cube: {OLDER}, not running", STALE, Critical),
        (f"[CRITICAL] cube: {NONE}, not running", NEVER, Critical),
        (f"[UNKNOWN] cube: {NONE}, not running", NEVER, Unknown),
    ],
)
def test_state_of_a_stage(line: str, cube: Stage, no_success: ServiceState) -> None:
    found = of_stage("cube", cube, no_success=no_success)
    assert summary(1).verbose(Results(*found)) == [line]


def test_timeline_of_a_stage_that_is_not_graded_has_no_limits() -> None:
    found = [*of_stage("cube", SEEN.cube), of_data("81m", SCHEDULE["age"])]
    lines = summary(2, SEEN).verbose(Results(*found))
    assert [line for line in lines if re.match("(integration|cube)  ", line)] == [
        "integration   .    .        .       .       .    .       .       .    .        .",
        "cube          -----c--------w       .       .    .       .       .    .        .",
    ]

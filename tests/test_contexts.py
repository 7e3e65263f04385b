"""How each measure is graded and told."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from expected import item
from measures import context, finding, metric
from nagiosplugin import Context, Critical, Ok, Range, Unknown, Warn
from nagiosplugin.state import ServiceState

from check_cqd_integration.contexts import Measure, Reading, Told
from check_cqd_integration.errors import (
    AnswerError,
    PluginError,
    PortalError,
    UnreachableError,
    UsageError,
)
from check_cqd_integration.pipeline.stages import DataAge, Stage, StageAge
from check_cqd_integration.thresholds import NO_LIMITS, Limits, parse_range

OK_LINE, OTHER_ALERT, OWN_ALERT = Told.OK_LINE, Told.OTHER_ALERT, Told.OWN_ALERT
NOWHERE: set[Told] = set()
EVERYWHERE = {OK_LINE, OTHER_ALERT, OWN_ALERT}
NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def ago(*seconds: int) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(seconds=count) for count in seconds)


def stage(successes: tuple[int, ...] = (), failures: tuple[int, ...] = ()) -> Stage:
    """A stage whose moments are so many seconds ago."""
    return Stage(NOW, ago(*successes), ago(*failures), None)


def limits(warning: str = "", critical: str = "") -> Limits:
    return Limits(Range(warning), Range(critical))


def any_measure(bounds: Limits = NO_LIMITS) -> Context:
    def read(value: int) -> Reading:
        return Reading(value, value, f"so many: {value}", f"{value}")

    return Measure("x", "cube", read, bounds)


def perfdata(measure: Context, value: Any, uom: str | None = "s") -> str:
    return str(metric(measure, value, uom).performance() or "")


def words(measure: Context, value: Any) -> tuple[str, str, str]:
    """The three lengths."""
    return finding(measure, value).texts


def text(measure: Context, value: Any) -> str:
    return words(measure, value)[0]


def age(bounds: Limits, grace: int = 0, no_success: ServiceState = Critical) -> Context:
    return context("cube_age", cube=bounds, running_grace=grace, no_success_state=no_success)


# --- any measure ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "limit", "warning", "critical", "value"),
    [
        (Ok, None, "30m", "1h", 0),
        (Ok, None, "30m", "1h", 1800),
        (Warn, "limit 30m", "30m", "1h", 1801),
        (Warn, "limit 30m", "30m", "1h", 3600),
        (Critical, "limit 1h", "30m", "1h", 3601),
        (Critical, "limit 1h", "1h", "1h", 3601),
        (Ok, None, "30m:", "10m:", 1800),
        (Warn, "within 30m", "30m:", "10m:", 1799),
        (Warn, "within 30m", "30m:", "10m:", 600),
        (Critical, "within 10m", "30m:", "10m:", 599),
        (Ok, None, "10m:20m", "5m:30m", 600),
        (Ok, None, "10m:20m", "5m:30m", 1200),
        (Warn, "limit 10m:20m", "10m:20m", "5m:30m", 599),
        (Critical, "limit 5m:30m", "10m:20m", "5m:30m", 1801),
        (Ok, None, "@10m:20m", "~:", 599),
        (Warn, "limit @10m:20m", "@10m:20m", "~:", 600),
        (Warn, "limit @10m:20m", "@10m:20m", "~:", 1200),
        (Ok, None, "@10m:20m", "~:", 1201),
    ],
)
def test_ends_of_the_limits_are_fine(
    state: ServiceState, limit: str | None, warning: str, critical: str, value: int
) -> None:
    measure = any_measure(Limits(parse_range(warning), parse_range(critical)))
    assert finding(measure, value)[:2] == (state, limit)


def test_no_limits() -> None:
    assert finding(any_measure(NO_LIMITS), 10**12).state == Ok
    assert finding(any_measure(), 10**12).state == Ok


@pytest.mark.parametrize(
    ("expected", "warning", "critical"),
    [
        ("x=90s;;;0", "", ""),
        ("x=90s;1800;3600;0", "1800", "3600"),
        ("x=90s;1800:;;0", "1800:", ""),
        ("x=90s;0;~:5;0", "0", "~:5"),
        ("x=90s;@600:1200;600:1200;0", "@600:1200", "600:1200"),
    ],
)
def test_perfdata_of_any_measure(expected: str, warning: str, critical: str) -> None:
    assert perfdata(any_measure(limits(warning, critical)), 90) == expected


def test_words_of_any_measure() -> None:
    measure = any_measure(limits("3600"))
    assert words(measure, 60) == ("so many: 60", "60", "60")
    assert words(measure, 8040) == ("so many: 8040 (limit 1h)", "8040 (1h)", "8040")


@pytest.mark.parametrize(
    ("subject", "is_limited", "measure", "value"),
    [
        ("cube", False, any_measure(), 1),
        ("cube", True, any_measure(limits("2")), 1),
        ("cube", True, age(limits("", "2")), StageAge(1, None, None)),
        ("cube", False, age(NO_LIMITS), StageAge(1, None, None)),
        ("data", True, context("data_age", data=limits("2")), DataAge(1, exact=True)),
        ("data", False, context("data_age"), None),
        ("clock", True, context("clock_skew"), 1),
        ("portal", False, context("response_time"), 0.5),
    ],
)
def test_subject_and_whether_it_is_limited(
    subject: str, is_limited: bool, measure: Context, value: Any
) -> None:
    found = finding(measure, value)
    assert found.subject == subject
    assert (found.limits != NO_LIMITS) is is_limited


@pytest.mark.parametrize(
    ("told", "measure", "value"),
    [
        (NOWHERE, any_measure(), 1),
        (EVERYWHERE, age(NO_LIMITS), StageAge(1, None, None)),
        (EVERYWHERE, age(NO_LIMITS), StageAge(None, None, None)),
        ({OWN_ALERT}, context("cube_streak"), stage((1,))),
        (NOWHERE, context("cube_last_failure"), 1),
        (NOWHERE, context("cube_running"), 0),
        ({OTHER_ALERT, OWN_ALERT}, context("cube_running"), 1),
        (NOWHERE, context("cube_duration"), 1),
        ({OK_LINE}, context("data_age"), DataAge(1, exact=True)),
        ({OK_LINE}, context("data_age"), DataAge(1, exact=False)),
        ({OK_LINE}, context("data_age"), None),
        (NOWHERE, context("clock_skew"), 1),
        (NOWHERE, context("clock_skew"), 0),
        (NOWHERE, context("response_time"), 1.0),
        (EVERYWHERE, context("trouble"), UnreachableError("why")),
    ],
)
def test_where_it_is_told_though_it_is_no_problem(
    told: set[Told], measure: Context, value: Any
) -> None:
    assert {place for place in EVERYWHERE if place in finding(measure, value).told} == told


# --- age ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "limit", "seconds"),
    [
        (Ok, None, 3600),
        (Warn, "limit 1h", 3601),
        (Warn, "limit 1h", 7200),
        (Critical, "limit 2h", 7201),
    ],
)
def test_age(state: ServiceState, limit: str | None, seconds: int) -> None:
    measure = age(limits("3600", "7200"))
    seen = StageAge(seconds, None, None)
    assert finding(measure, seen)[:2] == (state, limit)
    assert perfdata(measure, seen) == item("cube_age", seconds)


def test_words_of_age() -> None:
    measure = age(limits("3600", "7200"))
    fine, stale = StageAge(47, None, None), StageAge(8040, None, None)
    assert words(measure, fine) == ("last success 47s ago", "age 47s", "age 47s")
    assert words(measure, stale) == (
        "last success 2h 14m ago (limit 2h)",
        "age 2h 14m (2h)",
        "age 2h 14m",
    )


@pytest.mark.parametrize("state", [Ok, Warn, Critical, Unknown], ids=str)
@pytest.mark.parametrize("running", [None, 5])
def test_no_success(state: ServiceState, running: int | None) -> None:
    measure = age(limits("3600", "7200"), grace=3600, no_success=state)
    seen = StageAge(None, None, running)
    assert finding(measure, seen)[:2] == (state, None)
    assert words(measure, seen) == ("no success listed", "no success", "no success")
    assert perfdata(measure, seen) == ""


@pytest.mark.parametrize(
    ("state", "grace", "seen"),
    [
        (Critical, 0, StageAge(7201, 3600, 3601)),
        (Critical, 3601, StageAge(7201, 3600, 3601)),
        (Ok, 3602, StageAge(7201, 3600, 3601)),
        (Warn, 3602, StageAge(7202, 3601, 3601)),
        (Critical, 86400, StageAge(86400, 82799, 3601)),
        (Ok, 1, StageAge(7201, 0, 0)),
        (Critical, 0, StageAge(7201, 0, 0)),
        (Critical, 86400, StageAge(7201, None, None)),
    ],
)
def test_running_grace(state: ServiceState, grace: int, seen: StageAge) -> None:
    measure = age(limits("3600", "7200"), grace)
    assert finding(measure, seen).state == state
    assert seen.now is not None
    assert perfdata(measure, seen) == item("cube_age", seen.now)


# --- the others -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "told", "successes", "failures"),
    [
        (Ok, "no failures since", (60,), ()),
        (Ok, "no failures since", (60,), (60, 61)),
        (Ok, "no failures listed", (), ()),
        (Warn, "1 failure since (limit 0)", (60,), (59,)),
        (Warn, "2 failures since (limit 0)", (60,), (1, 59, 61)),
        (Critical, "3 failures since (limit 2)", (60,), (1, 2, 59)),
        (Warn, "1 failure listed (limit 0)", (), (1,)),
        (Critical, "at least 5 failures listed (limit 2)", (), (1, 2, 3, 4, 5)),
    ],
)
def test_streak(
    state: ServiceState, told: str, successes: tuple[int, ...], failures: tuple[int, ...]
) -> None:
    measure = context("cube_streak", streak=limits("0", "2"))
    seen = stage(successes, failures)
    assert finding(measure, seen).state == state
    assert text(measure, seen) == told


def test_streak_briefly_and_as_perfdata() -> None:
    measure = context("cube_streak", streak=limits("0", "2"))
    seen = stage((60,), (1, 2, 3))
    assert words(measure, seen)[1:] == ("streak 3 (2)", "streak 3")
    assert perfdata(measure, seen, None) == item("cube_streak", 3)
    assert perfdata(measure, stage(), None) == item("cube_streak", 0)


def test_last_failure() -> None:
    measure = context("cube_last_failure", failure=limits("1800:"))
    assert finding(measure, 1800).state == Ok
    assert words(measure, 1800) == (
        "newest failure 30m ago",
        "failure 30m ago",
        "failure 30m ago",
    )
    assert finding(measure, 1799).state == Warn
    assert words(measure, 1799) == (
        "newest failure 29m 59s ago (within 30m)",
        "failure 29m 59s ago (within 30m)",
        "failure 29m 59s ago",
    )
    assert perfdata(measure, 2) == item("cube_last_failure", 2)


def test_running() -> None:
    measure = context("cube_running", running=limits("7200"))
    assert (finding(measure, 0).state, text(measure, 0)) == (Ok, "not running")
    assert (finding(measure, 7200).state, text(measure, 7200)) == (Ok, "running for 2h")
    assert finding(measure, 7201).state == Warn
    assert words(measure, 8040) == (
        "running for 2h 14m (limit 2h)",
        "running 2h 14m (2h)",
        "running 2h 14m",
    )
    assert perfdata(measure, 0) == item("cube_running", 0)


def test_last_duration_is_graded_by_nobody() -> None:
    measure = context("cube_duration")
    assert finding(measure, 10**9).state == Ok
    assert words(measure, 42) == ("last run took 42s",) * 3
    assert perfdata(measure, 42) == item("cube_duration", 42)


@pytest.mark.parametrize(
    ("state", "told", "measured", "data_age"),
    [
        (Ok, "2h old", 7200, DataAge(7200, exact=True)),
        (Ok, "at least 2h old", None, DataAge(7200, exact=False)),
        (Warn, "2h 1s old (limit 2h)", 7201, DataAge(7201, exact=True)),
        (Critical, "at least 3h 1s old (limit 3h)", None, DataAge(10801, exact=False)),
        (Warn, "age not known, a stage lists no success", None, None),
    ],
)
def test_data(
    state: ServiceState, told: str, measured: int | None, data_age: DataAge | None
) -> None:
    measure = context("data_age", data=limits("7200", "10800"), no_success_state=Warn)
    assert finding(measure, data_age).state == state
    assert text(measure, data_age) == told
    expected = "" if measured is None else item("data_age", measured, "7200", "10800")
    assert perfdata(measure, data_age) == expected


def test_data_age_that_nobody_asked_for_may_be_unknown() -> None:
    measure = context("data_age")
    assert finding(measure, None).state == Ok
    assert words(measure, None)[1:] == ("not known", "not known")


def test_data_briefly() -> None:
    measure = context("data_age", data=limits("7200"))
    assert words(measure, DataAge(8040, exact=False)) == (
        "at least 2h 14m old (limit 2h)",
        "2h 14m (2h)",
        "2h 14m",
    )
    assert words(measure, DataAge(60, exact=True)) == ("1m old", "1m", "1m")


@pytest.mark.parametrize(
    ("state", "told", "seconds"),
    [
        (Ok, "in step with the portal", 0),
        (Ok, "this host is 5m ahead of the portal", 300),
        (Ok, "this host is 5m behind the portal", -300),
        (Warn, "this host is 5m 1s ahead of the portal (limit 5m)", 301),
        (Warn, "this host is 5m 1s behind the portal (limit 5m)", -301),
        (Warn, "this host is 1d behind the portal (limit 5m)", -86400),
    ],
)
def test_skew(state: ServiceState, told: str, seconds: int) -> None:
    measure = context("clock_skew")
    assert finding(measure, seconds).state == state
    assert text(measure, seconds) == told
    assert perfdata(measure, seconds).startswith(f"{item('clock_skew', seconds)};")


def test_no_skew_is_tolerated() -> None:
    measure = context("clock_skew", max_skew=0)
    assert finding(measure, 0).state == Ok
    assert words(measure, -1) == (
        "this host is 1s behind the portal (limit 0s)",
        "1s behind (0s)",
        "1s behind",
    )
    assert words(measure, 1) == (
        "this host is 1s ahead of the portal (limit 0s)",
        "1s ahead (0s)",
        "1s ahead",
    )


def test_limit_of_the_skew_is_told_as_other_times_are() -> None:
    measure = context("clock_skew", max_skew=90)
    assert words(measure, 91)[:2] == (
        "this host is 1m 31s ahead of the portal (limit 1m 30s)",
        "1m 31s ahead (1m 30s)",
    )


@pytest.mark.parametrize(
    ("told", "seconds"), [("0.000", 0.0), ("0.042", 0.0415), ("12.300", 12.3), ("1000.000", 1e3)]
)
def test_response_time(told: str, seconds: float) -> None:
    measure = context("response_time")
    assert finding(measure, seconds).state == Ok
    assert words(measure, seconds) == (f"answered in {told}s",) * 3
    assert perfdata(measure, seconds) == item("response_time", told)


@pytest.mark.parametrize(
    ("state", "error", "unreachable"),
    [
        (Critical, UnreachableError, Critical),
        (Ok, UnreachableError, Ok),
        (Unknown, UnreachableError, Unknown),
        (Unknown, PortalError, Critical),
        (Unknown, AnswerError, Critical),
        (Unknown, UsageError, Ok),
        (Unknown, PluginError, Ok),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_trouble(state: ServiceState, error: type[PluginError], unreachable: ServiceState) -> None:
    trouble = context("trouble", unreachable_state=unreachable)
    assert trouble.name == "trouble"
    found = finding(trouble, error("what happened"))
    assert (found.state, found.subject, found.limits) == (state, "", NO_LIMITS)
    assert found.texts == ("what happened", "what happened", "what happened")
    assert perfdata(trouble, error("what happened")) == ""

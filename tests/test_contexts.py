"""How each measure is graded and told."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, cast

import pytest
from nagiosplugin import Critical, Metric, Ok, Range, Resource, Unknown, Warn
from nagiosplugin.state import ServiceState

from check_cqd_integration import contexts
from check_cqd_integration.contexts import Finding, Measure
from check_cqd_integration.errors import (
    AnswerError,
    PluginError,
    PortalError,
    UnreachableError,
    UsageError,
)
from check_cqd_integration.pipeline.stages import DataAge, Stage, StageAge
from check_cqd_integration.thresholds import NO_LIMITS, Limits, parse_range

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def ago(*seconds: int) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(seconds=count) for count in seconds)


def stage(successes: tuple[int, ...] = (), failures: tuple[int, ...] = ()) -> Stage:
    """A stage whose moments are so many seconds ago."""
    return Stage(NOW, ago(*successes), ago(*failures), None)


def limits(warning: str = "", critical: str = "") -> Limits:
    return Limits(Range(warning), Range(critical))


def age(bounds: Limits, grace: int = 0, no_success: ServiceState = Critical) -> contexts.Age:
    return contexts.Age("cube_age", "cube", bounds, grace, no_success)


def metric(measure: Measure, value: Any, uom: str | None = "s") -> Metric:
    return Metric(measure.name, value, uom, min=0, contextobj=measure, resource=Resource())


def finding(measure: Measure, value: Any) -> Finding:
    return cast(Finding, metric(measure, value).evaluate())


def perfdata(measure: Measure, value: Any, uom: str | None = "s") -> str:
    return str(metric(measure, value, uom).performance() or "")


def words(measure: Measure, value: Any) -> tuple[str, str, str]:
    """The three lengths."""
    found = finding(measure, value)
    return str(found), found.briefly(), found.barely()


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
    measure = Measure("x", "cube", Limits(parse_range(warning), parse_range(critical)))
    assert finding(measure, value)[:2] == (state, limit)


def test_no_limits() -> None:
    assert finding(Measure("x", "cube", NO_LIMITS), 10**12).state == Ok
    assert finding(Measure("x", "cube"), 10**12).state == Ok


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
    assert perfdata(Measure("x", "cube", limits(warning, critical)), 90) == expected


def test_words_of_any_measure() -> None:
    measure = Measure("x", "cube", limits("3600"))
    assert words(measure, 60) == ("1m", "1m", "1m")
    assert words(measure, 8040) == ("2h 14m (limit 1h)", "2h 14m (1h)", "2h 14m")


def test_finding_knows_its_measure() -> None:
    measure = Measure("x", "cube")
    assert finding(measure, 1).measure is measure


@pytest.mark.parametrize(
    ("subject", "is_limited", "measure", "value"),
    [
        ("cube", False, Measure("x", "cube"), 1),
        ("cube", True, Measure("x", "cube", limits("2")), 1),
        ("cube", True, age(limits("", "2")), StageAge(1, None, None)),
        ("cube", False, age(NO_LIMITS), StageAge(1, None, None)),
        ("data", True, contexts.Data("x", "data", limits("2"), Ok), DataAge(1, exact=True)),
        ("data", False, contexts.Data("x", "data", NO_LIMITS, Ok), None),
        ("clock", True, contexts.Skew("x", "clock", 300), 1),
        ("portal", False, contexts.ResponseTime("x", "portal"), 0.5),
    ],
)
def test_subject_and_whether_it_is_limited(
    subject: str, is_limited: bool, measure: Measure, value: Any
) -> None:
    assert measure.subject == subject
    assert finding(measure, value).is_limited() is is_limited


@pytest.mark.parametrize(
    ("told", "measure", "value"),
    [
        (True, Measure("x", "cube", limits("0")), 1),
        (False, Measure("x", "cube"), 1),
        (True, age(NO_LIMITS), StageAge(1, None, None)),
        (True, contexts.Streak("x", "cube"), stage((1,))),
        (False, contexts.LastFailure("x", "cube"), 1),
        (True, contexts.LastFailure("x", "cube", limits("1800:")), 1),
        (False, contexts.Running("x", "cube"), 0),
        (True, contexts.Running("x", "cube"), 1),
        (False, contexts.LastDuration("x", "cube"), 1),
        (False, contexts.Skew("x", "clock", 300), 1),
        (True, contexts.Skew("x", "clock", 300), 301),
    ],
)
def test_what_is_told_in_an_alert(told: bool, measure: Measure, value: Any) -> None:
    assert finding(measure, value).is_told() is told


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
    assert perfdata(measure, seen) == f"cube_age={seconds}s;3600;7200;0"


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
    assert perfdata(measure, seen) == f"cube_age={seen.now}s;3600;7200;0"


# --- the others -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "text", "successes", "failures"),
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
    state: ServiceState, text: str, successes: tuple[int, ...], failures: tuple[int, ...]
) -> None:
    measure = contexts.Streak("cube_streak", "cube", limits("0", "2"))
    seen = stage(successes, failures)
    assert finding(measure, seen).state == state
    assert str(finding(measure, seen)) == text


def test_streak_briefly_and_as_perfdata() -> None:
    measure = contexts.Streak("cube_streak", "cube", limits("0", "2"))
    seen = stage((60,), (1, 2, 3))
    assert words(measure, seen)[1:] == ("streak 3 (2)", "streak 3")
    assert perfdata(measure, seen, None) == "cube_streak=3;0;2;0"
    assert perfdata(measure, stage(), None) == "cube_streak=0;0;2;0"


def test_last_failure() -> None:
    measure = contexts.LastFailure("cube_last_failure", "cube", limits("1800:"))
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
    assert perfdata(measure, 2) == "cube_last_failure=2s;1800:;;0"


def test_running() -> None:
    measure = contexts.Running("cube_running", "cube", limits("7200"))
    assert (finding(measure, 0).state, str(finding(measure, 0))) == (Ok, "not running")
    assert (finding(measure, 7200).state, str(finding(measure, 7200))) == (Ok, "running for 2h")
    assert finding(measure, 7201).state == Warn
    assert words(measure, 8040) == (
        "running for 2h 14m (limit 2h)",
        "running 2h 14m (2h)",
        "running 2h 14m",
    )
    assert perfdata(measure, 0) == "cube_running=0s;7200;;0"


def test_last_duration_is_graded_by_nobody() -> None:
    measure = contexts.LastDuration("cube_duration", "cube")
    assert finding(measure, 10**9).state == Ok
    assert str(finding(measure, 42)) == "last run took 42s"
    assert perfdata(measure, 42) == "cube_duration=42s;;;0"


@pytest.mark.parametrize(
    ("state", "text", "expected", "data_age"),
    [
        (Ok, "2h old", "data_age=7200s;7200;10800;0", DataAge(7200, exact=True)),
        (Ok, "at least 2h old", "", DataAge(7200, exact=False)),
        (Warn, "2h 1s old (limit 2h)", "data_age=7201s;7200;10800;0", DataAge(7201, exact=True)),
        (Critical, "at least 3h 1s old (limit 3h)", "", DataAge(10801, exact=False)),
        (Warn, "age not known, a stage lists no success", "", None),
    ],
)
def test_data(state: ServiceState, text: str, expected: str, data_age: DataAge | None) -> None:
    measure = contexts.Data("data_age", "data", limits("7200", "10800"), Warn)
    assert finding(measure, data_age).state == state
    assert str(finding(measure, data_age)) == text
    assert perfdata(measure, data_age) == expected


def test_data_age_that_nobody_asked_for_may_be_unknown() -> None:
    measure = contexts.Data("data_age", "data", NO_LIMITS, Critical)
    assert finding(measure, None).state == Ok
    assert finding(measure, None).briefly() == "not known"


def test_data_briefly() -> None:
    measure = contexts.Data("data_age", "data", limits("7200"), Warn)
    assert words(measure, DataAge(8040, exact=False)) == (
        "at least 2h 14m old (limit 2h)",
        "2h 14m (2h)",
        "2h 14m",
    )


@pytest.mark.parametrize(
    ("state", "text", "seconds"),
    [
        (Ok, "in step with the portal", 0),
        (Ok, "this host is 5m ahead of the portal", 300),
        (Ok, "this host is 5m behind the portal", -300),
        (Warn, "this host is 5m 1s ahead of the portal (limit 5m)", 301),
        (Warn, "this host is 5m 1s behind the portal (limit 5m)", -301),
        (Warn, "this host is 1d behind the portal (limit 5m)", -86400),
    ],
)
def test_skew(state: ServiceState, text: str, seconds: int) -> None:
    measure = contexts.Skew("clock_skew", "clock", 300)
    assert finding(measure, seconds).state == state
    assert str(finding(measure, seconds)) == text
    assert perfdata(measure, seconds).startswith(f"clock_skew={seconds}s;-300:300;")


def test_no_skew_is_tolerated() -> None:
    measure = contexts.Skew("clock_skew", "clock", 0)
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


@pytest.mark.parametrize(
    ("text", "seconds"), [("0.000", 0.0), ("0.042", 0.0415), ("12.300", 12.3), ("1000.000", 1e3)]
)
def test_response_time(text: str, seconds: float) -> None:
    measure = contexts.ResponseTime("response_time", "portal")
    assert finding(measure, seconds).state == Ok
    assert str(finding(measure, seconds)) == f"answered in {text}s"
    assert perfdata(measure, seconds) == f"response_time={text}s;;;0"


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
    trouble = contexts.Trouble("trouble", unreachable)
    assert trouble.name == "trouble"
    found = Metric("trouble", error("what happened"), contextobj=trouble, resource=Resource())
    assert found.evaluate().state == state
    assert str(found.evaluate()) == "what happened"
    assert found.performance() is None

"""The chart of what ran when, and the timestamps below it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from host_zone import host_zone
from hypothesis import example, given
from hypothesis import strategies as st
from nagiosplugin import Range
from portal_simulator import DOCUMENTED

from check_cqd_integration.pipeline import build_pipeline, parse_status
from check_cqd_integration.pipeline.clock import Clock, Moments
from check_cqd_integration.pipeline.stages import Pipeline, Stage
from check_cqd_integration.report.timeline import chart, list_timestamps
from check_cqd_integration.thresholds import Limits, parse_duration, parse_range

UTC = timezone.utc
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NEVER = Stage(NOW, (), (), None)
DOCUMENTED_MOMENT = datetime(2015, 1, 18, 10, 31, tzinfo=UTC)
SAMPLE = build_pipeline(parse_status(DOCUMENTED), Clock(DOCUMENTED_MOMENT, UTC, 300))


def limits_of(warning: str, critical: str) -> Limits:
    return Limits(parse_range(warning), parse_range(critical))


DEFAULTS = {"integration": limits_of("30m", "1h"), "cube": limits_of("1h", "2h")}


def stage(successes: str = "", failures: str = "", started: str = "") -> Stage:
    """A stage whose moments are so long ago: "1h", "2m 5m"; "+1m" is ahead."""

    def ago(word: str) -> datetime:
        ahead = word.startswith("+")
        return NOW - timedelta(seconds=parse_duration(word.strip("+")) * (-1 if ahead else 1))

    successful, failed = (tuple(map(ago, words.split())) for words in (successes, failures))
    return Stage(NOW, successful, failed, ago(started) if started else None)


def of(integration: Stage, cube: Stage) -> Pipeline:
    return Pipeline(integration, cube, UTC)


# --- the chart ------------------------------------------------------------------------------------

HEALTHY = of(stage("11m40s 26m34s 41m33s 56m32s 1h11m", "", "12m7s"), stage("10m", "", "11m37s"))
MANY = NOW - timedelta(seconds=5), *(NOW - timedelta(seconds=37 * n) for n in range(1, 20_000))
ONE = of(stage("2s"), NEVER)

SCENARIOS: dict[str, tuple[Pipeline, dict[str, Limits]]] = {
    "documented": (SAMPLE, DEFAULTS),
    "healthy": (HEALTHY, DEFAULTS),
    "cube-only": (HEALTHY, {"cube": DEFAULTS["cube"]}),
    "nightly-run": (
        of(stage("2h14m22s 2h29m29s", "", "2h15m"), stage("2h27m56s 2h42m48s", "", "2h14m19s")),
        DEFAULTS,
    ),
    "stuck-for-a-day": (of(stage("1d 1d15m", "", "1d1m"), stage("23h59m", "", "1d")), DEFAULTS),
    "never": (of(stage(started="1h"), NEVER), DEFAULTS),
    "only-failures": (of(stage("5m"), stage("", "2m 17m 32m", "8m")), DEFAULTS),
    "both-in-one-place": (of(stage("3d", "3d", "3d"), stage("0s", "0s", "0s")), DEFAULTS),
    "ahead-of-now": (of(stage("+4m", "+5m", "+4m"), stage("1m", "", "+2m")), DEFAULTS),
    "one": (ONE, {}),
    "centuries": (of(stage("5m 60000d"), stage("1h", "700000d", "1d")), DEFAULTS),
    "many": (of(Stage(NOW, MANY, MANY[::100], MANY[0]), NEVER), DEFAULTS),
}

CHARTS = {
    "documented": """\
time ago       2d    1d  12h    6h      2h    1h  30m  15m      5m   2m  1m  now
integration   ---------------------------------c----w    .       .    .   .    .
  success       .     .+   .     .       .     .    .    .       .   +.   +    .
  failure     (none listed)
cube          ---------------------------c-----w    .    .       .    .   .    .
  success       .     .+   .     .       .     .    .    .       .    .   .    .
  failure     x .    x.    .     .       .     .    .    .       .    . x .    x
  last run      .     .    .     .       .     .    .    .       .    .   .=====
+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them
""",
    "healthy": """\
time ago     2h       1h      30m      15m   10m      5m       2m    1m      now
integration   ---------c--------w        .     .       .        .     .        .
  success     .      + .+   +   . +      .   + .       .        .     .        .
  failure     (none listed)
  last run    .        .        .        .  == .       .        .     .        .
cube          c--------w        .        .     .       .        .     .        .
  success     .        .        .        .     +       .        .     .        .
  failure     (none listed)
  last run    .        .        .        .   ===       .        .     .        .
+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them
""",
    "cube-only": """\
time ago     2h       1h      30m      15m   10m      5m       2m    1m      now
integration   .        .        .        .     .       .        .     .        .
  success     .      + .+   +   . +      .   + .       .        .     .        .
  failure     (none listed)
  last run    .        .        .        .  == .       .        .     .        .
cube          c--------w        .        .     .       .        .     .        .
  success     .        .        .        .     +       .        .     .        .
  failure     (none listed)
  last run    .        .        .        .   ===       .        .     .        .
+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them
""",
    "nightly-run": """\
time ago         2h       1h     30m      15m          5m       2m   1m      now
integration   -------------c-------w        .           .        .    .        .
  success      ++ .        .       .        .           .        .    .        .
  failure     (none listed)
  last run      = .        .       .        .           .        .    .        .
cube          ----c--------w       .        .           .        .    .        .
  success     ++  .        .       .        .           .        .    .        .
  failure     (none listed)
  running       ================================================================
+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them
""",
    "stuck-for-a-day": """\
time ago     1d   12h    6h        2h    1h   30m   15m       5m    2m  1m   now
integration   ----------------------------c-----w     .        .     .   .     .
  success     +     .     .         .     .     .     .        .     .   .     .
  failure     (none listed)
  last run    =     .     .         .     .     .     .        .     .   .     .
cube          ----------------------c-----w     .     .        .     .   .     .
  success     +     .     .         .     .     .     .        .     .   .     .
  failure     (none listed)
  last run    =     .     .         .     .     .     .        .     .   .     .
+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them
""",
    "never": """\
time ago     2h       1h      30m      15m   10m      5m       2m    1m      now
integration   ---------c--------w        .     .       .        .     .        .
  success     (none listed)
  failure     (none listed)
  running     .        =========================================================
cube          c--------w        .        .     .       .        .     .        .
  success     (none listed)
  failure     (none listed)
+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them
""",
    "only-failures": """\
time ago     2h       1h      30m      15m   10m      5m       2m    1m      now
integration   ---------c--------w        .     .       .        .     .        .
  success     .        .        .        .     .       +        .     .        .
  failure     (none listed)
cube          c--------w        .        .     .       .        .     .        .
  success     (none listed)
  failure     .        .        x       x.     .       .        x     .        .
  last run    .        .        .        .     . ================     .        .
+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them
""",
    "both-in-one-place": """\
time ago     3d       1d  12h   6h       2h   1h  30m  15m      5m   2m  1m  now
integration   ---------------------------------c----w    .       .    .   .    .
  success     +        .    .    .        .    .    .    .       .    .   .    .
  failure     x        .    .    .        .    .    .    .       .    .   .    .
  last run    =        .    .    .        .    .    .    .       .    .   .    .
cube          ----------------------------c----w    .    .       .    .   .    .
  success     .        .    .    .        .    .    .    .       .    .   .    +
  failure     .        .    .    .        .    .    .    .       .    .   .    x
  last run    .        .    .    .        .    .    .    .       .    .   .    =
+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them
""",
    "ahead-of-now": """\
time ago     2h       1h      30m      15m   10m      5m       2m    1m      now
integration   ---------c--------w        .     .       .        .     .        .
  success     .        .        .        .     .       .        .     .        +
  failure     .        .        .        .     .       .        .     .        x
  last run    .        .        .        .     .       .        .     .        =
cube          c--------w        .        .     .       .        .     .        .
  success     .        .        .        .     .       .        .     +        .
  failure     (none listed)
  running     .        .        .        .     .       .        .     .        =
+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them
""",
    "one": """\
time ago     1h        30m       15m   10m        5m         2m    1m        now
integration   .          .         .     .         .          .     .          .
  success     .          .         .     .         .          .     .         +.
  failure     (none listed)
cube          .          .         .     .         .          .     .          .
  success     (none listed)
  failure     (none listed)
+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them
""",
    "centuries": """\
time ago              10000d   1000d   100d      1w    1d   6h   1h     5m   now
integration   ----------------------------------------------------c-w    .     .
  success             +    .       .      .       .     .    .    .      +     .
  failure     (none listed)
cube          --------------------------------------------------c-w      .     .
  success                  .       .      .       .     .    .    +      .     .
  failure     x            .       .      .       .     .    .    .      .     .
  last run                 .       .      .       .     ===========      .     .
+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them
""",
    "many": """\
time ago      1w    3d      1d       6h      2h   1h      15m     5m     1m  now
integration   -------------------------------------c---w    .      .      .    .
  success     +++++++++++++++++++++++++++++++++++++++++++++++++++++++++ ++. + +.
  failure     xxxxxxxxxxxxxxxxxxxxxxxxxx x x  x   x.        .      .      .   x.
  last run     .     .       .        .       .    .        .      .      .   =.
cube          --------------------------------c----w        .      .      .    .
  success     (none listed)
  failure     (none listed)
+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them
""",
}


@pytest.mark.parametrize("name", CHARTS)
def test_chart(name: str) -> None:
    assert chart(*SCENARIOS[name]) == CHARTS[name].splitlines()


def test_no_chart_of_nothing() -> None:
    assert chart(of(NEVER, NEVER), DEFAULTS) == []


def test_no_run_is_drawn_whose_end_is_not_known() -> None:
    """Two have ended since: the start is of neither, or of the first."""
    rows = chart(of(stage("10m 25m", "", "2h"), NEVER), DEFAULTS)
    assert [row for row in rows if "=" in row] == [rows[-1]]
    assert rows[-1].startswith("+ success, x failure, = run")


DAY = of(stage("5m 1d"), NEVER)
TICKS = "time ago     1d   12h    6h        2h    1h   30m   15m       5m    2m  1m   now"


@pytest.mark.parametrize(
    ("warning", "critical", "row"),
    [
        ("0:", "0:", ".     .     .         .     .     .     .        .     .   .     ."),
        ("30m", "0:", "----------------------------------w     .        .     .   .     ."),
        ("0:", "~:1h", "----------------------------c     .     .        .     .   .     ."),
        ("1h", "1h", "----------------------------c     .     .        .     .   .     ."),
        ("30m:", "5m:", ".     .     .         .     .     w--------------c----------------"),
        ("5m:1h", "0:", "----------------------------w     .     .        w----------------"),
        ("1m:2h", "1m:6h", "------------c---------w     .     .     .        .     .   c------"),
        ("@2h:6h", "@5m:15m", ".     .     w---------w     .     .     c--------c     .   .     ."),
        ("@6h:", "0:", "------------w         .     .     .     .        .     .   .     ."),
        ("@0:5m", "0:", ".     .     .         .     .     .     .        w----------------"),
        ("1:", "0:", ".     .     .         .     .     .     .        .     .   .     w"),
        ("0", "0:", "-----------------------------------------------------------------w"),
        ("@0:", "0:", "------------------------------------------------------------------"),
    ],
)
def test_limits(warning: str, critical: str, row: str) -> None:
    labels, integration, *_ = chart(DAY, {"integration": limits_of(warning, critical)})
    assert labels == TICKS
    assert integration == f"integration   {row}"


def test_axis_reaches_to_the_outermost_limit() -> None:
    assert chart(ONE, {"cube": limits_of("1w", "30d")}) == [
        "time ago    30d       1w   3d     1d      6h     2h  1h     15m    5m     1m now",
        "integration   .        .    .      .       .      .   .       .     .      .   .",
        "  success     .        .    .      .       .      .   .       .     .      .   +",
        "  failure     (none listed)",
        "cube          c--------w    .      .       .      .   .       .     .      .   .",
        "  success     (none listed)",
        "  failure     (none listed)",
        "+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them",
    ]


ages = st.one_of(*[st.integers(0, most) for most in (300, 10_000, 300_000, 60_000_000_000)])
seconds = st.one_of(st.integers(-300, 0), ages)
moments = st.lists(seconds, max_size=12, unique=True).map(
    lambda ages: tuple(NOW - timedelta(seconds=age) for age in sorted(ages))
)
starts = st.one_of(st.none(), seconds.map(lambda age: NOW - timedelta(seconds=age)))
stages = st.builds(Stage, st.just(NOW), moments, moments, starts)
bounds = st.one_of(st.sampled_from([0, 1, 1800, 3600, 7200]), st.integers(0, 10**17))


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    low, high = sorted((draw(bounds), draw(bounds)))
    start = draw(st.sampled_from(["", "0:", "~:", f"{low}:"]))
    end = draw(st.sampled_from(["", str(high)])) if start else str(high)
    return Range(f"{draw(st.sampled_from(['', '@']))}{start}{end}")


limits = st.dictionaries(
    st.sampled_from(["integration", "cube"]), st.builds(Limits, ranges(), ranges())
)


def rows_of(lines: list[str]) -> dict[str, str]:
    """The rows of a chart by stage and label: "cube", "cube success", "cube running"."""
    rows = {}
    name = ""
    for line in lines[1:-1]:
        label, row = line[:14].rstrip(), line[14:]
        name = name if label.startswith(" ") else label
        rows[f"{name} {label.strip()}" if name != label else name] = row
    return rows


@given(stages, stages, limits)
def test_form_of_every_chart(integration: Stage, cube: Stage, graded: dict[str, Limits]) -> None:
    lines = chart(of(integration, cube), graded)
    for line in lines:
        assert len(line) <= 80
        assert re.fullmatch("[ -;=?-{}~]*[^ ]", line)
    assert len(lines) <= 10


@given(stages, limits)
@example(stage("1s"), {"cube": limits_of("0", "1653439w")})
def test_labels_are_apart_and_where_they_belong(seen: Stage, graded: dict[str, Limits]) -> None:
    labels, *rows = chart(of(seen, stage("1s")), graded)
    found = [(match.end() - 1, match[0]) for match in re.finditer("[^ ]+", labels[8:])]
    *ticks, (end, now) = found
    assert (end, now) == (71, "now")
    lengths = [parse_duration(label) for _, label in ticks]
    assert lengths == sorted(set(lengths), reverse=True)
    drawn = [row for row in rows[:-1] if "(none listed)" not in row]
    for place, _ in found:
        assert all(row[8 + place] in ".+x=-wc" for row in drawn)


@given(stages, stages, limits)
def test_every_kind_of_timestamp_is_shown_in_its_order(
    integration: Stage, cube: Stage, graded: dict[str, Limits]
) -> None:
    rows = rows_of(chart(of(integration, cube), graded))
    places = []
    for name, seen in ("integration", integration), ("cube", cube):
        for kind, mark, listed in (
            ("success", "+", seen.successes),
            ("failure", "x", seen.failures),
            ("running", "=", run_of(seen) if seen.running is not None else ()),
            ("last run", "=", run_of(seen) if seen.duration is not None else ()),
        ):
            row = rows.get(f"{name} {kind}", "")
            if rows and mark != "=" and not listed:
                assert row == "(none listed)"
                continue
            assert set(row) <= {" ", ".", mark}
            assert (mark in row) == bool(listed)
            if listed:
                places.append((seen.seconds_since(listed[0]), -row.rindex(mark)))
                places.append((seen.seconds_since(listed[-1]), -row.index(mark)))
            if mark != "=":
                assert row.count(mark) <= len(listed)
    assert [place for _, place in sorted(places)] == sorted(place for _, place in places)


def run_of(seen: Stage) -> Moments:
    """The end and the start of the newest run."""
    if seen.started is None:
        return ()
    ends = seen.successes + seen.failures
    return max(ends) if ends and max(ends) >= seen.started else NOW, seen.started


@given(ages, ages, st.builds(Limits, ranges(), ranges()))
def test_success_beside_a_dash_breaks_a_limit(age: int, other: int, graded: Limits) -> None:
    seen = Stage(NOW, (NOW - timedelta(seconds=age),), (), None)
    row = rows_of(chart(of(seen, stage(f"{other}s")), {"integration": graded}))
    beside = row["integration"][row["integration success"].index("+")]
    is_fine = all(limit.match(age) for limit in graded)
    assert beside in ("wc" + (" ." if is_fine else "-"))


# --- the timestamps ------------------------------------------------------------------------------


def test_timestamps() -> None:
    seen = Pipeline(stage("1m 16m"), stage("80m", "2m 17m", "3h"), ZoneInfo("Europe/Berlin"))
    assert list_timestamps(seen) == [
        "integration, newest first:",
        "  2026-11-24 12:59:00+01:00          1m ago  success",
        "  2026-11-24 12:44:00+01:00         16m ago  success",
        "cube, newest first:",
        "  2026-11-24 12:58:00+01:00          2m ago  failure",
        "  2026-11-24 12:43:00+01:00         17m ago  failure",
        "  2026-11-24 11:40:00+01:00      1h 20m ago  success",
        "  2026-11-24 10:00:00+01:00          3h ago  start of the newest run",
    ]


def test_no_timestamps() -> None:
    assert list_timestamps(of(NEVER, NEVER)) == [
        "integration: nothing listed",
        "cube: nothing listed",
    ]


@pytest.fixture
def _host_in_tokyo() -> Iterator[None]:
    with host_zone("JST-9"):
        yield


@pytest.mark.usefixtures("_host_in_tokyo")
def test_stamps_in_the_zone_of_this_host() -> None:
    assert list_timestamps(Pipeline(stage("1m"), stage("", "", "2d"), zone=None)) == [
        "integration, newest first:",
        "  2026-11-24 20:59:00+09:00          1m ago  success",
        "cube, newest first:",
        "  2026-11-22 21:00:00+09:00          2d ago  start of the newest run",
    ]


def test_ten_stamps_of_a_kind_are_told_and_how_many_are_older() -> None:
    ten, eleven = MANY[:10], MANY[:11]
    told = list_timestamps(of(Stage(NOW, ten, eleven, None), Stage(NOW, MANY, ten, None)))
    assert [line for line in told if not line.startswith("  2026")] == [
        "integration, newest first:",
        "  older failures: 1",
        "cube, newest first:",
        "  older successes: 19990",
    ]
    assert [line.split("ago  ")[1] for line in told[1:21]] == ["success", "failure"] * 10
    assert told[20] == "  2026-11-24 11:54:27+00:00      5m 33s ago  failure"

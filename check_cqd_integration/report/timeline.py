"""When what ran: a chart of both stages on one axis, and their timestamps in the portal's own time.

The axis is the time ago, from now at its right end to the oldest timestamp or limit. It is
logarithmic but for its first minute: timestamps are seconds to days old, and the recent ones matter
most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import expm1, inf, log1p

from nagiosplugin import Range

from ..pipeline import Pipeline, Stage
from ..thresholds import NO_LIMITS, Limits, in_words, parse_duration

NEWEST = 10
"""How many timestamps of a kind are told one by one. The portal lists five."""

_LABEL = 14
_COLUMNS = range(66)
"""Of the axis; with the labels before it they are 80."""
_NOW = _COLUMNS[-1]
_MINUTE = 60
_SHORTEST = parse_duration("1h")
"""What the axis spans at least."""

_TICKS = "1h 1d 1m 15m 1w 30m 6h 5m 2h 12h 3d 30d 10000d 1000d 100d 3h 2m 2d 10m"
"""The most welcome ones first: one that is too near to those before it is left out."""

_LEGEND = "+ success, x failure, = run; beside a stage: w, c its age limits, - beyond them"


def chart(pipeline: Pipeline, limits: Mapping[str, Limits]) -> list[str]:
    """Return what ran when, at most 80 columns wide; nothing if no timestamp is listed.

    ``limits`` are those of a stage's age, by the name of the stage; one that is not graded has
    none. The chart is of the same size however many timestamps there are: those in one place
    share a mark.
    """
    stages = pipeline.stages()
    listed = [stage.seconds_since(each) for stage in stages.values() for each in stage.moments]
    if not listed:
        return []
    ends = [end for pair in limits.values() for limit in pair for end in _ends(limit)]
    axis = _Axis(max(_SHORTEST, *listed, *ends))
    lines = [axis.labels("time ago")]
    for name, stage in stages.items():
        lines.append(axis.row(name, _beyond(axis, limits.get(name, NO_LIMITS))))
        lines += _rows(axis, stage)
    return [*lines, _LEGEND]


def list_timestamps(pipeline: Pipeline) -> list[str]:
    """Return the timestamps of each stage, newest first, in the portal's own time."""
    lines = []
    for name, stage in pipeline.stages().items():
        events = [(moment, "success") for moment in stage.successes[:NEWEST]]
        events += [(moment, "failure") for moment in stage.failures[:NEWEST]]
        if stage.started:
            events.append((stage.started, "start of the newest run"))
        lines.append(f"{name}, newest first:" if events else f"{name}: nothing listed")
        lines += [
            f"  {moment.astimezone(pipeline.zone).isoformat(' ')}  "
            f"{in_words(stage.seconds_since(moment)):>10} ago  {outcome}"
            for moment, outcome in sorted(events, reverse=True)
        ]
        for kind, moments in ("successes", stage.successes), ("failures", stage.failures):
            if len(moments) > NEWEST:
                lines.append(f"  older {kind}: {len(moments) - NEWEST}")
    return lines


class _Axis:
    """The columns of the chart, each a stretch of the time since ``oldest`` seconds ago."""

    def __init__(self, oldest: int) -> None:
        self._per_column = log1p(oldest / _MINUTE) / _NOW
        self._ticks = {_NOW: "now"}
        for label in _TICKS.split():
            ago = parse_duration(label)
            column = self.column(ago)
            if ago <= oldest and all(abs(column - other) > len(label) + 1 for other in self._ticks):
                self._ticks[column] = label

    def column(self, ago: int) -> int:
        """Return where a number of seconds ago lies."""
        return _NOW - round(log1p(ago / _MINUTE) / self._per_column)

    def ago(self, column: int) -> float:
        """Return how many seconds ago the middle of a column is."""
        return _MINUTE * expm1((_NOW - column) * self._per_column)

    def labels(self, title: str) -> str:
        """Return the line above the rows; the last character of a label is where it belongs."""
        line = title
        for column, label in sorted(self._ticks.items()):
            line = line.ljust(_LABEL + column + 1 - len(label)) + label
        return line

    def row(self, label: str, marks: Mapping[int, str]) -> str:
        """Return a row with these marks in their columns."""
        cells = {**dict.fromkeys(self._ticks, "."), **marks}
        return label.ljust(_LABEL) + "".join(cells.get(column, " ") for column in _COLUMNS)


def _rows(axis: _Axis, stage: Stage) -> Iterator[str]:
    """Yield a row for each kind of timestamp, so that none hides one of another kind."""
    for kind, mark, moments in (
        ("success", "+", stage.successes),
        ("failure", "x", stage.failures),
    ):
        columns = [axis.column(stage.seconds_since(moment)) for moment in moments]
        if moments:
            yield axis.row(f"  {kind}", dict.fromkeys(columns, mark))
        else:
            yield f"  {kind}".ljust(_LABEL) + "(none listed)"
    running = stage.running is not None
    if stage.started and (running or stage.duration is not None):
        end = stage.now if running else max(stage.successes + stage.failures)
        first, last = (axis.column(stage.seconds_since(each)) for each in (stage.started, end))
        run = dict.fromkeys(range(first, last + 1), "=")
        yield axis.row("  running" if running else "  last run", run)


def _beyond(axis: _Axis, limits: Limits) -> dict[int, str]:
    """Return the ends of both ranges, and which ages break one of them."""
    marks = {
        column: "-"
        for column in _COLUMNS
        if not all(limit.match(axis.ago(column)) for limit in limits)
    }
    for mark, limit in ("w", limits.warning), ("c", limits.critical):
        marks.update((axis.column(end), mark) for end in _ends(limit))
    return marks


def _ends(limit: Range) -> list[int]:
    """Return the ends of a range; that it begins at 0 is none, as no age is below."""
    starts = [int(limit.start)] if limit.start > 0 else []
    return starts + ([int(limit.end)] if limit.end != inf else [])

"""A day of a portal, asked every five minutes: healthy, a long nightly run, a failure, recovery.

    python tests/support/day.py            # what the plugin says, all day
    python tests/support/day.py 2026-11-24

The cube run of 01:15 takes until 04:05, and nothing else starts before it is over. From 11:00 on,
the cube fails in every run; that of 13:45 succeeds again.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

from portal_simulator import QUARTER, Job, job, quarter, status, with_failing_cube

from check_cqd_integration.cli import main

PERIOD = timedelta(minutes=5)
NIGHTLY_START, NIGHTLY_END = time(1, 15), time(4, 5)
FAILING_FROM, FAILING_UNTIL = time(11), time(13, 45)


class Check(NamedTuple):
    """One check of the day."""

    moment: datetime
    code: int
    text: str
    perfdata: list[str]


def jobs(day: date) -> list[Job]:
    """The jobs from the evening before until the end of the day, UTC, newest first."""
    midnight = datetime.combine(day, time(), timezone.utc)
    found: list[Job] = []
    start = midnight - 8 * QUARTER
    while start < midnight + timedelta(days=1):
        planned = job(start)
        if start == datetime.combine(day, NIGHTLY_START, timezone.utc):
            end = datetime.combine(day, NIGHTLY_END, timezone.utc)
            planned = planned._replace(cube=planned.cube._replace(end=end))
        elif start.date() == day and FAILING_FROM <= start.time() < FAILING_UNTIL:
            planned = with_failing_cube(planned)
        found.insert(0, planned)
        start = quarter(planned.cube.end) + QUARTER
    return found


def answers(day: date) -> Iterator[tuple[datetime, str]]:
    """Yield each moment of a check, and what the portal answers then, with timestamps in UTC."""
    of_the_day = jobs(day)
    moment = datetime.combine(day, time(), timezone.utc)
    while moment.date() == day:
        told = status(of_the_day, moment)
        yield (
            moment,
            json.dumps(told, default=lambda each: each.strftime("%m/%d/%Y %H:%M:%S")),
        )
        moment += PERIOD


def checks(day: date) -> Iterator[Check]:
    """Yield what the plugin says of these answers, with its defaults."""
    with tempfile.TemporaryDirectory() as directory:
        saved = Path(directory) / "status.json"
        for moment, answer in answers(day):
            saved.write_text(answer, encoding="utf-8")
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                code = main(
                    ["--input", str(saved), "--now", moment.isoformat(), "--timezone", "UTC"]
                )
            text, _, perfdata = output.getvalue().strip().partition(" | ")
            yield Check(moment, code, text, perfdata.split())


if __name__ == "__main__":
    chosen = date.fromisoformat(sys.argv[1]) if sys.argv[1:] else datetime.now(timezone.utc).date()
    for check in checks(chosen):
        print(f"{check.moment:%H:%M} {check.text} | {' '.join(check.perfdata)}")

"""What holds whatever the portal says: the form of the output, and the rules of the grading.

The rules, and how an answer is read, are told here a second time, without a line of the plugin.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from expected import LABELS

from check_cqd_integration.cli import main

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
REPLAY = ("--now", NOW.isoformat(), "--timezone", "UTC")
STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
SEVERITY = ("OK", "WARNING", "UNKNOWN", "CRITICAL")
STAGES = ("integration", "cube")


def worst(states: Sequence[str]) -> str:
    return max(states, key=SEVERITY.index)


# --- the output -----------------------------------------------------------------------------------

TEXT = r"CQD (?P<state>OK|WARNING|CRITICAL|UNKNOWN) - [ -;=?-{}~]+"
RANGE = r"(?:@?(?:[0-9]+|[0-9]+:[0-9]*|~:[0-9]*))?"
DOT = re.compile(r"[\[(](OK|WARNING|CRITICAL|UNKNOWN|UP|DOWN|PENDING)[\])]")
"""What Icinga Web draws as a dot."""
FORMS = {
    label: rf"[0-9]+{row.unit};{f'{RANGE};{RANGE}' if row.option else ';'};0"
    for label, row in LABELS.items()
} | {
    "clock_skew": r"-?[0-9]+s;-[0-9]+:[0-9]+",
    "response_time": r"[0-9]+\.[0-9]{3}s;;;0",
}
MEASURE = f"(?:{'|'.join(f'{label}={form}' for label, form in FORMS.items())})"
FIRST_LINE = re.compile(rf"(?P<text>{TEXT}?)(?: \| (?P<perfdata>{MEASURE}(?: {MEASURE})*))?")


@dataclass(frozen=True)
class Output:
    """One checked answer of the plugin: what its first line tells, and the lines below."""

    state: str
    text: str
    perfdata: dict[str, list[str]]
    """Value, warning, critical and minimum by label."""
    below: list[str]
    line: str


def run(*options: str) -> tuple[int, str]:
    """Return the exit code and what was printed, none of it as an error."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(options)
    assert err.getvalue() == ""
    return code, out.getvalue()


def checked(code: int, printed: str) -> Output:
    """Assert all that must hold of the output of a check, whatever happened."""
    assert printed.endswith("\n")
    line, *below = printed[:-1].split("\n")
    match = FIRST_LINE.fullmatch(line)
    assert match, line
    assert "this is a bug" not in line
    assert STATES[code] == match["state"]
    assert len(match["text"]) <= 200
    assert all(re.fullmatch("[ -;=?-{}~]*", each) for each in below)
    assert not any(DOT.search(each, 1) for each in [line, *below])
    measures = [measure.partition("=") for measure in (match["perfdata"] or "").split()]
    perfdata = {label: fields.split(";") for label, _, fields in measures}
    assert [label for label, _, _ in measures] == sorted(perfdata)
    return Output(match["state"], match["text"], perfdata, below, line)


def check(body: bytes, *options: str) -> Output:
    """Grade the answer; assert all that must hold whatever it is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "status.json")
        path.write_bytes(body)
        output = checked(*run("--input", str(path), *REPLAY, *options))
    assert output.perfdata or output.state == "UNKNOWN"
    return output


# --- the grading ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """What an answer lists of one stage, in seconds ago."""

    successes: tuple[int, ...]
    failures: tuple[int, ...]
    start: int | None

    def state(self, warning: int, critical: int) -> str:
        """The state that the defaults give it, with these limits for its age."""
        if not self.successes:
            return "CRITICAL"
        age = max(min(self.successes), 0)
        failures = {failure for failure in self.failures if failure < min(self.successes)}
        newest = min(self.successes + self.failures)
        is_running = self.start is not None and self.start < newest
        if age > critical or len(failures) > 2:
            return "CRITICAL"
        is_long = is_running and self.start is not None and self.start > 7200
        if age > warning or failures or min(self.failures, default=1800) < 1800 or is_long:
            return "WARNING"
        return "OK"


@dataclass(frozen=True)
class Status:
    """What an answer lists of both stages."""

    integration: Stage
    cube: Stage

    def states(self) -> dict[str, str]:
        return {
            "integration": self.integration.state(1800, 3600),
            "cube": self.cube.state(3600, 7200),
        }

    def body(self) -> bytes:
        return json.dumps(
            {
                "LastSuccessIntegrations": timestamps(self.integration.successes),
                "LastSuccessCubeProcessings": timestamps(self.cube.successes),
                "LastFailedIntegrations": timestamps(self.integration.failures),
                "LastFailedCubeProcessings": timestamps(self.cube.failures),
                "LastDataIntegrationStart": timestamp(self.integration.start),
                "LastCubeProcessingStart": timestamp(self.cube.start),
            }
        ).encode()


def timestamp(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    return (NOW - timedelta(seconds=seconds)).strftime("%m/%d/%Y %H:%M:%S")


def timestamps(ago: Sequence[int]) -> list[str | None]:
    return [timestamp(seconds) for seconds in ago]


KEYS = tuple(json.loads(Status(Stage((), (), None), Stage((), (), None)).body()))

# --- the answer -----------------------------------------------------------------------------------

LOST = re.compile(rf'("(?:{"|".join(KEYS)})"[ \t\r\n]*:)(?=[ \t\r\n]*[,}}])')
MARK = "\ufffflost"
DIGITS = "([0-9]{1,2})"
CULTURE = re.compile(
    rf"{DIGITS}([/.-]){DIGITS}\2([0-9]{{4}}) {DIGITS}([:.])([0-9]{{2}})\6([0-9]{{2}})( [AP]M)?"
)
ISO = re.compile(
    "([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.][0-9]{1,9})?"
    "(Z|[+-][0-9]{2}:[0-5][0-9])?"
)


def read(body: bytes) -> Status:
    """Return what the answer lists; raises ValueError if it is not what is documented."""
    text, lost = LOST.subn(rf'\1 "{MARK}"', body.decode("utf-8-sig"))
    try:
        answer = json.loads(
            text, object_pairs_hook=_without_doubles, parse_constant=_refuse, parse_int=float
        )
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(answer, dict) or list(answer.values()).count(MARK) != lost:
        raise ValueError("no object, or a value is lost elsewhere than in it")
    if not answer.keys() >= set(KEYS):
        raise ValueError("a key is missing")
    told: dict[str, Any] = {key: None if answer[key] == MARK else answer[key] for key in KEYS}
    lists: list[Any] = [[] if told[key] is None else told[key] for key in KEYS[:4]]
    starts = [None if told[key] is None else _ago(told[key]) for key in KEYS[4:]]
    if not all(isinstance(each, list) for each in lists):
        raise ValueError("a list is none")
    ages = [tuple(map(_ago, each)) for each in lists]
    return Status(Stage(ages[0], ages[2], starts[0]), Stage(ages[1], ages[3], starts[1]))


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _ago(value: Any) -> int:
    """Return how many seconds ago a timestamp is."""
    text = value if isinstance(value, str) else ""
    if match := CULTURE.fullmatch(text):
        month, _, day, year, hour, _, minute, second, half = match.groups()
        clock = "%I:%M:%S %p" if half else "%H:%M:%S"
        told = f"{month}/{day}/{year} {hour}:{minute}:{second}{half or ''}"
        moment = datetime.strptime(told, f"%m/%d/%Y {clock}").replace(tzinfo=timezone.utc)
    elif match := ISO.fullmatch(text):
        moment = datetime.strptime(match[1] + (match[2] or "Z"), "%Y-%m-%dT%H:%M:%S%z")
    else:
        raise ValueError("not a timestamp")
    return int((NOW - moment).total_seconds())


def rule(body: bytes, stage: str = "all", max_skew: int = 300) -> str:
    """Return the state that the defaults give an answer."""
    try:
        status = read(body)
    except ValueError:
        return "UNKNOWN"
    for each in status.integration, status.cube:
        starts = () if each.start is None else (each.start,)
        if min(each.successes + each.failures + starts, default=0) < -max_skew:
            return "UNKNOWN"
    return worst([state for name, state in status.states().items() if stage in ("all", name)])

"""What the plugin prints, and how tests ask for it.

``LABELS`` is the one table of the performance data for tests: a new label is a row there, and a
value in the answers below if it does not follow from the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timezone
from typing import NamedTuple, TypeVar

from portal_simulator import STATUS_PATH, PortalSimulator

T = TypeVar("T")
Run = Callable[..., "tuple[int, str]"]
"""The fixture ``run``: options in, exit code and whole standard output out."""
Values = Mapping[str, "float | None"]
"""Performance data by label; None stands for one that is left out although it could be known."""

# --- performance data -----------------------------------------------------------------------------


class Label(NamedTuple):
    """What is written of a label besides its value."""

    unit: str
    option: str = ""
    """``data`` of --data-warning and --data-critical; empty if it has no limits of its own."""
    warning: str = ""
    critical: str = ""
    """The default limits, in plain numbers."""
    minimum: str = "0"
    follows: Callable[[Values], float | None] = lambda values: None
    """What it must be, if it can be told from the others of a whole answer."""

    @property
    def can_be_drawn(self) -> bool:
        """Tell whether Icinga passes its limits on: not if they are ranges, by default."""
        return bool(self.option) and ":" not in self.warning + self.critical


_LAST_FAILURE = Label("s", "failure", "1800:")
_STREAK = Label("", "streak", "0", "2")
_RUNNING = Label("s", "running", "7200")
LABELS = {
    "integration_age": Label("s", "integration", "1800", "3600"),
    "integration_last_failure": _LAST_FAILURE,
    "integration_streak": _STREAK,
    "integration_running": _RUNNING,
    "integration_duration": Label("s"),
    "cube_age": Label("s", "cube", "3600", "7200"),
    "cube_last_failure": _LAST_FAILURE,
    "cube_streak": _STREAK,
    "cube_running": _RUNNING,
    "cube_duration": Label("s"),
    "data_age": Label("s", "data"),
    "clock_skew": Label("s", "", "-300:300", minimum=""),
    "response_time": Label("s"),
}


def known(values: Values) -> dict[str, float]:
    """Return the values of an answer, with those that follow from them."""
    all_values = {label: row.follows(values) for label, row in LABELS.items()} | dict(values)
    return {label: value for label, value in all_values.items() if value is not None}


def perfdata(values: Values) -> str:
    """Return the performance data of a whole answer, with the default limits."""
    return " ".join(item(label, value) for label, value in sorted(known(values).items()))


def item(
    label: str, value: float | str, warning: str | None = None, critical: str | None = None
) -> str:
    """Return one label with its value and limits: the default ones, if none are given."""
    row = LABELS[label]
    limits = (
        row.warning if warning is None else warning,
        row.critical if critical is None else critical,
    )
    return f"{label}={value}{row.unit};{';'.join(limits)};{row.minimum}".rstrip(";")


# --- the documented answer ------------------------------------------------------------------------

DOCUMENTED_MOMENT = datetime(2015, 1, 18, 10, 31, tzinfo=timezone.utc)
"""A moment that makes the documented answer a current one."""
AT_DOCUMENTED_MOMENT = ("--now", "2015-01-18T10:31:00Z", "--timezone", "UTC")
REPLAY = (*AT_DOCUMENTED_MOMENT, "--input")
DOCUMENTED_VALUES: Values = {
    "cube_age": 69260,
    "cube_duration": 42,
    "cube_last_failure": 2,
    "cube_running": 0,
    "cube_streak": 2,
    "data_age": 69343,
    "integration_age": 47,
    "integration_running": 0,
    "integration_streak": 0,
}
DOCUMENTED_TEXT = (
    "CQD CRITICAL - cube: last success 19h 14m ago (limit 2h), 2 failures since (limit 0), newest "
    "failure 2s ago (within 30m) / integration ok, last success 47s ago"
)
DOCUMENTED_LINE = f"{DOCUMENTED_TEXT} | {perfdata(DOCUMENTED_VALUES)}\n"

_OF_NETWORK: Values = {"clock_skew": 0, "response_time": 0.001}
OVER_THE_NETWORK = f"{DOCUMENTED_TEXT} | {perfdata({**DOCUMENTED_VALUES, **_OF_NETWORK})}\n"
WITHOUT_DATE = f"{DOCUMENTED_TEXT} | {perfdata({**DOCUMENTED_VALUES, 'response_time': 0.001})}\n"

# What -v says below the line: of each stage, of the whole pipeline, of what is not the pipeline.
OF_INTEGRATION = "[OK] integration: last success 47s ago, no failures since, not running\n"
OF_CUBE = (
    "[CRITICAL] cube: last success 19h 14m ago (limit 2h), 2 failures since (limit 0), newest "
    "failure 2s ago (within 30m), not running, last run took 42s\n"
)
OF_BOTH = "data: 19h 15m old\n"
OF_CLOCK = "[OK] clock: in step with the portal\n"
OF_PORTAL = "portal: answered in 0.001s\n"

# --- the simulator's scenarios --------------------------------------------------------------------

SIMULATED_MOMENT = datetime(2026, 11, 24, 10, 7, 30, tzinfo=timezone.utc)
"""The simulator's job starts every quarter. That of 10:00 is over: the integration took until
10:00:31, the cube from 10:00:34 until 10:02:01."""
AT_SIMULATED_MOMENT = ("--now", SIMULATED_MOMENT.isoformat(), "--timezone", "UTC")
_DAY = 24 * 60 * 60
_HEALTHY: Values = {
    "integration_age": 419,
    "integration_streak": 0,
    "integration_running": 0,
    "integration_duration": 31,
    "cube_age": 329,
    "cube_streak": 0,
    "cube_running": 0,
    "cube_duration": 87,
    "data_age": 419,
    **_OF_NETWORK,
}


def _like_healthy(*but_not: str, **but: float) -> Values:
    return {label: value for label, value in {**_HEALTHY, **but}.items() if label not in but_not}


SIMULATED: dict[str, Values] = {
    "healthy": _HEALTHY,
    "redirect-same": _HEALTHY,
    "basic": _HEALTHY,
    "no-date": _like_healthy("clock_skew"),
    "late": _like_healthy(
        "cube_duration",  # not known while it runs
        integration_age=2212,
        integration_duration=38,
        cube_age=3013,
        cube_running=2209,
        data_age=3111,
    ),
    "failing": _like_healthy(
        "data_age",  # older than the integrations that are listed
        cube_age=18325,
        cube_last_failure=56,
        cube_streak=5,
        cube_duration=360,
    ),
    "recovered": _like_healthy(cube_last_failure=950),
    "stuck": _like_healthy(integration_age=419 + _DAY, cube_age=329 + _DAY, data_age=419 + _DAY),
    "never-yet": _like_healthy(
        *("integration_age", "cube_age", "data_age", "integration_duration", "cube_duration"),
        integration_running=4050,
    ),
    "clock-behind": _like_healthy(
        integration_age=1313,
        integration_duration=37,
        cube_age=1227,
        cube_duration=83,
        data_age=1313,
        clock_skew=600,
    ),
    "documented": {**DOCUMENTED_VALUES, **_OF_NETWORK},  # at its own moment
}
"""The performance data of each scenario that can be graded; the response time as if masked."""

# --- asking ---------------------------------------------------------------------------------------

URL = f"https://cqd.example.com{STATUS_PATH}"
REFUSED = (
    "CQD UNKNOWN - the portal redirects to {}, which is not followed; if that is right, give its "
    "address with --url\n"
)
PIP_INSTALL = {
    "kerberos": "/opt/cqd/bin/pip install gssapi",
    "ntlm": "/opt/cqd/bin/pip install pyspnego",
}
"""What brings a scheme to the installation that the tests are told to be."""
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


_RESPONSE_TIME = re.compile(r"(response_time=|^portal: answered in )[0-9]+\.[0-9]{3}s", re.M)


def masked(output: str) -> str:
    """Return the output with a response time that every test knows."""
    return _RESPONSE_TIME.sub(r"\g<1>0.001s", output)


_OF_STAGES = re.compile(r"(\[\w+\] )?(integration|cube): |(  )?log |hint: ")


def of_stages(output: str) -> list[str]:
    """Return what is told below the line of the stages alone: grades, log and hints."""
    return [line for line in output.splitlines()[1:] if _OF_STAGES.match(line)]


def url_of(portal: PortalSimulator, scenario: str = "") -> str:
    return portal.url + (f"/{scenario}" if scenario else "") + STATUS_PATH


def once_in_time(
    ask: Callable[[int], T],
    output_of: Callable[[T], str],
    right_for: Callable[[T], Collection[str]],
) -> T:
    """Ask with a -t of one second; with more, if it ran out at a step before the right one.

    Texts are compared as ``within_1s``.
    """
    for seconds in (1, 2, 4, 8):
        outcome = ask(seconds)
        output = within_1s(output_of(outcome))
        if output in right_for(outcome) or ": no answer within " not in output:
            return outcome
    return ask(16)


def within_1s(output: str) -> str:
    """Return the output as it would be with a -t of one second."""
    return re.sub(r"no answer within [0-9]+s", "no answer within 1s", output)


def critical(message: str) -> tuple[int, str]:
    return 2, f"CQD CRITICAL - {message}\n"


def unknown(message: str) -> tuple[int, str]:
    return 3, f"CQD UNKNOWN - {message}\n"

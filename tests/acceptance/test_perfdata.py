"""The perfdata of every scenario mean to Monitoring::Plugin::Performance what they mean to us.

That Perl module (Debian: libmonitoring-plugin-perl) reads perfdata for many graphing programs.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from portal_simulator import PASSWORD, SCENARIOS, STATUS_PATH, USERNAME, PortalSimulator

Ask = Callable[..., "tuple[int, str]"]

NOW = datetime(2026, 11, 24, 10, 7, 30, tzinfo=timezone.utc)
DOCUMENTED_MOMENT = datetime(2015, 1, 18, 10, 31, tzinfo=timezone.utc)
DAY = 24 * 60 * 60
PARSE = ("perl", str(Path(__file__).with_name("parse_perfdata.pl")))


class Meaning(NamedTuple):
    """What an item means, less its value."""

    uom: str
    warning: str | None
    critical: str | None
    minimum: str | None


SECONDS = Meaning("s", None, None, "0")
LAST_FAILURE = Meaning("s", "1800:", None, "0")
STREAK = Meaning("", "0", "2", "0")
RUNNING = Meaning("s", "7200", None, "0")
MEANINGS = {
    "integration_age": Meaning("s", "1800", "3600", "0"),
    "integration_last_failure": LAST_FAILURE,
    "integration_streak": STREAK,
    "integration_running": RUNNING,
    "integration_duration": SECONDS,
    "cube_age": Meaning("s", "3600", "7200", "0"),
    "cube_last_failure": LAST_FAILURE,
    "cube_streak": STREAK,
    "cube_running": RUNNING,
    "cube_duration": SECONDS,
    "data_age": SECONDS,
    "clock_skew": Meaning("s", "-300:300", None, None),
    "response_time": SECONDS,
}

# The simulator's job starts every quarter. At NOW that of 10:00 is over: the integration took until
# 10:00:31, the cube from 10:00:34 until 10:02:01.
HEALTHY = {
    "integration_age": 419,
    "integration_streak": 0,
    "integration_running": 0,
    "integration_duration": 31,
    "cube_age": 329,
    "cube_streak": 0,
    "cube_running": 0,
    "cube_duration": 87,
    "data_age": 419,
    "clock_skew": 0,
    "response_time": 0.001,
}


def like_healthy(*but_not: str, **but: int) -> dict[str, float]:
    return {label: value for label, value in (HEALTHY | but).items() if label not in but_not}


VALUES = {
    "healthy": HEALTHY,
    "redirect-same": HEALTHY,
    "basic": HEALTHY,
    "no-date": like_healthy("clock_skew"),
    "late": like_healthy(
        "cube_duration",  # not known while it runs
        integration_age=2212,
        integration_duration=38,
        cube_age=3013,
        cube_running=2209,
        data_age=3111,
    ),
    "failing": like_healthy(
        "data_age",  # older than the integrations that are listed
        cube_age=18325,
        cube_last_failure=56,
        cube_streak=5,
        cube_duration=360,
    ),
    "recovered": like_healthy(cube_last_failure=950),
    "stuck": like_healthy(integration_age=419 + DAY, cube_age=329 + DAY, data_age=419 + DAY),
    "never-yet": like_healthy(
        *("integration_age", "cube_age", "data_age", "integration_duration", "cube_duration"),
        integration_running=4050,
    ),
    "clock-behind": like_healthy(
        integration_age=1313,
        integration_duration=37,
        cube_age=1227,
        cube_duration=83,
        data_age=1313,
        clock_skew=600,
    ),
    "documented": like_healthy(
        "integration_duration",
        integration_age=47,
        cube_age=69260,
        cube_last_failure=2,
        cube_streak=2,
        cube_duration=42,
        data_age=69343,
    ),
}


def parsed(perfdata: str) -> list[dict[str, Any]]:
    """What the Perl module makes of it; as it writes all that again, nothing was lost."""
    done = subprocess.run([*PARSE, perfdata], capture_output=True, text=True, check=True)
    items: list[dict[str, Any]] = json.loads(done.stdout)
    assert [item["text"].rstrip(";") for item in items] == perfdata.split()
    return items


@pytest.fixture
def ask(run: Ask, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Check the simulator in a scenario; return the exit code and the perfdata."""
    monkeypatch.setenv("CQD_PASSWORD", PASSWORD)

    def ask(scenario: str, *options: str) -> tuple[int, str]:
        now = DOCUMENTED_MOMENT if scenario == "documented" else NOW
        if scenario == "basic":
            options += ("--username", USERNAME, "--insecure")
        with PortalSimulator(scenario, clock=lambda: now, zone=timezone.utc) as portal:
            code, out = run(
                *("--url", portal.url + STATUS_PATH, "--timeout", "1"),
                *("--now", now.isoformat(), "--timezone", "UTC", *options),
            )
        return code, out.partition(" | ")[2]

    return ask


@pytest.fixture(autouse=True)
def _needs_the_module() -> None:
    command = ["perl", "-MMonitoring::Plugin::Performance", "-e", "1"]
    if subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("libmonitoring-plugin-perl is not installed")


@pytest.mark.parametrize("scenario", VALUES)
def test_perfdata_mean_what_we_mean(ask: Ask, scenario: str) -> None:
    code, perfdata = ask(scenario)
    items = parsed(perfdata)
    assert {item["label"]: item["value"] for item in items} == VALUES[scenario]
    for item in items:
        meaning = (item["uom"], item["warning"], item["critical"], item["min"])
        assert meaning == MEANINGS[item["label"]], item["label"]
        assert item["max"] is None
    if scenario != "never-yet":  # no success at all is told by the state, and by what is missing
        assert max(item["state"] for item in items) == code


@pytest.mark.parametrize("scenario", sorted(SCENARIOS.keys() - VALUES))
def test_no_perfdata_of_a_portal_that_cannot_be_graded(ask: Ask, scenario: str) -> None:
    assert ask(scenario)[1] == ""


@pytest.mark.parametrize("limit", ["1m", "2h:", "~:2m", "1m:2m", "0:"])
def test_limits_of_every_form_give_the_same_state(ask: Ask, limit: str) -> None:
    code, perfdata = ask("healthy", "--data-critical", limit)
    assert max(item["state"] for item in parsed(perfdata)) == code

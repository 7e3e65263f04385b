"""The perfdata of every scenario mean to Monitoring::Plugin::Performance what they mean to us.

That Perl module (Debian: libmonitoring-plugin-perl) reads perfdata for many graphing programs.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest
from expected import DOCUMENTED_MOMENT, LABELS, SIMULATED, SIMULATED_MOMENT, known
from portal_simulator import PASSWORD, SCENARIOS, STATUS_PATH, USERNAME, PortalSimulator

Ask = Callable[..., "tuple[int, str]"]

PARSE = ("perl", str(Path(__file__).with_name("parse_perfdata.pl")))


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
        now = DOCUMENTED_MOMENT if scenario == "documented" else SIMULATED_MOMENT
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


@pytest.mark.parametrize("scenario", SIMULATED)
def test_perfdata_mean_what_we_mean(ask: Ask, scenario: str) -> None:
    code, perfdata = ask(scenario)
    items = parsed(perfdata)
    assert {item["label"]: item["value"] for item in items} == known(SIMULATED[scenario])
    for item in items:
        row = LABELS[item["label"]]
        told = (item["uom"], *(item[key] or "" for key in ("warning", "critical", "min")))
        assert told == (row.unit, row.warning, row.critical, row.minimum), item["label"]
        assert item["max"] is None
    if scenario != "never-yet":  # no success at all is told by the state, and by what is missing
        assert max(item["state"] for item in items) == code


@pytest.mark.parametrize("scenario", sorted(SCENARIOS.keys() - SIMULATED))
def test_no_perfdata_of_a_portal_that_cannot_be_graded(ask: Ask, scenario: str) -> None:
    assert ask(scenario)[1] == ""


@pytest.mark.parametrize("limit", ["1m", "2h:", "~:2m", "1m:2m", "0:"])
def test_limits_of_every_form_give_the_same_state(ask: Ask, limit: str) -> None:
    code, perfdata = ask("healthy", "--data-critical", limit)
    assert max(item["state"] for item in parsed(perfdata)) == code

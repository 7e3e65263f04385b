"""A pipeline in trouble, through the entry point: what -v says of it, hints included."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from expected import (
    AT_SIMULATED_MOMENT,
    SIMULATED,
    SIMULATED_MOMENT,
    Run,
    of_stages,
    perfdata,
    url_of,
)
from portal_simulator import PortalSimulator

AGENT = (
    "although a job is due every 15m; is SQL Server Agent running, and set to start automatically?"
)
ARCHIVE = (
    "known causes are lost read rights on QoE Metrics, and a service account without the right to "
    "log on as a batch job"
)
KILLED = (
    "and has not ended; is it still running, or did a stop of SQL Server Agent or a restart of the "
    "server kill it?"
)
NO_SUMMER = "never has daylight saving time; if the portal has it, name its zone, such as America"


def test_healthy_portal_in_los_angeles_watched_from_utc(run: Run) -> None:
    there = ZoneInfo("America/Los_Angeles")
    with PortalSimulator(clock=lambda: SIMULATED_MOMENT, zone=there) as portal:
        options = ("-u", url_of(portal), "-v", "--log-entries", "0")
        assert run(*options, *AT_SIMULATED_MOMENT, "--timezone", str(there))[0] == 0
        code, out = run(*options, *AT_SIMULATED_MOMENT)
    ages = {"integration_age": 419, "cube_age": 329, "data_age": 419}
    values = {**SIMULATED["healthy"], **{name: 8 * 3600 + age for name, age in ages.items()}}
    assert out.partition("\n")[0] == (
        "CQD CRITICAL - integration: last success 8h 6m ago (limit 1h), no failures since / cube: "
        f"last success 8h 5m ago (limit 2h), no failures since | {perfdata(values)}"
    )
    assert (code, of_stages(out)) == (
        2,
        [
            "[CRITICAL] integration: last success 8h 6m ago (limit 1h), no failures since, not "
            "running, last run took 31s",
            "[CRITICAL] cube: last success 8h 5m ago (limit 2h), no failures since, not running, "
            "last run took 1m 27s",
            "hint: the timestamps would be fresh if the portal were in UTC-08:00; is --timezone "
            "right?",
            f"hint: nothing has begun, failed or succeeded for 8h 5m, {AGENT}",
        ],
    )


def saved(tmp_path: Path, **minutes: list[int] | int) -> tuple[str, ...]:
    """Save an answer by how many minutes ago each timestamp is; return the options to grade it."""

    def timestamp(ago: int) -> str:
        return (SIMULATED_MOMENT - timedelta(minutes=ago)).strftime("%m/%d/%Y %H:%M:%S")

    def told(ago: list[int] | int | None) -> list[str] | str | None:
        if isinstance(ago, list):
            return [timestamp(each) for each in ago]
        return None if ago is None else timestamp(ago)

    answer = {
        "LastSuccessIntegrations": told(minutes.get("integrated")),
        "LastSuccessCubeProcessings": told(minutes.get("processed")),
        "LastFailedIntegrations": told(minutes.get("not_integrated")),
        "LastFailedCubeProcessings": told(minutes.get("not_processed")),
        "LastDataIntegrationStart": None,
        "LastCubeProcessingStart": told(minutes.get("cube_started")),
    }
    path = tmp_path / "status.json"
    path.write_text(json.dumps(answer))
    return ("--input", str(path), *AT_SIMULATED_MOMENT, "-v")


def long_output(run: Run, *options: str) -> tuple[int, list[str]]:
    code, out = run(*options)
    return code, of_stages(out)


def test_run_that_looks_hours_long_for_a_wrong_zone(run: Run, tmp_path: Path) -> None:
    options = saved(tmp_path, integrated=[483, 505], processed=[503], cube_started=482)
    assert long_output(run, *options) == (
        2,
        [
            "[CRITICAL] integration: last success 8h 3m ago (limit 1h), no failures since, not "
            "running",
            "[CRITICAL] cube: last success 8h 23m ago (limit 2h), no failures since, running for "
            "8h 2m (limit 2h)",
            "hint: the timestamps would be fresh if the portal were in UTC-08:00; is --timezone "
            "right?",
            f"hint: the cube step began 8h 2m ago {KILLED}",
        ],
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("LastSuccessIntegrations", ["2026-11-24T02:04:30Z"]),
        ("LastFailedCubeProcessings", ["2026-11-24T02:05:30Z"]),
        ("LastCubeProcessingStart", "2026-11-24T02:04:30.123+00:00"),
    ],
)
def test_zone_does_not_matter_to_timestamps_with_an_offset(
    key: str, value: object, run: Run, tmp_path: Path
) -> None:
    options = saved(tmp_path, integrated=[483], processed=[482])
    zone = (
        "hint: the timestamps would be fresh if the portal were in UTC-08:00; is --timezone right?"
    )
    agent = f"hint: nothing has begun, failed or succeeded for 8h 2m, {AGENT}"
    assert long_output(run, *options)[1][2:] == [zone, agent]
    path = tmp_path / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    assert long_output(run, *options)[1][2:] == [agent]


def test_stage_within_its_limits_is_not_blamed(run: Run, tmp_path: Path) -> None:
    options = saved(tmp_path, integrated=[20, 35], not_integrated=[5], processed=[70])
    assert long_output(run, *options, "--streak-warning", "2", "--failure-warning", "0:") == (
        1,
        [
            "[OK] integration: last success 20m ago, 1 failure since, newest failure 5m ago, not "
            "running",
            "[WARNING] cube: last success 1h 10m ago (limit 1h), no failures since, not running",
        ],
    )
    assert long_output(run, *options)[1][2:] == [f"hint: the archive step fails; {ARCHIVE}"]
    # Not graded is not OK.
    _, lines = long_output(run, *options, "--stage", "cube")
    assert lines[1:] == [f"hint: the archive step fails; {ARCHIVE}"]


def test_run_that_was_killed_midway(run: Run, tmp_path: Path) -> None:
    options = saved(
        tmp_path, integrated=[20], not_integrated=[5], processed=[190], cube_started=185
    )
    assert long_output(run, *options) == (
        2,
        [
            "[WARNING] integration: last success 20m ago, 1 failure since (limit 0), newest "
            "failure 5m ago (within 30m), not running",
            "[CRITICAL] cube: last success 3h 10m ago (limit 2h), no failures since, running for "
            "3h 5m (limit 2h)",
            f"hint: the cube step began 3h 5m ago {KILLED}",
            f"hint: the archive step fails; {ARCHIVE}",
        ],
    )


def test_no_hint_without_v_and_none_if_all_is_well(run: Run, tmp_path: Path) -> None:
    options = saved(tmp_path, integrated=[483], processed=[482])
    assert long_output(run, *options[:-1]) == (2, [])
    generous = ("-w", "10h", "-c", "10h", "--data-warning", "8h")
    code, lines = long_output(run, *options, *generous)
    assert (code, [line for line in lines if line.startswith("hint")]) == (1, [])


@pytest.mark.parametrize(
    ("name", "place"),
    [("EST", "New_York"), ("MST", "Denver"), ("HST", "Adak")],
)
def test_zone_without_daylight_saving_time(name: str, place: str, run: Run, tmp_path: Path) -> None:
    hint = f"hint: {name} {NO_SUMMER}/{place}"
    moment = SIMULATED_MOMENT.replace(tzinfo=None).isoformat()
    options = (*saved(tmp_path, integrated=[5], processed=[4]), "--timezone", name, "--now", moment)
    code, lines = long_output(run, *options)
    assert (code, lines[-1], len(lines)) == (0, hint, 3)
    # An hour ahead, as from spring on.
    earlier = (SIMULATED_MOMENT.replace(tzinfo=None) - timedelta(hours=1)).isoformat()
    assert long_output(run, *options, "--now", earlier) == (
        3,
        ["[UNKNOWN] integration: not read", "[UNKNOWN] cube: not read", hint],
    )
    assert long_output(run, *(each for each in options if each != "-v")) == (0, [])


def test_zone_is_of_no_weight_if_there_was_no_answer(run: Run, tmp_path: Path) -> None:
    code, lines = long_output(run, "--input", str(tmp_path / "none"), "-v", "--timezone", "EST")
    assert (code, len(lines)) == (3, 2)

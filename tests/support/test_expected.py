"""The table of labels is that of the plugin: other tests rely on it."""

from __future__ import annotations

import json
from datetime import timedelta, timezone

from expected import AT_SIMULATED_MOMENT, LABELS, SIMULATED_MOMENT, Run, perfdata, url_of
from portal_simulator import PortalSimulator

from check_cqd_integration.options import build_parser

VALUES = {
    "integration_age": 20 * 60,
    "integration_last_failure": 50 * 60,
    "integration_streak": 0,
    "integration_running": 0,
    "integration_duration": 60,
    "cube_age": 18 * 60,
    "cube_last_failure": 48 * 60,
    "cube_streak": 0,
    "cube_running": 0,
    "cube_duration": 60,
    "data_age": 20 * 60,
    "clock_skew": 0,
    "response_time": 0.001,
}


def test_labels_are_all_that_the_plugin_writes(run: Run) -> None:
    """Of a portal that tells everything."""

    def timestamp(minutes: int) -> str:
        return (SIMULATED_MOMENT - timedelta(minutes=minutes)).strftime("%m/%d/%Y %H:%M:%S")

    everything = {
        "LastSuccessIntegrations": [timestamp(20)],
        "LastSuccessCubeProcessings": [timestamp(18)],
        "LastFailedIntegrations": [timestamp(50)],
        "LastFailedCubeProcessings": [timestamp(48)],
        "LastDataIntegrationStart": timestamp(21),
        "LastCubeProcessingStart": timestamp(19),
    }
    body = json.dumps(everything).encode()
    with PortalSimulator(body=body, clock=lambda: SIMULATED_MOMENT, zone=timezone.utc) as portal:
        _, out = run("--url", url_of(portal), *AT_SIMULATED_MOMENT)
    written = out.partition(" | ")[2].rstrip("\n")
    labels = [measure.partition("=")[0] for measure in written.split()]
    assert labels == sorted(LABELS), "LABELS of tests/support/expected.py has not what is written"
    assert written == perfdata(VALUES)


def test_limits_have_options() -> None:
    limited = {
        action.option_strings[-1][2:].rpartition("-")[0]
        for action in build_parser()._actions
        if action.option_strings[-1].endswith(("-warning", "-critical"))
    }
    assert {row.option for row in LABELS.values() if row.option} == limited - {""}

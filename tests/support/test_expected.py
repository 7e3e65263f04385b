"""The table of labels is that of the plugin: other tests rely on it."""

from __future__ import annotations

import json
import re
from datetime import timedelta, timezone

import pytest
from expected import (
    AT_DOCUMENTED_MOMENT,
    AT_SIMULATED_MOMENT,
    DOCUMENTED_MOMENT,
    LABELS,
    SIMULATED,
    SIMULATED_MOMENT,
    Run,
    item,
    known,
    url_of,
)
from portal_simulator import PASSWORD, USERNAME, PortalSimulator

from check_cqd_integration.options import build_parser


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
    values = values_of(out)
    assert values.keys() == LABELS.keys(), (
        "what is written and LABELS differ; or does this portal not tell what a label is made of?"
    )
    assert written == " ".join(item(*pair) for pair in sorted(values.items()))


@pytest.mark.parametrize("scenario", SIMULATED)
def test_values_are_what_the_plugin_measures(
    run: Run, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each scenario; most are needed by acceptance tests alone."""
    moment, at_moment = SIMULATED_MOMENT, AT_SIMULATED_MOMENT
    if scenario == "documented":
        moment, at_moment = DOCUMENTED_MOMENT, AT_DOCUMENTED_MOMENT
    monkeypatch.setenv("CQD_PASSWORD", PASSWORD)
    with PortalSimulator(scenario, clock=lambda: moment, zone=timezone.utc) as portal:
        _, out = run("--url", url_of(portal), "-l", USERNAME, "--insecure", *at_moment)
    measured = {label: float(value) for label, value in values_of(out).items()}
    assert measured == known(SIMULATED[scenario])


def values_of(output: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(-?[0-9.]+)", output.partition(" | ")[2]))


def test_limits_have_options() -> None:
    limited = {
        action.option_strings[-1][2:].rpartition("-")[0]
        for action in build_parser()._actions
        if action.option_strings[-1].endswith(("-warning", "-critical"))
    }
    assert {row.option for row in LABELS.values() if row.option} == limited - {""}

"""Whatever a network and a server do wrong: the contract's state, in time, in little memory."""

from __future__ import annotations

import pytest
from expected import once_in_time, within_1s
from faults import FAULTS, Fault, Outcome, run

MARGIN = 10  # seconds: a busy machine takes its time; `make bench` measures


@pytest.mark.parametrize(
    "fault", FAULTS, ids=[f"{fault.told[0].split()[0].lower()}-{fault.name}" for fault in FAULTS]
)
def test_fault(fault: Fault) -> None:
    def ask(seconds: int) -> tuple[float, Outcome, list[tuple[int, str]]]:
        longer = seconds - 1
        return longer, *run(fault, longer)

    longer, outcome, expected = once_in_time(
        ask, lambda done: done[1].output, lambda done: [out for _, out in done[2]]
    )
    assert (outcome.code, within_1s(outcome.output)) in expected
    assert outcome.errors == ""
    assert outcome.mebibytes < 100
    assert outcome.seconds < (fault.timeout + longer if fault.lasts else 0) + MARGIN

"""Whatever a network and a server do wrong: the contract's state, in time, in little memory."""

from __future__ import annotations

import pytest
from expected import once_in_time
from faults import FAULTS, Fault, run

MARGIN = 10  # seconds: a busy machine takes its time; `make bench` measures


@pytest.mark.parametrize(
    "fault", FAULTS, ids=[f"{fault.told[0].split()[0].lower()}-{fault.name}" for fault in FAULTS]
)
def test_fault(fault: Fault) -> None:
    outcome, expected = once_in_time(
        lambda: run(fault), lambda done: done[0].output, lambda done: [out for _, out in done[1]]
    )
    assert (outcome.code, outcome.output) in expected
    assert outcome.errors == ""
    assert outcome.mebibytes < 100
    assert outcome.seconds < (fault.timeout if fault.lasts else 0) + MARGIN

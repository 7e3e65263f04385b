"""What the tests of several rooms share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from portal_simulator import DOCUMENTED, STATUS_PATH, PortalSimulator

from check_cqd_integration.cli import main

Run = Callable[..., "tuple[int, str]"]

DOCUMENTED_MOMENT = datetime(2015, 1, 18, 10, 31, tzinfo=timezone.utc)
"""A moment that makes the documented answer a current one."""
AT_DOCUMENTED_MOMENT = ("--now", "2015-01-18T10:31:00Z", "--timezone", "UTC")


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CQD_PASSWORD", raising=False)
    monkeypatch.delenv("TZ", raising=False)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the plugin with these options; return its exit code and whole standard output.

    The response time, which no test can know, reads 0.001s.
    """

    def run(*options: str) -> tuple[int, str]:
        code = main(options)
        out, err = capsys.readouterr()
        assert err == ""
        return code, masked(out)

    return run


@pytest.fixture
def portal() -> Iterator[PortalSimulator]:
    """A portal that gives the documented answer, at the documented moment."""
    with PortalSimulator(body=DOCUMENTED, clock=lambda: DOCUMENTED_MOMENT) as simulator:
        yield simulator


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The documented answer in a file."""
    path = tmp_path / "status.json"
    path.write_bytes(DOCUMENTED)
    return path


def masked(output: str) -> str:
    """Return the output with a response time that every test knows."""
    return re.sub(r"response_time=[0-9]+\.[0-9]{3}s", "response_time=0.001s", output)


def url_of(portal: PortalSimulator, scenario: str = "") -> str:
    return portal.url + (f"/{scenario}" if scenario else "") + STATUS_PATH

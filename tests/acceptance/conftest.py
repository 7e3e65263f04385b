"""One laboratory for the whole run; each test starts the acceptors that it asks."""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from windows_login_lab import WindowsLoginLab, missing_program

DOCUMENTED = (Path(__file__).parent.parent / "data" / "status-documented.txt").read_text()


@pytest.fixture(scope="session")
def running_lab() -> Iterator[WindowsLoginLab]:
    missing = missing_program()
    if missing:
        pytest.skip(f"{missing} is not installed")
    # Not pytest's tmp_path, which is closed to www-data.
    place = tempfile.TemporaryDirectory(prefix="windows-login-lab-")
    with place as directory, WindowsLoginLab(Path(directory), DOCUMENTED) as running:
        yield running


@pytest.fixture
def lab(running_lab: WindowsLoginLab) -> Iterator[WindowsLoginLab]:
    yield running_lab
    running_lab.stop_acceptors()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """`make acceptance` has installed everything: there, what is skipped has failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CQD_NOTHING_SKIPPED") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how long each file took, and by how much a check exceeded its -t at most."""
    seconds: dict[str, float] = defaultdict(float)
    overruns: list[float] = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.location[0]] += report.duration
                if report.when == "call":
                    overruns += [x for name, x in report.user_properties if name == "overrun"]
    for file, duration in sorted(seconds.items()):
        terminalreporter.write_line(f"{duration:6.1f} s  {file}")
    if overruns:
        terminalreporter.write_line(
            f"{max(overruns):7.2f} s over -t at most, {min(overruns):.2f} s at least, in "
            f"{len(overruns)} processes, Python's start included"
        )

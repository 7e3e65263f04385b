"""One laboratory for the whole run; each test starts the acceptors that it asks."""

import fcntl
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from package_lab import ROOT, call
from windows_login_lab import WindowsLoginLab, missing_program
from wine_lab import cannot_be_installed

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


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory into which `make dist` built everything, once for all processes of a run."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    folder = place / "dist"
    with (place / "dist.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            begun = place / "dist.begun"
            call("make", "dist", f"VENV={sys.prefix}", f"DIST={begun}", cwd=ROOT)
            begun.rename(folder)
    return folder


def pytest_sessionfinish(session: pytest.Session) -> None:
    """`make acceptance` has installed everything: there, what is skipped has failed.

    Except for Windows, where Wine cannot be had.
    """
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CQD_NOTHING_SKIPPED") and reporter:
        reason = cannot_be_installed()
        skipped = reporter.stats.get("skipped", [])
        if any(reason is None or reason not in str(report.longrepr) for report in skipped):
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

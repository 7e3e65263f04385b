"""No part of Windows is here; but what Windows does not have, the plugin does not need.

`make lint` asks mypy the same of the names in the plugin's own code.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from expected import (
    AT_DOCUMENTED_MOMENT,
    DOCUMENTED_LINE,
    OVER_THE_NETWORK,
    masked,
    once_in_time,
    url_of,
    within_1s,
)
from portal_simulator import DOCUMENTED, PortalSimulator

AS_ON_WINDOWS = Path(__file__).parent / "support" / "as_on_windows.py"


def plugin(*options: str, given: bytes = b"", **environment: Any) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, AS_ON_WINDOWS, *options],
        # Windows has no zones: they come from the package tzdata.
        env={"PYTHONTZPATH": "", **environment},
        input=given,
        capture_output=True,
    )
    return done.returncode, masked(done.stdout.decode()), done.stderr.decode()


def test_saved_answer(sample: Path) -> None:
    assert plugin(*AT_DOCUMENTED_MOMENT, "--input", str(sample)) == (2, DOCUMENTED_LINE, "")


def test_standard_input() -> None:
    outcome = plugin(*AT_DOCUMENTED_MOMENT, "--input", "-", given=DOCUMENTED)
    assert outcome == (2, DOCUMENTED_LINE, "")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_poll(portal: PortalSimulator, host: str) -> None:
    options = ("-H", host, "-p", str(portal.port), "--http")
    assert plugin(*options, *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK, "")


def test_zone_by_name(sample: Path) -> None:
    options = ("--now", "2015-01-18T05:31:00-05:00", "--timezone", "Europe/London")
    assert plugin(*options, "--input", str(sample)) == (2, DOCUMENTED_LINE, "")


def test_time_runs_out(portal: PortalSimulator) -> None:
    """Without a signal."""
    silent = url_of(portal, "silent")
    line = "CQD CRITICAL - waiting for the answer of 127.0.0.1: no answer within 1s (-t)\n"
    code, out, err = once_in_time(
        lambda seconds: plugin("-u", silent, "-t", str(seconds)),
        lambda done: done[1],
        lambda _: [line],
    )
    assert (code, within_1s(out), err) == (2, line, "")


def test_nothing_listens() -> None:
    code, out, err = plugin("-H", "127.0.0.1", "-p", "1", "--http")
    assert (code, err) == (2, "")
    assert "connection refused; is the server running?" in out


def test_password_file(portal: PortalSimulator, tmp_path: Path) -> None:
    """Windows has no mode to refuse it by."""
    file = tmp_path / "password"
    file.write_text("Passw0rd!\n")
    file.chmod(0o644)
    login = ("-l", "monitor", "--password-file", str(file), "--auth", "basic", "--insecure")
    code, out, err = plugin("-u", url_of(portal, "basic"), *login, *AT_DOCUMENTED_MOMENT)
    assert (code, err) == (0, "")
    assert out.startswith("CQD OK - ")


def test_refused_login_is_remembered(portal: PortalSimulator, tmp_path: Path) -> None:
    options = ("-u", url_of(portal, "basic"), "-l", "monitor", "--auth", "basic", "--insecure")
    begin = "CQD UNKNOWN - logging in to 127.0.0.1 as monitor: "
    refused = (
        "HTTP 401 to Basic (of Basic); wrong password, locked or expired account, or group, see "
        "--auth\n"
    )
    code, out, err = plugin(*options, CQD_PASSWORD="x")
    assert (code, err) == (3, "")
    note = "refused, not remembered: this user has no home directory (--state-dir): "
    assert out == f"{begin}{note}{refused}"[:197] + "...\n"
    where: Any = {"CQD_PASSWORD": "x", "LOCALAPPDATA": str(tmp_path)}
    assert plugin(*options, **where) == (3, f"{begin}{refused}", "")
    code, out, err = plugin(*options, **where)
    assert (code, err) == (3, "")
    assert out.startswith("CQD UNKNOWN - logging in to 127.0.0.1 as monitor: refused ")
    assert len(list((tmp_path / "check_cqd_integration").iterdir())) == 2


def test_what_is_taken_away_is_missed() -> None:
    """This is what the other tests rest on."""
    code = (
        "import as_on_windows; as_on_windows.load_standard_library(); as_on_windows.take_away()\n"
        "import os, signal\n"
        "for missed in ('import fcntl', 'import pwd', 'os.fork', 'os.O_NONBLOCK', 'signal.SIGALRM',"
        " 'signal.alarm', 'signal.SIGHUP', 'signal.SIGKILL',"
        " 'import nagiosplugin.platform.posix'):\n"
        "    try:\n"
        "        exec(missed)\n"
        "    except (ImportError, AttributeError):\n"
        "        continue\n"
        "    raise SystemExit(missed)\n"
        "signal.SIGTERM, os.O_WRONLY, os.dup2\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=AS_ON_WINDOWS.parent, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")

"""The host's side, as far as it takes root: another user, and another host's files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from expected import DOCUMENTED_LINE
from network_lab import PATH, PLUGIN, Host

SAMPLE = Path(__file__).parents[1] / "data" / "status-documented.txt"
REPLAY = ("--input", str(SAMPLE), "--now", "2015-01-18T10:31:00Z")
NOBODY = "65534"
READ_ONLY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    # May read everything, for the checkout may lie where nobody else gets, and write nothing.
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)


def check(*command: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        command,
        cwd="/",
        env={"PATH": PATH, **environment},
        capture_output=True,
        encoding="utf-8",
    )
    return done.returncode, done.stdout, done.stderr


def is_read(outcome: tuple[int, str, str]) -> bool:
    return outcome == (2, DOCUMENTED_LINE, "")


@pytest.mark.parametrize("home", [{}, {"HOME": "/nonexistent"}, {"HOME": "/root"}], ids=str)
def test_user_who_can_write_nowhere(home: dict[str, str]) -> None:
    touched = check(*READ_ONLY, "touch", "/root/a", "/a", str(SAMPLE.parent / "a"))
    assert touched[0] == 1
    assert is_read(check(*READ_ONLY, str(PLUGIN), *REPLAY, "--timezone", "UTC", **home))


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", " holds no time zone"), (b"TZif2 and no more", " holds no time zone"), (None, "")],
    ids=["empty", "broken", "missing"],
)
def test_localtime_that_is_broken(tmp_path: Path, content: bytes | None, problem: str) -> None:
    if content is not None:
        (tmp_path / "localtime").write_bytes(content)
    with Host() as host:
        host.run("mount", "--bind", str(tmp_path), "/etc")
        outcome = check(*host.command(str(PLUGIN), *REPLAY))
        named = check(*host.command(str(PLUGIN), *REPLAY, "--timezone", "UTC"))
    assert is_read(named)
    if problem:
        line = f"CQD UNKNOWN - /etc/localtime{problem}; give --timezone\n"
        assert outcome == (3, line, "")
    else:  # without the file a host is in UTC
        assert outcome == named

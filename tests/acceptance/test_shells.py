"""What a person meets at a terminal: the manual page, and completion in each shell."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from completion import FILES, script
from man import page

CONFIGURATIONS = {
    "bash": (".bashrc", 'source "$HOME/bash"; PS1="READY "'),
    "zsh": (
        ".zshrc",
        "fpath=($HOME/functions $fpath); autoload -Uz compinit; compinit -u -D; PS1='READY '",
    ),
    "fish": (".config/fish/config.fish", "function fish_prompt; echo -n 'READY '; end"),
}
"""The file that each reads when it starts, and how it gets to the completion."""
PROGRAM = '#!/bin/sh\necho "<$*>"\n'
"""In place of the plugin: it prints its command line."""


@pytest.fixture(params=CONFIGURATIONS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A shell whose user has the completion, and nothing else."""
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    places = {
        "bash": tmp_path / "bash",
        "zsh": tmp_path / "functions" / FILES["zsh"],
        "fish": tmp_path / ".config" / "fish" / "completions" / FILES["fish"],
    }
    file, configuration = CONFIGURATIONS[name]
    program = tmp_path / "bin" / "check_cqd_integration"
    for path, text in (
        (places[name], script(name)),
        (tmp_path / file, f"{configuration}\n"),
        (program, PROGRAM),
        (tmp_path / "status-saved.json", ""),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return name


def typed(shell: str, home: Path, keys: str) -> str:
    """Return the command line that a shell runs when these keys are typed at it."""
    terminal, other_end = os.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", shell, "-i"],
        cwd=home,
        env={"HOME": str(home), "PATH": f"{home}/bin:/usr/bin:/bin", "TERM": "dumb"},
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
    )
    os.close(other_end)
    try:
        _until("READY ", terminal)
        os.write(terminal, keys.encode())
        return _until("<(.*?)>", terminal)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def _until(pattern: str, terminal: int) -> str:
    """Return what in the output matches a pattern, or its group, once it is there."""
    output, end = "", time.monotonic() + 20
    for chunk in _chunks(terminal, end):
        output += chunk
        if match := re.search(pattern, output):
            return match[match.lastindex or 0]
    pytest.fail(f"no {pattern!r} in {output!r}")


def _chunks(terminal: int, end: float) -> Iterator[str]:
    while select.select([terminal], [], [], max(end - time.monotonic(), 0))[0]:
        yield os.read(terminal, 4096).decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("keys", "command"),
    [
        ("--inp\tstatus-s\t", "--input status-saved.json"),
        ("--keyt\tstatus-s\t", "--keytab status-saved.json"),
        ("--http --stage cu\t", "--http --stage cube"),
        ("--auth kerb\t", "--auth kerberos"),
        ("--unreach\twarn\t", "--unreachable-state warning"),
        ("--no-ch\t--insec\t", "--no-channel-binding --insecure"),
        ("--timezone Europe/Berl\t", "--timezone Europe/Berlin"),
    ],
)
def test_completion(shell: str, tmp_path: Path, keys: str, command: str) -> None:
    assert typed(shell, tmp_path, f"check_cqd_integration {keys}\r").split() == command.split()


@pytest.mark.parametrize(
    "command", [("mandoc", "-T", "lint"), ("man", "--warnings", "--encoding=UTF-8", "--local-file")]
)
def test_manual_page_is_well_written(command: tuple[str, ...], tmp_path: Path) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    path = tmp_path / "check_cqd_integration.1"
    path.write_text(page(), encoding="utf-8")
    done = subprocess.run([*command, path], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    found = done.stdout if command[0] == "mandoc" else ""
    assert found == ""


def test_manual_page_reads_well(tmp_path: Path) -> None:
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    path = tmp_path / "check_cqd_integration.1"
    path.write_text(page(), encoding="utf-8")
    shown = subprocess.run(
        ["man", "--encoding=UTF-8", "--local-file", path],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
        check=True,
        capture_output=True,
        encoding="utf-8",
    ).stdout
    assert "-H, --hostname HOST\n" in shown
    assert r"-l 'EXAMPLE\svc-cqd' --password-file /etc/cqd/password" in shown
    assert "--no-success-state STATE\n" in shown

"""The host's side: whatever surrounds the process, the answer is the same, or UNKNOWN."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from expected import AT_DOCUMENTED_MOMENT, DOCUMENTED_LINE, OVER_THE_NETWORK, REPLAY, masked, url_of
from portal_simulator import PortalSimulator
from raw_server import raw_server, read_head

SCRIPT = str(Path(sys.executable).with_name("check_cqd_integration"))
MODULE = (sys.executable, "-m", "check_cqd_integration")
NETRC = "machine 127.0.0.1 login somebody password hunter2\n"
PROXIES = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"), "http://[::1]:9")
ANY_COMMAND = pytest.mark.parametrize("command", [(SCRIPT,), MODULE], ids=["script", "module"])


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def no_file_can_be_written() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def asked(portal: PortalSimulator, command: Sequence[str], **more: Any) -> tuple[int, str, str]:
    process = subprocess.run(
        [*command, "-u", url_of(portal), *AT_DOCUMENTED_MOMENT],
        capture_output=True,
        text=True,
        check=False,
        **more,
    )
    return process.returncode, masked(process.stdout), process.stderr


@ANY_COMMAND
@pytest.mark.parametrize(
    ("environment", "more"),
    [
        ({}, {}),
        ({"LC_ALL": "C"}, {}),
        ({"LC_ALL": "no_SUCH.locale"}, {}),
        ({"PYTHONIOENCODING": "ascii"}, {}),
        ({"PYTHONIOENCODING": "latin-1:strict"}, {}),
        ({"PYTHONWARNINGS": "error"}, {}),
        ({"PYTHONOPTIMIZE": "1"}, {}),
        ({"PYTHONOPTIMIZE": "2"}, {}),
        ({"PYTHONDEVMODE": "1"}, {}),
        ({"HOME": "/nonexistent", "TMPDIR": "/nonexistent"}, {"cwd": "/"}),
        (PROXIES, {}),
        ({"REQUESTS_CA_BUNDLE": "/nonexistent", "CURL_CA_BUNDLE": "/nonexistent"}, {}),
        ({}, {"preexec_fn": few_descriptors}),
        ({}, {"preexec_fn": no_file_can_be_written}),
        ({}, {"stdin": subprocess.DEVNULL}),
    ],
    ids=[
        "nothing",
        "locale-c",
        "locale-unknown",
        "ascii",
        "latin-1",
        "warnings-are-errors",
        "no-assertions",
        "no-docstrings",
        "development-mode",
        "no-directories",
        "proxies",
        "bundles",
        "64-descriptors",
        "no-file-writable",
        "no-input",
    ],
)
def test_answer_is_the_same(
    portal: PortalSimulator,
    command: Sequence[str],
    environment: dict[str, str],
    more: dict[str, Any],
) -> None:
    assert asked(portal, command, env=environment, **more) == (2, OVER_THE_NETWORK, "")


def test_netrc_is_not_read(portal: PortalSimulator, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(NETRC)
    netrc.chmod(0o600)
    environment = {"HOME": str(tmp_path), "NETRC": str(netrc)}
    command = [SCRIPT, "-u", url_of(portal)]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    (request,) = portal.requests
    assert "authorization" not in {name.lower() for name in request.headers}


@ANY_COMMAND
def test_current_directory_is_not_trusted(
    portal: PortalSimulator, tmp_path: Path, command: Sequence[str]
) -> None:
    for module in ("requests", "nagiosplugin", "urllib3", "argparse", "json", "ssl", "gssapi"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('hostile')")
    assert asked(portal, command, cwd=tmp_path) == (2, OVER_THE_NETWORK, "")


def code_with_standard_output(descriptor: int, sample: Path, *, close: bool = False) -> int:
    process = subprocess.run(
        [SCRIPT, *REPLAY, sample],
        stdout=descriptor,
        stderr=subprocess.PIPE,
        preexec_fn=(lambda: os.close(1)) if close else None,
        check=False,
    )
    assert process.stderr == b""
    return process.returncode


def test_unknown_if_nobody_reads_standard_output(sample: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert code_with_standard_output(writer, sample) == 3
    os.close(writer)


def test_unknown_if_standard_output_is_closed(sample: Path) -> None:
    assert code_with_standard_output(subprocess.DEVNULL, sample, close=True) == 3


def test_unknown_if_standard_output_is_full(sample: Path) -> None:
    with open("/dev/full", "wb") as full:
        assert code_with_standard_output(full.fileno(), sample) == 3


def test_standard_error_may_be_closed(sample: Path) -> None:
    process = subprocess.run(
        [SCRIPT, *REPLAY, sample],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.close(2),
        check=False,
    )
    assert (process.returncode, process.stdout) == (2, DOCUMENTED_LINE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_that_ends_the_check_is_told(number: signal.Signals) -> None:
    asked = threading.Event()

    def ask_and_wait(connection: socket.socket, over: threading.Event) -> None:
        read_head(connection)
        asked.set()
        over.wait()

    with (
        raw_server(ask_and_wait) as port,
        subprocess.Popen(
            [SCRIPT, "-u", f"http://127.0.0.1:{port}/", "-t", "60", "-v"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert asked.wait(60)
        process.send_signal(number)
        for _ in range(20):  # what ends a process does not always ask once
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGHUP)
        output, errors = process.communicate()
    assert (process.returncode, output, errors) == (
        3,
        "CQD UNKNOWN - waiting for the answer of 127.0.0.1: interrupted\n"
        "[UNKNOWN] integration: not read\n"
        "[UNKNOWN] cube: not read\n",
        "",
    )


def test_signal_within_an_import_is_told(tmp_path: Path) -> None:
    code = """eval("end()", {"end": lambda: signal.raise_signal(signal.SIGINT)})"""
    (tmp_path / "nagiosplugin.py").write_text(f"import signal\n{code}\n")
    process = subprocess.run(
        [sys.executable, "-m", "check_cqd_integration", "--version"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert (process.returncode, process.stdout, process.stderr) == (
        3,
        "CQD UNKNOWN - interrupted\n",
        "",
    )

"""A saved answer: files, standard input, and what is too large."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from expected import once_in_time, within_1s
from portal_simulator import DOCUMENTED

from check_cqd_integration.errors import AnswerError, UsageError
from check_cqd_integration.portal.answer import MAX_BYTES, Answer
from check_cqd_integration.portal.deadline import Deadline
from check_cqd_integration.portal.saved import SavedAnswer

TOO_LARGE = "the answer is larger than 1 MiB, and is not read"


@pytest.fixture
def standard_input() -> Iterator[Callable[[bytes], None]]:
    """Pipe these bytes, piece by piece, into standard input."""
    kept = os.dup(0)
    writers = []

    def pipe(content: bytes) -> None:
        reader, writer = os.pipe()
        os.dup2(reader, 0)
        os.close(reader)

        def write() -> None:
            with open(writer, "wb", buffering=0) as file:
                for start in range(0, len(content), 100):
                    file.write(content[start : start + 100])

        writers.append(threading.Thread(target=write))
        writers[-1].start()

    yield pipe
    for writer in writers:
        writer.join()
    os.dup2(kept, 0)
    os.close(kept)


@pytest.mark.parametrize("content", [DOCUMENTED, b"", b"\x00\xff" * 100_000], ids=len)
def test_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_bytes(content)
    deadline = Deadline(10)
    assert SavedAnswer(str(path)).fetch(deadline) == Answer(content, date=None, response_time=None)
    assert deadline.step.startswith("starting")  # what is waited for next says what it is


@pytest.mark.parametrize("content", [DOCUMENTED, b"", b"\x00\xff" * 100_000], ids=len)
def test_standard_input(content: bytes, standard_input: Callable[[bytes], None]) -> None:
    standard_input(content)
    deadline = Deadline(10)
    assert SavedAnswer("-").fetch(deadline) == Answer(content)
    assert deadline.step.startswith("starting")
    assert os.read(0, 1) == b""  # and it is still open


def test_no_more_than_a_mebibyte(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_bytes(b" " * MAX_BYTES)
    assert len(SavedAnswer(str(path)).fetch(Deadline(10)).body) == 1024 * 1024
    path.write_bytes(b" " * MAX_BYTES + b" ")
    with pytest.raises(AnswerError) as caught:
        SavedAnswer(str(path)).fetch(Deadline(10))
    assert str(caught.value) == TOO_LARGE


def test_what_never_ends_is_not_read_to_its_end() -> None:
    with pytest.raises(AnswerError) as caught:
        SavedAnswer("/dev/zero").fetch(Deadline(10))
    assert str(caught.value) == TOO_LARGE


@pytest.mark.skipif(os.name == "nt", reason="Windows has other errors for some of them")
@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("No such file or directory", "status.json"),
        ("Not a directory", "file/status.json"),
        ("Is a directory", "."),
        ("File name too long", "x" * 256),
        ("embedded null byte", "status\0.json"),
    ],
)
def test_unreadable_file(reason: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = f"{tmp_path}/{name}"
    with pytest.raises(UsageError) as caught:
        SavedAnswer(path).fetch(Deadline(10))
    assert str(caught.value) == f"reading {path}: {reason}"


def test_closed_standard_input() -> None:
    kept = os.dup(0)
    os.close(0)
    try:
        with pytest.raises(UsageError) as caught:
            SavedAnswer("-").fetch(Deadline(10))
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    assert str(caught.value) == "reading standard input: Bad file descriptor"


def test_standard_input_that_never_ends_does_not_keep_the_process() -> None:
    def ask(seconds: int) -> tuple[int, str, str]:
        command = [
            sys.executable,
            "-m",
            "check_cqd_integration",
            "--input",
            "-",
            "-t",
            str(seconds),
        ]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout
            assert process.stderr
            code = process.wait(30)
            return code, process.stdout.read().decode(), process.stderr.read().decode()

    line = "CQD UNKNOWN - reading standard input: no answer within 1s (-t)\n"
    code, out, err = once_in_time(ask, lambda done: done[1], lambda _: [line])
    assert (code, within_1s(out), err) == (3, line, "")


def test_nothing_goes_over_the_wire() -> None:
    assert SavedAnswer("-").exchange() == []

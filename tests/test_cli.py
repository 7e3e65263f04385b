"""The entry point: exit codes, standard output and standard error, whatever happens."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import runpy
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from expected import AT_DOCUMENTED_MOMENT, DOCUMENTED_LINE, REPLAY, Run

from check_cqd_integration import __version__, check, cli, options
from check_cqd_integration.cli import main

PLUGIN = (sys.executable, "-m", "check_cqd_integration")


def plugin(*options: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PLUGIN, *map(str, options)],
        env=environment or None,
        capture_output=True,
        text=True,
        check=False,
    )


def result(process: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return process.returncode, process.stdout, process.stderr


def test_documented_answer_as_a_process(sample: Path) -> None:
    assert result(plugin(*REPLAY, sample)) == (2, DOCUMENTED_LINE, "")


def test_console_script(sample: Path) -> None:
    script = Path(sys.executable).with_name("check_cqd_integration")
    process = subprocess.run([script, *REPLAY, sample], capture_output=True, text=True, check=False)
    assert result(process) == (2, DOCUMENTED_LINE, "")


def test_documented_answer_from_standard_input(sample: Path) -> None:
    with sample.open("rb") as file:
        process = subprocess.run(
            [*PLUGIN, *REPLAY, "-"], stdin=file, capture_output=True, text=True, check=False
        )
    assert result(process) == (2, DOCUMENTED_LINE, "")


def test_version_is_unknown(run: Run) -> None:
    assert run("--version") == (3, f"check_cqd_integration {__version__}\n")


def test_usage_error_is_unknown(run: Run) -> None:
    assert run("--no-such-option") == (
        3,
        "CQD UNKNOWN - unknown option --no-such-option (see --help)\n",
    )


def test_help_is_unknown(run: Run) -> None:
    code, out = run("-h")
    assert code == 3
    assert out.startswith(
        "usage: check_cqd_integration (-H HOST | -u URL | --input FILE) [OPTION]...\n\n"
    )


def test_first_line_is_the_same_at_every_verbosity(run: Run, sample: Path) -> None:
    for verbosity in ("-v", "-vv", "-vvv"):
        code, out = run(*REPLAY, str(sample), verbosity)
        assert code == 2
        assert out.startswith(DOCUMENTED_LINE)
        assert "|" not in out[len(DOCUMENTED_LINE) :]


@pytest.mark.parametrize(
    ("package", "option"),
    [
        ("nagiosplugin", "--version"),
        ("requests", "--hostname=localhost"),
        ("tzlocal", "--timezone=W. Europe Standard Time"),
    ],
)
def test_unknown_without_a_package(tmp_path: Path, package: str, option: str) -> None:
    (tmp_path / f"{package}.py").write_text(
        f"raise ModuleNotFoundError('No module', name='{package}')"
    )
    assert result(plugin(option, PYTHONPATH=str(tmp_path))) == (
        3,
        f"CQD UNKNOWN - the Python package {package} is missing or broken; install the plugin "
        "again, or run it with the Python that it was installed for\n",
        "",
    )


def _miss(*_: object) -> None:
    raise ImportError("No module", name="urllib3")


def test_unknown_if_a_package_of_a_package_is_missing(
    run: Run, monkeypatch: pytest.MonkeyPatch, sample: Path
) -> None:
    monkeypatch.setattr(check, "run", _miss)
    assert run("--input", str(sample)) == (
        3,
        "CQD UNKNOWN - the Python package urllib3 is missing or broken; install the plugin again, "
        "or run it with the Python that it was installed for\n",
    )


def test_unknown_without_standard_output(monkeypatch: pytest.MonkeyPatch, sample: Path) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main([*REPLAY, str(sample)]) == 3


def test_unknown_if_what_was_printed_before_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, sample: Path
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        full.write("by who calls main")
        monkeypatch.setattr(sys, "stdout", full)
        assert main([*REPLAY, str(sample)]) == 3


def test_interruption_before_any_signal_is_ours_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_handlers = cli._at_ending
    set_up: list[object] = []

    def interrupted_at_first(handlers: Iterable[Any]) -> list[Any]:
        set_up.append(handlers)
        if len(set_up) == 1:
            raise KeyboardInterrupt
        return set_handlers(handlers)

    monkeypatch.setattr(cli, "_at_ending", interrupted_at_first)
    assert main(["--version"]) == 3
    assert capsys.readouterr() == ("CQD UNKNOWN - interrupted\n", "")


def test_signal_before_anything_is_done_is_told(
    monkeypatch: pytest.MonkeyPatch, sample: Path
) -> None:
    class Output(io.TextIOWrapper):
        def reconfigure(self, **_: object) -> None:
            signal.raise_signal(signal.SIGTERM)

    written = io.BytesIO()
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "stdout", Output(written))
    assert main([*REPLAY, str(sample)]) == 3
    assert written.getvalue() == b"CQD UNKNOWN - interrupted\n"
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("problem", ["closed", "no-descriptor"])
def test_unknown_if_standard_output_cannot_even_be_replaced(
    monkeypatch: pytest.MonkeyPatch, sample: Path, problem: str
) -> None:
    def refused(*_: object) -> int:
        raise OSError("too many open files")

    monkeypatch.setattr(check, "run", lambda _: (0, ["CQD OK - fine"]))
    reader, writer = os.pipe()
    os.close(reader)
    output = os.fdopen(writer, "w", encoding="utf-8")
    if problem == "closed":
        output.close()
    else:
        monkeypatch.setattr(os, "open", refused)
    monkeypatch.setattr(sys, "stdout", output)
    assert main(["--input", str(sample)]) == 3
    with contextlib.suppress(OSError):  # what was not written
        output.close()


def test_what_a_library_says_to_standard_error_is_dropped(
    run: Run, monkeypatch: pytest.MonkeyPatch, sample: Path
) -> None:
    def say(_: object) -> tuple[int, list[str]]:
        sys.stderr.write("deprecated")
        return 0, ["CQD OK - fine"]

    monkeypatch.setattr(check, "run", say)
    assert run("--input", str(sample)) == (0, "CQD OK - fine\n")


def test_module(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, sample: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["check_cqd_integration", *REPLAY, str(sample)])
    for path in (sys.path, [os.getcwd(), *sys.path]):
        monkeypatch.setattr(sys, "path", list(path))
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("check_cqd_integration", run_name="__main__")
        assert (ended.value.code, capsys.readouterr().out) == (2, DOCUMENTED_LINE)


def test_current_directory_that_was_removed(tmp_path: Path, sample: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    process = subprocess.run(
        [*PLUGIN, *REPLAY, sample],
        cwd=gone,
        preexec_fn=gone.rmdir,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result(process) == (2, DOCUMENTED_LINE, "")


def _fail(*_: object) -> None:
    password = "".join(["hunter", "2"])
    raise ZeroDivisionError(password)  # and a | bar


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


BUG_LINE = "CQD UNKNOWN - this is a bug: ZeroDivisionError; -vvv shows where, please report it\n"


def test_unknown_for_a_bug(run: Run, monkeypatch: pytest.MonkeyPatch, sample: Path) -> None:
    monkeypatch.setattr(check, "run", _fail)
    assert run("--input", str(sample), "-vv") == (3, BUG_LINE)
    assert run("--input", str(sample), "-v", "--verbose") == (3, BUG_LINE)


def test_bug_of_the_parser(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "parse", _fail)
    assert run("-vXX", "-XXX") == (3, BUG_LINE)
    assert run("-vvv")[1].startswith(BUG_LINE + "  File ")


def test_traceback_of_a_bug_with_vvv(
    run: Run, monkeypatch: pytest.MonkeyPatch, sample: Path
) -> None:
    monkeypatch.setattr(check, "run", _fail)
    code, out = run("--input", str(sample), "-vv", "--verbose")
    assert code == 3
    assert out.startswith(BUG_LINE + "  File ")
    assert "raise ZeroDivisionError(" in out
    assert all(line.startswith("  ") for line in out.splitlines()[1:])
    assert not any(hidden in out for hidden in ("|", "hunter2"))


def test_unknown_without_memory(run: Run, monkeypatch: pytest.MonkeyPatch, sample: Path) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(check, "run", fail)
    line = "CQD UNKNOWN - this host has no memory left for the check\n"
    assert run("--input", str(sample), "-vvv") == (3, line)


def test_unknown_if_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch, sample: Path) -> None:
    monkeypatch.setattr(check, "run", _interrupt)
    assert run("--input", str(sample)) == (3, "CQD UNKNOWN - interrupted\n")


@pytest.mark.parametrize(
    "options",
    [["--version"], ["--no-such-option"], [*REPLAY, "FILE"]],
    ids=["version", "usage", "input"],
)
def test_only_the_network_pays_for_requests(sample: Path, options: list[str]) -> None:
    options = [str(sample) if option == "FILE" else option for option in options]
    script = textwrap.dedent(
        f"""
        import sys
        from check_cqd_integration.cli import main
        main({options!r})
        sys.exit("requests" in sys.modules or "ssl" in sys.modules)
        """
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert process.returncode == 0


@pytest.mark.parametrize(("is_left", "told"), [(True, ""), (False, "the end of Python\n")])
def test_end_of_python_does_not_meet_a_thread_that_was_left(
    sample: Path, is_left: bool, told: str
) -> None:
    """It may crash over one, or wait for it for ever."""
    script = textwrap.dedent(
        f"""
        import atexit, sys, threading
        from check_cqd_integration.cli import main
        atexit.register(print, "the end of Python")
        if {is_left}:
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        sys.exit(main())
        """
    )
    command = [sys.executable, "-c", script, *REPLAY, str(sample)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result(process) == (2, DOCUMENTED_LINE + told, "")


@pytest.mark.parametrize(
    ("threads", "can_print", "ends"), [(1, True, []), (2, True, [2]), (2, False, [3])]
)
def test_process_is_ended_at_once_if_there_is_another_thread(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sample: Path,
    threads: int,
    can_print: bool,
    ends: list[int],
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(threading, "active_count", lambda: threads)
    monkeypatch.setattr(sys, "argv", ["check_cqd_integration", *REPLAY, str(sample)])
    if not can_print:
        monkeypatch.setattr(sys, "stdout", None)
    before = [signal.getsignal(number) for number in cli._ENDING]
    try:
        assert main() == (2 if can_print else 3)
    finally:
        for number, handler in zip(cli._ENDING, before):
            signal.signal(number, handler)
    assert capsys.readouterr() == (DOCUMENTED_LINE if can_print else "", "")
    assert ended == ends


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("module", "name"), [(check, "run"), (cli, "_run")])
def test_unknown_if_ended_by_a_signal(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    sample: Path,
    number: signal.Signals,
    module: object,
    name: str,
) -> None:
    """While it checks, and when it is about to tell."""

    def handler(*_: object) -> None:
        """What the caller does at this signal."""

    monkeypatch.setattr(module, name, lambda _: signal.raise_signal(number))
    before = signal.signal(number, handler)
    try:
        assert run("--input", str(sample)) == (3, "CQD UNKNOWN - interrupted\n")
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_changes_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, sample: Path, number: signal.Signals
) -> None:
    def end(_: object) -> None:
        try:
            signal.raise_signal(number)
        finally:  # what is being closed meanwhile is closed undisturbed
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            closed.append(True)

    closed: list[bool] = []
    monkeypatch.setattr(check, "run", end)
    assert run("--input", str(sample)) == (3, "CQD UNKNOWN - interrupted\n")
    assert closed == [True]


def test_signal_of_windows_is_handled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-Break, and the end of a session: here by another number."""
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    try:
        assert signal.SIGUSR1 in importlib.reload(cli)._ENDING
    finally:
        monkeypatch.undo()
        importlib.reload(cli)


@pytest.mark.parametrize("option", ["--input", "--version"])
def test_lines_end_in_a_line_feed_where_python_writes_two_characters(
    monkeypatch: pytest.MonkeyPatch, sample: Path, option: str
) -> None:
    """As it does on Windows."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, "ascii", newline="\r\n")
    monkeypatch.setattr(sys, "stdout", stream)
    main([option, str(sample), *AT_DOCUMENTED_MOMENT] if option == "--input" else [option])
    expected = DOCUMENTED_LINE if option == "--input" else f"check_cqd_integration {__version__}\n"
    assert written.getvalue().decode() == expected


class Interrupting(io.StringIO):
    """A standard output at which a signal comes in the middle of what is written."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        signal.raise_signal(self.number)
        return super().write(text)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_printing_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, sample: Path, number: signal.Signals
) -> None:
    stream = Interrupting(number)
    monkeypatch.setattr(sys, "stdout", stream)
    try:
        code = main([*REPLAY, str(sample)])
    except KeyboardInterrupt:  # it would end pytest as well
        code = -1
    assert (code, stream.getvalue()) == (2, DOCUMENTED_LINE)


def test_signals_are_left_alone_in_another_thread(
    capsys: pytest.CaptureFixture[str], sample: Path
) -> None:
    with ThreadPoolExecutor() as pool:
        assert pool.submit(main, [*REPLAY, str(sample)]).result() == 2
    assert capsys.readouterr().out == DOCUMENTED_LINE

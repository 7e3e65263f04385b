"""The entry point: whatever happens, one clean answer and an exit code of 0 to 3.

Nothing but the standard library is imported on top: a package that is missing must end as
UNKNOWN, not as Python's exit code 1, which is WARNING.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, NoReturn

from .errors import PluginError
from .report import clean, first_line

_UNKNOWN = 3
_ENDING = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)  # Windows has no SIGHUP, only Windows has SIGBREAK
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check of this command line, print what it found, return its exit code.

    The exit code is 3 as well for help and version, and if the text could not be written. Without
    ``argv`` this is the last act of the process: if a thread was left, it ends here.
    Standard error stays empty, whatever a library has to say: Icinga puts it before the output.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    before: list[Any] = []
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            before = _at_ending(repeat(_interrupt))
            _keep_line_ends()
            code, lines = _run(arguments)
            _at_ending(repeat(signal.SIG_IGN))  # what was found is told
        except KeyboardInterrupt:
            code, lines = _unknown("interrupted")
        printed = _print(lines)
    code = code if printed else _UNKNOWN
    if argv is not None:
        _at_ending(before)
    elif threading.active_count() > 1:
        # Over a thread that was left Python's own end may crash, or wait for it for ever: CPython's
        # issues 87135 and 96387.
        os._exit(code)
    return code


class _Interrupted(KeyboardInterrupt):
    """One that Python lets us handle: after a plain one in an ``eval``, ``-m`` exits with 130."""


def _interrupt(*_: object) -> NoReturn:
    """Let who ends the check, as Icinga does or a terminal that closes, be told how far it came."""
    _at_ending(repeat(signal.SIG_IGN))
    raise _Interrupted


def _at_ending(handlers: Iterable[Any]) -> list[Any]:
    """Set what each signal that ends a check does, return what it did; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [signal.signal(number, handler) for number, handler in zip(_ENDING, handlers)]


def _run(arguments: Sequence[str]) -> tuple[int, list[str]]:
    try:
        return _check(arguments)
    except SystemExit:  # argparse, after it printed help or version
        return _UNKNOWN, []
    except PluginError as error:
        return _unknown(str(error))
    except ImportError as error:
        return _unknown(
            f"the Python package {error.name} is missing or broken; install the plugin again, or "
            "run it with the Python that it was installed for"
        )
    except KeyboardInterrupt:
        raise
    except MemoryError:
        return _unknown("this host has no memory left for the check")
    except BaseException as error:  # a bug of ours
        code, lines = _unknown(
            f"this is a bug: {type(error).__name__}; -vvv shows where, please report it"
        )
        if _wants_everything(arguments):
            # Without the text of the error, which may hold a secret.
            frames = "".join(traceback.format_tb(error.__traceback__))
            lines += map(clean, frames.splitlines())
        return code, lines


def _unknown(text: str) -> tuple[int, list[str]]:
    return _UNKNOWN, [first_line("unknown", text, [])]


def _wants_everything(arguments: Sequence[str]) -> bool:
    """Tell whether -vvv was given, without the parser, which may be what is broken."""
    short = sum(len(word) - 1 for word in arguments if word.strip("v") == "-")
    return short + arguments.count("--verbose") >= 3


def _check(arguments: Sequence[str]) -> tuple[int, list[str]]:
    from . import options  # here, so that a missing nagiosplugin is met in _run

    parsed = options.parse(arguments)
    from . import check  # here, so that only a check pays for it

    return check.run(parsed)


def _keep_line_ends() -> None:
    """Let a line end in a line feed on Windows, too.

    Icinga's agent takes it as it takes Windows' own. NSClient++ hands on what is between the lines,
    so that a carriage return would come as far as Nagios.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        with contextlib.suppress(OSError, ValueError):  # it is full, or it was closed
            sys.stdout.reconfigure(newline="\n")


def _print(lines: Sequence[str]) -> bool:
    """Write the lines to standard output; tell whether that succeeded."""
    try:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):  # there is none, it is full, or it was closed
        with contextlib.suppress(AttributeError, OSError, ValueError):
            # So that the interpreter's own flush at exit cannot fail and change the exit code.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True

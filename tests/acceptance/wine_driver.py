"""Starts processes of Windows, and tells what came of them: `wine_lab.py` runs it under Wine.

What is started from outside Windows has pipes for its standard streams, for a CPython under Wine 8
starts with nothing else, and its exit code has been through Wine, which once made 0 of a crash. So
this is started from outside, once, and starts the others: their streams may be anything, and their
exit codes are those that Windows' own programs see.

A line of standard input is a request, a line of standard output an answer; both are JSON. Answers
come in any order.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from typing import Any

_lock = threading.Lock()


def started(request: dict[str, Any]) -> dict[str, Any]:
    """Run a command to its end, or for the seconds of ``patience``: then its code is None.

    ``stdin`` is what it reads from a pipe, ``environment`` what differs from this process's own,
    None being not set. ``stdout`` is what its output goes to: a "pipe", a "file", "nul", or a pipe
    that nobody "reads".
    """
    environment = {**os.environ, **request["environment"]}
    given = {name: value for name, value in environment.items() if value is not None}
    with tempfile.TemporaryFile() as file:
        output: Any = {"file": file, "nul": subprocess.DEVNULL}.get(
            request["stdout"], subprocess.PIPE
        )
        if request["stdout"] == "unread":
            reader, output = os.pipe()
            os.close(reader)
        process = subprocess.Popen(
            [sys.executable if word == "python" else word for word in request["command"]],
            env=given,
            cwd=request["cwd"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.PIPE,
        )
        if request["stdout"] == "unread":
            os.close(output)
        code: int | None
        try:
            out, errors = process.communicate(request["stdin"].encode(), request["patience"])
            code = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            out, errors = process.communicate()
            code = None
        if request["stdout"] == "file":
            file.seek(0)
            out = file.read()
    return {
        "code": code,
        "out": (out or b"").decode("utf-8", "backslashreplace"),
        "errors": errors.decode("utf-8", "backslashreplace"),
    }


def answer(request: dict[str, Any]) -> None:
    try:
        told = started(request)
    except Exception:
        told = {"code": None, "out": "", "errors": traceback.format_exc()}
    line = json.dumps({"number": request["number"], **told})
    with _lock:
        print(line, flush=True)


if __name__ == "__main__":
    print(json.dumps({"number": -1, "code": 0, "out": sys.version, "errors": ""}), flush=True)
    for each in sys.stdin:
        threading.Thread(target=answer, args=(json.loads(each),), daemon=True).start()

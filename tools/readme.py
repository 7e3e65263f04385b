"""Keep README.md true: its table of options, and the output of its examples.

    python tools/readme.py

rewrites both from the plugin itself; test_readme.py fails if that would change anything.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

from check_cqd_integration.cli import main
from check_cqd_integration.options import build_parser

README = Path(__file__).parent.parent / "README.md"
_OPTIONS = re.compile(r"(?<=<!-- options -->\n).*?(?=<!-- /options -->)", re.DOTALL)
_EXAMPLE = re.compile(
    r"(?P<command>^(?:\$ |<!-- )check_cqd_integration (?P<options>[^\n]*--input [^\n]*?)"
    r"(?: -->\n```)?\n)(?P<output>[^`]*?)(?=```)",
    re.MULTILINE,
)


def rendered(text: str) -> str:
    """Return the text of the README as it should be."""
    return _EXAMPLE.sub(_example, _OPTIONS.sub(lambda _: _options(), text))


def _options() -> str:
    rows = ["| option | meaning |", "|---|---|"]
    for action in build_parser()._actions:
        names = ", ".join(action.option_strings)
        value = f" {action.metavar}" if action.metavar else ""
        meaning = re.sub(r"([|<>\\])", r"\\\1", action.help or "")
        rows.append(f"| `{names}{value}` | {meaning} |")
    return "\n".join(rows) + "\n"


def _example(match: re.Match[str]) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = main(shlex.split(match["options"]))
    shown = f"exit code {code}\n" if "exit code" in match["output"] else ""
    return match["command"] + output.getvalue() + shown


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")

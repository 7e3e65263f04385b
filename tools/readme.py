"""The parts of README.md and docs/ that the plugin itself writes: options, and output of examples.

An example asks a saved answer, or one of the portals below, at a moment when it had that answer.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from datetime import datetime, timezone
from pathlib import Path

from expected import DOCUMENTED_MOMENT, SIMULATED_MOMENT, masked
from portal_simulator import STATUS_PATH, PortalSimulator

from check_cqd_integration.cli import main
from check_cqd_integration.options import build_parser

README = Path(__file__).parent.parent / "README.md"
DOCS = README.parent / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
"""The front page and the manual."""
PYPI = README.parent / "packages" / "pypi.md"
"""The front page as PyPI shows it, where neither pictures nor other pages are."""
_LINK = re.compile(r"(?<!!)\[([^]]*)\]\(([^)]*)\)")
_OPTIONS = re.compile(r"(?<=<!-- options -->\n).*?(?=<!-- /options -->)", re.DOTALL)
_SIMULATED = "--hostname 127.0.0.1 --http --port 8080 -v"
_DOCUMENTED = "--hostname portal.example.com -v"
EXAMPLE = re.compile(
    r"(?P<command>^(?:\$ |<!-- )check_cqd_integration "
    rf"(?P<options>[^\n]*--input [^\n]*?|{_SIMULATED}|{_DOCUMENTED})"
    r"(?: -->\n```)?\n)(?P<output>[^`]*?)(?=```)",
    re.MULTILINE,
)


def rendered(text: str) -> str:
    """Return the text of a page as it should be."""
    return EXAMPLE.sub(_example, _OPTIONS.sub(lambda _: _options(), text))


def for_pypi(text: str) -> str:
    """Return the text of the front page without pictures, and with names in place of links."""
    return _LINK.sub(_name, re.sub(r"^!\[.*\n\n", "", text, flags=re.MULTILINE))


def _name(match: re.Match[str]) -> str:
    name, path = match[1], match[2].partition("#")[0]
    return name if path in ("", name) else f"{name} ({path})"


def _options() -> str:
    rows = ["| option | meaning |", "|---|---|"]
    for action in build_parser()._actions:
        names = ", ".join(action.option_strings)
        value = f" {action.metavar}" if action.metavar else ""
        meaning = re.sub(r"([|<>\\])", r"\\\1", action.help or "")
        rows.append(f"| `{names}{value}` | {meaning} |")
    return "\n".join(rows) + "\n"


def _example(match: re.Match[str]) -> str:
    if match["options"] == _SIMULATED:
        code, output = _asked("healthy", SIMULATED_MOMENT)
    elif match["options"] == _DOCUMENTED:
        code, output = _asked("documented", DOCUMENTED_MOMENT)
    else:
        words = shlex.split(match["options"])
        file = words.index("--input") + 1
        words[file] = str(README.parent / words[file])
        code, output = _run(*words)
    shown = f"exit code {code}\n" if "exit code" in match["output"] else ""
    return match["command"] + output + shown


def _asked(scenario: str, moment: datetime) -> tuple[int, str]:
    with PortalSimulator(scenario, clock=lambda: moment, zone=timezone.utc) as portal:
        url = portal.url + STATUS_PATH
        return _run("--url", url, "-v", "--now", moment.isoformat(), "--timezone", "UTC")


def _run(*options: str) -> tuple[int, str]:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = main(options)
    if "this is a bug" in output.getvalue():
        raise RuntimeError(output.getvalue())  # no example of anything
    return code, masked(output.getvalue())

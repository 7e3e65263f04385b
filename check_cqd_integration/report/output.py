"""The last gate before standard output: what the plugin API allows, whatever the text holds.

After the Monitoring Plugins development guidelines, and what Icinga and Nagios make of the
forbidden characters: a bar starts performance data, ``<`` turns Icinga Web's view into HTML, and a
state in brackets becomes a coloured dot there.
"""

from __future__ import annotations

import re

MAX_TEXT = 200
"""Characters before the bar, so that a text message still shows the problem."""

_ALLOWED = {code: chr(code) for code in range(0x20, 0x7F)} | {
    ord("|"): "/",
    ord("<"): "(",
    ord(">"): ")",
}
_DOT = re.compile(r"(?!\A\[)[\[(](OK|WARNING|CRITICAL|UNKNOWN|UP|DOWN|PENDING)[\])]")
"""What Icinga Web draws as a dot, unless it begins a line: there it is the plugin's own word."""


def clean(text: str) -> str:
    """Return the text in printable ASCII without bars and angle brackets, ``?`` for the rest.

    ``[OK]`` and its like become ``{OK}``, but for one at the beginning: no text of the portal may
    stand there.
    """
    printable = "".join(_ALLOWED.get(ord(character), "?") for character in text)
    return _DOT.sub(r"{\1}", printable)


def first_line(state: str, text: str, perfdata: list[str]) -> str:
    """Return the line that Nagios and Icinga read: state, text of a limited length, perfdata."""
    line = clean(f"CQD {state.upper()} - {text}")
    if len(line) > MAX_TEXT:
        line = line[: MAX_TEXT - 3] + "..."
    return " | ".join([line, " ".join(perfdata)]) if perfdata else line

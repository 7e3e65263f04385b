"""`make man`: write the manual page, from the table of options and the text that lies beside.

    python tools/man.py FILE

The page says how old it is: SOURCE_DATE_EPOCH, else now.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from check_cqd_integration import __version__
from check_cqd_integration.options import build_parser

TEXT = Path(__file__).with_name("check_cqd_integration.1.in")
_ESCAPES = {"\\": r"\e", "-": r"\-", "~": r"\(ti", "^": r"\(ha", "'": r"\(aq", ".": r"\&."}


def page() -> str:
    """Return the page in the language of man(7)."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    date = time.strftime("%Y-%m-%d", time.gmtime(seconds))
    text = TEXT.read_text(encoding="utf-8").partition("\n")[2]  # without the comment on top
    text = text.replace("@DATE@", date).replace("@VERSION@", __version__)
    return text.replace("@OPTIONS@", "\n".join(_options()))


def _options() -> Iterator[str]:
    for group in build_parser()._action_groups:
        if group._group_actions:
            yield f".SS {str(group.title).capitalize()}"
        for action in group._group_actions:
            yield ".TP"
            yield _usage(action)
            yield from wrap(_escaped(action.help or ""), 78, break_on_hyphens=False)


def _usage(action: argparse.Action) -> str:
    names = ", ".join(rf"\fB{_escaped(name)}\fR" for name in action.option_strings)
    return rf"{names} \fI{_escaped(str(action.metavar))}\fR" if action.metavar else names


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(), encoding="utf-8")

"""The arguments of the CheckCommand for Icinga, from the plugin's table of options.

The rest of the file is written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from director_basket import DASHES, Option, options

COMMAND_FILE = Path(__file__).parents[1] / "contrib" / "icinga" / "cqd_integration.conf"
_ARGUMENTS = re.compile(r"(?<=^\targuments = \{\n).*?(?=^\t\}\n)", re.MULTILINE | re.DOTALL)


def rendered(text: str) -> str:
    """Return the text of cqd_integration.conf as it should be."""
    return _ARGUMENTS.sub(lambda _: "".join(map(_argument, options())), text)


def _argument(option: Option) -> str:
    settings = "".join(f"\t\t\t{name} = {value}\n" for name, value in _settings(option))
    return f'\t\t"--{option.name}" = {{\n{settings}\t\t}}\n'


def _settings(option: Option) -> Iterator[tuple[str, str]]:
    yield "set_if" if option.action.nargs == 0 else "value", f'"${option.variable}$"'
    if option.name == "verbose":
        yield "value", f"{{{{ {DASHES} }}}}"
        yield "skip_key", "true"
    yield "description", json.dumps(option.action.help, ensure_ascii=False)

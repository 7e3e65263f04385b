"""`make completion`: write what completes the command line in bash, zsh and fish.

    python tools/completion.py DIRECTORY

shtab makes it of the table of options. Nothing of it runs in a check.
"""

from __future__ import annotations

import sys
from pathlib import Path

import shtab

from check_cqd_integration.options import WORDS, build_parser

FILES = {
    "bash": "check_cqd_integration",
    "zsh": "_check_cqd_integration",
    "fish": "check_cqd_integration.fish",
}
"""What each shell looks for."""
_LISTED = "awk '!/^#/ { print $3 }'"
ZONES = {"bash": "_cqd_zones", "zsh": "_cqd_zones", "fish": "(_cqd_zones)"}
"""What each calls to complete a time zone: names are those of the host, which knows them best."""
_FUNCTIONS = {
    "bash": f"""
_cqd_zones() {{
  local table="${{TZDIR:-/usr/share/zoneinfo}}/zone.tab"
  compgen -W "local UTC $({_LISTED} "$table" 2>/dev/null)" -- "$1"
}}
""",
    "zsh": f"""
_cqd_zones() {{
  local table="${{TZDIR:-/usr/share/zoneinfo}}/zone.tab"
  local -a zones
  zones=(local UTC ${{(f)"$({_LISTED} "$table" 2>/dev/null)"}})
  compadd -a zones
}}
""",
    "fish": f"""
function _cqd_zones
  set -q TZDIR; or set -l TZDIR /usr/share/zoneinfo
  printf '%s\\n' local UTC
  {_LISTED} "$TZDIR/zone.tab" 2>/dev/null
end
""",
}


def script(shell: str) -> str:
    """Return the completion for a shell."""
    parser = build_parser()
    for action in parser._actions:
        if action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        if action.metavar == "DIR":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        if action.metavar == "ZONE":
            action.complete = ZONES  # type: ignore[attr-defined]
        action.choices = WORDS.get(str(action.metavar))
    return shtab.complete(parser, shell, preamble=_FUNCTIONS[shell]).rstrip() + "\n"


if __name__ == "__main__":
    for shell, name in FILES.items():
        target = Path(sys.argv[1], shell, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(script(shell), encoding="utf-8")

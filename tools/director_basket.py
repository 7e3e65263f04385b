"""The basket for Icinga Director, from the plugin's table of options.

It holds the command, a data field for each option, and a template for hosts and one for
services. A password is given by file only: the Director cannot set an environment variable.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from check_cqd_integration.options import WORDS, build_parser

BASKET = Path(__file__).parents[1] / "contrib" / "icinga" / "director-basket.json"
COMMAND = "cqd_integration"
_WITHOUT_ARGUMENT = ("version", "help")
_PORTAL_OPTIONS = ("hostname", "port", "http", "url")
_PORTAL_GROUPS = ("time", "login", "network")
"""What describes a portal may be set on its host; all its services inherit that."""
_CAPTIONS = {
    "hostname": "Portal host",  # the form of a host has a field Hostname already
    "http": "Plain HTTP",
    "url": "URL",
    "input": "Saved answer",
    "warning": "Age warning",
    "critical": "Age critical",
    "auth": "Login scheme",
    "ca-file": "CA file",
    "state-dir": "State directory",
}
_DESCRIPTIONS = {
    "password-file": "its first line is the password; not to be read by everybody",
    "verbose": "0: the line; 1: the stages; 2: all timestamps; 3: what went over the wire",
}
DASHES = f'[ "", "-v", "-vv", "-vvv" ][Math.min(3, number(macro("${COMMAND}_verbose$")))]'
"""The number of --verbose as an argument, in Icinga's language."""


@dataclass(frozen=True)
class Option:
    """One option of the plugin; its name is the long one, without dashes."""

    name: str
    group: str
    action: argparse.Action

    @property
    def variable(self) -> str:
        return f"{COMMAND}_{self.name.replace('-', '_')}"

    @property
    def category(self) -> str:
        return f"CQD: {self.group}"

    def belongs_to_portal(self) -> bool:
        return self.name in _PORTAL_OPTIONS or self.group in _PORTAL_GROUPS

    def argument(self) -> dict[str, Any]:
        if self.name == "verbose":
            return {
                "set_if": f"${self.variable}$",
                "value": {"type": "Function", "body": DASHES},
                "skip_key": True,
                "description": self.action.help,
            }
        key = "set_if" if self.action.nargs == 0 else "value"
        return {key: f"${self.variable}$", "description": self.action.help}

    def field(self) -> dict[str, Any]:
        kind, settings = self._type()
        return {
            "varname": self.variable,
            "caption": _CAPTIONS.get(self.name, self.name.replace("-", " ").capitalize()),
            "description": _DESCRIPTIONS.get(self.name, self.action.help),
            "datatype": f"Icinga\\Module\\Director\\DataType\\DataType{kind}",
            "format": None,
            "settings": settings,
            "category": self.category,
        }

    def _type(self) -> tuple[str, dict[str, str]]:
        if self.name == "verbose":
            return "Number", {}
        if self.action.nargs == 0:
            return "Boolean", {}
        if self.action.metavar in WORDS:
            datalist = _list_name(str(self.action.metavar))
            return "Datalist", {"datalist": datalist, "data_type": "string", "behavior": "strict"}
        return "String", {}


def options() -> Iterator[Option]:
    """Yield all options that a check can have."""
    for group in build_parser()._action_groups:
        for action in group._group_actions:
            name = action.option_strings[-1].lstrip("-")
            if name not in _WITHOUT_ARGUMENT:
                yield Option(name, str(group.title), action)


def basket() -> dict[str, Any]:
    """Return the basket as the Director exports one, but without ids of an installation."""
    known = dict(enumerate(options(), start=1))
    return {
        "DataList": {_list_name(kind): _data_list(kind) for kind in WORDS},
        "DatafieldCategory": {
            option.category: {"category_name": option.category, "description": None}
            for option in known.values()
        },
        "Datafield": {str(number): option.field() for number, option in known.items()},
        "Command": {
            COMMAND: {
                "object_name": COMMAND,
                "object_type": "object",
                "methods_execute": "PluginCheck",
                "command": "PluginContribDir + /check_cqd_integration",
                "timeout": "60",
                "arguments": {f"--{option.name}": option.argument() for option in known.values()},
                "vars": {f"{COMMAND}_verbose": 0},
                "fields": [_reference(number) for number in known],
            }
        },
        "HostTemplate": {
            "CQD portal": {
                "object_name": "CQD portal",
                "object_type": "template",
                "check_command": "hostalive",
                "check_interval": "60",
                "retry_interval": "30",
                "max_check_attempts": "3",
                "fields": [
                    _reference(number)
                    for number, option in known.items()
                    if option.belongs_to_portal()
                ],
            }
        },
        "ServiceTemplate": {
            # The pipeline runs every 15 minutes. A refused login is not tried at each check.
            "CQD integration": {
                "object_name": "CQD integration",
                "object_type": "template",
                "check_command": COMMAND,
                "check_interval": "600",
                "retry_interval": "300",
                "max_check_attempts": "2",
                "vars": {f"{COMMAND}_verbose": 1},
                "fields": [],
            },
        },
    }


def rendered() -> str:
    """Return the text of director-basket.json as it should be."""
    return json.dumps(basket(), indent=2) + "\n"


def _list_name(kind: str) -> str:
    return f"CQD {kind.lower()}"


def _data_list(kind: str) -> dict[str, Any]:
    return {
        "list_name": _list_name(kind),
        "owner": "director",
        "entries": [
            {"entry_name": word, "entry_value": word, "format": "string", "allowed_roles": None}
            for word in WORDS[kind]
        ],
    }


def _reference(number: int) -> dict[str, Any]:
    return {"datafield_id": number, "is_required": "n", "var_filter": None}

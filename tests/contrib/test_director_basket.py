"""The basket for Icinga Director holds every option, and nothing of an installation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from director_basket import COMMAND, options, rendered

from check_cqd_integration.errors import UsageError
from check_cqd_integration.options import WORDS, build_parser


@pytest.fixture(scope="module")
def basket() -> Any:
    return json.loads(rendered())


def test_every_option_is_an_argument_with_a_field(basket: Any) -> None:
    names = {action.option_strings[-1] for action in build_parser()._actions}
    command = basket["Command"][COMMAND]
    assert set(command["arguments"]) == names - {"--version", "--help"}
    variables = [
        basket["Datafield"][str(field["datafield_id"])]["varname"] for field in command["fields"]
    ]
    for variable, (option, argument) in zip(variables, command["arguments"].items()):
        assert variable == f"{COMMAND}_{option[2:].replace('-', '_')}"
        assert f"${variable}$" in json.dumps(argument)
    assert len(variables) == len(command["arguments"])


def test_every_text_is_there(basket: Any) -> None:
    for field in basket["Datafield"].values():
        assert field["caption"]
        assert field["description"]
        assert field["category"] in basket["DatafieldCategory"]


def test_lists_hold_all_words_that_the_plugin_takes() -> None:
    kinds = {option.name: option.action.metavar for option in options()}
    for name, kind in kinds.items():
        if kind in WORDS:
            with pytest.raises(UsageError, match=f"not one of {', '.join(WORDS[str(kind)])} "):
                build_parser().parse_known_args([f"--{name}", "another"])
    assert set(WORDS) < set(kinds.values())


def test_no_template_holds_a_credential_or_an_id_of_an_installation(basket: Any) -> None:
    for kind in ("HostTemplate", "ServiceTemplate"):
        for template in basket[kind].values():
            assert set(template.get("vars", {})) <= {"cqd_integration_verbose"}
    text = json.dumps(basket)
    assert "uuid" not in text
    assert "originalId" not in text


def test_switches_are_switches_and_the_portal_is_described_on_its_host(basket: Any) -> None:
    command = basket["Command"][COMMAND]
    fields = {field["varname"]: field for field in basket["Datafield"].values()}
    for option in options():
        if option.action.nargs == 0 and option.name != "verbose":
            argument = command["arguments"][f"--{option.name}"]
            assert argument["set_if"] == f"${option.variable}$"
            assert "value" not in argument
            assert fields[option.variable]["datatype"].endswith("Boolean")
    on_host = {
        basket["Datafield"][str(field["datafield_id"])]["varname"]
        for field in basket["HostTemplate"]["CQD portal"]["fields"]
    }
    words = ("hostname", "timezone", "username", "password_file", "keytab", "ca_file", "proxy")
    assert {f"{COMMAND}_{word}" for word in words} <= on_host

"""The templates of contrib/icinga/graphite, read as Icinga Web's module graphite reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import NamedTuple

TEMPLATES = Path(__file__).parents[2] / "contrib" / "icinga" / "graphite" / "cqd_integration.ini"
SERVICE = "$service_name_template$"
"""Stands for icinga2.HOST.services.SERVICE.COMMAND in a filter."""

_FILTER = re.compile(rf"{re.escape(SERVICE)}\.perfdata\.(?P<label>\w+)\.(?P<field>\w+)")
_KINDS = ("graph", "metrics_filters", "urlparams", "functions")


class Curve(NamedTuple):
    """One line of a graph: a label of the perfdata, the field of it, and Graphite's functions."""

    label: str
    field: str
    function: str

    @property
    def name(self) -> str:
        """In the graph's legend."""
        return str(re.findall(r"'([^']*)'\)$", self.function)[0])

    @property
    def factor(self) -> float:
        found = re.search(r"scale\(\$metric\$, ([0-9.]+)\)", self.function)
        return float(found[1]) if found else 1

    def target(self, service: str) -> str:
        """For graphite-web's render API."""
        return self.function.replace("$metric$", f"{service}.perfdata.{self.label}.{self.field}")


class _Parser(RawConfigParser):
    """Which leaves the names of options as they are, like PHP."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


class Template(NamedTuple):
    """One graph."""

    name: str
    check_command: str
    curves: list[Curve]
    parameters: dict[str, str]


def templates(text: str | None = None) -> Iterator[Template]:
    """Yield all templates in their order: of the committed file, if no other text is given."""
    parser = _Parser(delimiters=["="], comment_prefixes=[";"], strict=True)
    parser.read_string(TEMPLATES.read_text(encoding="utf-8") if text is None else text)
    sections = {
        section: {key: _unquoted(value) for key, value in parser.items(section)}
        for section in parser.sections()
    }
    for name in dict.fromkeys(section.rpartition(".")[0] for section in sections):
        graph, filters, parameters, functions = (sections.pop(f"{name}.{kind}") for kind in _KINDS)
        assert list(functions) == list(filters)
        curves = [Curve(*_metric(filters[key]), functions[key]) for key in filters]
        yield Template(name, graph["check_command"], curves, parameters)
    assert not sections


def _metric(pattern: str) -> tuple[str, str]:
    found = _FILTER.fullmatch(pattern)
    assert found, pattern
    return found["label"], found["field"]


def _unquoted(value: str) -> str:
    assert re.fullmatch(r'"[^"]*"', value), value
    return value[1:-1]

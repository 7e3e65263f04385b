"""Each message that docs/troubleshooting.md explains is one that the plugin can print."""

from __future__ import annotations

import ast
import errno
import os
import re
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from pathlib import Path

import pytest
from readme import DOCS

import check_cqd_integration

SOURCES = sorted(Path(check_cqd_integration.__file__).parent.rglob("*.py"))
MESSAGES = [
    message
    for cell in re.findall(
        r"^\| (`.*?`) \| ", (DOCS / "troubleshooting.md").read_text("utf-8"), re.MULTILINE
    )
    for message in cell.strip("`").split("`, `")
]
ANYTHING = "(.*?)"
VALUE = re.compile(r"(?:'?[A-Z]*'?|\d+|(?: ?\d+[hms])+|\d\.\d|argument -\S+|password-file)")
"""What stands for a value: capitals, a number, a duration; and what argparse says of an option."""
OF_OTHERS = {os.strerror(number).lower() for number in errno.errorcode}
OF_OTHERS |= {status.phrase.lower() for status in HTTPStatus}


def pattern(node: ast.AST) -> str:
    """Return what the texts match that an expression makes."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(pattern, node.values))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        parts = re.split(r"\{\w+\}", node.value)  # for str.format
        return ANYTHING.join(map(re.escape, parts))
    return ANYTHING


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield the patterns of all texts, but not those of an f-string's parts."""
    parts = {
        part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Error"):  # or its parts
            yield "".join(map(pattern, node.args))
        elif node not in parts:
            yield pattern(node)


ALL = {
    text.replace(ANYTHING * 2, ANYTHING)
    for path in SOURCES
    for text in texts(ast.parse(path.read_text("utf-8")))
}
TEMPLATES = [re.compile(text) for text in ALL if ANYTHING in text and text.replace(ANYTHING, "")]
# The parts of an alert, and of a refusal.
TEMPLATES += map(re.compile, ["(.*?) / (.*?)", "(.*?), (.*?)", "(.*?)(, or a TLS proxy .*)"])


@cache
def is_made(text: str) -> bool:
    """Tell whether the code has such a text, and each of the texts that are put into it."""
    if re.escape(text) in ALL or text.lower() in OF_OTHERS or VALUE.fullmatch(text):
        return True
    matches = (template.fullmatch(text) for template in TEMPLATES)
    return any(all(map(is_made, match.groups())) for match in matches if match)


@pytest.mark.parametrize("message", MESSAGES)
def test_message_is_in_the_code(message: str) -> None:
    assert is_made(message.removesuffix("..."))


def test_words_that_no_code_has_are_noticed() -> None:
    assert len(MESSAGES) > 80
    assert not is_made("connecting to HOST port 443: connection refused; is the server up?")
    assert not is_made("the answer is broken JSON: REASON at line 1 column 1")

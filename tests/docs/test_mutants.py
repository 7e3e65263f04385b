"""`make mutants` tries every module that coverage counts, with tests that are there."""

from __future__ import annotations

import ast
import configparser
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "check_cqd_integration"


def rows() -> dict[str, tuple[str, ...]]:
    """Return the table TESTS, without what else the tool needs."""
    tree = ast.parse((ROOT / "tools" / "mutants.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "TESTS" and node.value:
            found: dict[str, tuple[str, ...]] = ast.literal_eval(node.value)
            return found
    raise AssertionError("tools/mutants.py has no table TESTS")


def test_every_module_has_a_row() -> None:
    """But the __init__ of a package, which only names what others may use."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    omitted = config["coverage:run"]["omit"].split()
    modules = {
        path.relative_to(PACKAGE).with_suffix("").as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.stem != "__init__" and path.relative_to(ROOT).as_posix() not in omitted
    }
    assert set(rows()) == modules


def test_tests_of_every_row_are_there() -> None:
    for module, tests in rows().items():
        for name in tests:
            file, _, test = name.partition("::")
            path = ROOT / "tests" / file
            assert path.exists(), f"{module}: no tests/{file}"
            assert not test or f"def {test}(" in path.read_text(encoding="utf-8"), (
                f"{module}: no {name}"
            )

"""The layers of docs/architecture.md are those of the code: imports run downwards only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "check_cqd_integration"
NETWORK = {"requests", "urllib3", "http", "socket", "ssl", "socketserver"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.stem != "__main__")


def documented() -> dict[str, int]:
    """Return the number of the layer of each module that the table lists, 1 for the top."""
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([0-9]+) [^|]*\| `([\w./]+)` \|", table, re.MULTILINE)
    return {name: int(layer) for layer, name in rows}


def name_of(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def imported_by(module: Path) -> Iterator[Path]:
    """Yield the modules of this package that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            place = [*module.parents][node.level - 1].joinpath(*(node.module or "").split("."))
            for name in node.names:
                found = [place / f"{name.name}.py", place / name.name / "__init__.py"]
                found += [place.with_suffix(".py"), place / "__init__.py"]
                yield next(path for path in found if path.is_file())


def test_table_lists_every_module() -> None:
    inits = {name_of(path) for path in MODULES if path.stem == "__init__"}
    assert set(documented()) == {name_of(path) for path in MODULES} - inits


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_lower_layer_never_imports_a_higher_one(module: Path) -> None:
    layers = documented()
    layers |= {str(Path(name).parent / "__init__.py"): layer for name, layer in layers.items()}
    layers["__init__.py"] = 99  # the version
    for other in imported_by(module):
        is_of_one_package = module.parent == other.parent != PACKAGE
        is_below = layers[name_of(other)] > layers[name_of(module)]
        assert is_below or is_of_one_package or module == PACKAGE / "__init__.py", (
            f"{name_of(module)} imports {name_of(other)}, which is not in a lower layer"
        )


@pytest.mark.parametrize("package", ["auth", "pipeline", "report"])
def test_only_portal_knows_the_network(package: str) -> None:
    for module in (PACKAGE / package).glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.partition(".")[0] not in NETWORK, f"{name_of(module)} imports {name}"


TESTS = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.mark.parametrize("tool", sorted((ROOT / "tools").glob("*.py")), ids=lambda path: path.name)
def test_tool_imports_no_test(tool: Path) -> None:
    # It would find it in a run of pytest and of mypy, but not when it is called.
    for node in ast.walk(ast.parse(tool.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.module not in TESTS, f"{tool.name} imports {node.module}"

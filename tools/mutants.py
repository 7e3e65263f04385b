"""`make mutants`: change the modules in every small way, and see that the tests of each fail.

    python tools/mutants.py [MODULE ...]

Mutants are made by mutmut's operators and three of our own. mutmut's own runner is not used: it
leaves out properties, constants and the text of f-strings, which are half of what is to be tested.
Annotations and decorators stay as they are.

A mutant is killed if a test fails, or does not end in time. Tests of hypothesis do not count: they
find by luck. One that survives either shows a test that is missing, or changes nothing that can be
seen: equivalent_mutants.md lists those, with the reason. Survivors that are not listed and listed
ones that do not survive are told, and fail the run, as does a score below 95 %.
"""

from __future__ import annotations

import difflib
import importlib
import os
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import libcst as cst
import pytest
from mutmut.mutation.mutators import mutation_operators

ROOT = Path(__file__).parents[1]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.md")
PLUGIN = "_hypothesis_pytestplugin"
"""It tells which tests are hypothesis's; the other plugins only take time."""
QUICK = "not takes_little_memory"
LEAST_SCORE = 95
SECONDS = 120
OUTCOMES = {0: "survived", int(signal.SIGALRM): "timeout"}
LIBRARIES = (
    "cryptography.x509",
    "hypothesis",
    "nagiosplugin",
    "requests_mock",
    "spnego",
    "trustme",
)
"""What the tests of the modules import, and takes longer than they do."""
TESTS: dict[str, tuple[str, ...]] = {
    "thresholds": ("test_thresholds.py",),
    "pipeline/status": ("pipeline/test_status.py",),
    "pipeline/timestamps": ("pipeline/test_status.py",),
    "pipeline/stages": ("pipeline/test_stages.py",),
    "contexts": ("test_contexts.py",),
    "resource": ("test_resource.py", "test_integration_log.py", "test_trouble.py"),
    "summary": ("test_summary.py", "test_integration_log.py", "test_trouble.py"),
    "pipeline/log": ("pipeline/test_log.py", "test_integration_log.py"),
    "report/hints": ("report/test_hints.py", "test_trouble.py"),
    "portal/client": ("portal", "auth/test_login.py", "test_integration_log.py"),
    "report/timeline": ("report/test_timeline.py",),
}
"""Each module and the test files that must notice what is changed in it."""


@dataclass(frozen=True)
class Mutant:
    """One change of one module: the whole code, and the diff by which it is listed."""

    module: str
    code: str
    diff: str


def _unequal_text(node: cst.FormattedStringText) -> Iterable[cst.CSTNode]:
    yield node.with_changes(value=f"XX{node.value}XX")


def _nothing_returned(node: cst.Return) -> Iterable[cst.CSTNode]:
    yield node.with_changes(value=cst.Name("None"))


def _opposite_condition(node: Any) -> Iterable[cst.CSTNode]:
    test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(
        test=cst.UnaryOperation(cst.Not(), test), whitespace_before_test=cst.SimpleWhitespace(" ")
    )


OPERATORS: Sequence[tuple[Any, Callable[[Any], Iterable[cst.CSTNode]]]] = [
    *mutation_operators,
    (cst.FormattedStringText, _unequal_text),
    (cst.Return, _nothing_returned),
    ((cst.If, cst.CompIf), _opposite_condition),
]


def mutants_of(module: str) -> list[Mutant]:
    """Return all mutants of a module that are valid Python, each once."""
    original = (ROOT / "check_cqd_integration" / f"{module}.py").read_text(encoding="utf-8")
    tree = cst.parse_module(original)
    found: dict[str, Mutant] = {}
    for place, old, new in _changes(tree, module):
        code = cast(cst.Module, tree.deep_replace(old, new)).code
        if code != original and _is_valid(code):
            found.setdefault(code, Mutant(module, code, _diff(place, original, code)))
    return list(found.values())


def _changes(node: cst.CSTNode, place: str) -> Iterator[tuple[str, cst.CSTNode, cst.CSTNode]]:
    if isinstance(node, (cst.Annotation, cst.Decorator)):
        return
    if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
        place = f"{place}.{node.name.value}"
    for kind, operator in OPERATORS:
        if isinstance(node, kind):
            yield from ((place, node, mutated) for mutated in operator(node))
    for child in node.children:
        yield from _changes(child, place)


def _is_valid(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _diff(place: str, original: str, code: str) -> str:
    lines = difflib.unified_diff(original.splitlines(), code.splitlines(), n=0, lineterm="")
    return "\n".join([f"@@ {place} @@", *(line for line in list(lines)[2:] if line[0] in "-+")])


def outcomes(tree: Path, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, str]]:
    """Yield each mutant and what becomes of it, tried in a copy of the tree."""
    running: dict[int, tuple[Mutant, Path]] = {}
    for mutant in [*mutants, None]:
        while len(running) == os.cpu_count() or (mutant is None and running):
            pid, status = os.wait()
            ended, copy = running.pop(pid)
            shutil.rmtree(copy)
            yield ended, OUTCOMES.get(status, "killed")
        if mutant is not None:
            copy = Path(tempfile.mkdtemp(dir=tree.parent))
            shutil.copytree(tree, copy, dirs_exist_ok=True)
            path = copy / "check_cqd_integration" / f"{mutant.module}.py"
            path.write_text(mutant.code, encoding="utf-8")
            running[start_tests(copy, mutant.module)] = mutant, copy


def start_tests(tree: Path, module: str) -> int:
    """Begin the tests of a module in a copy of this process; return its id."""
    if pid := os.fork():
        return pid
    signal.alarm(SECONDS)
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.path.insert(0, str(tree))
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    options = ["-qx", "-p", "no:cacheprovider", "-p", PLUGIN, "-m", "not hypothesis", "-k", QUICK]
    os._exit(pytest.main([*options, *(f"tests/{name}" for name in TESTS[module])]))


def main(modules: Sequence[str]) -> int:
    for library in LIBRARIES:
        importlib.import_module(library)
    listed = set(re.findall(r"^@@ .*?(?=\n@@|\n```)", EQUIVALENT.read_text("utf-8"), re.M | re.S))
    total: Counter[str] = Counter()
    is_as_listed = True
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        for part in ("check_cqd_integration", "tests"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("acceptance"))
        shutil.copy(ROOT / "setup.cfg", tree)
        for module in modules:
            if os.waitpid(start_tests(tree, module), 0)[1] != 0:
                sys.exit(f"the tests of {module} fail without a mutant")
            found: dict[str, set[str]] = {"killed": set(), "timeout": set(), "survived": set()}
            counts: Counter[str] = Counter()
            for mutant, end in outcomes(tree, mutants_of(module)):
                counts[end] += 1
                found[end].add(mutant.diff)
            total += counts
            print(_row(module, counts), flush=True)
            survivors = found["survived"]
            equivalent = {diff for diff in listed if re.match(rf"@@ {module}[. ]", diff)}
            is_as_listed &= survivors == equivalent
            for title, diffs in (
                ("survives, but is not listed", survivors - equivalent),
                ("is listed, but killed or gone", equivalent - survivors),
                ("does not end in time, which counts as killed", found["timeout"]),
            ):
                for diff in sorted(diffs):
                    print(f"{title}:\n{diff}\n")
    print(_row("all", total))
    return 0 if is_as_listed and _score(total) >= LEAST_SCORE else 1


def _score(counts: Counter[str]) -> float:
    return 100 * (1 - counts["survived"] / sum(counts.values()))


def _row(module: str, counts: Counter[str]) -> str:
    ends = ", ".join(f"{counts[end]:4} {end}" for end in ("killed", "timeout", "survived"))
    return f"{module:<10} {sum(counts.values()):4} mutants: {ends}; {_score(counts):.1f} % killed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(TESTS)))

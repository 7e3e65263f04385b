"""`make mutants`: change the modules in every small way, and see that the tests of each fail.

    python tools/mutants.py [--jobs N] [MODULE ...]

A module is named as in the table TESTS: `make mutants MODULES="cli portal/saved" JOBS=1`.

Mutants are made by mutmut's operators and three of our own. mutmut's own runner is not used: it
leaves out properties, constants and the text of f-strings, which are half of what is to be tested.
Annotations and decorators stay as they are.

A mutant is killed if a test fails, or does not end in time. The tests that noticed those before it
come first, then all that run the changed line or start a process, the quickest at the head; if none
runs it, as for what is done when the module is imported, all tests of the module. Tests of
hypothesis do not count: they find by luck. One that survives either shows a test that is missing,
or changes nothing that can be seen: equivalent_mutants.md lists those, with the reason. Survivors
that are not listed and listed ones that do not survive are told, and fail the run, as does a score
below 97 %.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, cast

import libcst as cst
import pytest
from mutmut.mutation.mutators import mutation_operators

ROOT = Path(__file__).parents[1]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.md")
PLUGIN = "_hypothesis_pytestplugin"
"""It tells which tests are hypothesis's; the other plugins only take time."""
QUICK = "not takes_little_memory and not answer_is_the_same"
"""The former needs seconds, the latter asks the plugin that is installed, not the mutant."""
LEAST_SCORE = 97
PROCESS = ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen")
"""What Python's audit calls the start of a process."""
OUTCOMES = {0: "survived", int(signal.SIGALRM): "timeout"}
LIBRARIES = (
    "cryptography.x509",
    "hypothesis",
    "nagiosplugin",
    "portal_simulator",
    "raw_server",
    "requests_mock",
    "shtab",
    "spnego",
    "trustme",
)
"""What the tests of the modules import, and takes longer than they do."""
TESTS: dict[str, tuple[str, ...]] = {
    "__main__": ("test_cli.py", "test_host.py::test_current_directory_is_not_trusted"),
    "cli": ("test_cli.py", "test_host.py"),
    "check": (
        "test_check.py",
        "test_cli.py",
        "test_integration_log.py",
        "test_first_contact.py",
        "test_contexts.py",
        "test_trouble.py",
        "pipeline/test_timestamps.py",
        "auth",
        "portal",
    ),
    "options": (
        "test_options.py",
        "test_check.py",
        "test_cli.py",
        "test_integration_log.py",
        "contrib/test_contrib.py",
        "contrib/test_director_basket.py",
        "docs/test_completion.py",
        "docs/test_generated.py",
        "docs/test_man.py",
        "docs/test_readme.py",
        "pipeline/test_zones.py",
        "portal/test_client.py",
        "portal/test_trust.py",
    ),
    "summary": (
        "test_summary.py",
        "test_integration_log.py",
        "test_trouble.py",
        "portal/test_answer.py",
        "portal/test_secrets.py",
    ),
    "resource": (
        "test_resource.py",
        "test_integration_log.py",
        "test_trouble.py",
        "pipeline/test_timestamps.py",
        "portal/test_answer.py",
    ),
    "contexts": ("test_contexts.py", "test_integration_log.py"),
    "thresholds": ("test_thresholds.py",),
    "errors": ("test_errors.py", "test_cli.py", "portal/test_secrets.py"),
    "report/output": ("report/test_output.py",),
    "report/hints": ("report/test_hints.py",),
    "report/timeline": ("report/test_timeline.py",),
    "portal/client": (
        "portal",
        "auth/test_login.py",
        "auth/test_refusals.py",
        "auth/test_sspi.py",
        "test_integration_log.py",
    ),
    "portal/transport": ("portal", "auth/test_login.py"),
    "portal/trust": ("portal/test_trust.py",),
    "portal/reasons": ("portal", "auth/test_login.py", "test_first_contact.py"),
    "portal/saved": ("portal/test_saved.py", "test_integration_log.py"),
    "portal/answer": ("portal/test_answer.py", "portal/test_saved.py", "portal/test_client.py"),
    "portal/secrets": ("portal/test_secrets.py", "portal/test_saved.py"),
    "portal/deadline": ("portal/test_deadline.py", "portal/test_saved.py"),
    "auth/choice": ("auth",),
    "auth/refusals": ("auth/test_refusals.py",),
    "auth/pyspnego": ("auth",),
    "auth/sspi": ("auth",),
    "auth/ntlm": ("auth",),
    "auth/installation": ("auth/test_installation.py",),
    "auth/channel_binding": ("auth",),
    "pipeline/status": ("pipeline/test_status.py",),
    "pipeline/timestamps": ("pipeline/test_timestamps.py", "pipeline/test_status.py"),
    "pipeline/stages": (
        "pipeline/test_stages.py",
        "pipeline/test_log.py",
        "report/test_hints.py",
    ),
    "pipeline/clock": ("pipeline/test_clock.py",),
    "pipeline/zones": ("pipeline/test_zones.py",),
    "pipeline/log": ("pipeline/test_log.py", "test_integration_log.py"),
}
"""Each module and the tests that must notice what is changed in it.

tests/docs/test_mutants.py misses a module that has no row. The ``__init__`` of a package has none:
it only names what others may use, and ruff and mypy see to that.
"""


@dataclass(frozen=True)
class Mutant:
    """One change of one module: the whole code, and the diff by which it is listed."""

    module: str
    code: str
    diff: str
    lines: frozenset[int]
    """The lines of the original that are others."""


class Recorder:
    """A plugin of pytest that writes down what each test takes and runs.

    The file holds, by the id of the test: seconds, and the lines of the module at ``path``, with a
    line 0 for any that a process may run that the test starts. If a test fails, it holds the id of
    that instead.
    """

    def __init__(self, path: Path, file: Path) -> None:
        self.path = str(path)
        self.file = file
        self.seen: dict[str, tuple[float, list[int]]] = {}
        self.failed: list[str] = []
        self.processes = 0
        sys.addaudithook(self._count_processes)

    def _count_processes(self, event: str, _: object) -> None:
        self.processes += event in PROCESS

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        lines: set[int] = set()

        def trace(frame: FrameType, *_: object) -> Any:
            if frame.f_code.co_filename != self.path:
                return None
            lines.add(frame.f_lineno)
            return trace

        begin, processes = time.monotonic(), self.processes
        threading.settrace(trace)
        sys.settrace(trace)
        result = yield
        sys.settrace(None)
        threading.settrace(None)
        if self.processes != processes:
            lines.add(0)
        self.seen[item.nodeid] = (time.monotonic() - begin, sorted(lines))
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.file.write_text(json.dumps(self.failed or self.seen), encoding="utf-8")


class Sorter:
    """A plugin of pytest that leaves the tests that run some lines, or may, the quickest first.

    All of them if none does. The file holds the test that fails.
    """

    def __init__(
        self, seen: dict[str, tuple[float, list[int]]], lines: frozenset[int], file: Path
    ) -> None:
        self.seen = seen
        self.lines = lines
        self.file = file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.file.write_text(report.nodeid, encoding="utf-8")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        nothing: tuple[float, list[int]] = 0.0, []
        seen = {item: self.seen.get(item.nodeid, nothing) for item in items}
        if not all(self.lines.isdisjoint(lines) for _, lines in seen.values()):
            may_run = self.lines | {0}
            items[:] = [item for item in items if not may_run.isdisjoint(seen[item][1])]
        items.sort(key=lambda item: seen[item][0])


def _unequal_text(node: cst.FormattedStringText) -> Iterable[cst.CSTNode]:
    yield node.with_changes(value=f"XX{node.value}XX")


def _nothing_returned(node: cst.Return) -> Iterable[cst.CSTNode]:
    if node.value is not None:
        space = cst.SimpleWhitespace(" ")
        yield node.with_changes(value=cst.Name("None"), whitespace_after_return=space)


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
            diff, lines = _diff(place, original, code)
            found.setdefault(code, Mutant(module, code, diff, lines))
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


def _diff(place: str, original: str, code: str) -> tuple[str, frozenset[int]]:
    before, after = original.splitlines(), code.splitlines()
    lines = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
    changed: set[int] = set()
    for line in lines:
        if found := re.match(r"@@ -([0-9]+)(?:,([0-9]+))?", line):
            changed |= set(range(int(found[1]), int(found[1]) + int(found[2] or 1)))
    shown = "\n".join([f"@@ {place} @@", *(line for line in lines if line[0] in "-+")])
    return shown, frozenset(changed)


class Module:
    """A module and its tests, to be tried in copies of the tree."""

    def __init__(self, tree: Path, name: str) -> None:
        """Run the tests on what is not changed; exits if they fail."""
        self.tree, self.name = tree, name
        self.path = Path("check_cqd_integration", f"{name}.py")
        record = tree.parent / "record.json"
        record.write_text("[]", encoding="utf-8")
        begin = time.monotonic()
        pid = self._start_tests(tree, Recorder(tree / self.path, record), 600)
        if os.waitpid(pid, 0)[1] != 0:
            failed = record.read_text("utf-8")
            sys.exit(f"the tests of {name} fail without a mutant: {failed}")
        self.limit = int(10 + 5 * (time.monotonic() - begin))
        """Seconds after which a mutant counts as killed."""
        self.seen: dict[str, tuple[float, list[int]]] = json.loads(record.read_text("utf-8"))
        self.noticed: list[str] = []
        """The tests that have failed, the latest first."""

    def outcomes(self, jobs: int) -> Iterator[tuple[Mutant, str]]:
        """Yield each mutant and what becomes of it; so many are tried at once."""
        running: dict[int, tuple[Mutant, Path]] = {}
        noticed = "noticed"
        for mutant in [*mutants_of(self.name), None]:
            while len(running) == jobs or (mutant is None and running):
                pid, status = os.wait()
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)  # what a test that was ended has left
                ended, copy = running.pop(pid)
                if (copy / noticed).exists():
                    test = (copy / noticed).read_text(encoding="utf-8")
                    self.noticed = [test, *(each for each in self.noticed if each != test)]
                shutil.rmtree(copy, ignore_errors=True)
                yield ended, OUTCOMES.get(status, "killed")
            if mutant is not None:
                copy = Path(tempfile.mkdtemp(dir=self.tree.parent))
                shutil.copytree(self.tree, copy, dirs_exist_ok=True, copy_function=os.link)
                (copy / self.path).unlink()
                (copy / self.path).write_text(mutant.code, encoding="utf-8")
                sorter = Sorter(self.seen, mutant.lines, copy / noticed)
                first = self._noticed_by_lines(mutant.lines)
                pid = self._start_tests(copy, sorter, self.limit, first)
                running[pid] = mutant, copy

    def _noticed_by_lines(self, lines: frozenset[int]) -> list[str]:
        """Return a few tests that have failed, of those that run the lines, if any does."""
        running = {test for test, (_, run) in self.seen.items() if not lines.isdisjoint(run)}
        return [test for test in self.noticed if not running or test in running][:3]

    def _start_tests(
        self, tree: Path, plugin: object, seconds: int, first: Sequence[str] = ()
    ) -> int:
        """Begin the tests in a copy of this process; return its id, which is its group's too."""
        if pid := os.fork():
            return pid
        try:
            os._exit(self._run_tests(tree, plugin, seconds, first))
        finally:  # what no test may raise must not come as far as who removes the folder
            os._exit(pytest.ExitCode.INTERNAL_ERROR)

    def _run_tests(
        self, tree: Path, plugin: object, seconds: int, first: Sequence[str]
    ) -> int | pytest.ExitCode:
        os.setpgid(0, 0)
        signal.alarm(seconds)
        os.chdir(tree)
        os.environ["PYTHONPATH"] = str(tree)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        sys.path.insert(0, str(tree))
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        options = ["-qx", "-p", "no:cacheprovider", "-p", PLUGIN]
        options += ["-m", "not hypothesis", "-k", QUICK]
        tests = [f"tests/{name}" for name in TESTS[self.name]]
        if first and not (pid := os.fork()):
            return pytest.main([*options, *first], plugins=[plugin])
        # Not found, which is another code, they may be for a change of what they are made of.
        failed = pytest.ExitCode.TESTS_FAILED
        if first and os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == failed:
            return failed
        return pytest.main([*options, *tests], plugins=[plugin])


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="mutants tried at once")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(TESTS))
    options = parser.parse_args(argv)
    if unknown := set(options.modules) - set(TESTS):
        parser.error(f"no such module: {', '.join(unknown)}")
    for library in LIBRARIES:
        importlib.import_module(library)
    listed = set(re.findall(r"^@@ .*?(?=\n@@|\n```)", EQUIVALENT.read_text("utf-8"), re.M | re.S))
    total: Counter[str] = Counter()
    is_as_listed = True
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        for part in ("check_cqd_integration", "contrib", "docs", "packages", "tests", "tools"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("acceptance"))
        for file in (*ROOT.glob("*.md"), ROOT / "LICENSE", ROOT / "setup.cfg"):
            shutil.copy(file, tree)
        for name in options.modules or TESTS:
            begin = time.monotonic()
            found: dict[str, set[str]] = {"killed": set(), "timeout": set(), "survived": set()}
            counts: Counter[str] = Counter()
            for mutant, end in Module(tree, name).outcomes(options.jobs):
                counts[end] += 1
                found[end].add(mutant.diff)
                if end == "survived" and mutant.diff not in listed:
                    print(f"survives, but is not listed:\n{mutant.diff}\n", flush=True)
            total += counts
            print(f"{_row(name, counts)}, {time.monotonic() - begin:.0f}s", flush=True)
            survivors = found["survived"]
            equivalent = {diff for diff in listed if re.match(rf"@@ {name}[. ]", diff)}
            is_as_listed &= survivors == equivalent
            for title, diffs in (
                ("is listed, but killed or gone", equivalent - survivors),
                ("does not end in time, which counts as killed", found["timeout"]),
            ):
                for diff in sorted(diffs):
                    print(f"{title}:\n{diff}\n", flush=True)
    print(_row("all", total))
    return 0 if is_as_listed and _score(total) >= LEAST_SCORE else 1


def _score(counts: Counter[str]) -> float:
    return 100 * (1 - counts["survived"] / (sum(counts.values()) or 1))


def _row(module: str, counts: Counter[str]) -> str:
    ends = ", ".join(f"{counts[end]:4} {end}" for end in ("killed", "timeout", "survived"))
    return f"{module:<20} {sum(counts.values()):4} mutants: {ends}; {_score(counts):.1f} % killed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

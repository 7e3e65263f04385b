"""The single file: bytecode for the Python that built it, source for the others, and libraries."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = "check_cqd_integration"
VERSIONS = {
    place: re.findall(
        r"^requests==(\S+)",
        (ROOT / "packages" / "pyz" / f"requirements-{place}.txt").read_text("utf-8"),
        re.M,
    )[0]
    for place in ("python3.9", "python3.10")
}
"""Of requests, in each directory of the file that Pythons have for themselves."""
OWN, OTHER = VERSIONS if sys.version_info < (3, 10) else reversed(VERSIONS)

# Tells at the end what of the file was compiled, and where requests is.
LISTEN = """
import atexit, runpy, sys
compiled = set()
def tell():
    requests = sys.modules["requests"]
    print("with", requests.__version__, requests.__file__)
    print("compiled", *sorted(name for name in compiled if file in str(name)))
atexit.register(tell)
sys.addaudithook(lambda name, args: name == "compile" and compiled.add(args[1]))
file = sys.argv.pop(1)
"""
START = 'runpy.run_path(file, run_name="__main__")'
START_WITH_OTHERS = f"""
sys.path[:0] = [f"{{file}}/{OTHER}", file]
from check_cqd_integration.cli import main
sys.exit(main())
"""


def poll(file: Path, start: str = START) -> tuple[list[str], list[str]]:
    """Ask nobody, but with all that asks; tell requests' version and place, and what was compiled.

    The Python is this one, and sees no package but what is in the file.
    """
    python = [sys.executable, "-I", "-S", "-c", LISTEN + start]
    done = subprocess.run(
        [*python, file, "-u", "http://127.0.0.1:1/"], capture_output=True, encoding="utf-8"
    )
    assert (done.returncode, done.stderr) == (2, "")
    line, requests, compiled = done.stdout.splitlines()
    assert line.startswith("CQD CRITICAL - ")
    return requests.split()[1:], compiled.split()[1:]


@pytest.fixture(scope="module")
def file(dist: Path) -> Path:
    return dist / f"{NAME}.pyz"


def test_python_that_built_it_compiles_nothing_but_the_entry(file: Path) -> None:
    requests, compiled = poll(file)
    assert requests == [VERSIONS[OWN], f"{file}/{OWN}/requests/__init__.pyc"]
    assert compiled == [f"{file}/__main__.py"]


def test_bytecode_is_taken_as_it_is(file: Path) -> None:
    """Not compressed; and by no time of its source, as a zip's is in no zone."""
    with zipfile.ZipFile(file) as archive:
        code = [entry for entry in archive.infolist() if entry.filename.endswith(".pyc")]
        assert {entry.compress_type for entry in code} == {zipfile.ZIP_STORED}
        heads = {archive.read(entry)[:8] for entry in code}
        names = {entry.filename for entry in code}
        sources = {name for name in archive.namelist() if name.endswith(".py")}
    assert heads == {importlib.util.MAGIC_NUMBER + b"\1\0\0\0"}
    without = {name for name in sources if name.startswith((OTHER, "tzdata/", "__main__"))}
    assert names == {f"{name}c" for name in sources - without}
    assert without & {f"{OTHER}/requests/api.py"}


def test_another_python_compiles_the_source(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / file.name
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(copy, "w") as other:
        for entry in archive.infolist():
            content = archive.read(entry)
            is_code = entry.filename.endswith(".pyc")
            other.writestr(entry, b"\0\0\r\n" + content[4:] if is_code else content)
    requests, compiled = poll(copy)
    assert requests == [VERSIONS[OWN], f"{copy}/{OWN}/requests/__init__.py"]
    assert {f"{copy}/{NAME}/cli.py", f"{copy}/{OWN}/urllib3/connection.py"} <= set(compiled)


def test_libraries_for_other_pythons_are_of_use(file: Path) -> None:
    """Those for 3.9 run on every Python, so that this one can try them."""
    requests, _ = poll(file, START_WITH_OTHERS)
    assert requests == [VERSIONS[OTHER], f"{file}/{OTHER}/requests/__init__.py"]

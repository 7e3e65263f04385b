"""`make dist`: what an administrator installs, from the files of this checkout into dist/.

    python packages/dist.py [DIRECTORY]

The wheel and the sdist for pip and pipx, one file for a plugin directory (pyz), and a package for
Debian where its tools are. Two builds of the same commit are the same, byte for byte: every time
is the commit's, every mode is 0644 or 0755, whatever the clock, umask and directory.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Sequence
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = "check_cqd_integration"
DEBIAN_TOOLS = {"dpkg-buildpackage": "dpkg-dev", "dh": "debhelper", "dh_python3": "dh-python"}
GENERATED = ("build/man", "build/completion")
"""The manual page, and words for the shells: packages take along what was made of it."""


def main(arguments: Sequence[str]) -> int:
    """Build all; the exit code is 1 if a tool is missing and nothing may be skipped."""
    target = Path(arguments[0] if arguments else ROOT / "dist").absolute()
    target.mkdir(parents=True, exist_ok=True)
    os.umask(0o022)
    moment = int(run("git", "-C", str(ROOT), "log", "-1", "--format=%ct"))
    os.environ["SOURCE_DATE_EPOCH"] = str(moment)
    with tempfile.TemporaryDirectory() as place:
        tree = exported(Path(place, NAME))
        version = runpy.run_path(str(tree / NAME / "__init__.py"))["__version__"]
        made = [debian_package(tree, version, moment)] if not missing_tools() else []
        made += wheel_and_sdist(tree, moment)
        made.append(pyz(tree, next(path for path in made if path.suffix == ".whl"), moment))
        for path in made:
            shutil.copy(path, target)
            print(f"{path.stat().st_size / 1024:7.0f} KiB  {target / path.name}")
    if missing_tools():
        print(f"skipped: Debian's package, which needs: apt install {' '.join(missing_tools())}")
    return bool(missing_tools() and os.environ.get("CQD_NOTHING_SKIPPED"))


def missing_tools() -> list[str]:
    return [package for tool, package in DEBIAN_TOOLS.items() if not shutil.which(tool)]


def exported(tree: Path) -> Path:
    """Copy what git knows, or would take in, and what was generated."""
    git = ("git", "-C", str(ROOT))
    listed = run(*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    files = [ROOT / name for name in listed.split("\0") if name]
    files += [path for folder in GENERATED for path in ROOT.joinpath(folder).rglob("*")]
    for path in files:
        if path.is_file():  # not what was deleted, and is not committed yet
            copy = tree / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    return tree


def wheel_and_sdist(tree: Path, moment: int) -> list[Path]:
    """Build the sdist, and from it the wheel."""
    folder = tree.with_name("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(tree))
    [sdist], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    normalise(sdist, moment)
    return [wheel, sdist]


def normalise(sdist: Path, moment: int) -> None:
    """Write an sdist anew, without what only tells who built it, and when."""
    with tarfile.open(sdist) as archive:
        members = [(each, archive.extractfile(each)) for each in archive.getmembers()]
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as copy:
            for member, content in sorted(members, key=lambda pair: pair[0].name):
                member.mtime, member.pax_headers = moment, {}
                member.uid = member.gid = 0
                member.uname = member.gname = "root"
                copy.addfile(member, content)
    sdist.write_bytes(gzip.compress(plain.getvalue(), mtime=moment))


def pyz(tree: Path, wheel: Path, moment: int) -> Path:
    """Build the one file: ours and what it needs, as source, for every Python can read that."""
    wheels = tree.with_name("wheels")
    run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
        *("--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"),
        *("--python-version=3.9", f"--dest={wheels}"),
        f"--requirement={tree / 'packages/pyz/requirements.txt'}",
    )
    contents = {path.name: path.read_bytes() for path in tree.glob("packages/pyz/*.py")}
    for each in [*wheels.iterdir(), wheel]:
        with zipfile.ZipFile(each) as archive:
            contents |= {
                name: archive.read(name)
                for name in archive.namelist()
                if not name.endswith(("/", "/RECORD"))
            }
    path = tree.with_name(f"{NAME}.pyz")
    with path.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in sorted(contents):
                entry = zipfile.ZipInfo(name, time.gmtime(moment)[:6])
                entry.external_attr = 0o100644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = 3  # Unix, wherever it is built
                archive.writestr(entry, contents[name])
    path.chmod(0o755)
    return path


def debian_package(tree: Path, version: str, moment: int) -> Path:
    tree = Path(shutil.copytree(tree, tree.with_name("debian") / "tree"))
    (tree / "packages" / "debian").rename(tree / "debian")
    date = format_datetime(released(tree, version) or datetime.fromtimestamp(moment, timezone.utc))
    control = (tree / "debian" / "control").read_text(encoding="utf-8")
    [name] = re.findall("^Package: (.*)", control, re.M)
    [maintainer] = re.findall("^Maintainer: (.*)", control, re.M)
    (tree / "debian" / "changelog").write_text(
        f"{name} ({version}) unstable; urgency=medium\n\n"
        f"  * What is new is in changelog.gz.\n\n -- {maintainer}  {date}\n",
        encoding="utf-8",
    )
    log = run("dpkg-buildpackage", "--build=binary", "--no-sign", cwd=tree)
    [path] = tree.parent.glob("*.deb")
    if "warning" in log:
        print(log)
    return path


def released(tree: Path, version: str) -> datetime | None:
    """Return the day of a version in the changelog; None if it is not released yet."""
    text = (tree / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## \[{re.escape(version)}\] - (\d{{4}}-\d\d-\d\d)", text, re.M)
    return datetime.fromisoformat(found[1]).replace(tzinfo=timezone.utc) if found else None


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command and return what it says; show that if it fails."""
    done = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(command)}: exit code {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

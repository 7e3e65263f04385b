"""`make dist`: what an administrator installs, from the files of this checkout into dist/.

    python packages/dist.py [DIRECTORY]

The wheel and the sdist for pip and pipx, one file for a plugin directory (pyz), and packages for
Debian and for Red Hat where their tools are. Two builds of the same commit are the same, byte for
byte: every time is the commit's, every mode is 0644 or 0755, whatever the clock, umask and
directory.
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
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = "check_cqd_integration"
GENERATED = ("build/man", "build/completion")
"""The manual page, and words for the shells: packages take along what was made of it."""


def main(arguments: Sequence[str]) -> None:
    """Build all for which the tools are here, and tell what was skipped."""
    target = Path(arguments[0] if arguments else ROOT / "dist").absolute()
    target.mkdir(parents=True, exist_ok=True)
    os.umask(0o022)
    moment = int(run("git", "-C", str(ROOT), "log", "-1", "--format=%ct"))
    os.environ["SOURCE_DATE_EPOCH"] = str(moment)
    os.environ["PYTHONHASHSEED"] = "0"  # bytecode of Python 3.9 and 3.10 has sets in its order
    with tempfile.TemporaryDirectory() as place:
        tree = exported(Path(place, NAME))
        version = runpy.run_path(str(tree / NAME / "__init__.py"))["__version__"]
        made = [debian_package(tree, version, moment)] if not missing("deb") else []
        made += wheel_and_sdist(tree, moment)
        made.append(pyz(tree, next(path for path in made if path.suffix == ".whl"), moment))
        made += [rpm(tree, version, moment, made[-1])] if not missing("rpm") else []
        for path in made:
            shutil.copy(path, target)
            print(f"{path.stat().st_size / 1024:7.0f} KiB  {target / path.name}")
    for kind, whose in (("deb", "Debian"), ("rpm", "Red Hat")):
        if missing(kind):
            print(f"skipped: the package for {whose}, which needs: {' '.join(missing(kind))}")


def missing(kind: str) -> list[str]:
    """Name Debian's packages that are needed for a kind of package, and are not here."""
    return run(str(ROOT / "packages" / "missing"), kind).split()


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
    """Build the one file: ours and what it needs, as source, for every Python can read that.

    Beside it is the bytecode of the Python that builds it, not compressed, which takes less time.
    Whether it fits is told by its version alone: unchecked, as PEP 552 calls it.
    """
    folder = tree.with_name("pyz")
    for path in tree.glob("packages/pyz/*.py"):
        folder.mkdir(exist_ok=True)
        shutil.copy(path, folder)
    unpack([wheel], folder)
    for requirements in tree.glob("packages/pyz/requirements*.txt"):
        place = requirements.stem.partition("-")[2]
        wheels = tree.with_name("wheels") / place
        run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"),
            f"--python-version={place.removeprefix('python') or '3.9'}",
            *(f"--dest={wheels}", f"--requirement={requirements}"),
        )
        unpack(wheels.glob("*.whl"), folder / place)
    of_others = "python3.10" if sys.version_info < (3, 10) else "python3.9"
    left_out = f"^{re.escape(str(folder))}/(tzdata/|{of_others}/|__main__)"
    run(
        *(sys.executable, "-S", "-m", "compileall", "-q", "-b", "-o", "0"),
        *("--invalidation-mode=unchecked-hash", "-s", str(folder), "-p", f"{NAME}.pyz"),
        *("-x", left_out, str(folder)),
    )
    path = tree.with_name(f"{NAME}.pyz")
    with path.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for each in sorted(path for path in folder.rglob("*") if path.is_file()):
                name = each.relative_to(folder).as_posix()
                entry = zipfile.ZipInfo(name, time.gmtime(moment)[:6])
                entry.external_attr = 0o100644 << 16
                is_code = each.suffix == ".pyc"
                entry.compress_type = zipfile.ZIP_STORED if is_code else zipfile.ZIP_DEFLATED
                entry.create_system = 3  # Unix, wherever it is built
                archive.writestr(entry, each.read_bytes())
    path.chmod(0o755)
    return path


def unpack(wheels: Iterable[Path], folder: Path) -> None:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    for record in folder.glob("*.dist-info/RECORD"):
        record.unlink()


def debian_package(tree: Path, version: str, moment: int) -> Path:
    tree = Path(shutil.copytree(tree, tree.with_name("debian") / "tree"))
    (tree / "packages" / "debian").rename(tree / "debian")
    date = format_datetime(released(tree, version) or datetime.fromtimestamp(moment, timezone.utc))
    control = (tree / "debian" / "control").read_text(encoding="utf-8")
    [name] = re.findall("^Package: (.*)", control, re.M)
    (tree / "debian" / "changelog").write_text(
        f"{name} ({version}) unstable; urgency=medium\n\n"
        f"  * What is new is in changelog.gz.\n\n -- {maintainer()}  {date}\n",
        encoding="utf-8",
    )
    # packages/missing has looked for what is needed: no compiler, which Debian takes for granted.
    log = run("dpkg-buildpackage", "--build=binary", "--no-sign", "--no-check-builddeps", cwd=tree)
    [path] = tree.parent.glob("*.deb")
    show_warnings(log, but="cannot determine CC system type")  # no compiler: none is needed
    return path


def rpm(tree: Path, version: str, moment: int, pyz: Path) -> Path:
    place = tree.with_name("rpm")
    place.mkdir()
    date = released(tree, version) or datetime.fromtimestamp(moment, timezone.utc)
    [template] = tree.glob("packages/rpm/*.spec")
    spec = Path(shutil.copy(template, place))
    with spec.open("a", encoding="utf-8") as file:
        file.write(
            f"\n%changelog\n* {date:%a %b %d %Y} {maintainer()} - {version}-1\n"
            f"- What is new is in CHANGELOG.md.\n"
        )
    macros = {
        "_topdir": place,
        "_buildhost": "localhost",
        "use_source_date_epoch_as_buildtime": 1,
        "build_mtime_policy": "clamp_to_source_date_epoch",
        "clamp_mtime_to_source_date_epoch": 1,  # the same, for an rpm older than 4.20
        "version": version,
        "tree": tree,
        "pyz": pyz,
    }
    defined = [f"--define={name} {value}" for name, value in macros.items()]
    # A home without a .rpmmacros.
    log = run("env", f"HOME={place}", "LC_ALL=C", "rpmbuild", "-bb", *defined, str(spec))
    [path] = place.glob("RPMS/noarch/*.rpm")
    show_warnings(log, but="clamp_mtime_to_source_date_epoch is deprecated")
    return path


def show_warnings(log: str, but: str) -> None:
    """Show what a tool complains of and yet succeeds, such as a scriptlet with a wrong syntax."""
    for line in log.splitlines():
        if re.search("warning: |error: ", line) and but not in line:
            print(line)


def maintainer() -> str:
    control = (ROOT / "packages" / "debian" / "control").read_text(encoding="utf-8")
    [found] = re.findall("^Maintainer: (.*)", control, re.M)
    return str(found)


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
    main(sys.argv[1:])

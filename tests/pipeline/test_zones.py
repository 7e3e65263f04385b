"""Which zone timestamps are in: never one that the C library would silently take for UTC."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import types
import zoneinfo
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from expected import DOCUMENTED_LINE, Run
from tzlocal.windows_tz import win_tz

from check_cqd_integration.errors import UsageError
from check_cqd_integration.pipeline import zones

NOT_ON_WINDOWS = pytest.mark.skipif(os.name == "nt", reason="Windows reads neither rules nor files")
SUMMER = datetime(2026, 7, 1, 12)
ZONE_FILE = b"TZif2" + bytes(39) + b"TZif2" + bytes(39) + b"\nCET-1CEST,M3.5.0,M10.5.0/3\n"


def head(*counts: int) -> bytes:
    """Return the head of a block (RFC 8536, section 3.1)."""
    return b"TZif2" + bytes(15) + struct.pack(">6L", *counts)


@pytest.mark.parametrize(("name", "hours"), [("UTC", 0), ("Europe/Berlin", 2), ("Asia/Tokyo", 9)])
def test_named(name: str, hours: int) -> None:
    assert zones.named(name).utcoffset(SUMMER) == timedelta(hours=hours)


def test_utc_needs_no_data() -> None:
    assert zones.named("UTC") is timezone.utc


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("Pacific Standard Time (Mexico)", "America/Tijuana"),
        ("Russia Time Zone 11", "Asia/Kamchatka"),
        ("UTC-08", "Etc/GMT+8"),
        ("UTC", "Etc/UTC"),
    ],
)
def test_name_as_windows_gives_it(name: str, place: str) -> None:
    for month in range(1, 13):
        day = datetime(2026, month, 1)
        assert zones.named(name).utcoffset(day) == zoneinfo.ZoneInfo(place).utcoffset(day)


def test_every_name_as_windows_gives_it_is_known() -> None:
    assert len(win_tz) > 100
    for name in win_tz:
        assert zones.named(name).utcoffset(SUMMER) is not None


@pytest.mark.parametrize(
    "name",
    ["W. Europe Time", "w. europe standard time", "W. Europe Standard Time_dstoff", "UTC+99"],
)
def test_name_that_only_looks_as_if_windows_gave_it(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{name!r} is not a zone this host knows")):
        zones.named(name)


@pytest.mark.skipif(os.name == "nt", reason="Windows' own zone needs the package as well")
def test_table_of_windows_names_is_loaded_only_for_such_a_name(sample: Path) -> None:
    code = (
        "import sys; from check_cqd_integration.cli import main; "
        "main(sys.argv[1:]); print('tzlocal' in sys.modules)"
    )
    for zone, is_loaded in [
        ("Europe/Berlin", "False"),
        ("Nowhere", "False"),
        ("local", "False"),
        ("W. Europe Standard Time", "True"),
    ]:
        command = [sys.executable, "-c", code, "--input", str(sample), "--timezone", zone]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == is_loaded


def test_windows_name_through_the_command_line(run: Run, sample: Path) -> None:
    at = ("--input", str(sample), "--now", "2015-01-18T09:31:00Z", "--timezone")
    assert run(*at, "W. Europe Standard Time") == (2, DOCUMENTED_LINE)
    assert run(*at, "Mars Standard Time") == (
        3,
        "CQD UNKNOWN - argument --timezone: 'Mars Standard Time' is not a zone this host knows, "
        "like Europe/Berlin, UTC or local (see --help)\n",
    )


def test_zone_of_the_environment_is_no_name_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The C library takes it for UTC, and so does whatever else this host runs."""
    monkeypatch.setenv("TZ", "W. Europe Standard Time")
    with pytest.raises(UsageError, match=r"TZ in the environment: 'W\. Europe"):
        zones.local()


@pytest.mark.parametrize("name", ["Nowhere", "", "../Europe/Berlin", "/etc/localtime", "a\0b"])
def test_name_of_no_zone(name: str) -> None:
    with pytest.raises(ValueError, match="is not a zone this host knows, like Europe/Berlin"):
        zones.named(name)


@pytest.mark.parametrize("name", ["Europe/Berlin", ":Europe/Berlin"])
def test_zone_that_the_environment_names_needs_no_c_library(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", name)
    zone = zones.local()
    assert zone is not None
    assert zone.utcoffset(SUMMER) == timedelta(hours=2)


@NOT_ON_WINDOWS
@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        "CET-1CEST",
        "UTC0",
        "<+0330>-3:30",
        "<+12>-12<+13>-13:59:59,M01.1.6/167:59,M12.5.0/-1",
        "CET-1CEST,J1,J365/24",
        "CET-1CEST,0/0,365/00:00:00",
        "CET-23CEST,J59,299",
        "cet-1cest",
    ],
)
def test_zone_that_the_environment_spells_out_is_left_to_the_c_library(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", name)
    assert zones.local() is None


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Nowhere",
        "CET:-1",
        "5",
        "<CET>",
        "CET-1/CEST",
        "CET-1CEST,x",
        "CET-24",
        "CET-1:60",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M0.5.0,M10.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.5.0,M10.6.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,J0,J365",
        "CET-1CEST,J1,J366",
        "CET-1CEST,366,1",
        "CET-1CEST,M3.5.0/168,M10.5.0",
    ],
)
def test_zone_of_the_environment_that_cannot_be_read_is_unknown(
    name: str, monkeypatch: pytest.MonkeyPatch, run: Run, sample: Path
) -> None:
    monkeypatch.setenv("TZ", name)
    assert run("--input", str(sample)) == (
        3,
        f"CQD UNKNOWN - TZ in the environment: '{name}' is not a zone this host knows, like "
        "Europe/Berlin, UTC or local; give --timezone\n".replace("<", "(").replace(">", ")"),
    )
    assert run("--input", str(sample), "--timezone", "UTC")[0] == 2


def test_name_of_a_zone_that_is_spelled_out_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "<\u00e4\u00f6\u00fc>-1")
    with pytest.raises(UsageError, match="is not a zone this host knows"):
        zones.local()


@NOT_ON_WINDOWS
def test_file_is_left_to_the_c_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "zone"
    file.write_bytes(ZONE_FILE)
    monkeypatch.setenv("TZ", str(file))
    assert zones.local() is None
    monkeypatch.delenv("TZ")
    monkeypatch.setattr(zones, "_LOCALTIME", str(file))
    assert zones.local() is None


@NOT_ON_WINDOWS
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, ": No such file or directory"),
        (b"", " holds no time zone"),
        (b"Europe/Berlin\n", " holds no time zone"),
        (ZONE_FILE[:-1], " holds no time zone"),
        (b"TZif2\n", " holds no time zone"),
        (ZONE_FILE[:44] + b"\n" + ZONE_FILE[45:], " holds no time zone"),
        (ZONE_FILE.replace(b"M3.", b"M13."), " holds no time zone"),
        (ZONE_FILE.replace(b"CET", b"\xff"), " holds no time zone"),
        (ZONE_FILE + b"\n", " holds no time zone"),
        (head(2**32 - 84, 0, 0, 0, 0, 84) + ZONE_FILE[44:], " holds no time zone"),
    ],
    ids=["dangling", "empty", "text", "cut", "head", "damaged", "rule", "name", "more", "count"],
)
@pytest.mark.parametrize("place", ["TZ", "localtime"])
def test_file_that_holds_no_zone(
    content: bytes | None,
    problem: str,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, link = tmp_path / "zone", tmp_path / "link"
    link.symlink_to(file)
    if content is not None:
        file.write_bytes(content)
    if place == "TZ":
        monkeypatch.setenv("TZ", str(link))
    else:
        monkeypatch.setattr(zones, "_LOCALTIME", str(link))
    with pytest.raises(UsageError) as caught:
        zones.local()
    assert str(caught.value) == f"{link}{problem}; give --timezone"


@NOT_ON_WINDOWS
def test_file_without_a_rule_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zone").write_bytes(ZONE_FILE.partition(b"CET")[0] + b"\n")
    monkeypatch.setenv("TZ", str(tmp_path / "zone"))
    assert zones.local() is None


@NOT_ON_WINDOWS
def test_file_with_every_part_of_a_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utc, standard, leaps, times, types, letters = counts = (1, 2, 3, 4, 5, 6)
    blocks = [
        head(*counts)
        + bytes(times * (size + 1) + types * 6 + letters + leaps * (size + 4) + standard + utc)
        for size in (4, 8)
    ]
    (tmp_path / "zone").write_bytes(b"".join(blocks) + b"\nCET-1\n")
    monkeypatch.setenv("TZ", str(tmp_path / "zone"))
    assert zones.local() is None


@NOT_ON_WINDOWS
def test_file_of_more_than_a_mebibyte_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = 1024 * 1024 - 90
    whole = head(0, 0, 0, 0, 0, 0) + head(0, 0, 0, 0, 0, letters) + bytes(letters) + b"\n\n"
    (tmp_path / "zone").write_bytes(whole)
    monkeypatch.setenv("TZ", str(tmp_path / "zone"))
    assert zones.local() is None
    larger = head(0, 0, 0, 0, 0, 1) + b"x" + whole[44:]
    (tmp_path / "zone").write_bytes(larger)
    with pytest.raises(UsageError, match="holds no time zone"):
        zones.local()


@NOT_ON_WINDOWS
def test_zone_of_this_host_is_that_of_etc_localtime(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(os.path, "lexists", asked.append)
    assert zones.local() is None
    assert asked == ["/etc/localtime"]


@NOT_ON_WINDOWS
def test_host_without_localtime_is_in_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = str(tmp_path / "missing")
    monkeypatch.setattr(zones, "_LOCALTIME", missing)
    assert zones.local() is None
    monkeypatch.setenv("TZ", missing)
    with pytest.raises(UsageError):
        zones.local()


@pytest.mark.parametrize("cut", [1, 30], ids=["line-end", "footer"])
def test_named_zone_whose_file_was_cut(
    cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Whole").write_bytes(ZONE_FILE)
    (tmp_path / "Cut").write_bytes(ZONE_FILE[:-cut])
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path),))
    # zoneinfo itself looks at the path that it had when it was imported.
    monkeypatch.setattr(zoneinfo, "ZoneInfo", lambda name: timezone.utc)
    assert zones.named("Whole") is timezone.utc
    with pytest.raises(ValueError, match="'Cut' is not a zone this host knows"):
        zones.named("Cut")


class FakeTzlocal(types.ModuleType):
    """tzlocal, with what it finds in the registry of a Windows."""

    def __init__(self, found: str | Exception) -> None:
        super().__init__("tzlocal")
        self._found = found

    def get_localzone_name(self) -> str:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def be_windows(monkeypatch: pytest.MonkeyPatch, found: str | Exception = "Asia/Tokyo") -> None:
    monkeypatch.setattr(zones, "_IS_WINDOWS", True)
    monkeypatch.setitem(sys.modules, "tzlocal", FakeTzlocal(found))


@pytest.mark.parametrize("tz", [None, ""])
def test_zone_of_windows(monkeypatch: pytest.MonkeyPatch, tz: str | None) -> None:
    """/etc/localtime of the drive that the check runs on is not looked for."""
    be_windows(monkeypatch)
    monkeypatch.setattr(os.path, "lexists", lambda path: pytest.fail(path))
    if tz is not None:
        monkeypatch.setenv("TZ", tz)
    assert zones.local() == zoneinfo.ZoneInfo("Asia/Tokyo")


@pytest.mark.parametrize(
    "found", [LookupError("no registry"), OSError(2, "nicht gefunden"), "Nowhere/Else"]
)
def test_zone_of_windows_that_is_not_known(
    monkeypatch: pytest.MonkeyPatch, run: Run, sample: Path, found: str | Exception
) -> None:
    be_windows(monkeypatch, found)
    assert run("--input", str(sample)) == (
        3,
        "CQD UNKNOWN - the zone of this Windows is not known; give --timezone\n",
    )


@pytest.mark.parametrize("name", ["Europe/Berlin", ":Europe/Berlin"])
def test_zone_that_the_environment_of_windows_names(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    be_windows(monkeypatch)
    monkeypatch.setenv("TZ", name)
    assert zones.local() == zoneinfo.ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "name", ["(+03)-3", "CET-1CEST", "UTC0", ":", "/etc/localtime", "EST5EDT,x"]
)
def test_rule_in_the_environment_of_windows_is_refused(
    monkeypatch: pytest.MonkeyPatch, run: Run, sample: Path, name: str
) -> None:
    """Its C library would read an offset, and the rest of it in another way or not at all."""
    be_windows(monkeypatch)
    monkeypatch.setenv("TZ", name.replace("(", "<").replace(")", ">"))
    assert run("--input", str(sample)) == (
        3,
        f"CQD UNKNOWN - TZ in the environment: '{name.removeprefix(':')}' is not a zone this host "
        "knows, like Europe/Berlin, UTC or local; give --timezone\n",
    )


@NOT_ON_WINDOWS
def test_pipe_in_place_of_a_zone_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("TZ", str(tmp_path / "pipe"))
    with pytest.raises(UsageError, match="holds no time zone; give --timezone"):
        zones.local()

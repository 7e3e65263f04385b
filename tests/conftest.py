"""The fixtures of all tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from expected import DOCUMENTED_MOMENT, PIP_INSTALL, Run, masked
from hang import Hang
from portal_simulator import DOCUMENTED, PortalSimulator
from tls_portal import Files, write_pem_files

from check_cqd_integration.auth import choice
from check_cqd_integration.cli import main
from check_cqd_integration.portal import deadline

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _nothing_from_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.delenv("CQD_PASSWORD", raising=False)
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.delenv("LM_COMPAT_LEVEL", raising=False)
    state = tmp_path_factory.getbasetemp() / f"state{next(_numbers)}"  # made when it is written
    monkeypatch.setenv("XDG_STATE_HOME", str(state))


@pytest.fixture(autouse=True)
def _installed_like_in_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let messages name a virtual environment that is the same wherever the tests run.

    And log in as on other systems than Windows, which ``tests/auth/test_sspi.py`` has.
    """
    monkeypatch.setattr(choice, "command_for", lambda scheme: PIP_INSTALL[scheme])
    monkeypatch.setattr(choice, "_IS_WINDOWS", False)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the plugin with these options; return its exit code and whole standard output.

    The response time, which no test can know, reads 0.001s.
    """

    def run(*options: str) -> tuple[int, str]:
        code = main(options)
        out, err = capsys.readouterr()
        assert err == ""
        return code, masked(out)

    return run


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hang]:
    """What makes a check hang when it is called, and the time of -t run out at that moment."""
    made = Hang()
    monkeypatch.setattr(deadline, "time", made)
    yield made
    made.over.set()


@pytest.fixture
def portal() -> Iterator[PortalSimulator]:
    """A portal that gives the documented answer, at the documented moment."""
    with PortalSimulator(body=DOCUMENTED, clock=lambda: DOCUMENTED_MOMENT) as simulator:
        yield simulator


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The documented answer in a file."""
    path = tmp_path / "status.json"
    path.write_bytes(DOCUMENTED)
    return path


@pytest.fixture(scope="session")
def pem_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Certificates and keys, of the authority that a ``tls_portal`` has its certificate from."""
    return write_pem_files(tmp_path_factory.mktemp("tls"))

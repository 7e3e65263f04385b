"""Which installation this is: the command that brings what a login needs to this very one."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple


class _Distribution(NamedTuple):
    """Of Linux: its tool to install packages, and what they are called."""

    tool: str
    packages: dict[str, str]
    """For its own Python, by scheme."""
    to_compile: str
    """For any Python that is not its own, before pip can install gssapi."""
    modules: str
    """Where the packages put modules of Python."""


_MINOR = f"python3.{sys.version_info.minor}"
_DISTRIBUTIONS = (
    _Distribution(
        "apt",
        {"kerberos": "python3-gssapi", "ntlm": "python3-gssapi gss-ntlmssp"},
        "gcc libkrb5-dev",
        "/usr/lib/python3/dist-packages",
    ),
    _Distribution(
        "dnf",
        {"kerberos": "python3-gssapi", "ntlm": "python3-gssapi gssntlmssp"},
        f"gcc krb5-devel {_MINOR}-devel",
        f"/usr/lib64/{_MINOR}/site-packages",
    ),
)
_COMPILER = ("/usr/bin/gcc", "/usr/bin/krb5-config")
_OF_PIP = {"kerberos": "gssapi", "ntlm": "pyspnego"}


def command_for(scheme: str) -> str:
    """Return the command that an administrator enters so that this Python can do a scheme.

    It is told by the Python that runs: Debian's package and the single file use what Python has.
    Kerberos may need two, of which the second is told once the first was entered: both are too
    long for one line.
    """
    found = (each for each in _DISTRIBUTIONS if os.path.exists(f"/usr/bin/{each.tool}"))
    distribution = next(found, None)
    if distribution:
        is_own = _is_python_of_the_distribution()
        install = f"{distribution.tool} install"
        if is_own and _sees_packages_of_the_distribution():
            return f"{install} {distribution.packages[scheme]}"
        if is_own and scheme == "kerberos" and sys.prefix != sys.base_prefix:
            if os.path.exists(os.path.join(distribution.modules, "gssapi")):
                # There, include-system-site-packages is all that is true or false.
                settings = os.path.join(sys.prefix, "pyvenv.cfg")
                return f"sed -i s/false/true/ {_quoted(settings)}"
            return f"{install} {distribution.packages[scheme]}"
        if scheme == "kerberos" and not all(map(os.path.exists, _COMPILER)):
            return f"{install} {distribution.to_compile}"
    package = _OF_PIP[scheme]
    if os.path.exists(os.path.join(sys.prefix, "pipx_metadata.json")):
        return f"{_pipx()} inject {os.path.basename(sys.prefix)} {package}"
    if sys.prefix == sys.base_prefix:
        return f"{_quoted(sys.executable)} -m pip install {package}"
    pip = ("Scripts", "pip.exe") if os.name == "nt" else ("bin", "pip")
    return f"{_quoted(os.path.join(sys.prefix, *pip))} install {package}"


def _is_python_of_the_distribution() -> bool:
    """Tell whether it is the one that packages named python3-... are for."""
    default = os.path.basename(os.path.realpath("/usr/bin/python3"))
    return (sys.base_prefix, default) == ("/usr", _MINOR)


def _sees_packages_of_the_distribution() -> bool:
    return sys.prefix == "/usr" or any(
        path.startswith(("/usr/lib/", "/usr/lib64/"))
        and path.endswith(("/dist-packages", "/site-packages"))
        for path in sys.path
    )


def _pipx() -> str:
    """Return how to call pipx, which looks only where its variable says, or in the user's home."""
    venvs = os.path.dirname(sys.prefix)
    home = os.path.dirname(venvs)
    is_default = os.name == "nt" or home.endswith(("/.local/pipx", "/.local/share/pipx"))
    return "pipx" if is_default else f"PIPX_HOME={home} pipx"


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path

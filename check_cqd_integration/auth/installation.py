"""Which installation this is: the command that brings what a login needs to this very one."""

from __future__ import annotations

import os
import sys

_OF_DISTRIBUTIONS = {
    "/usr/bin/apt": {
        "kerberos": "apt install python3-gssapi",
        "ntlm": "apt install python3-gssapi gss-ntlmssp",
    },
    "/usr/bin/dnf": {
        "kerberos": "dnf install python3-gssapi",
        "ntlm": "dnf install python3-gssapi gssntlmssp",
    },
}
_OF_PIP = {"kerberos": "gssapi", "ntlm": "pyspnego"}


def command_for(scheme: str) -> str:
    """Return the command that an administrator enters so that this Python can do a scheme.

    It is told by the Python that runs: Debian's package and the single file use what Python has.
    """
    if _sees_packages_of_the_distribution():
        for tool, commands in _OF_DISTRIBUTIONS.items():
            if os.path.exists(tool):
                return commands[scheme]
    package = _OF_PIP[scheme]
    if os.path.exists(os.path.join(sys.prefix, "pipx_metadata.json")):
        return f"{_pipx()} inject {os.path.basename(sys.prefix)} {package}"
    if sys.prefix == sys.base_prefix:
        return f"{_quoted(sys.executable)} -m pip install {package}"
    pip = ("Scripts", "pip.exe") if os.name == "nt" else ("bin", "pip")
    return f"{_quoted(os.path.join(sys.prefix, *pip))} install {package}"


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

"""Login by Kerberos with a keytab, a password or the ticket cache; MIT krb5 does the work.

The tokens are Kerberos' own, not wrapped in SPNEGO: wrapped, an unknown service principal falls
back to NTLM without a word, and all errors have the same number.
"""

from __future__ import annotations

from typing import Any

import gssapi
from gssapi.raw import ChannelBindings, acquire_cred_with_password
from gssapi.raw.misc import GSSError

from ..errors import LoginError, RefusedError

_KERBEROS = gssapi.MechType.kerberos
_TICKET_STAYS_IN_MEMORY = "MEMORY:check_cqd_integration"

_NO_TICKET = "there is no ticket; get one with kinit, or give --keytab"
_FIRST_CODE = 2529638912
_WRONG_KEY = 24
_REASONS = {
    1: "the account has expired",
    6: "the KDC does not know this user",
    7: "the KDC knows no service HTTP/{host}; is the host given by its name, and its SPN set?",
    18: "the account is locked, disabled or expired",
    23: "the password has expired",
    _WRONG_KEY: "the password or the key is wrong",
    32: "the ticket has expired; get a new one with kinit, or give --keytab",
    37: "the clocks of this host and of the KDC or the portal differ too much",
    41: "the portal cannot read the ticket; is its SPN HTTP/{host} on another account?",
    134: "--username is not of the form user@REALM",
    141: _NO_TICKET,
    154: "no KDC is known for the realm; see krb5.conf",
    156: "no KDC can be reached",
    195: _NO_TICKET,
    210: "the KDC does not support the encryption type of the key",
    224: "no realm is known; give --username as user@REALM",
}
"""By the number after the first in the error table of MIT krb5 (krb5_err.et)."""
_KEYTAB_REASONS = {
    2: "there is no such file",
    13: "this user is not allowed to read it",
    21: "it is a directory",
    39756033: "it has no key for this user",
}
"""By the minor status: of the operating system, or of the krb5 mechanism."""


class KerberosLogin:
    """One handshake: a ticket for the portal, and the portal's proof that it could read it."""

    scheme = "Negotiate"
    may_count = False  # the KDC has accepted the password or key
    likely_reason = "wrong group or SPN"

    def __init__(
        self,
        host: str,
        username: str | None,
        password: str | None,
        keytab: str | None,
        binding: bytes | None,
    ) -> None:
        self._host = host
        self._who = (username, password, keytab)
        self.is_bound = binding is not None
        self._binding = binding
        self._context: Any = None

    @property
    def is_complete(self) -> bool:
        """Tell whether both sides have proved who they are."""
        return self._context is not None and bool(self._context.complete)

    def step(self, token: bytes | None) -> bytes:
        """Return the token for the portal; raises LoginError, with the reason, without one."""
        try:
            if self._context is None:
                self._context = self._begin()
            return self._context.step(token) or b""
        except GSSError as error:
            kind = RefusedError if error.min_code == _FIRST_CODE + _WRONG_KEY else LoginError
            raise kind(self._reason(error)) from error

    def finish(self, token: bytes | None) -> None:
        """Verify the portal's proof; raises LoginError if there is none (RFC 4120, 3.2.4)."""
        if token is not None:
            self.step(token)
        if not self.is_complete:
            raise LoginError("the portal did not prove that it is the one that was asked for")

    def _begin(self) -> Any:
        return gssapi.SecurityContext(
            name=gssapi.Name(f"HTTP@{self._host}", gssapi.NameType.hostbased_service),
            creds=_credentials(*self._who),
            mech=_KERBEROS,
            flags=[gssapi.RequirementFlag.mutual_authentication],
            channel_bindings=(
                ChannelBindings(application_data=self._binding) if self._binding else None
            ),
            usage="initiate",
        )

    def _reason(self, error: Any) -> str:
        reason = _REASONS.get(error.min_code - _FIRST_CODE)
        if reason is None:
            return f"Kerberos fails with code {error.maj_code}/{error.min_code}"
        return reason.format(host=self._host)


def _credentials(username: str | None, password: str | None, keytab: str | None) -> Any:
    """Return what the login is done with; raises GSSError or LoginError."""
    if username and "\\" in username:
        raise LoginError("Kerberos wants --username as user@REALM")
    name = gssapi.Name(username, gssapi.NameType.user) if username else None
    mechs = [_KERBEROS]
    if keytab:
        _check_keytab(name, keytab)
        store = {"client_keytab": f"FILE:{keytab}", "ccache": _TICKET_STAYS_IN_MEMORY}
        return gssapi.Credentials(name=name, usage="initiate", mechs=mechs, store=store)
    if password:
        return acquire_cred_with_password(name, password.encode(), mechs=mechs).creds
    return gssapi.Credentials(name=name, usage="initiate", mechs=mechs)


def _check_keytab(name: Any, keytab: str) -> None:
    """Raise LoginError if a keytab holds no key for a name: the login would not say why."""
    try:
        store = {"keytab": f"FILE:{keytab}"}
        gssapi.Credentials(name=name, usage="accept", mechs=[_KERBEROS], store=store)
    except GSSError as error:
        known = {**_KEYTAB_REASONS, **{_FIRST_CODE + code: why for code, why in _REASONS.items()}}
        reason = known.get(error.min_code, "it is not a keytab")
        raise LoginError(f"--keytab {keytab}: {reason}") from error

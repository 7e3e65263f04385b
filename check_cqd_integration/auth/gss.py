"""Login by Kerberos (MIT krb5) or NTLM (gss-ntlmssp), both by GSSAPI.

Kerberos takes a keytab, a password or the ticket cache. The tokens are those of the mechanism, not
wrapped in SPNEGO: wrapped, an unknown service principal falls back to NTLM without a word, and all
errors have the same number.
"""

from __future__ import annotations

import re
from typing import Any

import gssapi
from gssapi.raw import ChannelBindings, acquire_cred_with_password, inquire_sec_context_by_oid
from gssapi.raw.misc import GSSError

from ..errors import LoginError, RefusedError
from .ntlm import NOT_UNDERSTOOD, Handshake

_KERBEROS = gssapi.MechType.kerberos
_NTLM = gssapi.OID.from_int_seq("1.3.6.1.4.1.311.2.2.10")
_NEEDS_MIC = gssapi.OID.from_int_seq("1.3.6.1.4.1.7165.655.1.2")
"""GSS_SPNEGO_REQUIRE_MIC: who asks for it gets a checksum over all three messages of NTLM."""
_TICKET_STAYS_IN_MEMORY = "MEMORY:check_cqd_integration"

_FIRST_CODE = 2529638912
_UNKNOWN_SERVICE = 7
_WRONG_KEY = 24
_EXPIRED = 32
_NO_TICKET = (141, 195)
_REASONS = {
    1: "the account has expired",
    6: "the KDC does not know this user",
    18: "the account is locked, disabled or expired",
    23: "the password has expired",
    _WRONG_KEY: "the password or the key is wrong",
    _EXPIRED: "the ticket has expired; get a new one with kinit, or give --keytab",
    33: "the ticket is not valid yet: the clocks of this host and of the KDC or the portal differ",
    35: "the ticket is not for the portal; is its SPN HTTP/{host} on another account?",
    37: "the clocks of this host and of the KDC or the portal differ too much",
    41: "the portal cannot read the ticket; is its SPN HTTP/{host} on another account?",
    134: "--username is not of the form user@REALM",
    147: "the KDC answers for another realm; write that of --username in capitals",
    154: "no KDC is known for the realm {realm}; is it right, and in DNS or krb5.conf?",
    156: "no KDC of the realm {realm} can be reached",
    210: "the KDC does not support the encryption type of the key, or the keytab lacks the key",
    224: "no realm is known; give --username as user@REALM",
}
"""By the number after the first in the error table of MIT krb5 (krb5_err.et)."""
_OF_NAME = (134, 224)
"""Those that are reasons why a name is none."""
_KEYTAB_REASONS = {
    2: "there is no such file",
    13: "this user is not allowed to read it",
    21: "it is a directory",
    _FIRST_CODE + 213: "it is not a keytab",
    39756033: "it has no key for this user; upper and lower case matter (klist -k)",
}
"""By the minor status: of the operating system, or of the krb5 mechanism."""
_NO_MECHANISM = 65536
"""Major status GSS_S_BAD_MECH, see RFC 2744."""
_CLOCKS = 1314127897
"""Minor status of gss-ntlmssp: the challenge is more than 36 hours older or newer."""


def has_ntlm() -> bool:
    """Tell whether gss-ntlmssp is there: apt leaves its configuration behind."""
    try:
        gssapi.raw.inquire_names_for_mech(_NTLM)  # it is loaded for that, and has no answer
    except GSSError as error:
        return bool(error.maj_code != _NO_MECHANISM)
    return True


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
        self._username = username
        self._password = password
        self._keytab = keytab
        self.is_bound = binding is not None
        self._binding = binding
        self._context: Any = None

    @property
    def is_complete(self) -> bool:
        """Tell whether both sides have proved who they are."""
        return self._context is not None and bool(self._context.complete)

    @property
    def waits_for(self) -> str:
        """Name the KDC, which gives the ticket for the first step."""
        return f"the KDC of {self._realm()}"

    def step(self, token: bytes | None) -> bytes:
        """Return the token for the portal; raises LoginError, with the reason, without one.

        RefusedError if the KDC refused the password or key.
        """
        try:
            if self._context is None:
                credentials = _kerberos_credentials(self._username, self._password, self._keytab)
                self._context = _begin(_KERBEROS, self._host, credentials, self._binding)
            return self._context.step(token) or b""
        except GSSError as error:
            is_refused = error.min_code == _FIRST_CODE + _WRONG_KEY
            raise (RefusedError if is_refused else LoginError)(self._reason(error)) from error

    def finish(self, token: bytes | None, *, is_needed: bool) -> None:
        """Verify the portal's proof, which may be missing if something else proves who it is.

        Raises LoginError for a wrong one, or for none that is needed (RFC 4120, 3.2.4).
        """
        if token is None and not is_needed:
            return
        try:
            if token is not None:
                self._context.step(token)
        except GSSError as error:
            raise LoginError(f"the portal proves wrongly who it is: {_words(error)}") from error
        if not self.is_complete:
            raise LoginError("the portal did not prove that it is the one that was asked for")

    def _reason(self, error: Any) -> str:
        code, words = error.min_code - _FIRST_CODE, _words(error)
        if code == _UNKNOWN_SERVICE:
            return self._unknown_service(words)
        if code in _NO_TICKET:
            return self._no_ticket()
        if code == _EXPIRED and (self._keytab or self._password):  # it was fetched a moment ago
            return "the ticket has expired already; the clocks of this host and of the KDC differ"
        reason = _REASONS.get(code)
        if reason is None:
            return f"Kerberos fails: {words}"
        realm = re.search("realm ['\"]([^'\"]+)['\"]", words)
        return reason.format(host=self._host, realm=realm[1] if realm else self._realm())

    def _unknown_service(self, words: str) -> str:
        """Tell the name that was asked for, which DNS may have made of the host's."""
        expected, asked = f"HTTP/{self._host}", re.search("HTTP/[^@ ]+", words)
        named = asked[0] if asked else expected  # not every KDC names it
        if named.lower() == expected.lower():
            return (
                f"the KDC knows no service {named}; is the host given by its name, and its SPN set?"
            )
        return (
            f"the KDC knows no service {named}; if that is not the portal's SPN, set rdns and "
            f"dns_canonicalize_hostname to false in krb5.conf"
        )

    def _no_ticket(self) -> str:
        if self._username:
            return "neither --password-file nor --keytab was given, and there is no ticket (kinit)"
        return "there is no ticket; get one with kinit, or give --username and --keytab"

    def _realm(self) -> str:
        """Return the realm of the user, or of this host; what krb5.conf says, without a KDC."""
        username = self._username or "any"
        try:
            name = gssapi.Name(username, gssapi.NameType.user).canonicalize(_KERBEROS)
        except GSSError:
            return "an unknown realm"
        return str(name).rpartition("@")[2]


class NtlmLogin(Handshake):
    """One handshake by gss-ntlmssp."""

    def __init__(
        self, scheme: str, host: str, username: str, password: str, binding: bytes | None
    ) -> None:
        super().__init__(scheme, binding)
        # As Windows: only a backslash parts a domain from the name, what has an @ is one name.
        name = username if "\\" in username else username.replace("@", "\\@")
        try:
            credentials = acquire_cred_with_password(
                gssapi.Name(name, gssapi.NameType.user),
                password.encode(),
                mechs=[_NTLM],
                usage="initiate",
            ).creds
        except GSSError as error:
            raise LoginError(f"NTLM fails: {_words(error)}") from error
        self._context = _begin(_NTLM, host, credentials, binding)

    def step(self, token: bytes | None) -> bytes:
        """Return the next token; raises LoginError for a challenge that is none."""
        try:
            answer: bytes = self._context.step(token) or b""
            if token is None:
                inquire_sec_context_by_oid(self._context, _NEEDS_MIC)
        except GSSError as error:
            if error.min_code == _CLOCKS:
                raise LoginError(
                    "the clocks of this host and of the portal differ by more than 36 hours"
                ) from error
            told = NOT_UNDERSTOOD if token is not None else f"NTLM fails: {_words(error)}"
            raise LoginError(told) from error
        self.is_complete = bool(self._context.complete)
        return answer


def _begin(mechanism: Any, host: str, credentials: Any, binding: bytes | None) -> Any:
    context = gssapi.SecurityContext(
        name=gssapi.Name(f"HTTP@{host}", gssapi.NameType.hostbased_service),
        creds=credentials,
        mech=mechanism,
        flags=[gssapi.RequirementFlag.mutual_authentication] if mechanism == _KERBEROS else [],
        channel_bindings=ChannelBindings(application_data=binding) if binding else None,
        usage="initiate",
    )
    context.__DEFER_STEP_ERRORS__ = False  # raise in the step, not at a later attribute
    return context


def _words(error: Any) -> str:
    """Return what the library says of an error, on one line."""
    is_major = not error.min_code
    told = error.get_all_statuses(error.maj_code if is_major else error.min_code, is_major)
    return " ".join(" ".join(told).split())[:100]


def _kerberos_credentials(username: str | None, password: str | None, keytab: str | None) -> Any:
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
        of_name = {_FIRST_CODE + code: _REASONS[code] for code in _OF_NAME}
        reason = {**_KEYTAB_REASONS, **of_name}.get(error.min_code) or _words(error)
        raise LoginError(f"--keytab {keytab}: {reason}") from error

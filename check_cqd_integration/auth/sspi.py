"""Login by Windows' own security packages (SSPI), which pyspnego calls.

As the account that runs the check, or by Kerberos with a name and a password.
"""

from __future__ import annotations

from typing import Any

import spnego
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import NegotiateOptions, SpnegoError

from ..errors import LoginError, RefusedError

_NTLM = b"NTLMSSP\0"
_NTLM_ANSWER = _NTLM + b"\3\0\0\0"
"""What the messages of NTLM begin with (MS-NLMP, 2.2.1), also within those of Negotiate."""
_REFUSED = (0x8009030C, 0xC000006D)
_NO_CREDENTIALS = 0x8009030E
_NO_KDC = "no KDC of the domain can be reached"
_NO_ACCOUNT = "the account is locked, disabled or expired"
_WRONG_SERVICE = "is its SPN HTTP/{host} on another account?"
_REASONS = {
    0x80090303: "the KDC knows no service HTTP/{host}; is the host given by its name, and its SPN "
    "set?",
    0x80090308: "the portal's token cannot be understood",
    0x80090311: _NO_KDC,
    0x80090322: f"the portal cannot read the ticket; {_WRONG_SERVICE}",
    0x80090324: "the clocks of this host and of the KDC or the portal differ too much",
    0x80090342: "the KDC does not support the encryption type of the key",
    0x80090346: "the portal wants another channel binding; does a proxy end TLS "
    "(--no-channel-binding)?",
    0x80090350: _NO_KDC,
    0xC000005E: _NO_KDC,
    0xC0000071: "the password has expired",
    0xC0000072: _NO_ACCOUNT,
    0xC0000133: "the clocks of this host and of the KDC differ too much",
    0xC0000193: _NO_ACCOUNT,
    0xC0000224: "the password has expired",
    0xC0000234: _NO_ACCOUNT,
}
"""By the codes SEC_E_... of winerror.h and STATUS_... of ntstatus.h."""


class SspiLogin:
    """One handshake; the name, if there is none, is that of the account that runs the check."""

    def __init__(
        self,
        scheme: str,
        package: str,
        host: str,
        username: str | None,
        password: str | None,
        binding: bytes | None,
    ) -> None:
        """Begin; ``package`` is ``negotiate``, ``kerberos`` or ``ntlm``."""
        self.scheme = scheme
        self.is_bound = binding is not None
        self.may_count = False
        """By NTLM, which sends the hash of a password that may be an old one."""
        self._package = package
        self._host = host
        self._username = username
        self._password = password
        self._binding = binding
        self._is_ntlm = package == "ntlm"
        self._context: Any = None

    @property
    def is_complete(self) -> bool:
        """Tell whether all was sent."""
        return self.may_count or self._is_proved

    @property
    def _is_proved(self) -> bool:
        return self._context is not None and bool(self._context.complete)

    @property
    def likely_reason(self) -> str:
        """Tell what an account that is alive may lack."""
        if not self._is_ntlm:
            return "wrong group or SPN"
        if not self.may_count:
            return "it sends no challenge"
        return "local, locked or expired account, or group"

    @property
    def waits_for(self) -> str:
        """Name the KDC, which gives the ticket for the first step."""
        if self._is_ntlm:
            return ""
        _, at, realm = (self._username or "").rpartition("@")
        return f"the KDC of {realm}" if at else "the KDC"

    def step(self, token: bytes | None) -> bytes:
        """Return the token for the portal; raises LoginError, with the reason, without one.

        RefusedError if the password was refused.
        """
        try:
            if self._context is None:
                self._context = self._begin()
            answer: bytes = self._context.step(token) or b""
        except SpnegoError as error:
            is_refused = _code(error) in _REFUSED
            raise (RefusedError if is_refused else LoginError)(self._reason(error)) from error
        self._is_ntlm = self._is_ntlm or _NTLM in answer
        self.may_count = self.may_count or _NTLM_ANSWER in answer
        return answer

    def finish(self, token: bytes | None, *, is_needed: bool) -> None:
        """Verify the portal's proof, which may be missing if something else proves who it is.

        Raises LoginError for a wrong one, or for none that is needed (RFC 4120, 3.2.4). NTLM has
        none.
        """
        if self._is_ntlm or self._is_proved or (token is None and not is_needed):
            return
        try:
            if token is not None:
                self._context.step(token)
        except SpnegoError as error:
            reason = self._reason(error)
            raise LoginError(f"the portal proves wrongly who it is: {reason}") from error
        if not self._is_proved:
            raise LoginError("the portal did not prove that it is the one that was asked for")

    def _begin(self) -> Any:
        bindings = GssChannelBindings(application_data=self._binding) if self._binding else None
        return spnego.client(
            self._username,
            self._password,
            hostname=self._host,
            service="HTTP",
            channel_bindings=bindings,
            protocol=self._package,
            options=NegotiateOptions.use_sspi,
        )

    def _reason(self, error: SpnegoError) -> str:
        code, has_password = _code(error), self._password is not None
        if code in _REFUSED:
            if has_password:
                return "wrong user name or password"
            return "Windows has an old password of the account that runs the check, or it is locked"
        if code == _NO_CREDENTIALS:
            if has_password:
                return "Windows takes no such user name; give --username as user@REALM"
            return (
                "the account that runs the check has no credentials in the network; let a domain "
                "account or NetworkService run it"
            )
        if code in _REASONS:
            return _REASONS[code].format(host=self._host)
        return f"Windows' login fails: {getattr(error.base_error, 'strerror', '')} ({code:#x})"


def _code(error: SpnegoError) -> int:
    """Return the number that Windows gives, as it stands in its headers; 0 if it gave none."""
    return (getattr(error.base_error, "winerror", None) or 0) & 0xFFFFFFFF

"""One request to the portal: URL, login, redirects, size limit -> Answer.

Whatever goes wrong leaves this module as a PluginError; what went wrong on the way to the answer
begins with the step at which it happened.
"""

from __future__ import annotations

import base64
import http
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote_plus, urljoin, urlsplit

import requests
import urllib3

from ..errors import (
    AnswerError,
    LoginError,
    PluginError,
    PortalError,
    RefusedError,
    Said,
    UnreachableError,
    UsageError,
)
from .answer import Answer, read_limited
from .deadline import Deadline
from .reasons import NOT_HTTP, TRY_AGAIN, ClosedError
from .secrets import HIDDEN, Secrets
from .transport import Session
from .trust import Trust

if TYPE_CHECKING:
    from ..auth import Credentials, Login, Refusals

_STATUS = "/status"
_MAX_REDIRECTS = 5
_TOKENS = 4
"""How many tokens of one answer are taken for secrets; a handshake has one for each scheme."""
_LONGEST = 200
"""Characters of an address, which a redirect may have brought, in what went over the wire."""
_QUERY = re.compile("[;?=]([^;?=&#]{4,})(?=[;?&#]|$)")
"""Values of the query, which may be secret; but not those so short that any answer holds them."""
_TOKEN = re.compile("[A-Za-z0-9+/]{16,}")
_CHUNK = 16384
_SCHEMES = ("Negotiate", "NTLM", "Basic", "Digest", "Bearer")
_HEADERS_WITHOUT_SECRETS = ("server", "date", "content-type", "content-length")
_UNLIMITED = ("br", "zstd")
"""What urllib3, if it can at all, expands without a limit."""


class Portal:
    """The portal whose status is at ``url``."""

    def __init__(
        self,
        url: str,
        trust: Trust,
        proxy: str | None = None,
        credentials: Credentials | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._url = url
        self._trust = trust
        self._credentials = credentials
        self._refusals = refusals
        self._session = Session(proxy)
        self._offers = ""
        self._proved = self._may_count = False
        """Whether a login was answered that proves the credentials, or may count against them."""
        self.secrets = Secrets()
        """What was sent, and must not be shown if it comes back."""
        for value in _QUERY.findall(url):
            self.secrets.add(unquote_plus(value))
        if credentials:
            self.secrets.add(credentials.password)
        self._exchange: list[str | requests.Response] = []

    def fetch(self, deadline: Deadline) -> Answer:
        """Ask for the status with one GET on one connection, without a second try.

        HTTP 204 is an empty answer. Raises UnreachableError if none that can be used came,
        PortalError if the portal refused or sent elsewhere, AnswerError for more than 1 MiB,
        UsageError for a file or an address that cannot be used.
        """
        began = time.monotonic()
        response, body = self._read_200(self._url, deadline)
        self._url = response.url
        seconds = time.monotonic() - began
        self._exchange.append(f"{len(body)} bytes in {seconds:.3f}s")
        return Answer(body, _date(response), seconds)

    def fetch_log(self, deadline: Deadline) -> bytes:
        """Ask for the log whose status was fetched, on the same connection.

        Raises what ``fetch`` does.
        """
        url = urlsplit(self._url)
        path, status = url.path[: -len(_STATUS)], url.path[-len(_STATUS) :]
        if status.lower() != _STATUS:
            raise PluginError("its address is known only if that of the status ends in /Status")
        return self._read_200(url._replace(path=path, query="").geturl(), deadline)[1]

    def exchange(self) -> list[str]:
        """Return what went over the wire so far, line by line, secrets left out."""
        parts = ([each] if isinstance(each, str) else self._told(each) for each in self._exchange)
        return [line for part in parts for line in part]

    def close(self) -> None:
        """Close all that was opened."""
        self._session.close()

    def _read_200(self, url: str, deadline: Deadline) -> tuple[requests.Response, bytes]:
        try:
            response = self._ask(urlsplit(url), deadline)
            if response.status_code not in (200, 204):
                raise self._refusal(response, deadline)
            if self._refusals and self._proved:
                with _waiting_for_state(deadline):
                    self._refusals.forget()
                self._refusals = None  # what is refused after that is not for the credentials
            if response.status_code == 204:
                return response, b""
            deadline.begin(f"reading the answer of {urlsplit(response.url).hostname}")
            return response, _read(response)
        except requests.exceptions.InvalidURL as error:
            raise UsageError("the address of the portal is not a valid address") from error
        except requests.exceptions.ContentDecodingError as error:
            raise AnswerError(f"{deadline.step}: its compression is broken") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # What failed on the way was told there.
            raise UnreachableError(f"{deadline.step}: {NOT_HTTP}") from error

    def _ask(self, url: SplitResult, deadline: Deadline) -> requests.Response:
        """Return the first answer that neither is a redirect to be followed nor wants a login."""
        logged_in = False  # once a check: a page that is redirected to may refuse for ever
        for _ in range(_MAX_REDIRECTS + 1):
            self._session.prepare_for(url.scheme, self._trust, deadline)
            if self._session.responses:  # it was asked before; a new connection tells its steps
                deadline.begin(f"waiting for the answer of {url.hostname}")
            response = self._get(url, deadline)
            if response.status_code == 401 and self._credentials is not None and not logged_in:
                logged_in = True
                step = f"logging in to {url.hostname} as {self._credentials}"
                deadline.begin(step)
                try:
                    response = self._log_in_unless_refused(
                        url, response, self._credentials, deadline
                    )
                except (LoginError, AnswerError) as error:
                    raise PortalError(f"{step}: ", *error.args) from error
            if not response.is_redirect:
                return response
            _read(response)  # so that its connection can carry the next request
            url = self._followed(url, response.headers["Location"])
        raise PortalError(f"the portal redirects more than {_MAX_REDIRECTS} times")

    def _get(
        self,
        url: SplitResult,
        deadline: Deadline,
        authorization: str | None = None,
        goes_on: bool = False,
    ) -> requests.Response:
        self._session.handshake.goes_on = goes_on
        self._exchange.append(f"GET {self._place(url)}{' with a token' if authorization else ''}")
        self.secrets.add((authorization or "").partition(" ")[2])
        response = self._session.get(
            url.geturl(),
            headers={"Authorization": authorization},
            allow_redirects=False,
            stream=True,
            timeout=deadline.remaining(),
        )
        self._session.responses.append(response)
        self._note(response)
        return response

    def _log_in_unless_refused(
        self,
        url: SplitResult,
        response: requests.Response,
        credentials: Credentials,
        deadline: Deadline,
    ) -> requests.Response:
        """Log in, and remember how it ended; if that was a refusal before, send nothing.

        Raises what ``_log_in`` does.
        """
        if self._refusals is None:
            return self._log_in(url, response, credentials, deadline)
        host = url.hostname or ""
        with _waiting_for_state(deadline):
            self._refusals.check(host)
        try:
            return self._log_in(url, response, credentials, deadline)
        except RefusedError as error:
            with _waiting_for_state(deadline):
                note = self._refusals.remember(host, str(error))
            raise LoginError(f"{note}{error}") from error

    def _log_in(
        self,
        url: SplitResult,
        response: requests.Response,
        credentials: Credentials,
        deadline: Deadline,
    ) -> requests.Response:
        """Return the answer to one login by one scheme; a refusal is final.

        Raises LoginError with the reason, UnreachableError if the connection, which the handshake
        belongs to, was closed in its course.
        """
        from ..auth import Connection, start_login  # here, so that only a login pays for it

        certificates = self._session.certificates_of(url.scheme)
        connection = Connection(
            host=url.hostname or "",
            is_encrypted=url.scheme == "https",
            certificate=certificates[-1] if certificates else None,
        )
        step = deadline.step
        self._offers = _offers(response)
        with _loading_logins(deadline, step):
            login = start_login(credentials, _offered(response), connection)
        token = _first_token(login, deadline)
        goes_on = False
        while True:
            _read(response)  # so that its connection can carry the next request
            deadline.begin(step)
            header = f"{login.scheme} {base64.b64encode(token).decode()}"
            try:
                response = self._get(url, deadline, header, goes_on)
            except ClosedError as error:
                raise UnreachableError(f"{error}{_hint(login)}") from error
            goes_on = True
            reply = _reply(response, login.scheme)
            if response.status_code != 401:
                # Over TLS the certificate has proved it, too; some proxies take the token away.
                is_proved = url.scheme == "https" and not self._trust.insecure
                login.finish(reply, is_needed=not (is_proved or _is_busy(response)))
                # By Kerberos, it was the KDC that accepted them.
                self._proved = login.is_complete or bool(login.waits_for)
                self._may_count = login.may_count
                return response
            if login.is_complete or reply is None or not (token := login.step(reply)):
                kind = RefusedError if login.may_count else LoginError
                raise kind(
                    f"HTTP 401 to {login.scheme} (of {self._offers}); {login.likely_reason}"
                    f"{_hint(login) or ', see --auth'}"
                )

    def _followed(self, url: SplitResult, location: str) -> SplitResult:
        """Return where a redirect leads; raises PortalError if it must not be followed.

        It may lead anywhere on the same origin and, without credentials, from http to https on
        the same host.
        """
        try:
            target = urlsplit(urljoin(url.geturl(), location))
            same_origin = _origin(target) == _origin(url)
        except ValueError:
            raise PortalError("the portal redirects to something that is not a URL") from None
        upgraded = (url.scheme, target.scheme) == ("http", "https")
        upgraded = upgraded and target.hostname == url.hostname
        allowed = same_origin or (upgraded and self._credentials is None)
        if allowed and "@" not in target.netloc:
            return target
        host = target.netloc.rpartition("@")[2]
        place = f"{target.scheme[:20]}://{host[:60]}"
        if any(map(self.secrets.are_in, (place, target.scheme, host))):
            place = HIDDEN
        if upgraded and self._credentials is not None:
            raise PortalError(
                f"the portal redirects to {place}, which is not followed with a login; leave out "
                f"--http, or give https in --url"
            )
        raise PortalError(
            f"the portal redirects to {place}, which is not followed; if that is right, give its "
            f"address with --url"
        )

    def _refusal(self, response: requests.Response, deadline: Deadline) -> PortalError:
        code = response.status_code
        offered = _offered(response)
        if code in (401, 403) and self._credentials is None and offered:
            with _loading_logins(deadline, f"HTTP {code}"):
                what = _what_login(offered)
            return PortalError(f"HTTP {code}: the portal wants a login and {what}")
        if code == 401 and self._credentials is None:
            return PortalError(
                "HTTP 401: the portal wants a login and offers no scheme; turn on Windows "
                "Authentication in its IIS"
            )
        if code == 401:
            told = (
                f"HTTP 401: a redirect leads to where a login is wanted once more "
                f"({_offers(response)}); give its address with --url"
            )
            host = urlsplit(response.url).hostname or ""
            refusals = self._refusals if self._may_count else None  # some portals refuse so
            with _waiting_for_state(deadline):
                note = refusals.remember(host, told) if refusals else ""
            return PortalError(f"{note}{told}")
        if code == 403 and not (self._offers or offered):
            https = "HTTPS (leave out --http), " if response.url.startswith("http:") else ""
            return PortalError(
                f"HTTP 403: access is forbidden, and no login offered; does the site require "
                f"{https}a client certificate, or another address than this host's?"
            )
        if code == 403:
            return PortalError(
                f"HTTP 403: {self._credentials} is not allowed to read it; is it in the group of "
                f"portal users? The portal offers {self._offers or _offers(response)}, see --auth"
            )
        told = f"HTTP {code} {_PHRASES.get(code, '')}".rstrip()
        if code == 407:
            return PortalError(f"{told}: the proxy wants a login, which is not supported")
        if _is_busy(response):
            return UnreachableError(f"{told}: the portal cannot answer now")
        if code == 404:
            return PortalError(f"{told}: is this the CQD portal, and its address right?")
        return PortalError(f"{told}: not the answer of a CQD portal")

    def _place(self, url: SplitResult) -> str:
        """Return an address without its query; the path may be what a redirect says."""
        path = url.path.partition(";")[0]
        if url.geturl() != self._url:
            path = self.secrets.told(path)
        return f"{url.scheme}://{url.netloc}{path}"[:_LONGEST]

    def _note(self, response: requests.Response) -> None:
        self._exchange.append(response)
        for token in _TOKEN.findall(response.headers.get("WWW-Authenticate", ""))[:_TOKENS]:
            self.secrets.add(token)

    def _told(self, response: requests.Response) -> Iterator[str]:
        yield f"HTTP {response.status_code}"
        for name, value in response.headers.items():
            if name.lower() == "www-authenticate":
                value = ", ".join(_offered(response))
            elif name.lower() not in _HEADERS_WITHOUT_SECRETS or self.secrets.are_in(value):
                value = "(not shown)"
            if self.secrets.are_in(name):
                name = "a header"
            # A line must not begin with a state in brackets: Icinga Web would draw a dot.
            yield f"{re.sub('[][()]', '?', name[:40])}: {value[:80]}"


_PHRASES = {status.value: status.phrase for status in http.HTTPStatus}


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _read(response: requests.Response) -> bytes:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in _UNLIMITED or "," in encoding:
        raise AnswerError("the answer is compressed as ", Said(encoding), ", which is not read")
    try:
        return read_limited(response.iter_content(_CHUNK))
    except ValueError as error:  # pragma: no cover (some versions, of a chunk of negative size)
        raise requests.exceptions.ChunkedEncodingError from error


def _reply(response: requests.Response, scheme: str) -> bytes | None:
    """Return the token with which the portal continues a handshake of this scheme."""
    challenge = response.headers.get("WWW-Authenticate", "")
    match = re.search(rf"(?:^|,)\s*{scheme}\s+([A-Za-z0-9+/]+=*)\s*(?:,|$)", challenge, re.I)
    try:
        return base64.b64decode(match[1]) if match else None
    except ValueError:
        return None


def _first_token(login: Login, deadline: Deadline) -> bytes:
    if not login.waits_for:
        return login.step(None)
    with deadline.waiting_for_another(f"{deadline.step}: asking {login.waits_for}"):
        return login.step(None)


def _waiting_for_state(deadline: Deadline) -> AbstractContextManager[None]:
    """Note that the state directory is waited for: one on a network must not count as a portal."""
    return deadline.waiting_for_another(f"{deadline.step}: waiting for the state directory")


def _loading_logins(deadline: Deadline, step: str) -> AbstractContextManager[None]:
    """Note that a busy host may take long to load a library: that is not the portal."""
    return deadline.waiting_for_another(f"{step}: loading this host's login libraries")


def _is_busy(response: requests.Response) -> bool:
    """Tell whether an answer says nothing but that another may come the next time."""
    return response.status_code // 100 == 5 or response.status_code in TRY_AGAIN


def _what_login(offered: Sequence[str]) -> str:
    """Say which logins are offered, and what to do for one of them."""
    from ..auth import advise  # here, so that only a refusal pays for it

    if advice := advise(offered):
        return f"offers {', '.join(offered)}; {advice}"
    return (
        f"offers {', '.join(offered)} alone, which is not supported; turn on Windows "
        f"Authentication in its IIS"
    )


def _hint(login: Login) -> str:
    return ", or a TLS proxy (--no-channel-binding)" if login.is_bound else ""


def _offered(response: requests.Response) -> list[str]:
    """Return the login schemes of all WWW-Authenticate headers, the strongest first."""
    challenges = re.sub('"[^"]*"', "", response.headers.get("WWW-Authenticate", ""))
    words = [part.split()[0].lower() for part in challenges.split(",") if part.strip()]
    return [scheme for scheme in _SCHEMES if scheme.lower() in words]


def _offers(response: requests.Response) -> str:
    return ", ".join(_offered(response)) or "no scheme"


def _date(response: requests.Response) -> datetime | None:
    try:
        date = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)

"""What is handed over once the portal, or a file in its place, was read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from ..errors import AnswerError

MAX_BYTES = 1024 * 1024
"""More than this is not an integration log: the documented answer has half a kilobyte."""
_EXCERPT = 500
"""Characters of an answer that are shown of one that cannot be read."""


class Secrets:
    """What was sent and must not be shown, should it come back; it shows in no representation."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, text: str | None) -> None:
        """Keep one more."""
        if text:
            self._texts.append(text)

    def are_in(self, text: str) -> bool:
        """Tell whether a text holds one of them, as it is or as a web server would write it."""
        text = text.lower()
        return any(form.lower() in text for each in self._texts for form in _written(each))


NO_SECRETS = Secrets()


class Answer(NamedTuple):
    """An answer as it came, not yet understood."""

    body: bytes
    date: datetime | None = None
    """The portal's clock (UTC) when it answered, if it told."""
    response_time: float | None = None
    """Seconds from the first step to the last byte, if it came over the network."""
    secrets: Secrets = NO_SECRETS

    def excerpt(self) -> str:
        """Return how it begins, on one line; not one that holds a secret, wherever."""
        try:
            text = self.body.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = self.body.decode("latin-1")
        text = text.replace("\0", "")  # UTF-16
        if self.secrets.are_in(text):
            return "(not shown: it holds a secret that was sent)"
        text = " ".join(text.split())
        return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}..."


class TooLargeError(AnswerError):
    """There is more than ``MAX_BYTES``."""

    def __init__(self) -> None:
        super().__init__("the answer is larger than 1 MiB, and is not read")


def read_limited(chunks: Iterable[bytes]) -> bytes:
    """Join the chunks; raises TooLargeError as soon as they are more than ``MAX_BYTES``."""
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > MAX_BYTES:
            raise TooLargeError
    return bytes(body)


def _written(secret: str) -> set[str]:
    """Return the forms of a text in a web page, a URL and JSON, and one read as Latin-1."""
    import base64  # here, as only what was sent and comes back pays for them
    import html
    import json

    encoded = secret.encode(errors="replace")
    in_html = html.escape(secret)
    in_json = json.dumps(secret)[1:-1]
    return {
        secret,
        in_html,
        in_html.replace("&#x27;", "&#39;"),
        quote(secret, safe="", errors="replace"),
        quote(secret, errors="replace"),
        quote_plus(secret, errors="replace"),
        in_json,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        re.sub("[&<>'+]", lambda found: f"\\u{ord(found[0]):04x}", in_json),  # .NET's
        base64.b64encode(encoded).decode(),
        encoded.decode("latin-1"),
    }

"""What was sent and must not be shown, should it come back, in whatever form a server gives it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

from ..errors import PluginError

HIDDEN = "(not shown: it holds a secret that was sent)"
_LOOKED_AT = 4096
"""Characters of a text: no more than the beginning of one is ever shown."""
_WHOLE, _TELLING = 8, 16
"""Characters of a secret that give it away: all of a short one, so many in a row of a long one."""
_UNLIKE_OURS = 16
"""Characters from which on a secret is none of the plugin's own words."""


class Secrets:
    """The secrets of one check; they show in no representation.

    A text of the portal that holds one is hidden in whole: what is left around a gap would tell
    where in a text that everybody knows the secret is. Words of the plugin itself are not hidden:
    a password such as ``cube`` is theirs as well.
    """

    def __init__(self) -> None:
        self._texts: set[str] = set()
        self._split: set[str] = set()
        """Those whose parts that give them away are known: it takes long, and texts are many."""
        self._telling: set[str] = set()
        self._lengths: set[int] = set()

    def add(self, text: str | None) -> None:
        """Keep one more."""
        if text:
            self._texts.add(text[:_LOOKED_AT])

    def are_in(self, text: str) -> bool:
        """Tell whether a text of the portal gives one of them away, as it is or encoded."""
        if not self._texts:
            return False
        for each in self._texts - self._split:
            parts = {part for form in _forms(each) for part in _parts(form)}
            self._telling |= parts
            self._lengths |= {len(part) for part in parts}
            self._split.add(each)
        lengths = tuple(self._lengths)
        return any(
            reading[at : at + length] in self._telling
            for reading in _readings(text[:_LOOKED_AT])
            for length in lengths
            for at in range(len(reading) - length + 1)
        )

    def told(self, text: str) -> str:
        """Return a text of the portal, or what stands in its place."""
        return HIDDEN if self.are_in(text) else text

    def hide_in(self, error: PluginError) -> None:
        """Leave nothing in the text of an error that gives one of them away."""
        error.hide(self.are_in, HIDDEN)

    def blanked(self, line: str) -> str:
        """Return a line that is printed without those that no word of ours can be, as they are."""
        for each in tuple(self._texts):  # a thread that was left may still add some
            if len(each) >= _UNLIKE_OURS:
                line = line.replace(each, "(secret)")
        return line


NO_SECRETS = Secrets()


def _forms(secret: str) -> set[str]:
    """Return what may stand for a secret in the readings of a text."""
    import base64  # here, as only what was sent and comes back pays for it

    encoded = secret.encode(errors="replace")
    forms = {
        secret,
        " ".join(secret.split()),
        encoded.decode("latin-1"),
        secret.encode("ascii", "replace").decode(),
    }
    for before, unsure in enumerate((0, 2, 3)):  # within a longer text, as in Basic's user:password
        text = base64.b64encode(bytes(before) + encoded).decode().rstrip("=")
        is_even = (before + len(encoded)) % 3 == 0
        forms.add(text[unsure:] if is_even else text[unsure:-1])
    return {form.lower() for form in forms if form == secret or len(form) > 3}


def _parts(form: str) -> Iterator[str]:
    length = min(len(form), max(_WHOLE, min(_TELLING, len(form) * 2 // 3)))
    return (form[at : at + length] for at in range(len(form) - length + 1))


def _readings(text: str) -> set[str]:
    """Return a text as it is, and as HTML, a URL, JSON and all of them in one may mean it."""

    def from_html(text: str) -> str:
        if "&" not in text:
            return text
        import html  # here, as most texts need none of its 2,231 names

        return html.unescape(text)

    def of_json(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else found[2]

    from_json = re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", of_json, text)
    # A character beyond 16 bits is written as two.
    from_json = from_json.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    readings = {text, from_html(text), unquote(text), unquote_plus(text), from_json}
    readings.add(unquote(from_html(from_json)))
    return {reading.lower() for reading in readings}

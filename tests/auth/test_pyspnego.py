"""What is asked of pyspnego; test_login.py has what comes of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import spnego
from spnego.channel_bindings import GssChannelBindings

from check_cqd_integration.auth.pyspnego import NtlmLogin


@pytest.mark.parametrize(
    ("binding", "bindings"), [(None, None), (b"hash", GssChannelBindings(application_data=b"hash"))]
)
def test_login_names_the_service_that_it_is_for(
    monkeypatch: pytest.MonkeyPatch, binding: bytes | None, bindings: Any
) -> None:
    """Extended Protection compares it, as it does the binding: none is not an empty one."""
    asked: list[Any] = []
    monkeypatch.setattr(spnego, "client", lambda *values, **named: asked.append((values, named)))
    login = NtlmLogin("Negotiate", "cqd.example.com", "monitor", "Passw0rd!", binding)
    named = {
        "hostname": "cqd.example.com",
        "service": "http",
        "protocol": "ntlm",
        "options": spnego.NegotiateOptions.use_ntlm,  # its own, on every system
    }
    assert asked == [(("monitor", "Passw0rd!"), {**named, "channel_bindings": bindings})]
    assert (login.scheme, login.is_bound) == ("Negotiate", binding is not None)
    assert (login.is_complete, login.may_count) == (False, False)
    assert login.waits_for == ""  # the portal alone asks a domain controller


@pytest.mark.parametrize("level", "012345")
def test_level_that_the_environment_asks_for(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    monkeypatch.setenv("LM_COMPAT_LEVEL", level)
    monkeypatch.setattr(spnego, "client", lambda *_, **named: named["protocol"])
    assert NtlmLogin("NTLM", "cqd.example.com", "monitor", "x", None).scheme == "NTLM"


def test_no_token_is_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(step=lambda token: None, complete=False)
    monkeypatch.setattr(spnego, "client", lambda *_, **named: context)
    assert NtlmLogin("NTLM", "cqd.example.com", "monitor", "x", None).step(b"") == b""

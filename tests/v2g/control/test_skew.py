"""A command and a daemon of different versions say so once, and go on where they understand each other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from v2g import __version__
from v2g.control import server as server_module
from v2g.control.client import CallRefused, ControlClient
from v2g.control.skew import skew_words


def test_the_same_version_and_one_that_tells_none_say_nothing() -> None:
    assert skew_words("v2g-control", "0.1.0", "v2g-orchestrator", "0.1.0") == ""
    assert skew_words("v2g-control", "0.1.0", "v2g-orchestrator", "") == ""


def test_another_version_is_named_with_both_ways_out() -> None:
    words = skew_words("v2g-control", "0.1.0", "v2g-orchestrator", "0.2.0")
    assert words.startswith("v2g-control 0.1.0 speaks with v2g-orchestrator 0.2.0: ")
    assert "systemctl restart v2g-orchestrator" in words
    assert "use the commands of its version" in words


def test_a_version_that_is_no_text_is_not_printed() -> None:
    assert "\x1b" not in skew_words("v2g-control", "0.1.0", "v2g-orchestrator", "\x1b[31m")


async def test_a_client_tells_it_once_and_its_call_is_answered(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.groups = frozenset({"v2g-viewer"})
    monkeypatch.setattr(server_module, "__version__", "0.9.0")
    told: list[str] = []

    def talk() -> list[dict[str, Any]]:
        with ControlClient(site.path, on_skew=told.append) as client:
            return [client.call("status"), client.call("status")]

    assert await asyncio.to_thread(talk) == [{"site": "s1"}, {"site": "s1"}]
    assert told == [skew_words("v2g-control", __version__, "v2g-orchestrator", "0.9.0")]


async def test_another_protocol_is_refused_with_both_versions_and_what_to_do(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.groups = frozenset({"v2g-viewer"})
    monkeypatch.setattr("v2g.control.messages.PROTOCOL_VERSION", 2)
    monkeypatch.setattr(site.server, "_greet", _of_protocol_1(site.server))
    with pytest.raises(CallRefused) as caught:
        await asyncio.to_thread(ControlClient(site.path).call, "status")
    assert caught.value.exit_code == 1
    assert "speaks control protocol 1, the client 2" in str(caught.value)
    assert "restart the daemon after an update" in str(caught.value)


def _of_protocol_1(server: Any) -> Any:
    """The server of an older version: its own number is still 1."""
    greet = type(server)._greet

    def older(params: Any, connection: Any) -> None:
        messages = server_module.messages
        newer, messages.PROTOCOL_VERSION = messages.PROTOCOL_VERSION, 1
        try:
            greet(server, params, connection)
        finally:
            messages.PROTOCOL_VERSION = newer

    return older

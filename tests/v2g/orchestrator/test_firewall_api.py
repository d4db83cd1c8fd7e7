from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from v2g.cli import firewall_context
from v2g.clock import SystemClock
from v2g.config.schema import Roles
from v2g.control.client import CallRefused, ControlClient
from v2g.control.server import ControlServer
from v2g.orchestrator.firewall_api import FirewallApi


async def test_what_the_command_did_is_a_line_of_the_daemon_s_audit_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firewall_context.syslog, "syslog", lambda level, text: None)
    lines: list[dict[str, Any]] = []
    sock = tmp_path / "control.sock"
    server = ControlServer(
        sock,
        FirewallApi().methods(),
        Roles(),
        lambda code, _, **fields: lines.append({"code": code, **fields}),
        SystemClock(),
    )
    await server.start()
    try:
        await asyncio.to_thread(
            firewall_context.noter(sock), "FIREWALL_APPLIED", "by alice to be confirmed within 60 s"
        )
        with pytest.raises(CallRefused):
            await asyncio.to_thread(_call, sock, {"code": "TRIP_RESET", "words": ""})
    finally:
        await server.close()
    noted, refused = [line for line in lines if line["method"] == "firewall.note"]
    assert (noted["code"], refused["code"]) == ("CALL", "REFUSED")
    assert '"FIREWALL_APPLIED","words":"by alice to be confirmed within 60 s"' in noted["params"]


def _call(sock: Path, params: dict[str, str]) -> None:
    with ControlClient(sock) as client:
        client.call("firewall.note", params)

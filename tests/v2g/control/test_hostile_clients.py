"""Clients that mean harm or are broken: what they send is refused in words, what they hold up is their own affair."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from v2g.control import connection as connection_module
from v2g.control import server as server_module

STATUS = b'{"jsonrpc":"2.0","id":1,"method":"status"}'
DISPATCH = {"mode": "discharge", "power_w": 10000}


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    params = opening * depth + b"1" + closing * depth
    return b'{"jsonrpc":"2.0","id":1,"method":"dispatch","params":{"mode":' + params + b"}}"


@pytest.mark.parametrize(
    "line",
    [
        b"\x00",
        b"\x00" * 60_000,
        STATUS[:-1] + b"\x00}",
        STATUS.replace(b"status", b"sta\x00tus"),
        STATUS.replace(b"status", b"\xc3\x28"),
        STATUS.replace(b"status", rb"\ud800"),
        STATUS.replace(b"status", "ſtatus\u202e".encode()),
        STATUS.replace(b":1,", b":1e999,"),
        STATUS.replace(b":1,", b":" + b"9" * 5000 + b","),
        STATUS.replace(b":1,", b":NaN,"),
        STATUS.replace(b":1,", b":[1],"),
        STATUS + STATUS,
        STATUS[:-1] + b',"params":null}',
        STATUS[:-1] + b',"params":"x"}',
        b"\xef\xbb\xbf" + b"[1",
        nested(20),
        nested(500),
        nested(20_000),
        nested(5_000, b'{"a":', b"}"),
        nested(900, b'{"a":', b"}"),
    ],
)
async def test_what_is_no_call_is_refused_and_audited_on_one_line(site: Any, line: bytes) -> None:
    peer = await site.greeted("v2g-operator")
    answer = await peer.raw(line)
    assert "error" in answer
    assert answer["error"]["message"]
    code, fields = site.audit[-1]
    assert code == "REFUSED"
    assert len(fields["params"]) <= 201
    assert "result" in await peer.call("status")


@pytest.mark.parametrize(
    "params",
    [
        {"mode": 1},
        {"mode": None},
        {"mode": ["discharge"]},
        {"mode": "discharge", "power_w": "10kW"},
        {"mode": "discharge", "power_w": True},
        {"mode": "discharge", "power_w": {}},
        {"mode": "discharge", "evse_id": 5},
        {"mode": "discharge", "Power_W": 1},
        {},
    ],
)
async def test_values_of_another_type_are_refused_before_anything_is_done(site: Any, params: dict[str, Any]) -> None:
    peer = await site.greeted("v2g-operator")
    answer = await peer.call("dispatch", params)
    assert answer["error"]["code"] == -32602
    assert answer["error"]["message"].startswith("dispatch: ")
    assert site.orders == []


async def test_of_two_values_of_a_name_the_last_counts_and_is_audited(site: Any) -> None:
    peer = await site.greeted("v2g-operator")
    await peer.raw(b'{"jsonrpc":"2.0","id":1,"method":"status","method":"dispatch","params":{"mode":"idle"}}')
    assert (site.audit[-1][1]["method"], len(site.orders)) == ("dispatch", 1)


async def test_ten_thousand_lines_at_once_wait_in_the_socket_and_hold_up_nobody(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, waiting = asyncio.Event(), asyncio.Event()

    async def pause(seconds: float) -> None:
        waiting.set()
        await held.wait()

    flood = await site.greeted("v2g-viewer")
    monkeypatch.setattr(connection_module.asyncio, "sleep", pause)
    monkeypatch.setattr(server_module, "peer", lambda connection: (1, 2000, 1))
    other = await site.greeted("v2g-viewer")

    async def pour() -> None:
        flood.writer.write((STATUS + b"\n") * 10_000)
        await flood.writer.drain()

    pouring = asyncio.create_task(pour())
    # 200 at once, of which hello was one; then it is paced, and here for ever.
    for _ in range(199):
        assert (await flood.line())["id"] == 1
    await asyncio.wait_for(waiting.wait(), 5)
    for _ in range(50):
        assert "result" in await other.call("status")
    unread = max(len(each._reader._buffer) for _, each in site.server._connections.values())
    assert unread <= 4 * connection_module.Connection.READ_LIMIT
    assert flood.reader._buffer == b""
    held.set()
    await asyncio.wait_for(pouring, 5)
    flood.writer.transport.abort()


async def test_calls_that_change_something_have_a_pace_of_their_own(site: Any, pauses: Any) -> None:
    peer = await site.greeted("v2g-operator")
    told = pauses()
    for _ in range(50):
        assert "result" in await peer.call("cancel")
    assert len(told) == 50 - 20
    assert told == pytest.approx([0.1] * 30)
    told.clear()
    for _ in range(20):
        assert "result" in await peer.call("status")
    assert told == []


async def test_the_pace_of_changes_is_of_a_user_not_of_a_connection(
    site: Any, pauses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = [await site.greeted("v2g-operator") for _ in range(4)]
    told = pauses(time_stands=True)
    for _ in range(6):
        for peer in peers:
            await peer.call("cancel")
    assert len(told) == 4
    monkeypatch.setattr(server_module, "peer", lambda connection: (1, 2000, 1))
    assert "result" in await (await site.greeted("v2g-operator")).call("cancel")
    assert len(told) == 4


async def test_refused_calls_cost_no_pace_of_changes(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def pause(seconds: float) -> None:
        raise AssertionError("nothing is to be paced")

    peer = await site.greeted("v2g-viewer")
    for _ in range(60):
        assert (await peer.call("cancel"))["error"]["code"] == -32004
    peer = await site.greeted("v2g-operator")
    monkeypatch.setattr(server_module.asyncio, "sleep", pause)
    assert "result" in await peer.call("cancel")


@pytest.mark.parametrize("greeted", [False, True])
async def test_bytes_that_trickle_in_and_never_end_a_line_do_not_keep_a_place(
    site: Any, monkeypatch: pytest.MonkeyPatch, greeted: bool
) -> None:
    monkeypatch.setattr(server_module, "HELLO_TIMEOUT_S", 0.05)
    monkeypatch.setattr(server_module, "IDLE_TIMEOUT_S", 0.05)
    slow = await site.greeted("v2g-viewer") if greeted else await site.connect()

    async def trickle() -> None:
        for byte in STATUS:
            slow.writer.write(bytes([byte]))
            await asyncio.sleep(0.005)

    trickling = asyncio.create_task(trickle())
    assert await slow.line() is None
    await trickling
    for _ in range(100):
        if not site.server._connections:
            break
        await asyncio.sleep(0.01)
    assert not site.server._connections


@pytest.mark.parametrize(
    "name", ["password", "pin", "client_secret", "user-pin", "api_token", "PassPhrase", "private_key"]
)
async def test_a_secret_that_somebody_sends_is_not_in_the_audit_log(site: Any, name: str) -> None:
    peer = await site.greeted("v2g-operator")
    await peer.call("dispatch", {"mode": "charge", name: "hunter2"})
    await peer.call("nonsense", {"deep": [{name: {"value": "hunter2"}}]})
    assert len(site.audit) == 3
    assert "hunter2" not in json.dumps(site.audit)
    assert '"mode":"charge"' in site.audit[1][1]["params"]


async def test_what_is_no_secret_is_kept(site: Any) -> None:
    peer = await site.greeted("v2g-operator")
    await peer.call("nonsense", {"spinning": 1, "opinion": 2, "keypad": 3, "mode": "pin"})
    assert site.audit[-1][1]["params"] == '{"spinning":1,"opinion":2,"keypad":3,"mode":"pin"}'


async def test_a_flood_from_one_user_leaves_the_changes_of_others_alone(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = {"flood": 3000, "other": 3001}
    current = ["flood"]
    monkeypatch.setattr(server_module, "peer", lambda connection: (1, uids[current[0]], 1))
    flood = await site.greeted("v2g-operator")
    for _ in range(20):
        await flood.call("cancel")
    held = asyncio.create_task(flood.call("cancel"))
    current[0] = "other"
    other = await site.greeted("v2g-operator")
    assert "result" in await asyncio.wait_for(other.call("dispatch", DISPATCH), 1.0)
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)


async def test_a_call_under_way_when_the_daemon_stops_is_audited(site: Any) -> None:
    peer = await site.greeted("v2g-viewer")
    waiting = asyncio.create_task(peer.call("wait"))
    await asyncio.sleep(0.02)
    await site.server.close()
    code, fields = site.audit[-1]
    assert (code, fields["method"], fields["error"]) == ("FAILED", "wait", "CUT_OFF")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_a_call_that_took_too_long_may_have_been_done_and_is_audited_as_that(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "HANDLER_TIMEOUT_S", 0.02)
    peer = await site.greeted("v2g-viewer")
    await peer.call("wait")
    code, fields = site.audit[-1]
    assert (code, fields["error"]) == ("FAILED", "TOO_SLOW")


async def test_what_a_handler_refused_is_always_audited(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = asyncio.sleep
    monkeypatch.setattr(connection_module.asyncio, "sleep", lambda seconds: sleep(0))
    peer = await site.greeted("v2g-operator")
    for _ in range(80):
        await peer.call("dispatch", {"mode": "fly"})
    assert len([1 for code, fields in site.audit if fields.get("error") == "NO_WINGS"]) == 80
    for _ in range(80):
        await peer.call("dispatch", {"mode": "fly", "no_such": 1})
    assert len([1 for code, fields in site.audit if fields.get("error") == "INVALID_PARAMS"]) < 60


async def test_viewers_who_come_while_their_role_is_looked_up_take_no_operators_place(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, uids, asked = threading.Event(), [2000], []

    def lookup(uid: int) -> tuple[str, frozenset[str]]:
        asked.append(uid)
        if uid == 3000:
            return "anna", frozenset({"v2g-operator"})
        known.wait(10)
        return "viewer", frozenset({"v2g-viewer"})

    monkeypatch.setattr(site.server, "_lookup", lookup)
    monkeypatch.setattr(server_module, "peer", lambda connection: (1, uids[-1], 1))
    try:
        for uid in (2001, 2002):
            uids.append(uid)
            for _ in range(server_module.MAX_CLIENTS_OF_ONE_USER):
                await site.connect()
            while sum(other == uid for other, _ in site.server._connections.values()) < 16:
                await asyncio.sleep(0)
        uids.append(3000)
        for _ in range(2):
            anna = await site.connect()
            assert (await anna.hello())["result"]["role"] == "operator"
        assert asked == [2001, 2002, 3000, 3000]
    finally:
        known.set()
    while site.server._unknown:
        await asyncio.sleep(0)
    assert len(site.server._viewers) == server_module.MAX_CLIENTS - server_module.RESERVED_CLIENTS
    assert site.server._lookups == {}

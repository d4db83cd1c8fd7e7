from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import Any

import pytest

from v2g import __version__
from v2g.clock import ManualClock
from v2g.config.schema import Roles
from v2g.control import connection as connection_module
from v2g.control import messages
from v2g.control import server as server_module
from v2g.control.server import ControlServer, Method, Role

DISPATCH = {"mode": "discharge", "power_w": 10000}


def code_of(answer: dict[str, Any] | None) -> int:
    assert answer is not None
    assert "result" not in answer
    code: int = answer["error"]["code"]
    return code


async def test_hello_tells_version_and_role(site: Any) -> None:
    site.groups = frozenset({"v2g-operator", "users"})
    answer = await (await site.connect()).hello()
    assert answer["result"] == {
        "server": "v2g-orchestrator",
        "version": __version__,
        "protocol": messages.PROTOCOL_VERSION,
        "role": "operator",
        "simulation": False,
    }


async def test_nothing_is_answered_before_hello(site: Any) -> None:
    site.groups = frozenset({"v2g-operator"})
    peer = await site.connect()
    assert code_of(await peer.call("dispatch", DISPATCH)) == -32002
    assert site.orders == []


async def test_another_protocol_is_refused_with_both_versions_and_the_connection_ends(site: Any) -> None:
    site.groups = frozenset({"v2g-operator"})
    peer = await site.connect()
    answer = await peer.call("hello", {"client": "old", "protocol": 0})
    assert code_of(answer) == -32003
    assert "speaks control protocol 1, the client 0" in answer["error"]["message"]
    assert await peer.line() is None


async def test_a_call_reaches_its_handler_and_its_result_the_caller(site: Any) -> None:
    peer = await site.greeted("v2g-operator")
    answer = await peer.call("dispatch", DISPATCH, request_id="abc")
    assert answer["id"] == "abc"
    assert answer["result"]["granted_w"] == -10000
    params, caller = site.orders[0]
    assert params == messages.DispatchParams(mode="discharge", power_w=10000)
    assert (caller.user, caller.uid, caller.pid, caller.role) == ("alice", 1000, 4321, Role.OPERATOR)


async def test_a_handler_is_asked_only_once_its_facts_are_of_now(site: Any) -> None:
    peer = await site.greeted("v2g-operator")
    site.current.clear()
    answer = asyncio.ensure_future(peer.call("dispatch", DISPATCH))
    other = await site.connect()
    # The server has read the first call by the time it has answered a later one of another's.
    assert code_of(await other.call("status")) == -32002
    assert site.orders == []
    site.current.set()
    assert "result" in await answer
    assert len(site.orders) == 1


async def test_the_last_change_is_known_to_what_is_answered_after_it_and_looking_is_no_change(site: Any) -> None:
    peer = await site.greeted("v2g-operator")
    began_s = site.clock.monotonic_s()
    await peer.call("dispatch", DISPATCH)  # takes 0.25 s
    await peer.call("status")
    site.clock.advance(5.0)
    await peer.call("status")
    await peer.call("dispatch", DISPATCH | {"mode": "fly"})
    await peer.call("status")
    told = [since_s - began_s for since_s in site.since_s[-5:]]
    assert told == pytest.approx([0.0, 0.25, 0.25, 0.25, 5.25])


@pytest.mark.parametrize(
    ("group", "allowed"),
    [
        ("v2g-viewer", {"status"}),
        ("v2g-utility", {"status", "dispatch"}),
        ("v2g-operator", {"status", "dispatch", "cancel"}),
        ("v2g-engineer", {"status", "dispatch", "cancel", "install"}),
    ],
)
async def test_each_role_may_do_its_part(site: Any, group: str, allowed: set[str]) -> None:
    peer = await site.greeted(group)
    calls = {"status": {}, "dispatch": DISPATCH, "cancel": {}, "install": {}}
    answers = {method: await peer.call(method, params) for method, params in calls.items()}
    refused = {method for method, answer in answers.items() if answer.get("error", {}).get("code") == -32004}
    assert refused == set(calls) - allowed


async def test_who_is_in_no_group_is_told_which_to_join(site: Any) -> None:
    peer = await site.connect()
    answer = await peer.hello()
    assert code_of(answer) == -32004
    assert "alice has none" in answer["error"]["message"]
    assert "v2g-viewer" in answer["error"]["message"]


async def test_each_call_leaves_one_audit_line(site: Any) -> None:
    peer = await site.greeted("v2g-operator")
    await peer.call("dispatch", DISPATCH)
    await peer.call("dispatch", {"mode": "fly"})
    await peer.call("status")
    assert [code for code, _ in site.audit] == ["CALL", "CALL", "REFUSED", "CALL"]
    done, refused, read = (fields for _, fields in site.audit[1:])
    who = {"uid": 1000, "user": "alice", "pid": 4321, "role": "operator", "method": "dispatch"}
    assert done.items() >= (who | {"params": '{"mode":"discharge","power_w":10000}', "duration_ms": 250.0}).items()
    assert json.loads(done["result"])["granted_w"] == -10000
    assert refused.items() >= (who | {"error": "NO_WINGS", "reason": "vehicles do not fly"}).items()
    assert (read["method"], read["result"]) == ("status", "ok")


async def test_a_refusal_carries_its_code(site: Any) -> None:
    peer = await site.greeted("v2g-operator")
    answer = await peer.call("dispatch", {"mode": "fly"})
    assert answer["error"] == {"code": -32000, "message": "vehicles do not fly", "data": {"code": "NO_WINGS"}}


async def test_a_handler_that_fails_tells_no_secrets_and_serves_on(site: Any) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    peer = await site.greeted("v2g-engineer")
    answer = await peer.call("install")
    assert code_of(answer) == -32603
    assert "secret detail" not in answer["error"]["message"]
    assert isinstance(told[0]["exception"], KeyError)
    assert site.audit[-1][0] == "FAILED"
    assert "result" in await peer.call("status")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"garbage", -32700),
        (b"\xff\xfe\x00", -32700),
        (b"[" * 5000, -32700),
        (b"[]", -32600),
        (b"5", -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"2.0","method":"status"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"status"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"status"}', -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"status"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"status","params":[1]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"x":1}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"dispatch","params":{}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"dispatch","params":{"mode":1}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"nonsense"}', -32601),
    ],
)
async def test_a_line_that_is_no_call_is_answered_and_the_next_is_served(site: Any, line: bytes, code: int) -> None:
    peer = await site.greeted("v2g-operator")
    assert code_of(await peer.raw(line)) == code
    assert site.audit[-1][0] == "REFUSED"
    assert "result" in await peer.call("status")


async def test_errors_are_for_people(site: Any) -> None:
    peer = await site.greeted("v2g-operator")
    answer = await peer.call("dispatch", {"mode": "charge", "power": 5})
    assert answer["error"]["message"] == "dispatch: Object contains unknown field `power`"
    answer = await peer.call("dispach")
    assert "there are cancel, dispatch, hello" in answer["error"]["message"]


async def test_split_and_coalesced_lines_are_calls(site: Any) -> None:
    peer = await site.greeted("v2g-operator")
    one = b'{"jsonrpc":"2.0","id":1,"method":"status"}'
    two = b'{"jsonrpc":"2.0","id":2,"method":"status"}\r\n'
    await peer.send(one[:10])
    await asyncio.sleep(0)
    await peer.send(one[10:] + b"\n\n \n" + two)
    assert [(await peer.line())["id"], (await peer.line())["id"]] == [1, 2]


async def test_a_line_of_64_kib_is_read_and_a_longer_one_ends_the_connection(site: Any) -> None:
    peer = await site.greeted("v2g-operator")
    head, tail = b'{"jsonrpc":"2.0","id":1,"method":"', b'"}'
    longest = head + b"x" * (64 * 1024 - len(head) - len(tail)) + tail
    assert code_of(await peer.raw(longest)) == -32601
    await peer.send(longest + b"y" * 4096)
    answer = await peer.line()
    assert code_of(answer) == -32600
    assert "65536 bytes at most" in answer["error"]["message"]
    with pytest.raises((ConnectionError, AssertionError)):
        assert await peer.line() is not None
    assert "result" in await (await site.greeted("v2g-viewer")).call("status")


async def test_subscribers_hear_broadcasts_and_others_do_not(site: Any) -> None:
    listener, other = await site.greeted("v2g-viewer"), await site.greeted("v2g-viewer")
    site.server.broadcast("status", {"n": 0})
    await listener.call("subscribe")
    assert site.server.subscribers == 1
    site.server.broadcast("status", {"n": 1})
    assert await listener.line() == {"jsonrpc": "2.0", "method": "status", "params": {"n": 1}}
    assert (await other.call("status"))["id"] == 1


async def test_who_names_topics_is_told_of_these_and_of_no_others(site: Any) -> None:
    listener, plain = await site.greeted("v2g-viewer"), await site.greeted("v2g-viewer")
    await plain.call("subscribe")
    await listener.call("subscribe", {"topics": ["thermal", "mesh.show"]})
    assert [site.server.is_wanted(topic) for topic in ("status", "thermal", "thermal.course")] == [True, True, False]
    for topic in ("status", "thermal", "thermal.course", "mesh.show"):
        site.server.broadcast(topic, {"of": topic})
    assert [(await listener.line())["method"] for _ in range(2)] == ["thermal", "mesh.show"]
    assert (await plain.line())["params"] == {"of": "status"}
    unknown = await listener.call("subscribe", {"topics": ["keys"]})
    assert unknown["error"]["data"]["code"] == "INVALID_PARAMS"
    assert site.server.is_wanted("thermal")


async def test_a_subscriber_that_does_not_read_is_dropped_and_the_others_hear_on(site: Any) -> None:
    deaf, listener = await site.greeted("v2g-viewer"), await site.greeted("v2g-viewer")
    await deaf.call("subscribe")
    await listener.call("subscribe")
    deaf.reader._transport.pause_reading()
    heard = 0
    for _ in range(100):
        site.server.broadcast("status", {"x": "y" * 50_000})
        heard += (await listener.line()) is not None
    assert heard == 100
    assert site.server.subscribers == 1


async def test_a_peer_that_does_not_read_its_answers_is_dropped(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_SEND_TIMEOUT_S", 0.05)
    deaf = await site.greeted("v2g-viewer")
    deaf.reader._transport.pause_reading()
    line = b'{"jsonrpc":"2.0","id":"' + b"i" * 60_000 + b'","method":"status"}\n'

    async def flood() -> None:
        for _ in range(200):
            deaf.writer.write(line)
            await asyncio.wait_for(deaf.writer.drain(), 2)

    with pytest.raises((ConnectionError, TimeoutError)):
        await flood()
    for _ in range(100):
        if not site.server._connections:
            break
        await asyncio.sleep(0.01)
    assert not site.server._connections


async def test_clients_are_counted(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_CLIENTS", 11)
    monkeypatch.setattr(server_module, "MAX_CLIENTS_OF_ONE_USER", 2)
    first, _ = [await site.greeted("v2g-viewer") for _ in range(2)]
    third = await site.connect()
    assert code_of(await third.line()) == -32001
    assert await third.line() is None
    first.writer.close()
    for _ in range(100):
        if len(site.server._connections) < 2:
            break
        await asyncio.sleep(0.01)
    await site.greeted("v2g-viewer")


async def test_viewers_leave_room_for_operators_and_all_others_for_root(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_CLIENTS", 4)
    monkeypatch.setattr(server_module, "RESERVED_CLIENTS", 2)
    uids = iter(range(1000, 1010))
    monkeypatch.setattr(server_module, "peer", lambda connection: (1, next(uids), 1))
    for _ in range(2):
        await site.greeted("v2g-viewer")
    turned_away = await site.connect()
    assert code_of(await turned_away.line()) == -32001
    assert await turned_away.line() is None
    for _ in range(2):
        await site.greeted("v2g-operator")
    assert code_of(await (await site.connect()).line()) == -32001
    monkeypatch.setattr(server_module, "peer", lambda connection: (1, 0, 0))
    await site.greeted()


async def test_who_asks_for_nothing_is_let_go_unless_subscribed(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "IDLE_TIMEOUT_S", 0.05)
    idle, listener = await site.greeted("v2g-viewer"), await site.greeted("v2g-viewer")
    await listener.call("subscribe")
    assert await idle.line() is None
    assert site.server.subscribers == 1
    site.server.broadcast("status", {"n": 1})
    assert await listener.line() == {"jsonrpc": "2.0", "method": "status", "params": {"n": 1}}


async def test_audit_lines_of_calls_that_change_nothing_are_bounded_and_counted(site: Any) -> None:
    peers = [await site.greeted("v2g-operator") for _ in range(4)]
    for _ in range(20):
        for peer in peers:
            await peer.call("status")
            await peer.call("nonsense")
    assert len(site.audit) == 50
    await peers[0].call("dispatch", DISPATCH)
    assert site.audit[-1][0] == "CALL"
    assert site.audit[-1][1]["left_out_before"] == 4 + 4 * 40 - 50
    for _ in range(60):
        await peers[0].call("dispatch", DISPATCH)
    told = [fields for _, fields in site.audit if fields["method"] == "dispatch"]
    assert len(told) == 61
    assert "left_out_before" not in told[-1]


async def test_a_user_that_comes_anew_has_no_new_budget(site: Any) -> None:
    for _ in range(30):
        peer = await site.greeted("v2g-viewer")
        await peer.call("status")
        peer.writer.close()
        await asyncio.sleep(0)
    assert len(site.audit) == 50


async def test_what_is_refused_is_clipped_in_the_audit(site: Any) -> None:
    peer = await site.greeted("v2g-operator")
    await peer.call("m" * 5000, {"p": "q" * 5000})
    await peer.call("dispatch", {"mode": "fly" * 3, "x" * 5000: 1})
    for _, fields in site.audit[1:]:
        assert len(fields["method"]) <= 65
        assert len(fields["params"]) <= 201
        assert len(fields["reason"]) <= 201


async def test_the_pace_is_of_a_user_not_of_a_connection(site: Any, pauses: Any) -> None:
    peers = [await site.greeted("v2g-viewer") for _ in range(4)]
    told = pauses(time_stands=True)
    for _ in range(60):
        for peer in peers:
            assert "result" in await peer.call("status")
    assert len(told) == 4 + 4 * 60 - 200


async def test_who_never_says_hello_is_let_go(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HELLO_TIMEOUT_S", 0.02)
    assert await (await site.connect()).line() is None


async def test_a_handler_that_hangs_is_given_up(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HANDLER_TIMEOUT_S", 0.02)
    peer = await site.greeted("v2g-viewer")
    assert code_of(await peer.call("wait")) == -32005
    assert "result" in await peer.call("status")


async def test_a_call_under_way_holds_up_nobody_else(site: Any) -> None:
    slow, quick = await site.greeted("v2g-viewer"), await site.greeted("v2g-viewer")
    waiting = asyncio.create_task(slow.call("wait"))
    assert "result" in await quick.call("status")
    site.hold.set()
    assert "result" in await waiting


async def test_a_user_database_that_fails_grants_nothing(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(uid: int) -> tuple[str, frozenset[str]]:
        raise OSError("no directory service")

    monkeypatch.setattr(site.server, "_lookup", fails)
    answer = await (await site.connect()).hello()
    assert code_of(answer) == -32004
    assert "uid 1000" in answer["error"]["message"]


async def test_a_flood_of_calls_is_paced_not_refused(site: Any, pauses: Any) -> None:
    peer = await site.greeted("v2g-viewer")
    told = pauses()
    for _ in range(230):
        assert "result" in await peer.call("status")
    assert len(told) == 31
    assert told == pytest.approx([0.01] * 31)


async def test_the_kernel_says_who_calls(tmp_path: Any) -> None:
    seen: list[Any] = []

    async def who(params: messages.NoParams, caller: Any) -> dict[str, Any]:
        seen.append(caller)
        return {}

    server = ControlServer(
        tmp_path / "control.sock",
        [Method("who", Role.ENGINEER, messages.NoParams, who)],
        Roles(),
        lambda *args, **fields: None,
        ManualClock(),
        simulation=True,
    )
    await server.start()
    reader, writer = await asyncio.open_unix_connection(str(server.path))
    hello = {"jsonrpc": "2.0", "id": 1, "method": "hello", "params": {"client": "t", "protocol": 1}}
    writer.write(json.dumps(hello).encode() + b'\n{"jsonrpc":"2.0","id":2,"method":"who"}\n')
    assert json.loads(await reader.readline())["result"]["simulation"] is True
    await reader.readline()
    writer.close()
    await server.close()
    assert (seen[0].uid, seen[0].pid, seen[0].role) == (os.getuid(), os.getpid(), Role.ENGINEER)


def test_two_methods_of_one_name_are_a_mistake(tmp_path: Any) -> None:
    async def handler(params: messages.NoParams, caller: Any) -> None: ...

    with pytest.raises(ValueError, match="same name"):
        ControlServer(
            tmp_path / "s", [Method("hello", Role.VIEWER, messages.NoParams, handler)], Roles(), print, ManualClock()
        )


async def test_close_ends_connections_and_removes_the_socket(site: Any) -> None:
    peer = await site.greeted("v2g-viewer")
    await site.server.close()
    assert await peer.line() is None
    assert not site.path.exists()
    with pytest.raises(FileNotFoundError):
        socket.socket(socket.AF_UNIX).connect(str(site.path))

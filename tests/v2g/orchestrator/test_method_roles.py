"""Each method of the daemon and each role, through a real socket: allowed or forbidden as the policy says."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from support.role_policy import POLICY, control_of, whole_daemon
from v2g.clock import SystemClock
from v2g.config.schema import Config
from v2g.control import server as server_module
from v2g.control.audit_words import is_secret
from v2g.control.messages import PROTOCOL_VERSION
from v2g.control.server import ControlServer, Role

FORBIDDEN, INVALID_PARAMS = -32004, -32602
GROUP = {
    Role.NONE: (),
    Role.VIEWER: ("v2g-viewer",),
    Role.UTILITY: ("v2g-utility",),
    Role.OPERATOR: ("v2g-operator",),
    Role.ENGINEER: ("v2g-engineer",),
}


@pytest.fixture
def folder() -> Iterator[str]:
    # Unix sockets have short paths.
    with TemporaryDirectory(prefix="v2g") as name:
        yield name


@pytest.fixture
def control(config_of: Callable[..., Config], folder: str) -> ControlServer:
    return control_of(whole_daemon(config_of(1, tls="plain"), folder, SystemClock()))


@pytest.fixture
async def serving(control: ControlServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[Role], Any]]:
    """Connects as a user whom the user database has in the group of a role."""
    uids = itertools.count(5000)
    groups: dict[int, frozenset[str]] = {}
    writers: list[asyncio.StreamWriter] = []
    current = [0]
    monkeypatch.setattr(server_module, "peer", lambda connection: (1, current[0], 1))
    monkeypatch.setattr(control, "_lookup", lambda uid: (f"user{uid}", groups[uid]))
    monkeypatch.setattr(control, "_own_uid", -1)

    async def connect(role: Role) -> Callable[[str, dict[str, Any]], Any]:
        current[0] = next(uids)
        groups[current[0]] = frozenset(GROUP[role])
        reader, writer = await asyncio.open_unix_connection(str(control.path))
        writers.append(writer)

        async def call(method: str, params: dict[str, Any]) -> dict[str, Any]:
            writer.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 10))
            return answer

        greeting = await call("hello", {"client": "test", "protocol": PROTOCOL_VERSION})
        assert ("result" in greeting) is (role is not Role.NONE)
        return call

    await control.start()
    yield connect
    for writer in writers:
        writer.close()
    await control.close()


def test_every_method_of_the_daemon_is_in_the_policy_with_its_role(control: ControlServer) -> None:
    assert {method.name: method.role.name for method in control.methods} == {
        name: role.name for name, (role, _) in POLICY.items()
    }


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.name.lower())
async def test_each_role_is_let_to_its_methods_and_to_no_other(serving: Callable[[Role], Any], role: Role) -> None:
    call = await serving(role)
    allowed, forbidden = set(), set()
    for method in POLICY:
        # A parameter that no method has: who is let through is refused for that, and nothing is done.
        answer = await call(method, {"no_such_parameter": 1})
        code = answer["error"]["code"]
        if code == FORBIDDEN or (role is Role.NONE and code == -32002):
            forbidden.add(method)
        else:
            assert code == INVALID_PARAMS, answer
            allowed.add(method)
    assert allowed == {method for method, (least, _) in POLICY.items() if role >= least}
    assert allowed | forbidden == set(POLICY)


async def test_who_is_forbidden_is_told_which_role_it_takes_and_whose_group(serving: Callable[[Role], Any]) -> None:
    call = await serving(Role.VIEWER)
    answer = await call("trip.reset", {})
    words = answer["error"]["message"]
    assert "trip.reset needs the role operator or a higher one" in words
    assert "has viewer: become a member of v2g-operator or v2g-engineer" in words


def test_what_changes_something_is_for_more_than_viewers(control: ControlServer) -> None:
    readers = {method.name for method in control.methods if not method.changes}
    assert readers == {name for name, (role, _) in POLICY.items() if role is Role.VIEWER} | {
        "meters.list",
        "trace.fetch",
        "meters.day",
    }


def test_no_method_takes_a_secret(control: ControlServer) -> None:
    names = {
        f"{method.name}: {field.name}" for method in control.methods for field in msgspec.structs.fields(method.params)
    }
    assert len(names) > 30
    assert {name for name in names if is_secret(name.partition(": ")[2])} == set()

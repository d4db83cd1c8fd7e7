"""Each method of the daemon and each role, asked through its socket: ``python tests/bench/bench_roles.py``.

Writes ``report_roles.md`` beside itself. The methods come from the daemon, the reasons from ``support.role_policy``;
what is in the table is what the socket answered.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec

from support.role_policy import POLICY, control_of, whole_daemon
from v2g.clock import SystemClock
from v2g.config.schema import Config
from v2g.control import server as server_module
from v2g.control.messages import PROTOCOL_VERSION
from v2g.control.server import ControlServer, Role

REPORT = Path(__file__).with_name("report_roles.md")
FORBIDDEN, HELLO_FIRST = -32004, -32002
SITE = {
    "site": {"id": "roles"},
    "transformer": {"id": "T1", "rated_kva": 250.0},
    "grid": {"nominal_voltage_v": 277.0},
    "pki": {"allow_plain": True},
    "evses": [
        {"id": "US*V2G*E1", "kind": "DC", "interface": "lo", "tls": "plain",
         "inverter": {"modbus": {"host": "127.0.0.1"}}, "dc": {"modbus": {"host": "127.0.0.1"}}}
    ],
}  # fmt: skip


async def answers(control: ControlServer) -> dict[str, dict[Role, bool]]:
    """By method, who was let through."""
    let_in: dict[str, dict[Role, bool]] = {method.name: {} for method in control.methods}
    await control.start()
    for role in Role:
        server_module.peer = lambda connection, uid=5000 + role: (1, uid, 1)
        group = frozenset() if role is Role.NONE else frozenset({f"v2g-{role.name.lower()}"})
        control._lookup = lambda uid, group=group: ("someone", group)
        reader, writer = await asyncio.open_unix_connection(str(control.path))

        async def call(method: str, params: dict[str, Any], io: Any = (reader, writer)) -> int:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            io[1].write(json.dumps(body).encode() + b"\n")
            return int(json.loads(await io[0].readline()).get("error", {}).get("code", 0))

        await call("hello", {"client": "report", "protocol": PROTOCOL_VERSION})
        for method in let_in:
            # A parameter that no method has: nothing is done.
            let_in[method][role] = await call(method, {"no_such_parameter": 1}) not in (FORBIDDEN, HELLO_FIRST)
        writer.close()
    await control.close()
    return let_in


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="v2g") as folder:
        control = control_of(whole_daemon(msgspec.convert(SITE, Config), folder, SystemClock()))
        control._own_uid = -1
        let_in = await answers(control)
    assert set(let_in) == set(POLICY), set(let_in) ^ set(POLICY)
    changes = {method.name for method in control.methods if method.changes}
    order = sorted(let_in, key=lambda name: (POLICY[name][0], list(POLICY).index(name)))
    rows = []
    for name in order:
        marks = " | ".join("yes" if let_in[name][role] else "–" for role in Role)
        rows.append(f"| `{name}` | {marks} | {'yes' if name in changes else '–'} | {POLICY[name][1]} |")
    table = "\n".join(rows)
    REPORT.write_text(
        f"""# Who may do what by the control socket

By `python tests/bench/bench_roles.py`: {len(rows)} methods of the daemon, each asked by each role over a real socket.
`tests/v2g/orchestrator/test_method_roles.py` holds the daemon to this table, and
`tests/v2g/orchestrator/test_users_and_roles.py` (marker soak) shows it with Unix users, groups and commands.

A user has the role of the highest of his groups (`control.roles` in `v2g.yaml`); root and the daemon's own user are
engineers. Who has no role cannot open the socket.

| method | none | viewer | utility | operator | engineer | changes something | why |
|---|---|---|---|---|---|---|---|
{table}

- A user has 200 calls at once, then 100 a second; of those that change something 20 at once, then 10 a second. More
  wait in the socket, and hold up nobody else (`report_flood.md`).
- Calls that change something are in `audit.log` each; of refused calls and of those that only look, each user has 50
  lines at once, then one a second, and the next line says how many were left out.
""",
        encoding="utf-8",
    )
    print(REPORT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    asyncio.run(main())

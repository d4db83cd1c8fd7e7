"""The mesh's wire and the heartbeat LED inside the sandbox of v2g-orchestrator, under a real systemd."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.booted import Booted, obstacle
from support.booted_site import binds, build_tree, install, run_sandboxed
from v2g.clock import SystemClock
from v2g.pki.mesh_ca import MeshAuthority

pytestmark = pytest.mark.systemd

UNIT = "v2g-orchestrator"
DEVICE = "/sys/class/net/lo"
"""A link into /sys/devices, as a LED is one."""
WIRE = """
import asyncio, json, os, socket, threading
from pathlib import Path
from v2g.clock import SystemClock
from v2g.mesh.engine_zenoh import ZenohEngine
from v2g.mesh.zenoh_config import Neighbour, ZenohSettings

def settings(node, port, neighbour, address):
    folder = Path("/etc/ssl/v2g/mesh") / node
    return ZenohSettings(
        node=node, prefix="v2g/test/flat", listen=(f"tls/127.0.0.1:{port}",),
        neighbours=(Neighbour(node=neighbour, address=address),), certificate=folder / "chain.pem",
        key=folder / "private.key", ca=folder / "ca.pem", members=frozenset(("tr-1", "tr-2")),
    )

async def main():
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        ports = a.getsockname()[1], b.getsockname()[1]
    clock, heard = SystemClock(), []
    first = ZenohEngine(settings("tr-1", ports[0], "tr-2", ""), clock)
    second = ZenohEngine(settings("tr-2", ports[1], "tr-1", f"tls/127.0.0.1:{ports[0]}"), clock)
    await first.start(("v2g/test/flat/**",), lambda key, data: None)
    await second.start(("v2g/test/flat/**",), lambda key, data: heard.append(data))
    for _ in range(100):
        first.publish("v2g/test/flat/state/tr-1", b"hello")
        await asyncio.sleep(0.1)
        if b"hello" in heard:
            break
    up = [link.up for link in second.links() if link.node == "tr-1"]
    status = Path("/proc/self/status").read_text().split("Threads:")[1].split()[0]
    print("WIRE", json.dumps({"heard": bool(heard), "up": up, "threads": int(status), "uid": os.getuid()}), flush=True)
    os._exit(0)

asyncio.run(main())
"""
MOUNTS = f"""
import json, os
read_only = [path for path in ("/sys", "/sys/class", "/sys/devices", "{DEVICE}/")
             if os.statvfs(path).f_flag & os.ST_RDONLY]
print("MOUNTS", json.dumps(read_only), flush=True)
"""


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    if (reason := obstacle()) is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("booted")
    tree = folder / "tree"
    for path in (tree, folder / "scratch"):
        path.mkdir()
    build_tree(tree, folder / "scratch")
    authority = MeshAuthority(SystemClock().unix_s())
    for name in ("tr-1", "tr-2"):
        authority.write_node(tree / "etc/ssl/v2g/mesh" / name, name, ("127.0.0.1",))
    (tree / "opt/v2g/wire.py").write_text(WIRE)
    (tree / "opt/v2g/mounts.py").write_text(MOUNTS)
    with Booted(tree, binds()) as booted:
        install(booted)
        yield booted


def told(journal: str, word: str) -> Any:
    lines = [line for line in journal.splitlines() if line.startswith(f"{word} ")]
    assert len(lines) == 1, journal
    return json.loads(lines[0].removeprefix(f"{word} "))


def test_the_directory_of_the_mesh_is_the_daemons(booted: Booted) -> None:
    for path in ("/etc/ssl/v2g/mesh", "/etc/ssl/v2g/mesh/crl"):
        assert booted.run("stat", "-c", "%a %U %G", path).stdout.strip() == "750 v2g v2g"


def test_the_filters_of_the_unit_let_zenoh_listen_dial_and_pass_messages(booted: Booted) -> None:
    found = told(run_sandboxed(booted, UNIT, "/opt/v2g/wire.py"), "WIRE")
    assert found["uid"] == int(booted.run("id", "-u", "v2g").stdout)
    assert found["heard"]
    assert found["up"] == [True]
    assert found["threads"] < 128


def test_a_device_in_sys_can_be_written_once_a_drop_in_names_it(booted: Booted) -> None:
    # As on a host: here it was mounted read-only, and nothing in a sandbox is writable that is not so outside.
    booted.run("mount", "-o", "remount,rw", "/sys")
    assert DEVICE + "/" in told(run_sandboxed(booted, UNIT, "/opt/v2g/mounts.py"), "MOUNTS")
    drop_in = f"/etc/systemd/system/mounts-{UNIT}.service.d/led.conf"
    booted.run("mkdir", str(Path(drop_in).parent))
    booted.write(drop_in, f"[Service]\nReadWritePaths=-{DEVICE}\n")
    booted.run("systemctl", "daemon-reload")
    journal = run_sandboxed(booted, UNIT, "/opt/v2g/mounts.py")
    last = [line for line in journal.splitlines() if line.startswith("MOUNTS ")][-1]
    assert json.loads(last.removeprefix("MOUNTS ")) == ["/sys", "/sys/class", "/sys/devices"]

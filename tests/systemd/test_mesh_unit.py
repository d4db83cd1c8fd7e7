"""The mesh's wire, the heartbeat's LED and probe, and metrics in the sandbox of v2g-orchestrator, under a systemd."""

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


WATCHED = """
import asyncio, grp, json, os, stat
from pathlib import Path
from v2g.clock import SystemClock
from v2g.control.endpoint import Endpoint
from v2g.host.probe import Probe, ProbeError
from v2g.host.scrape_server import ScrapeServer
from v2g.orchestrator.metrics_around import put_disks, put_process
from v2g.orchestrator.metrics_labels import bounds_of
from v2g.config.loader import load
from v2g.telemetry.metrics import Page
from v2g.telemetry.metrics_text import render

PATH = Path("/run/v2g/metrics.sock")

async def probe(host, port):
    try:
        return await Probe(host, port, SystemClock().monotonic_s).run()
    except ProbeError as error:
        return str(error)

async def page():
    made = Page(bounds_of(load(Path("/etc/v2g")).config))
    put_process(made)
    put_disks(made, {"run": Path("/run/v2g"), "state": Path("/var/lib/v2g")})
    return render(made)

async def main():
    endpoint = Endpoint(PATH)
    listener, remarks = endpoint.open(("v2g-viewer",))
    server = ScrapeServer("/metrics", "text/plain", page, lambda error: print(error), local_only=False)
    await server.serve_socket(listener)
    reader, writer = await asyncio.open_unix_connection(str(PATH))
    writer.write(b"GET /metrics HTTP/1.1\\r\\n\\r\\n")
    text = (await reader.read()).decode()
    found = PATH.stat()
    print("WATCHED", json.dumps({
        "text": text, "mode": stat.S_IMODE(found.st_mode), "group": grp.getgrgid(found.st_gid).gr_name,
        "remarks": remarks, "tcp": await probe("127.0.0.1", 1), "icmp": await probe("127.0.0.1", None),
    }), flush=True)
    await server.close()
    endpoint.close()

asyncio.run(main())
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
    (tree / "opt/v2g/watched.py").write_text(WATCHED)
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


def test_metrics_are_served_and_the_gateway_is_probed(booted: Booted) -> None:
    found = told(run_sandboxed(booted, UNIT, "/opt/v2g/watched.py"), "WATCHED")
    assert found["text"].startswith("HTTP/1.1 200 OK")
    for sample in ("v2g_process_resident_memory_bytes ", "v2g_process_cpu_seconds_total ", 'bytes{directory="state"}'):
        assert sample in found["text"]
    assert (found["group"], found["remarks"]) == ("v2g", [])
    assert found["mode"] == 0o660
    assert isinstance(found["tcp"], float), "a refusal is an answer"
    permitted = isinstance(found["icmp"], float)
    assert permitted or "ping_group_range" in found["icmp"], "as the host permits echoes to that group, or not"


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

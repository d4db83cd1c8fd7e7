"""``v2g-guard wires`` as a process of its own: ready, watchdog, SIGTERM, and what it says about bad files."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.sensors import entry
from v2g.clock import SystemClock
from v2g.guard.link import EvseSetpoint, PowerSetpoint, Setpoints
from v2g.guard.link_client import WiresClient
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.status_block import StatusWriter
from v2g.guard.wires_main import main
from v2g.hardware.ports import DcEvseCommand

CONFIG = """
site: {{ id: test }}
transformer: {{ id: T1, rated_kva: 250 }}
grid: {{ nominal_voltage_v: 277 }}
paths: {{ run_dir: {run_dir}, state_dir: {run_dir}, log_dir: {run_dir} }}
pki: {{ allow_plain: true }}
evses:
  - id: US*V2G*E1
    interface: lo
    tls: plain
    inverter: {{ modbus: {{ host: 127.0.0.1, port: {inverter} }} }}
    dc: {{ modbus: {{ host: 127.0.0.1, port: {output} }}, map: {map} }}
"""

SENSORS = "sensors:\n" + entry("top_oil_c", "127.0.0.1", 5022)


def write_config(folder: Path, inverter: int = 5020, output: int = 5021, map_: str = "v2g-dc-evse") -> Path:
    run_dir = folder / "run"
    run_dir.mkdir(exist_ok=True)
    text = CONFIG.format(run_dir=run_dir, inverter=inverter, output=output, map=map_)
    (folder / "v2g.yaml").write_text(text)
    (folder / "sensor_map.conf").write_text(SENSORS, encoding="utf-8")
    return run_dir


async def test_ready_alive_obeying_and_at_rest_after_sigterm(
    tmp_path: Path, serve: Any, fake_inverter: Any, fake_evse: Any
) -> None:
    inverter = await serve(fake_inverter(SystemClock()))
    output = await serve(fake_evse())
    run_dir = write_config(tmp_path, inverter.port, output.port)
    status = StatusWriter(run_dir / "guard-status")
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "notify"))
    notify.setblocking(False)
    code = (
        "import sys; from pathlib import Path; from v2g.guard.wires_main import main; sys.exit(main(Path(sys.argv[1])))"
    )
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(tmp_path), env=environment)
    client = WiresClient(run_dir / "wires.sock")
    await client.start()
    said: list[str] = []
    command = DcEvseCommand(target_voltage_v=400, current_limit_a=30, close_contactors=True, lock_connector=True)
    sequence = 0
    deadline_s = time.monotonic() + 10

    async def step() -> None:
        nonlocal sequence
        now_s = time.monotonic()
        assert now_s < deadline_s, said
        status.publish(
            GuardStatus(
                as_of_s=now_s,
                permit=Permit.GRANTED,
                breaker_commanded_closed=True,
                breaker_closed=True,
                service_fraction=1.0,
            )
        )
        sequence += 1
        leases = {"evse_id": "US*V2G*E1", "source": "test", "expires_at_s": now_s + 1}
        client.send(
            Setpoints(
                sequence=sequence,
                sent_at_s=now_s,
                powers=(PowerSetpoint(power_w=6_000.0, **leases),),
                evses=(EvseSetpoint(command=command, **leases),),
            )
        )
        try:
            while True:
                said.append(notify.recv(4096).decode())
        except BlockingIOError:
            pass
        await asyncio.sleep(0.05)

    try:
        while inverter.device.point(704, "WSet") != -6_000.0:
            await step()
        while not any("2 of 3 Modbus devices answer; permit GRANTED; orchestrator connected" in text for text in said):
            await step()
        assert "READY=1" in said[0]
        assert sum("WATCHDOG=1" in text for text in said) >= 3
        process.send_signal(signal.SIGHUP)
        for _ in range(4):
            await step()
        assert process.returncode is None
        assert inverter.device.point(704, "WSet") == -6_000.0
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == 0
        assert inverter.device.point(704, "WSet") == 0
        assert not output.device.image.flag("contactors_closed")
        assert not (run_dir / "wires.sock").exists()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await client.close()
        status.close()
        notify.close()


def test_a_bad_configuration_is_told_and_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_config(tmp_path)
    (tmp_path / "sensor_map.conf").write_text(SENSORS + entry("oil_c"), encoding="utf-8")
    assert main(tmp_path) == 2
    assert "sensor_map.conf:3: sensors.oil_c: is no known channel" in capsys.readouterr().err
    (tmp_path / "v2g.yaml").write_text("site: 5\n")
    assert main(tmp_path) == 2
    assert "v2g.yaml" in capsys.readouterr().err


def test_a_bad_register_map_is_told_and_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_config(tmp_path, map_="acme")
    assert main(tmp_path) == 2
    assert "register map 'acme' is not built in" in capsys.readouterr().err


def test_a_socket_that_cannot_be_made_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = write_config(tmp_path)
    (run_dir / "wires.sock.lock").mkdir()
    assert main(tmp_path) == 1
    assert "cannot lock" in capsys.readouterr().err

"""The waveform buffer looked at without mapping it, and devices asked without the orchestrator."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.config_dir import two_evses, write_config
from v2g.clock import ManualClock, SystemClock
from v2g.config.loader import Loaded, load
from v2g.hardware.waveform import CHANNELS, WaveformWriter
from v2g.orchestrator.preflight import own_look, waveform


def test_a_buffer_that_is_written_is_told_with_its_rate_and_age(tmp_path: Path) -> None:
    clock = ManualClock(monotonic_s=500.0)
    path = tmp_path / "waveform"
    writer = WaveformWriter.create(path, 6400, dict.fromkeys(CHANNELS, 0.1))
    try:
        assert waveform.look(path, clock).problem == "nothing was written yet"
        writer.write(np.zeros((64, len(CHANNELS))), 500.0)
        clock.advance(0.05)
        found = waveform.look(path, clock)
        assert (found.problem, found.rate_hz, found.channels) == ("", 6400, len(CHANNELS))
        assert found.age_s == pytest.approx(0.05)
    finally:
        writer.close()
    assert waveform.look(path, clock).problem == "its writer has ended"


@pytest.mark.parametrize("content", [b"", b"V2GWAVE\0", b"x" * 5000])
def test_a_file_that_is_no_buffer_is_named_and_never_raises(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "waveform"
    path.write_bytes(content)
    path.chmod(0o600)
    assert waveform.look(path, ManualClock()).problem
    assert waveform.look(tmp_path / "absent", ManualClock()).problem == "No such file or directory"
    assert waveform.look(tmp_path, ManualClock()).problem


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_look, "_TIMING", own_look.LinkTiming(0.1, 0.2, backoff_first_s=0.0, backoff_max_s=0.0))


async def serve(answers: bool) -> tuple[asyncio.Server, int, list[bytes]]:
    """A Modbus device that refuses every request, or says nothing at all."""
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(260):
            heard.append(request)
            if answers:
                # MBAP header of three bytes, then function with its error bit, and "illegal data address".
                writer.write(request[:4] + b"\0\3" + request[6:7] + bytes([request[7] | 0x80, 2]))
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1], heard


def site(folder: Path, ports: list[int]) -> Loaded:
    main = two_evses(paths={"run_dir": str(folder), "state_dir": str(folder), "log_dir": str(folder)})
    parts = [part for evse in main["evses"] for part in (evse["inverter"], evse["dc"])]
    for unit, (part, port) in enumerate(zip(parts, ports, strict=True), start=1):
        part["modbus"] = {"host": "127.0.0.1", "port": port, "unit": unit}
    write_config(folder / "etc", main)
    return load(folder / "etc")


async def test_devices_are_asked_where_wires_does_not_run_and_a_refusal_is_an_answer(tmp_path: Path) -> None:
    good, good_port, heard = await serve(answers=True)
    mute, mute_port, _ = await serve(answers=False)
    gone, gone_port, _ = await serve(answers=True)
    gone.close()
    await gone.wait_closed()
    loaded = site(tmp_path, [good_port, good_port, mute_port, gone_port])

    def look(wires_runs: bool) -> Any:
        return own_look.look(loaded, SystemClock(), wires_runs=wires_runs)

    async with good, mute:
        seen = await asyncio.to_thread(look, False)
        asked = len(heard)
        held = await asyncio.to_thread(look, True)
    assert seen.devices is not None
    assert {device.name: device.online for device in seen.devices} == {
        "inverter US*V2G*E1": True,
        "DC output US*V2G*E1": True,
        "inverter US*V2G*E2": False,
        "DC output US*V2G*E2": False,
    }
    assert held.devices is None
    assert len(heard) == asked, "a connection was opened beside wires"
    assert (seen.guard_speaks, seen.realtime, seen.measures) == (False, None, None)
    oil = next(line for line in seen.sensors if line.name == "top_oil_c")
    assert oil.quality == "lost"
    assert {line.quality for line in held.sensors} == {"not told"}


def test_nothing_is_written_to_any_device(tmp_path: Path) -> None:
    """Function codes that were sent: only reads."""

    async def ask() -> list[bytes]:
        good, port, heard = await serve(answers=True)
        loaded = site(tmp_path, [port] * 4)
        async with good:
            await asyncio.to_thread(lambda: own_look.look(loaded, SystemClock(), wires_runs=False))
        return heard

    heard = asyncio.run(ask())
    assert heard
    assert {request[7] for request in heard} <= {3, 4}

"""Modbus reads: ours against bare pymodbus, and 32 inverters at 10 Hz through the real driver.

    python tests/bench/bench_modbus.py [--quick]

Writes ``report_modbus.md``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import random
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pymodbus.client import AsyncModbusTcpClient, AsyncModbusTlsClient

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from interop.test_modbus_servers import LATE_S, once_late, pysunspec2_after_one_late_answer
from support.modbus_peer import Ca, client_files, peer, reading, server_context
from v2g.clock import SystemClock
from v2g.hardware.endpoint import TlsFiles
from v2g.hardware.mbap import FrameReader, frame
from v2g.hardware.modbus import LinkState, LinkTiming, ModbusEndpoint, ModbusLink
from v2g.hardware.modbus_tls import load_context
from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import Table
from v2g.hardware.sunspec.inverter import SunSpecInverter
from v2g.simulation.plant_config import PlantConfig, PlantEvse, write_config

REPORT = Path(__file__).with_name("report_modbus.md")
TESTS = Path(__file__).resolve().parents[1]
INVERTERS, PERIOD_S, COUNT = 32, 0.1, 50


class Fifty(asyncio.Protocol):
    """Answers every read with as many zeros as it asks for."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.reader = FrameReader()

    def data_received(self, data: bytes) -> None:
        self.reader.feed(data)
        while (request := self.reader.next()) is not None:
            octets = 2 * int.from_bytes(request.pdu[3:5], "big")
            answer = bytes([request.pdu[0], octets]) + bytes(octets)
            self.transport.write(frame(request.transaction, request.unit, answer))


async def serve(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(folder / "device.pem", folder / "device.key")
    secure.load_verify_locations(folder / "CA.pem")
    secure.verify_mode = ssl.CERT_REQUIRED
    servers = [await loop.create_server(Fifty, "127.0.0.1", 0, ssl=context) for context in (None, secure)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


class BareLink:
    """As much of :class:`ModbusLink` as the driver needs, over a bare pymodbus client."""

    def __init__(self, port: int) -> None:
        self.state, self.generation = LinkState(online=True), 0
        self.client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=0.5, retries=0, reconnect_delay=0)

    async def open(self) -> None:
        await self.client.connect()
        self.generation = 1

    async def read(self, table: Table, address: int, count: int) -> list[int]:
        answer = await self.client.read_holding_registers(address, count=count)
        if answer.isError():
            raise DeviceError(str(answer))
        return answer.registers

    async def write(self, address: int, registers: Sequence[int]) -> None:
        answer = await self.client.write_registers(address, list(registers))
        if answer.isError():
            raise DeviceError(str(answer))

    def refuse(self, reason: str) -> DeviceError:
        return DeviceError(reason)

    async def close(self) -> None:
        self.client.close()


@contextmanager
def child(*words: str) -> Iterator[subprocess.Popen[str]]:
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    with subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def latencies(plain: int, secure: int, files: TlsFiles, turns: int) -> list[str]:
    """The three clients take turns of 100 reads, so that the machine's speed is the same for each."""
    clock = SystemClock()
    ours = ModbusLink("ours", ModbusEndpoint("127.0.0.1", plain), clock, random.random)
    in_tls = ModbusLink("TLS", ModbusEndpoint("127.0.0.1", secure, 1, files), clock, random.random)
    bare = AsyncModbusTcpClient("127.0.0.1", port=plain, timeout=0.5, retries=0, reconnect_delay=0)
    await bare.connect()
    clients: dict[str, Callable[[], Awaitable[Any]]] = {
        "ours": lambda: ours.read(Table.HOLDING, 0, COUNT),
        "bare pymodbus 3.16.1": lambda: bare.read_holding_registers(0, count=COUNT),
        "ours, TLS 1.3": lambda: in_tls.read(Table.HOLDING, 0, COUNT),
    }
    took: dict[str, list[float]] = {name: [] for name in clients}
    busy_s = dict.fromkeys(clients, 0.0)
    for turn in range(turns + 1):
        for name, ask in clients.items():
            cpu_s = time.process_time()
            for _ in range(100):
                begun_s = time.perf_counter()
                await ask()
                if turn:
                    took[name].append(time.perf_counter() - begun_s)
            if turn:
                busy_s[name] += time.process_time() - cpu_s
    await ours.close()
    await in_tls.close()
    bare.close()
    return [
        f"| {name} | {len(values)} | {statistics.median(values) * 1e6:.0f} | {quantile(values, 0.99) * 1e6:.0f} | "
        f"{busy_s[name] / len(values) * 1e6:.0f} |"
        for name, values in took.items()
    ]


async def poll(link: Any, number: int, end_s: float, late: list[float], failed: list[str]) -> None:
    inverter = SunSpecInverter(f"E{number}", link, SystemClock())
    due_s = time.monotonic() + PERIOD_S * (1 + number / INVERTERS)
    while due_s < end_s:
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        try:
            await inverter.read()
        except DeviceError as error:
            failed.append(str(error))
        # From when the reading was due to when it is there.
        late.append(time.monotonic() - due_s)
        due_s += PERIOD_S
    await inverter.close()


async def inverters(ports: list[int], seconds: float, bare: bool) -> str:
    links: list[Any] = []
    for number, port in enumerate(ports):
        if bare:
            links.append(BareLink(port))
            await links[-1].open()
        else:
            links.append(ModbusLink(f"E{number}", ModbusEndpoint("127.0.0.1", port), SystemClock(), random.random))
    failed: list[str] = []
    late: list[float] = []
    begun_s, cpu_s = 0.0, 0.0

    async def measured() -> None:
        nonlocal begun_s, cpu_s
        await asyncio.sleep(4.0)
        late.clear()
        begun_s, cpu_s = time.monotonic(), time.process_time()

    end_s = time.monotonic() + seconds + 4.0
    await asyncio.gather(measured(), *(poll(link, n, end_s, late, failed) for n, link in enumerate(links)))
    share = (time.process_time() - cpu_s) / (time.monotonic() - begun_s)
    name = "bare pymodbus" if bare else "ours"
    return (
        f"| {name} | {len(late)} | {len(failed)} | {statistics.median(late) * 1e3:.1f} | "
        f"{quantile(late, 0.99) * 1e3:.1f} | {max(late) * 1e3:.1f} | {share * 100:.1f} |"
    )


async def split_in_tls(ca: Ca, device: tuple[Path, Path], files: TlsFiles) -> list[str]:
    """An answer of 125 registers in two TLS records."""
    whole = reading(*range(125))
    cut = [lambda request: [whole(request)[0][:40], whole(request)[0][40:]]]
    async with peer(server_context(ca, device)) as made:
        made.answers = list(cut)
        link = ModbusLink("TLS", ModbusEndpoint("127.0.0.1", made.port, 1, files), SystemClock(), random.random)
        ours = await link.read(Table.HOLDING, 0, 125) == list(range(125))
        await link.close()
        client = AsyncModbusTlsClient(
            "127.0.0.1", port=made.port, sslctx=load_context(files), timeout=1.0, retries=0, reconnect_delay=0
        )
        await client.connect()
        try:
            answer = await client.read_holding_registers(0, count=125)
            said = f"{len(answer.registers)} registers"
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        client.close()
    return [f"ours: {'all 125 registers' if ours else 'lost'}", f"pymodbus 3.16.1: {said}"]


async def one_late() -> str:
    with once_late(10) as port:
        timing = LinkTiming(request_timeout_s=0.1, connect_timeout_s=1.0)
        link = ModbusLink("ours", ModbusEndpoint("127.0.0.1", port), SystemClock(), random.random, timing)
        wrong = failed = 0
        for address in range(10, 30):
            try:
                wrong += await link.read(Table.HOLDING, address, 1) != [address]
            except DeviceError:
                failed += 1
        await link.close()
    return f"ours: {failed} of 20 reads failed, {wrong} were answered with another register's value"


def main() -> int:
    quick = "--quick" in sys.argv
    for logger in ("pymodbus.logging", "asyncio"):
        logging.getLogger(logger).setLevel(logging.CRITICAL + 1)
    with tempfile.TemporaryDirectory(prefix="v2g-modbus-") as name, ExitStack() as stack:
        folder = Path(name)
        ca = Ca(folder)
        device, files = ca.issue("device"), client_files(ca, ca.issue("guard", role="operator"))
        server = stack.enter_context(child(__file__, "--server", str(folder)))
        assert server.stdout is not None
        plain, secure = map(int, server.stdout.readline().split())
        reads = asyncio.run(latencies(plain, secure, files, 5 if quick else 50))
        split = asyncio.run(split_in_tls(ca, device, files))
        late = asyncio.run(one_late())
        shifted, failed = pysunspec2_after_one_late_answer()
        server.terminate()
        with ExitStack() as probes:
            sockets = [probes.enter_context(socket.socket()) for _ in range(2 * INVERTERS + 1)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            ports = [each.getsockname()[1] for each in sockets]
        (folder / "plant").mkdir()
        evses = tuple(
            PlantEvse(evse_id=f"US*V2G*E{n + 1}", inverter_port=ports[2 * n], dc_port=ports[2 * n + 1])
            for n in range(INVERTERS)
        )
        config = PlantConfig(run_dir=str(folder / "plant"), evses=evses, transducers_port=ports[-1], rated_va=800_000.0)
        write_config(folder / "plant.json", config)
        stack.enter_context(child("-m", "v2g.simulation.plant", "--config", str(folder / "plant.json")))
        time.sleep(4.0)
        cycles = [
            asyncio.run(inverters(ports[: 2 * INVERTERS : 2], 5.0 if quick else 20.0, bare)) for bare in (False, True)
        ]
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    text = "\n".join(
        [
            "# Modbus: time of a read, 32 inverters at 10 Hz, late and split answers",
            "",
            f"Host: {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}; load",
            f"average at the end {os.getloadavg()[0]:.1f}. `python tests/bench/bench_modbus.py` writes this.",
            "",
            f"## A read of {COUNT} registers",
            "",
            "One server process on the same host; the clients take turns of 100 reads in one run. CPU: of the client.",
            "",
            "| client | reads | p50 µs | p99 µs | CPU µs a read |",
            "|---|---:|---:|---:|---:|",
            *reads,
            "",
            f"## {INVERTERS} inverters at 10 Hz through the SunSpec driver",
            "",
            "Against the simulated plant in a process of its own, which shares the processors. Late: from when a",
            "reading was due to when it was complete (two or more requests). Share of a core: of the client process.",
            "",
            "| link | readings | failed | p50 ms | p99 ms | max ms | % of a core |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *cycles,
            "",
            f"Peak memory of the client process, both runs and pymodbus loaded: {memory_mb:.0f} MB.",
            "",
            f"## One answer {LATE_S:g} s late, timeout 0.1 s, 20 reads of one register each",
            "",
            f"- {late}",
            f"- pysunspec2 1.3.7: {failed} of 20 reads failed, {shifted} were answered with another register's value",
            "",
            "## An answer of 125 registers in two TLS records",
            "",
            *(f"- {each}" for each in split),
            "",
        ]
    )
    print(text)
    if not quick:
        REPORT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    if "--server" in sys.argv:
        asyncio.run(serve(Path(sys.argv[-1])))
    else:
        sys.exit(main())

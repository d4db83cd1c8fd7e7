"""Time of one control cycle with 2 and 64 vehicles that discharge: ``python tests/bench/bench_cycle.py [--profile]``.

Measured: reading the newest image (decoded from a frame as it comes from ``v2g-guard wires``), the thermal engine (once
a second), the decision, encoding the set-points, the commands to the SECC machines, and what is written down beside the
cycle, with the history's writer thread. Not measured: sockets, and the vehicles' own messages. Writes
``report_cycle.md`` beside itself; ``--profile`` prints where the time goes instead.
"""

from __future__ import annotations

import cProfile
import platform
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from pyiso15118 import events as ev
from pyiso15118.commands import UpdateDcEvse
from pyiso15118.secc import SeccConfig, SeccMachine
from v2g.clock import ManualClock
from v2g.config.schema import Config
from v2g.dispatch.orders import Mode
from v2g.guard.link import Applied, DeviceHealth, Image, Setpoints
from v2g.guard.quality_report import REPORT_FILE
from v2g.guard.status import GuardStatus, Permit
from v2g.hardware.ports import DcEvseReading, Insulation, InverterReading, Quantity, TransducerReading
from v2g.orchestrator.chronicle import Chronicle
from v2g.orchestrator.cycle import PERIOD_S, ControlCycle
from v2g.orchestrator.local_time import SiteZone
from v2g.orchestrator.site import Site
from v2g.orchestrator.thermal_clock import ThermalClock
from v2g.sessions.supervisor import Sessions, SessionSupervisor

REPORT = Path(__file__).with_name("report_cycle.md")
EVSES = (2, 64)
CYCLES = 1800
BEFORE_MEAN_MS = {2: 0.13, 64: 2.16}
"""Image and cycle on the reference machine at revision 34f8cc6, before observer, forecast and history; measured in turn
with those that the report shows."""
LOOP_EVERY = 3
"""A vehicle says something in every third cycle."""
LIMITS = ev.DcLimits(
    max_charge_power_w=20_000.0,
    max_charge_current_a=80.0,
    max_voltage_v=450.0,
    min_voltage_v=300.0,
    max_discharge_power_w=12_000.0,
    max_discharge_current_a=80.0,
)
LOOP = ev.DcChargeLoopReceived(
    ev_present_voltage_v=400.0,
    limits=LIMITS,
    needs=ev.EnergyNeeds(min_energy_wh=-9000.0, max_energy_wh=9000.0),
    present_soc_pct=70,
    battery_capacity_wh=60_000.0,
)


class Silent:
    def info(self, code: str, message: str = "", /, **fields: object) -> None: ...

    warning = error = info


class Machine:
    """A connection without a stream: what the cycle tells goes to a real SECC machine."""

    def __init__(self, evse_id: str, limits: ev.DcLimits, clock: ManualClock) -> None:
        self.peer_identity = SimpleNamespace(subject="CN=BENCH")
        self.peer_address = "[::1]:1"
        self._clock = clock
        self._machine = SeccMachine(SeccConfig(evse_id=evse_id, limits=limits), random=bytes, unix_offset_s=0.0)

    def command(self, command: Any) -> None:
        # The machine has seen no vehicle; the answers of a session's beginning are none it would take.
        if isinstance(command, UpdateDcEvse):
            self._machine.command(command, self._clock.monotonic_s())


class Wires:
    """Devices that obey at once; their image is encoded and decoded as over the socket."""

    connected = True

    def __init__(self, evse_ids: list[str], clock: ManualClock) -> None:
        self._ids = evse_ids
        self._clock = clock
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Image)
        self._commands: dict[str, Any] = {}
        self.powers: dict[str, float] = {}
        self._tested: dict[str, int] = {}
        self.image: Image | None = None
        self.last = b""

    def send(self, setpoints: Setpoints) -> bool:
        self.last = self._encoder.encode(setpoints)
        self.powers = {s.evse_id: s.power_w for s in setpoints.powers}
        self._commands = {s.evse_id: s.command for s in setpoints.evses}
        return True

    def frame(self) -> bytes:
        """What the devices say now."""
        now_s = self._clock.monotonic_s()
        evses, inverters, devices = [], [], []
        for evse_id in self._ids:
            command = self._commands.get(evse_id)
            closed = command is not None and command.close_contactors
            testing = command is not None and command.test_insulation
            self._tested[evse_id] = self._tested.get(evse_id, 0) + 1 if testing else 0
            voltage_v = min(command.target_voltage_v, 400.0) if command is not None and closed else 0.0
            power_w = self.powers.get(evse_id, 0.0)
            evses.append(
                DcEvseReading(
                    evse_id=evse_id,
                    as_of_s=now_s - 0.05,
                    present_voltage_v=voltage_v,
                    present_current_a=power_w / voltage_v if voltage_v else 0.0,
                    contactors_closed=closed,
                    contactors_commanded=closed,
                    insulation=Insulation.TESTING if self._tested[evse_id] == 1 else Insulation.VALID,
                    insulation_ohm=1e6,
                    connector_locked=command is not None and command.lock_connector,
                    plugged=True,
                    max_voltage_v=920.0,
                    min_voltage_v=150.0,
                    max_current_a=80.0,
                    max_power_w=22_000.0,
                )
            )
            inverters.append(
                InverterReading(
                    evse_id=evse_id,
                    as_of_s=now_s - 0.05,
                    power_w=power_w,
                    max_charge_w=22_000.0,
                    max_discharge_w=22_000.0,
                    connected=True,
                    reversion_armed=True,
                    anti_islanding=True,
                )
            )
            devices += [
                DeviceHealth(name=f"{kind} {evse_id}", address="10.0.0.1:502", online=True, last_answer_s=now_s)
                for kind in ("inverter", "DC output")
            ]
        return self._encoder.encode(
            Image(
                sequence=1,
                as_of_s=now_s,
                permit=True,
                permit_reason="GRANTED",
                evses=tuple(evses),
                inverters=tuple(inverters),
                transducers=(
                    TransducerReading(quantity=Quantity.TOP_OIL_C, as_of_s=now_s, value=45.0),
                    TransducerReading(quantity=Quantity.AMBIENT_C, as_of_s=now_s, value=25.0),
                ),
                applied=tuple(Applied(evse_id=i, power_w=p, source="order 1") for i, p in self.powers.items()),
                devices=tuple(devices),
            )
        )

    def take(self, frame: bytes) -> None:
        self.image = self._decoder.decode(frame)


class Guard:
    def __init__(self, wires: Wires) -> None:
        self._wires = wires

    def read(self, now_s: float) -> GuardStatus:
        return GuardStatus(
            as_of_s=now_s,
            permit=Permit.GRANTED,
            breaker_commanded_closed=True,
            breaker_closed=True,
            v_pu=(1.0, 1.0, 1.0),
            frequency_hz=60.0,
            transformer_w=80_000.0,
            transformer_va=80_000.0,
            feeder_w=sum(self._wires.powers.values()),
            measured=True,
            load_measured=True,
            service_fraction=1.0,
        )


class Bench:
    def __init__(self, evses: int, folder: Path) -> None:
        self.clock = ManualClock()
        ids = [f"US*V2G*E{n}" for n in range(evses)]
        config = msgspec.convert(
            {
                "site": {"id": "bench"},
                "transformer": {"id": "T1", "rated_kva": 1500.0},
                "grid": {"nominal_voltage_v": 277.0},
                "dispatch": {"ramp_pu_s": 10.0},
                "evses": [
                    {
                        "id": evse_id,
                        "kind": "DC",
                        "interface": "lo",
                        "inverter": {"modbus": {"host": "i", "port": 1 + n}},
                        "dc": {"modbus": {"host": "d", "port": 1 + n}},
                    }
                    for n, evse_id in enumerate(ids)
                ],
            },
            type=Config,
        )

        def raise_it(evse_id: str, error: Exception) -> None:
            raise error

        self.wires = Wires(ids, self.clock)
        self.site = Site(config, ThermalClock(self.clock, SiteZone("UTC")), raise_it)
        sessions = Sessions(self.site.bays, Silent(), raise_it, self.clock)
        self.chronicle = Chronicle(config, folder / "history.sqlite", folder / REPORT_FILE, Silent())
        self.chronicle.start()
        self.cycle = ControlCycle(
            self.site,
            sessions,
            self.wires,
            Guard(self.wires),
            self.clock,
            daemon=Silent(),
            power_quality=Silent(),
            on_cycle=lambda now_s: self.chronicle.on_cycle(self.site, now_s),
        )
        self.run()
        for evse_id, bay in self.site.bays.items():
            supervisor = SessionSupervisor(
                bay,
                Machine(evse_id, bay.profile.rated, self.clock),  # type: ignore[arg-type]
                Silent(),
                raise_it,
                self.clock,
            )
            sessions._active[evse_id] = supervisor
            supervisor._take(ev.SessionStarted(session_id=bytes(8), evccid="BENCH", evse_id=evse_id))
            supervisor._take(ev.VehicleLimitsReceived(limits=LIMITS))
            supervisor._take(ev.CableCheckRequested())
        for _ in range(60):
            self.run()
        self.tell(ev.PreChargeRequested(target_voltage_v=400.0, ev_present_voltage_v=400.0))
        for _ in range(5):
            self.run()
        self.tell(ev.PowerDeliveryStarted())
        self.tell(LOOP)
        self.site.book.add(
            mode=Mode.DISCHARGE,
            power_w=8e3 * evses,
            evse_id=None,
            duration_s=900,
            by="b",
            now_s=self.clock.monotonic_s(),
        )
        self.run()
        flowing = [step.power_w for step in self.site.steps.values()]
        if not all(power_w < -7_000.0 for power_w in flowing):
            raise SystemExit(
                f"the site does not discharge: {flowing[:3]} {[b.fault for b in self.site.bays.values()][:3]}"
            )

    def tell(self, event: ev.Event) -> None:
        for bay in self.site.bays.values():
            assert bay.procedure is not None
            bay.procedure.handle(event, self.clock.monotonic_s())

    def run(self) -> tuple[float, float]:
        """One cycle: seconds of a processor for the frame's decoding, and for the cycle."""
        self.clock.advance(PERIOD_S)
        frame = self.wires.frame()
        started = time.thread_time()
        self.wires.take(frame)
        decoded = time.thread_time()
        if not self.cycle.run_once():
            raise SystemExit("the cycle failed")
        return decoded - started, time.thread_time() - decoded


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    decodes_ms: list[float]
    cycles_ms: list[float]
    writer_ms: float
    """CPU of the history's thread, a cycle."""

    @property
    def mean_ms(self) -> float:
        return statistics.fmean(self.cycles_ms) + statistics.fmean(self.decodes_ms)


def measure(evses: int) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(evses, Path(folder))
        decodes, cycles = [], []
        process_s, thread_s = time.process_time(), time.thread_time()
        for n in range(CYCLES):
            if n % LOOP_EVERY == 0:
                bench.tell(LOOP)
            decode_s, cycle_s = bench.run()
            decodes.append(decode_s * 1e3)
            cycles.append(cycle_s * 1e3)
        others_s = (time.process_time() - process_s) - (time.thread_time() - thread_s)
        bench.chronicle.close(bench.site, bench.clock.monotonic_s())
    return Measured(decodes_ms=decodes, cycles_ms=cycles, writer_ms=max(0.0, others_s) * 1e3 / CYCLES)


def profile(evses: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(evses, Path(folder))
        watch = cProfile.Profile()
        for n in range(CYCLES):
            if n % LOOP_EVERY == 0:
                bench.tell(LOOP)
            bench.clock.advance(PERIOD_S)
            frame = bench.wires.frame()
            watch.enable()
            bench.wires.take(frame)
            bench.cycle.run_once()
            watch.disable()
        bench.chronicle.close(bench.site, bench.clock.monotonic_s())
    pstats.Stats(watch).sort_stats("tottime").print_stats(32)


def main() -> None:
    if "--profile" in sys.argv:
        profile(EVSES[-1])
        return
    found = {evses: measure(evses) for evses in EVSES}
    heads = " | ".join(f"{evses} EVSEs" for evses in EVSES)

    def row(what: str, figure: Callable[[int, Measured], str]) -> str:
        return f"| {what} | " + " | ".join(figure(evses, found[evses]) for evses in EVSES) + " |"

    lines = [
        "# Control cycle with vehicles in their charge loops",
        "",
        f"Python {platform.python_version()}, {platform.machine()}. Written by `python tests/bench/bench_cycle.py`: "
        f"{CYCLES} cycles, in ms of a processor. The thermal engine moves in every tenth.",
        "",
        f"| what | {heads} |",
        "|---|" + "---:|" * len(EVSES),
        row("decode the image of `wires`, median", lambda _, m: f"{statistics.median(m.decodes_ms):.2f}"),
        row("cycle, median", lambda _, m: f"{statistics.median(m.cycles_ms):.2f}"),
        row("cycle, fastest", lambda _, m: f"{min(m.cycles_ms):.2f}"),
        row("cycle, 99th percentile", lambda _, m: f"{sorted(m.cycles_ms)[int(0.99 * CYCLES)]:.2f}"),
        row("image and cycle, mean", lambda _, m: f"{m.mean_ms:.2f}"),
        row("the same without observer, forecast and history", lambda evses, _: f"{BEFORE_MEAN_MS[evses]:.2f}"),
        row("ratio", lambda evses, m: f"{m.mean_ms / BEFORE_MEAN_MS[evses]:.2f}"),
        row("the history's writer, CPU a cycle", lambda _, m: f"{m.writer_ms:.3f}"),
        row("share of one core, %", lambda _, m: f"{(m.mean_ms + m.writer_ms) / PERIOD_S / 10:.1f}"),
        "",
    ]
    REPORT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

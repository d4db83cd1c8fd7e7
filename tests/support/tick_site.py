"""A site in injected time: synthesised waveforms in, the production tick, a breaker that takes its time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from v2g.grid import profiles
from v2g.grid.overcurrent import OvercurrentSettings
from v2g.grid.protection import ProtectionSettings, RelaySettings
from v2g.guard.latch import LatchStore, TripLatch
from v2g.guard.lockout import Lockout
from v2g.guard.permit_service import PermitService
from v2g.guard.status import GuardStatus
from v2g.guard.tick import PERIOD_S, Ports, Tick
from v2g.guard.tick_commands import CommandReply, Handle, TickCommand
from v2g.guard.tick_settings import TickSettings
from v2g.hardware.sensor_map import Factors
from v2g.hardware.waveform import CHANNELS, WaveformError, WaveformWindow, WriterGone

NOMINAL_V = 277.0
START_S = 1000.0


def synthesise(segments: Sequence[dict[str, Any]], sample_rate_hz: int = 3840) -> np.ndarray:
    """Segments as in the case file (d, v, f, r, ph, h) to samples of all channels; a 30 A load in phase on each."""
    phase = np.array([0.0, -2 * math.pi / 3, 2 * math.pi / 3])
    frequency = 60.0
    blocks = []
    for segment in segments:
        n = round(segment["d"] * sample_rate_hz)
        phase = phase + np.radians(segment.get("ph", [0, 0, 0]))
        target, rate = segment["f"], segment.get("r")
        if rate:
            ramp = frequency + math.copysign(rate, target - frequency) * np.arange(n) / sample_rate_hz
            hz = np.minimum(ramp, target) if target > frequency else np.maximum(ramp, target)
        else:
            hz = np.full(n, float(target))
        turned = 2 * math.pi * np.cumsum(hz) / sample_rate_hz
        angle = turned[:, None] + phase
        wave = np.sin(angle)
        for order, share in segment.get("h", {}).items():
            wave = wave + share * np.sin(int(order) * angle)
        volts = wave * np.array(segment["v"]) * NOMINAL_V * math.sqrt(2)
        block = np.zeros((n, len(CHANNELS)))
        block[:, 0:3] = block[:, 9:12] = volts
        block[:, 3:6] = np.sin(angle) * 100 * math.sqrt(2)
        block[:, 6:9] = -np.sin(angle) * 30 * math.sqrt(2)
        blocks.append(block)
        if n:
            phase, frequency = phase + turned[-1], float(hz[-1])
    return np.concatenate(blocks)


@dataclass
class PlayedWaveform:
    """Samples that arrive in batches of 5 ms, the newest row taken at the batch's end."""

    samples: np.ndarray
    sample_rate_hz: int = 3840
    batch_s: float = 0.005
    now_s: float = START_S
    frozen_at_s: float = math.inf
    missing: bool = False
    writer_gone: bool = False
    ahead_s: float = 0.0
    lost: int = 0
    generation: int = 1
    full_scale: np.ndarray = field(default_factory=lambda: np.full(len(CHANNELS), 1e6))
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    factors: Factors = field(default_factory=dict)

    def latest(self, n: int) -> WaveformWindow:
        if self.missing:
            raise WaveformError("the buffer is not there")
        if self.writer_gone:
            raise WriterGone("its writer has ended")
        elapsed_s = min(self.now_s, self.frozen_at_s) - START_S
        written_s = math.floor(elapsed_s / self.batch_s + 1e-6) * self.batch_s
        last = min(round(written_s * self.sample_rate_hz), len(self.samples))
        if last < n:
            raise WaveformError(f"{last} samples so far, {n} needed")
        samples = self.samples[last - n : last]
        if self.factors:
            corrections = np.array([self.factors.get(name, (1.0, 0.0)) for name in CHANNELS])
            samples = samples * corrections[:, 0] + corrections[:, 1]
        return WaveformWindow(samples, last + self.lost, START_S + written_s + self.ahead_s, self.generation)

    def correct(self, factors: Factors) -> None:
        for name in factors:
            if name not in CHANNELS and name not in self.extra:
                raise WaveformError(f"it has no channel {name}")
        self.factors = factors

    def latest_of(self, names: tuple[str, ...], n: int) -> WaveformWindow:
        window = self.latest(n)
        last = window.last_index - self.lost
        columns = []
        for name in names:
            if name not in CHANNELS and name not in self.extra:
                raise WaveformError(f"it has no channel {name}")
            whole = self.samples[:, CHANNELS.index(name)] if name in CHANNELS else self.extra[name]
            columns.append(whole[last - n : last])
        return window._replace(samples=np.column_stack(columns))


@dataclass
class SlowBreaker:
    """Hold-to-close with an opening time of 50 ms and a closing time of 60 ms."""

    opening_s: float = 0.05
    closing_s: float = 0.06
    stuck: bool = False
    says: bool | str | None = "truth"
    held: bool = False
    changed_at_s: float = -math.inf
    opened_at_s: list[float] = field(default_factory=list)
    holds: int = 0

    def hold(self, close: bool, now_s: float) -> None:
        self.holds += 1
        if close != self.held:
            if self.held:
                self.opened_at_s.append(now_s + self.opening_s)
            self.held, self.changed_at_s = close, now_s

    def is_closed(self, now_s: float) -> bool | None:
        if self.stuck:
            return True
        if self.says != "truth":
            return self.says
        moving = now_s - self.changed_at_s < (self.closing_s if self.held else self.opening_s) - 1e-9
        return self.held != moving


@dataclass
class Contact:
    """A relay feedback or mains input that says what it is told."""

    closed: bool | None = True

    def is_closed(self, now_s: float) -> bool | None:
        return self.closed

    def close(self) -> None: ...


def protection(
    delay_s: float = 0.5, opening_time_s: float = 0.05, category: str = "III", **changes: Any
) -> ProtectionSettings:
    """IEEE 1547 with a short enter-service delay, no ramp and currents that never trip unless they are told to."""
    grid = profiles.resolve(nominal_frequency_hz=60.0, category=category)
    grid = replace(grid, enter_service=replace(grid.enter_service, delay_s=delay_s, ramp_s=0.0))
    settings = ProtectionSettings(
        grid=grid,
        opening_time_s=opening_time_s,
        feeder=OvercurrentSettings(place="feeder", rated_a=100.0),
        transformer=OvercurrentSettings(place="transformer", rated_a=500.0),
        relay=RelaySettings(setting_pu=1.10, feedback=True),
    )
    return replace(settings, **changes)


@dataclass
class Site:
    """Everything around one tick; ``run_until`` steps it every 10 ms, offset 3 ms from the writer's batches."""

    waveform: PlayedWaveform
    breaker: SlowBreaker
    latch_path: Path
    delay_s: float = 0.5
    category: str = "III"
    waveform_max_age_s: float = 0.03
    relay: Contact = field(default_factory=Contact)
    mains: Contact = field(default_factory=Contact)
    interlocks: dict[str, Contact] = field(default_factory=dict)
    unix_ahead_s: float = 0.0
    new_settings: Callable[[], TickSettings] | None = None
    now_s: float = START_S + 0.003
    statuses: list[GuardStatus] = field(default_factory=list)
    events: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    jobs: list[Callable[[], None]] | None = None
    commands: list[TickCommand] = field(default_factory=list)
    replies: list[CommandReply] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A new process: nothing but the latch file is left of the old one."""
        self.latch = TripLatch(LatchStore(self.latch_path, "boot"), self.now_s, 1.7e9 + self.now_s)
        self.tick = self.make_tick(self.settings(allow_slow=self.waveform_max_age_s > 0.04))

    def settings(self, **changes: Any) -> TickSettings:
        settings = TickSettings(
            nominal_voltage_v=NOMINAL_V,
            nominal_frequency_hz=60.0,
            protection=protection(self.delay_s, self.breaker.opening_s, self.category),
            waveform_max_age_s=self.waveform_max_age_s,
            digest="0badcafe",
            relay_feedback=Path("relay"),
            mains_input=Path("mains"),
            interlocks={name: Path(name) for name in self.interlocks},
        )
        return replace(settings, **changes)

    @property
    def contacts(self) -> dict[str, Contact]:
        return {"relay": self.relay, "mains": self.mains, **self.interlocks}

    def make_ports(self) -> Ports:
        return Ports(
            open_waveform=lambda: self.waveform,
            breaker=self.breaker,
            status=self,
            commands=self,
            events=self,
            open_contact=lambda path: self.contacts[path.name],
            load_settings=lambda: self.new_settings() if self.new_settings else self.settings(),
            unix_s=lambda: 1.7e9 + self.now_s + self.unix_ahead_s,
            draw=lambda: 0.5,
        )

    def make_tick(self, settings: TickSettings) -> Tick:
        permit_service = PermitService(self.latch_path.with_name("permit-service.json"))
        lockout = Lockout(self.latch_path.with_name("lockout.json"))
        return Tick(settings, self.make_ports(), self.latch, permit_service, lockout)

    def publish(self, status: GuardStatus) -> None:
        self.statuses.append(status)

    def poll(self, handle: Handle) -> None:
        while self.commands:
            handle(self.commands.pop(0), self.replies.append)

    def command(self, name: str, /, **more: Any) -> CommandReply | None:
        """Give a command and step twice; the answer, None while there is none yet."""
        before = len(self.replies)
        self.commands.append(TickCommand(command=name, by="anna", **more))
        self.run_until(self.elapsed_s + 2 * PERIOD_S)
        return self.replies[-1] if len(self.replies) > before else None

    def event(self, level: str, code: str, message: str, **fields: object) -> None:
        self.events.append((level, code, fields))
        self.told.append(f"{level.upper()}: {code} {message}")

    def later(self, job: Callable[[], None]) -> None:
        if self.jobs is None:
            job()
        else:
            self.jobs.append(job)

    def run_until(self, elapsed_s: float) -> GuardStatus:
        """Step until ``elapsed_s`` after the first sample; the last status."""
        while self.now_s + PERIOD_S <= START_S + elapsed_s + 1e-9:
            self.now_s += PERIOD_S
            self.waveform.now_s = self.now_s
            self.tick.step(self.now_s)
        return self.statuses[-1]

    @property
    def elapsed_s(self) -> float:
        return self.now_s - START_S

    @property
    def codes(self) -> list[str]:
        return [code for _, code, _ in self.events]

    def opened_after_s(self, moment_s: float) -> float | None:
        """From ``moment_s`` (since the first sample) to the first parting of the contacts."""
        return self.breaker.opened_at_s[0] - START_S - moment_s if self.breaker.opened_at_s else None

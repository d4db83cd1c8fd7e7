"""The player against a guard of a few lines, in injected time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from v2g.clock import ManualClock
from v2g.hardware.breaker import MmapBreakerDevice, MmapBreakerOutput
from v2g.hardware.contact import ContactReader, ContactWriter
from v2g.hardware.waveform import CHANNELS, WaveformReader, WaveformWriter
from v2g.replay.breaker import Breaker
from v2g.replay.player import SAMPLE_RATE_HZ, SCALES, Plant, main, play
from v2g.replay.stimulus import Case, ReplayError, Segment

HEALTHY = Segment(d=0.5, v=(1.0, 1.0, 1.0), f=60.0)
CASE = Case(
    id="C1",
    family="volt_trip",
    category="III",
    nominal_hz=60.0,
    settings={"profile": "default_III"},
    segments=(HEALTHY, replace(HEALTHY, v=(1.3, 1.3, 1.3))),
    ref_segment=1,
    expect="TRIP",
    element="OV2",
    tmin_s=0.0,
    tmax_s=0.16,
)


class GuardedClock(ManualClock):
    """Lets a guard look at the buffer whenever 10 ms have passed, as a process beside the player would."""

    def __init__(self, guard: Callable[[float], None]) -> None:
        super().__init__()
        self._guard = guard
        self._next_s = self.monotonic_s()

    def sleep_until(self, deadline_s: float) -> None:
        super().sleep_until(deadline_s)
        if self.monotonic_s() >= self._next_s:
            self._next_s += 0.01
            self._guard(self.monotonic_s())


class Guard:
    """Closes on a live bus, opens above 1.2 p.u.; both judged on the peak of the last cycle."""

    def __init__(self, directory: Path) -> None:
        self._output = MmapBreakerOutput(directory / "breaker")
        self._directory = directory
        self._reader: WaveformReader | None = None
        self.peaks_pu: list[float] = []
        self.inverter_side: list[tuple[bool, float]] = []
        self.tripped = False

    def __call__(self, now_s: float) -> None:
        self._reader = self._reader or WaveformReader(self._directory / "waveform")
        try:
            samples = self._reader.latest(64).samples
        except Exception:
            return
        peak_pu = float(np.abs(samples[:, 0]).max()) / (277.0 * np.sqrt(2))
        self.peaks_pu.append(peak_pu)
        self.tripped = self.tripped or peak_pu > 1.2
        self._output.hold(peak_pu > 0.5 and not self.tripped, now_s)
        last = samples[-16:]
        self.inverter_side.append(
            (bool(self._output.is_closed(now_s)), float(np.abs(last[:, CHANNELS.index("v_inv_a")]).max()))
        )


def plant(directory: Path, mains: bool = False) -> Plant:
    return Plant(
        writer=WaveformWriter.create(directory / "waveform", SAMPLE_RATE_HZ, SCALES),
        device=MmapBreakerDevice(directory / "breaker"),
        breaker=Breaker(0.05, 0.06),
        mains=ContactWriter(directory / "mains") if mains else None,
    )


def test_it_waits_for_service_and_times_the_contact_from_the_reference_segment(tmp_path: Path) -> None:
    built = plant(tmp_path)
    guard = Guard(tmp_path)
    played = play(CASE, built, GuardedClock(guard))
    assert played.id == "C1"
    assert played.commanded_open_s is not None
    assert 0.0 < played.commanded_open_s < 0.03
    assert played.opened_s == pytest.approx(played.commanded_open_s + 0.05, abs=1e-3)
    assert played.closed_s is None
    assert max(guard.peaks_pu) == pytest.approx(1.3, abs=0.01)
    assert max(v for closed, v in guard.inverter_side if closed) > 300.0
    assert guard.inverter_side[-1][0] is False
    assert guard.inverter_side[-1][1] == 0.0


def test_an_entry_case_waits_with_a_dead_bus_and_times_the_closing(tmp_path: Path) -> None:
    guard = Guard(tmp_path)
    entry = replace(CASE, settings={"es": {"delay": 0}}, segments=(replace(HEALTHY, d=1.0),), ref_segment=0)
    played = play(entry, plant(tmp_path), GuardedClock(guard), dead_s=0.5)
    assert guard.peaks_pu[0] == 0.0
    assert played.commanded_closed_s is not None
    assert 0.0 < played.commanded_closed_s < 0.03
    assert played.closed_s == pytest.approx(played.commanded_closed_s + 0.06, abs=1e-3)
    assert played.opened_s is None


def test_a_loss_of_mains_works_the_input(tmp_path: Path) -> None:
    island = replace(CASE, segments=(HEALTHY, replace(HEALTHY, loss=True)))
    told: list[bool | None] = []
    built, guard = plant(tmp_path, mains=True), Guard(tmp_path)
    mains = ContactReader(tmp_path / "mains")

    def both(now_s: float) -> None:
        guard(now_s)
        told.append(mains.is_closed(now_s))

    play(island, built, GuardedClock(both))
    changes = [one for one, before in zip(told[1:], told, strict=False) if one != before]
    assert changes[-2:] == [True, False] or (told[0] is True and changes == [False])
    assert told[-1] is False


def test_a_guard_that_never_closes_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="C1: the guard has not closed the breaker within 2 s"):
        play(CASE, plant(tmp_path), ManualClock(), longest_wait_s=2.0)


def test_the_command_line_refuses_an_unknown_case_and_a_place_that_is_not_there(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = str(shared_data / "grid/cases.csv")
    places = ["--waveform", str(tmp_path / "none/waveform"), "--breaker", str(tmp_path / "none/breaker")]
    assert main([cases, "S999", *places]) == 1
    assert "no case S999" in capsys.readouterr().err
    assert main([cases, "S131", *places]) == 1
    assert "waveform buffer" in capsys.readouterr().err

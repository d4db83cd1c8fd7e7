"""The waveform tests of the reference data as signals with their truth: ``waveforms/spec.yaml``, twenty rows.

``x_k(t) = V_k(t) * [cos(phi(t) + a_k + j_k(t)) + harmonics] + additions + noise`` with ``a`` = 0, -120, +120 degrees.
Voltages here are RMS per unit: a signal of 1 p.u. has a peak of sqrt(2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

Array = NDArray[np.float64]
TURN = np.array([0.0, -2.0, 2.0]) * np.pi / 3
STEADY_S = 0.5
"""Before a ramp and after it."""
EVENT_S = 0.5
"""When steps, jumps, sags, impulses and dropouts begin."""


def load_spec(shared_data: Path) -> dict[str, Any]:
    """``{"common", "judge", "tests"}``."""
    return yaml.safe_load((shared_data / "grid/waveforms/spec.yaml").read_text())


def load_limits(shared_data: Path) -> dict[str, Any]:
    return yaml.safe_load((shared_data / "grid/reference/pmu_limits.yaml").read_text())


@dataclass(frozen=True)
class Frequency:
    """Piecewise linear: knots of time and Hz; constant before the first and after the last."""

    at_s: tuple[float, ...]
    hz: tuple[float, ...]

    def frequency(self, t: Array) -> Array:
        return np.interp(t, self.at_s, self.hz)

    def phase(self, t: Array) -> Array:
        """Radians since t = 0."""
        at, hz = np.array(self.at_s), np.array(self.hz)
        turns = np.concatenate([[0.0], np.cumsum(np.diff(at) * (hz[1:] + hz[:-1]) / 2)])

        def since_first(t: Array) -> Array:
            i = np.clip(np.searchsorted(at, t, side="right") - 1, 0, len(at) - 1)
            return turns[i] + (t - at[i]) * (hz[i] + np.where(t < at[0], hz[0], self.frequency(t))) / 2

        return 2 * np.pi * (since_first(t) - since_first(np.zeros(1)))

    def rocof(self, t: Array) -> Array:
        return (self.frequency(t + 1e-6) - self.frequency(t - 1e-6)) / 2e-6


def constant(value: Any) -> Callable[[Array], Array]:
    return lambda t: np.broadcast_to(np.asarray(value, float), (len(t), 3))


def switched(before: Any, after: Any, at_s: float, until_s: float = np.inf) -> Callable[[Array], Array]:
    """``[n, 3]``: ``after`` from ``at_s`` on until ``until_s``, ``before`` else."""
    return lambda t: np.where(
        ((t >= at_s) & (t < until_s))[:, None], np.asarray(after, float), np.asarray(before, float)
    )


NOMINAL = constant(1.0)
NO_JUMP = constant(0.0)


@dataclass(frozen=True, kw_only=True)
class Waveform:
    """One signal of a row. All callables take times in s; those of three phases return ``[n, 3]``."""

    row: str
    """``W01``."""
    what: str
    f0_hz: float
    duration_s: float
    frequency: Frequency
    magnitude: Callable[[Array], Array] = NOMINAL
    jump: Callable[[Array], Array] = NO_JUMP
    """Radians, beside what the frequency brings."""
    modulation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """``kx``, ``ka`` in rad, ``fm`` in Hz."""
    harmonics: dict[int, float] = field(default_factory=dict)
    """Order to fraction of the fundamental."""
    negative: float = 0.0
    zero: float = 0.0
    addition: Callable[[Array, Array], Array] | None = None
    """Of times and the signal so far, p.u. RMS scale times sqrt(2), to what comes on top."""
    filtered: bool = False
    """Through an anti-alias filter: what is shorter than a sample would be hit or missed by chance."""
    dropout_s: tuple[float, float] | None = None
    """Samples from and until that are zero, noise and all."""
    clock_ppm: float = 0.0
    """The sampling clock is faster by this than the rate says."""
    events_s: tuple[float, ...] = ()
    """Instants of discontinuity: no truth in windows that contain one."""
    parameters: dict[str, Any] = field(default_factory=dict)

    def frequency_hz(self, t: Array) -> Array:
        """Truth of the fundamental."""
        _, ka, fm = self.modulation
        return self.frequency.frequency(t) - ka * fm * np.sin(2 * np.pi * fm * t - np.pi)

    def rocof_hz_s(self, t: Array) -> Array:
        _, ka, fm = self.modulation
        return self.frequency.rocof(t) - ka * 2 * np.pi * fm**2 * np.cos(2 * np.pi * fm * t - np.pi)

    def phasors_pu(self, t: Array, phi0_rad: float) -> NDArray[np.complex128]:
        """Truth of the fundamental, RMS p.u., ``[n, 3]``, the angle that of a cosine at ``t``."""
        turn = np.exp(1j * self._phase(t, phi0_rad))
        others = self.negative * np.exp(-1j * TURN) + self.zero
        return self._magnitude(t) * turn[:, None] * (np.exp(1j * (TURN + self.jump(t))) + others)

    def samples_pu(self, sample_rate_hz: float, phi0_rad: float, snr_db: float | None = None, seed: int = 1) -> Array:
        """``[n, 3]`` of the whole duration, sample i at ``i / sample_rate_hz`` by the clock that is believed."""
        n = round(self.duration_s * sample_rate_hz)
        t = np.arange(n) / (sample_rate_hz * (1 + self.clock_ppm * 1e-6))
        if self.filtered:
            fine = np.arange(-_TAPS, n * _FINER + _TAPS) / (sample_rate_hz * _FINER)
            x = _anti_alias(self._exact(fine, phi0_rad, sample_rate_hz))[:n]
        else:
            x = self._exact(t, phi0_rad, sample_rate_hz)
        if snr_db is not None:
            x = x + np.random.default_rng(seed).normal(0.0, 10 ** (-snr_db / 20), x.shape)
        if self.dropout_s is not None:
            begin_s, end_s = self.dropout_s
            x[(t >= begin_s) & (t < end_s)] = 0.0
        return x

    def _exact(self, t: Array, phi0_rad: float, sample_rate_hz: float) -> Array:
        x = np.sqrt(2) * self.phasors_pu(t, phi0_rad).real
        phase = self._phase(t, phi0_rad)[:, None] + TURN + self.jump(t)
        for order, level in self.harmonics.items():
            if order * self.f0_hz < sample_rate_hz / 2:
                x += np.sqrt(2) * level * self._magnitude(t) * np.cos(order * phase)
        return x if self.addition is None else x + self.addition(t, x)

    def _phase(self, t: Array, phi0_rad: float) -> Array:
        _, ka, fm = self.modulation
        return phi0_rad + self.frequency.phase(t) + ka * np.cos(2 * np.pi * fm * t - np.pi)

    def _magnitude(self, t: Array) -> Array:
        kx, _, fm = self.modulation
        return self.magnitude(t) * (1 + kx * np.cos(2 * np.pi * fm * t))[:, None]


_FINER, _TAPS = 16, 128


def _anti_alias(x: Array) -> Array:
    """From 16 times the rate to the rate; a windowed sinc of 0.4 of it, without delay."""
    i = np.arange(-_TAPS, _TAPS + 1)
    taps = np.sinc(0.8 * i / _FINER) * np.hamming(len(i))
    taps /= taps.sum()
    return np.stack([np.convolve(column, taps, "valid")[::_FINER] for column in x.T], axis=1)


def steady(hz: float) -> Frequency:
    return Frequency((0.0,), (hz,))


def ramp(f0_hz: float, rate_hz_s: float, span_hz: float) -> Frequency:
    return Frequency((STEADY_S, STEADY_S + span_hz / abs(rate_hz_s)), (f0_hz, f0_hz + np.sign(rate_hz_s) * span_hz))


def waveforms(row: dict[str, Any], f0_hz: float, *, steady_s: float | None = None) -> Iterator[Waveform]:
    """All signals of one row of the spec. ``steady_s``: how long steady ones last instead of the spec's ``dur_s``."""
    for parameters in _BUILDERS[row["id"]](row, f0_hz):
        given = {"duration_s": steady_s or float(row.get("dur_s", 3.0)), "frequency": steady(f0_hz)} | parameters
        yield Waveform(row=row["id"], f0_hz=f0_hz, **given)


Given = Iterator[dict[str, Any]]


def _w01(row: dict[str, Any], f0: float) -> Given:
    for offset in row["f_offset_hz"]:
        yield {"what": f"{offset:+g} Hz", "frequency": steady(f0 + offset), "parameters": {"offset_hz": offset}}


def _w02(row: dict[str, Any], f0: float) -> Given:
    for v_pu in row["v_pu"]:
        yield {"what": f"{v_pu:g} p.u.", "magnitude": constant(v_pu), "parameters": {"v_pu": v_pu}}


def _w03(row: dict[str, Any], f0: float) -> Given:
    for pmu_class, level in row["level"].items():
        for order in row["order"]:
            yield {
                "what": f"{level:.0%} of order {order}",
                "harmonics": {order: level},
                "parameters": {"class": pmu_class, "order": order},
            }


def _w04(row: dict[str, Any], f0: float) -> Given:
    for offset in row["f_offset_hz"]:
        yield {
            "what": f"5th 6 %, 7th 4 %, 11th 3 %, 13th 2 %, {offset:+g} Hz",
            "frequency": steady(f0 + offset),
            "harmonics": dict(row["levels"]),
            "parameters": {"offset_hz": offset},
        }


def _w05(row: dict[str, Any], f0: float) -> Given:
    level = row["level"]
    for reports_hz in (f0, 2 * f0):
        low, high = f0 - reports_hz / 2, f0 + reports_hz / 2
        below = np.linspace(10, low, 4) if low >= 10 else []
        for hz in sorted({*below, *np.linspace(high, 2 * f0, 4)}):
            for offset_hz in (-0.05 * reports_hz, 0.0, 0.05 * reports_hz):
                yield {
                    "what": f"{level:.0%} of {hz:g} Hz, {reports_hz:g} reports/s, fundamental {offset_hz:+g} Hz",
                    "frequency": steady(f0 + offset_hz),
                    "addition": lambda t, x, hz=hz: np.sqrt(2) * level * np.cos(2 * np.pi * hz * t[:, None] + TURN),
                    "parameters": {"interharmonic_hz": hz, "reports_hz": reports_hz},
                }


def _w06(row: dict[str, Any], f0: float) -> Given:
    for fm in row["fm_hz"]:
        yield {
            "what": f"fm {fm:g} Hz",
            "modulation": (row["kx"], row["ka"], fm),
            "duration_s": 1.0 + 2 / fm,
            "parameters": {"fm_hz": fm},
        }


def _w08(row: dict[str, Any], f0: float) -> Given:
    for rate in row["rate_hz_s"]:
        yield {
            "what": f"{rate:+g} Hz/s over {row['span_hz']:g} Hz",
            "frequency": ramp(f0, rate, row["span_hz"]),
            "duration_s": 2 * STEADY_S + row["span_hz"] / abs(rate),
            "events_s": (STEADY_S, STEADY_S + row["span_hz"] / abs(rate)),
            "parameters": {"rate_hz_s": rate},
        }


def _w10(row: dict[str, Any], f0: float) -> Given:
    for percent in row["step_pct"]:
        yield {
            "what": f"{percent:+g} %",
            "magnitude": switched(1.0, 1.0 + percent / 100, EVENT_S),
            "duration_s": 1.0,
            "events_s": (EVENT_S,),
        }


def _w11(row: dict[str, Any], f0: float) -> Given:
    for degrees in row["step_deg"]:
        yield {
            "what": f"{degrees:+g} deg",
            "jump": switched(0.0, np.radians(degrees), EVENT_S),
            "duration_s": 1.0,
            "events_s": (EVENT_S,),
        }


def _w12(row: dict[str, Any], f0: float) -> Given:
    for degrees in row["jumps_deg"]:
        yield {
            "what": "/".join(f"{angle:g}" for angle in degrees) + " deg",
            "jump": switched(0.0, np.radians(degrees), EVENT_S),
            "duration_s": 1.0,
            "events_s": (EVENT_S,),
            "parameters": {"jump_deg": tuple(map(float, degrees))},
        }


def _w13(row: dict[str, Any], f0: float) -> Given:
    for v_pu in row["v_pu"]:
        for cycles in row["dur_cycles"]:
            end_s = EVENT_S + cycles / f0
            yield {
                "what": "/".join(f"{v:g}" for v in v_pu) + f" p.u. for {cycles} cycles",
                "magnitude": switched(1.0, v_pu, EVENT_S, end_s),
                "duration_s": end_s + 0.3,
                "events_s": (EVENT_S, end_s),
                "parameters": {"v_pu": tuple(map(float, v_pu)), "end_s": end_s},
            }


def _w14(row: dict[str, Any], f0: float) -> Given:
    """Flicker is a sine of the stated fraction of the voltage, peak: the harder reading."""
    flicker_hz = row["flicker_hz"]
    for dc in row["dc_pct"]:
        for depth in row["flicker_pct"]:
            yield {
                "what": f"dc {dc:g} %, flicker {depth:g} % at {flicker_hz:g} Hz",
                "magnitude": lambda t, depth=depth: (
                    1 + depth / 100 * np.sin(2 * np.pi * flicker_hz * t[:, None]) * np.ones(3)
                ),
                "addition": lambda t, x, dc=dc: np.full_like(x, np.sqrt(2) * dc / 100),
            }


def _w15(row: dict[str, Any], f0: float) -> Given:
    """Notches at 30 degrees and every 60 after of each phase take a share of the voltage away; the impulse lifts phase
    a to its value, once."""
    notch, impulse = row["notch"], row["impulse"]

    def notches(t: Array, x: Array) -> Array:
        turns = f0 * t[:, None] + TURN / (2 * np.pi) - 1 / 12
        within_s = np.mod(turns, 1 / notch["per_cycle"]) / f0
        return np.where(within_s < notch["width_us"] * 1e-6, -notch["depth"] * x, 0.0)

    def strike(t: Array, x: Array) -> Array:
        struck = np.zeros_like(x)
        hit = (t >= EVENT_S) & (t < EVENT_S + impulse["width_us"] * 1e-6)
        struck[hit, 0] = np.sqrt(2) * impulse["pu"] - x[hit, 0]
        return struck

    for filtered in (True, False):
        how = {"filtered": filtered, "parameters": {"filtered": filtered}}
        name = "" if filtered else ", no anti-alias filter"
        yield {"what": f"notches{name}", "addition": notches, **how}
        yield {"what": f"impulse{name}", "addition": strike, "duration_s": 1.0, **how}


def _w16(row: dict[str, Any], f0: float) -> Given:
    for negative in row["neg_seq_pct"]:
        for zero in row["zero_seq_pct"]:
            yield {
                "what": f"negative {negative:g} %, zero {zero:g} %",
                "negative": negative / 100,
                "zero": zero / 100,
                "parameters": {"negative": negative / 100, "zero": zero / 100},
            }


def _w17(row: dict[str, Any], f0: float) -> Given:
    for ms in row["zero_ms"]:
        end_s = EVENT_S + ms * 1e-3
        yield {
            "what": f"{ms:g} ms",
            "dropout_s": (EVENT_S, end_s),
            "duration_s": end_s + 0.3,
            "events_s": (EVENT_S, end_s),
            "parameters": {"end_s": end_s},
        }


def _w18(row: dict[str, Any], f0: float) -> Given:
    for ppm in row["ppm"]:
        yield {"what": f"{ppm:+g} ppm", "clock_ppm": ppm}


def _w19(row: dict[str, Any], f0: float) -> Given:
    at = (STEADY_S, STEADY_S + 1 / 3, STEADY_S + 2 / 3)
    yield {
        "what": f"{f0 - 0.5:g} -> {f0 + 0.5:g} -> {f0 - 0.5:g} Hz at 3 Hz/s",
        "frequency": Frequency(at, (f0 - 0.5, f0 + 0.5, f0 - 0.5)),
        "duration_s": at[-1] + STEADY_S,
        "events_s": at,
    }


def _w20(row: dict[str, Any], f0: float) -> Given:
    if f0 == 50:
        at = (0.0, 25.0, 40.0, 76.0, 285.0)
        yield {
            "what": "50.0 -> 49.1 -> 49.2 -> 48.8 -> 50.0 Hz in 285 s",
            "frequency": Frequency(at, (50.0, 49.1, 49.2, 48.8, 50.0)),
            "duration_s": at[-1] + 1.0,
            "events_s": at,
        }


_BUILDERS: dict[str, Callable[[dict[str, Any], float], Given]] = {
    "W01": _w01, "W02": _w02, "W03": _w03, "W04": _w04, "W05": _w05, "W06": _w06, "W07": _w06, "W08": _w08,
    "W09": _w08, "W10": _w10, "W11": _w11, "W12": _w12, "W13": _w13, "W14": _w14, "W15": _w15, "W16": _w16,
    "W17": _w17, "W18": _w18, "W19": _w19, "W20": _w20,
}  # fmt: skip

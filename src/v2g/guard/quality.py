"""Power quality as ``v2g-guard quality`` judges it: samples in, lines of power_quality.log and a report out. Pure.

Limits are those of IEEE 1547-2018 clause 7 and of the section ``power_quality`` of the configuration. Nothing here
trips.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from v2g.grid.harmonic_limits import current_limit_pct
from v2g.grid.metering import Metering, MeteringRecord, Samples
from v2g.guard.quality_flicker import Flicker
from v2g.guard.quality_report import QualityReport
from v2g.guard.quality_summary import QualitySummary
from v2g.guard.quality_watch import QualityEvent, Watch

DC_LIMIT_PCT = 0.5
"""Of rated current (IEEE 1547-2018 7.1)."""
UNBALANCE_LIMIT_PCT = 2.0
"""Negative over positive sequence, as EN 50160 has it; IEEE 1547 names none."""
_DEAD_PU = 0.30
"""A phase below it carries no flicker; its filters begin anew when it is back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualitySettings:
    nominal_voltage_v: float
    nominal_frequency_hz: float
    rated_feeder_a: float
    thd_v_limit_pct: float = 8.0
    trd_limit_pct: float = 5.0
    rapid_change_limit_pct: float = 5.0
    pst_limit: float = 0.35
    plt_limit: float = 0.25
    voltage_window_pu: tuple[float, float] = (0.88, 1.10)


_FIGURES = tuple(name for name in QualityReport.__struct_fields__ if name in MeteringRecord.__dataclass_fields__)


class Quality:
    """Feed it consecutive samples; :meth:`interrupted` where some are missing. Times are CLOCK_MONOTONIC seconds."""

    def __init__(self, settings: QualitySettings, sample_rate_hz: int, now_s: float) -> None:
        """Raises :class:`~v2g.grid.estimation.EstimationError` for a sample rate it cannot use."""
        self._settings = settings
        s = settings
        self._thd = Watch("THD_HIGH", "THD_BACK", "voltage distortion (THD)", s.thd_v_limit_pct)
        self._trd = Watch("TRD_HIGH", "TRD_BACK", "rated-current distortion (TRD) of the V2G feeder", s.trd_limit_pct)
        self._unbalance = Watch("UNBALANCE_HIGH", "UNBALANCE_BACK", "voltage unbalance", UNBALANCE_LIMIT_PCT)
        self._dc = Watch("DC_INJECTION", "DC_INJECTION_BACK", "direct current of the V2G feeder", DC_LIMIT_PCT)
        now = {"begin_s": 0.0, "end_s": 0.0}
        self._pst = Watch("FLICKER_HIGH", "FLICKER_BACK", "flicker", s.pst_limit, "", **now, severity="Pst")
        self._plt = Watch("FLICKER_HIGH", "FLICKER_BACK", "flicker", s.plt_limit, "", **now, severity="Plt")
        self._harmonics: dict[int, Watch] = {}
        self._summary = QualitySummary(now_s, s.nominal_frequency_hz)
        self._newest: MeteringRecord | None = None
        self._dead = False
        self._rate_hz = sample_rate_hz
        self._metering = self._new_metering(sample_rate_hz)
        self._flicker = Flicker(sample_rate_hz, s.nominal_frequency_hz)

    @property
    def sample_rate_hz(self) -> int:
        return self._rate_hz

    @property
    def highest_harmonic(self) -> int:
        return self._metering.highest_harmonic

    def interrupted(self, sample_rate_hz: int) -> None:
        """Samples are missing before the next ones, which are of ``sample_rate_hz``."""
        self._summary.gaps += 1
        if sample_rate_hz != self._rate_hz:
            self._metering = self._new_metering(sample_rate_hz)
            self._rate_hz = sample_rate_hz
        self._flicker.begin_anew(sample_rate_hz)

    def feed(self, index: int, at_s: float, samples: Samples) -> tuple[QualityEvent, ...]:
        """``samples[n, 9]``: bus volts, transformer and feeder amperes; ``index`` and ``at_s`` of the last row."""
        volts = samples[:, 0:3]
        records = self._metering.feed(index, at_s, volts, samples[:, 3:6], samples[:, 6:9])
        events: list[QualityEvent | None] = []
        for record in records:
            self._newest = record
            self._summary.add(record)
            self._watch_voltage(record)
            events += self._judge(record)
        for change in self._metering.rapid_changes():
            events.append(
                QualityEvent(
                    "warning",
                    "RAPID_VOLTAGE_CHANGE",
                    "the voltage changed within a second",
                    {
                        "phase": change.phase,
                        "change_pct": round(change.change_pct, 2),
                        "limit_pct": self._settings.rapid_change_limit_pct,
                        "duration_s": round(change.duration_s, 3),
                        "ago_s": round(at_s - change.at_s, 1),
                    },
                )
            )
        if not self._dead and self._finite(volts) and self._flicker.feed(volts) and not self._flicker.disturbed:
            events += self._judge_flicker(at_s)
        found = tuple(event for event in events if event is not None)
        for event in found:
            self._summary.count(event)
        return found

    def summary(self, now_s: float) -> QualityEvent:
        """What the interval since the last summary holds; the next one begins."""
        fields = self._summary.fields(now_s)
        self._summary = QualitySummary(now_s, self._settings.nominal_frequency_hz)
        for name, severity in (("pst", self._flicker.pst), ("plt", self._flicker.plt)):
            fields[name] = "none" if severity is None else "/".join(f"{value:.3f}" for value in severity)
        if self._flicker.pst is not None and self._flicker.disturbed:
            fields["pst_disturbed"] = True
        return QualityEvent(
            "info",
            "PQ_SUMMARY",
            "lowest/mean/highest; flicker of phases A/B/C; "
            f"harmonics to the {_ordinal(self.highest_harmonic)}: {self._rate_hz} Hz",
            fields,
        )

    def report(self, not_measured: str = "") -> QualityReport:
        report = QualityReport(
            as_of_s=0.0,
            not_measured=not_measured,
            pst=self._flicker.pst,
            plt=self._flicker.plt,
            highest_harmonic=self.highest_harmonic,
            sample_rate_hz=self._rate_hz,
            active=tuple(watch.name for watch in self._watches() if watch.active),
        )
        if self._newest is None:
            return report
        figures = {name: getattr(self._newest, name) for name in _FIGURES}
        return msgspec.structs.replace(report, as_of_s=self._newest.at_s, **figures)

    def _new_metering(self, sample_rate_hz: int) -> Metering:
        s = self._settings
        metering = Metering(
            sample_rate_hz,
            s.nominal_frequency_hz,
            s.nominal_voltage_v,
            s.rated_feeder_a,
            rapid_change_pct=s.rapid_change_limit_pct,
        )
        self._harmonics = {
            order: self._harmonics.get(order)
            or Watch(
                "HARMONIC_HIGH",
                "HARMONIC_BACK",
                "a harmonic current of the V2G feeder",
                current_limit_pct(order),
                order=order,
            )
            for order in range(2, metering.highest_harmonic + 1)
        }
        return metering

    def _watches(self) -> tuple[Watch, ...]:
        return (
            self._thd, self._trd, self._unbalance, self._dc, self._pst, self._plt, *self._harmonics.values()
        )  # fmt: skip

    def _watch_voltage(self, record: MeteringRecord) -> None:
        low, high = self._settings.voltage_window_pu
        if min(record.v_pu) < low or max(record.v_pu) > high:
            self._flicker.disturb()
        dead = min(record.v_pu) < _DEAD_PU
        if self._dead and not dead:
            self._flicker.begin_anew(self._rate_hz)
        self._dead = dead

    def _judge(self, record: MeteringRecord) -> list[QualityEvent | None]:
        at_s = record.at_s
        return [
            self._thd.judge(at_s, *_worst(record.thd_v_pct)),
            self._trd.judge(at_s, *_worst(record.trd_pct)),
            self._unbalance.judge(at_s, record.unbalance_pct),
            self._dc.judge(at_s, *_worst(record.dc_injection_pct)),
            *(
                watch.judge(at_s, *_worst(record.harmonics_i_pct[order - 2]))
                for order, watch in self._harmonics.items()
            ),
        ]

    def _judge_flicker(self, at_s: float) -> list[QualityEvent | None]:
        pst, plt = self._flicker.pst, self._flicker.plt
        return [
            self._pst.judge(at_s, *_worst(pst)) if pst is not None else None,
            self._plt.judge(at_s, *_worst(plt)) if plt is not None else None,
        ]

    def _finite(self, volts: Samples) -> bool:
        # A sum is not finite where one of its parts is not.
        if float(volts.sum()) - float(volts.sum()) == 0.0:
            return True
        self._flicker.begin_anew(self._rate_hz)
        return False


def _worst(values: tuple[float, float, float]) -> tuple[float, str]:
    sizes = [abs(value) for value in values]
    phase = sizes.index(max(sizes))
    return sizes[phase], "ABC"[phase]


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"

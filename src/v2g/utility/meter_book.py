"""All meters together: the base load by phase, what is missing of it, and what contradicts the transformer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from v2g.units import format_power
from v2g.utility.meter_check import SumWatch
from v2g.utility.meter_reading import MeterSpec, Reading, ReadingRefused, Register
from v2g.utility.meter_record import MeterRecord
from v2g.utility.meter_view import MeteredLoad, Phases

_NAMED = 3


class MeterBook:
    """``now_s`` is CLOCK_MONOTONIC, ``unix_s`` the wall clock at the same moment."""

    def __init__(self, specs: Iterable[MeterSpec]) -> None:
        self._records = {spec.id: MeterRecord(spec) for spec in specs}
        self._sums = SumWatch()
        self.contradiction = ""
        """Between the meters and the transformer's own measurement, as it has lasted; empty: none."""

    @property
    def records(self) -> Mapping[str, MeterRecord]:
        return self._records

    def take(self, meter: str, reading: Reading | Register, now_s: float, unix_s: float, *, fed: bool = False) -> str:
        """Empty: used; else why not, though nothing is wrong with it. Raises :class:`ReadingRefused`.

        ``fed``: it came through the feed, which tells nothing of meters that are polled.
        """
        record = self._records.get(meter)
        if record is None or record.spec.fed != fed:
            raise ReadingRefused(
                f'"meter" {meter!r} is not expected here; add it to utility.meter_feed.meters, or correct the id'
            )
        if isinstance(reading, Register):
            return record.take_register(reading, now_s, unix_s)
        return record.take(reading, now_s, unix_s)

    def lose(self, meter: str, why: str) -> None:
        self._records[meter].lose(why)

    def view(
        self, now_s: float, unix_s: float, measured_base_w: float | None, remarks: Iterable[str] = ()
    ) -> MeteredLoad:
        """``measured_base_w``: the base load as the transformer itself measures it; None: it does not. ``remarks`` go
        with the notes.
        """
        told = {meter: record.told_w(now_s, unix_s) for meter, record in self._records.items()}
        powers_w = {meter: sum(power) for meter, power in told.items() if power is not None}
        complete = len(powers_w) == len(told)
        self._sums.look(powers_w if complete else {}, measured_base_w, now_s)
        sum_w = sum(powers_w.values())
        self.contradiction = ""
        if self._sums.lasts and measured_base_w is not None:
            self.contradiction = (
                f"the meters add up to {format_power(sum_w)}, the transformer measures {format_power(measured_base_w)} "
                f"of base load: {self._explained()}"
            )
        lines = tuple(
            record.line(now_s, unix_s, self._sums.slips.get(meter)) for meter, record in self._records.items()
        )
        known_w = _sum(line.power_w for line in lines if line.power_w is not None)
        missing = tuple(line.id for line in lines if line.power_w is None)
        notes = (*remarks, self._missing_words(missing), self.contradiction)
        return MeteredLoad(
            base_w=known_w if lines and not missing else None,
            known_w=known_w,
            missing=missing,
            lines=lines,
            notes=tuple(note for note in notes if note),
        )

    def _missing_words(self, missing: tuple[str, ...]) -> str:
        if not missing:
            return ""
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        return (
            f"{len(missing)} of {len(self._records)} meters tell nothing that can be used: "
            f"{', '.join(missing[:_NAMED])}{more}; see v2g-tool meters"
        )

    def _explained(self) -> str:
        slips = self._sums.slips
        if len(slips) == 1:
            ((meter, slip),) = slips.items()
            return f"meter {meter} {slip}"
        if slips:
            return f"every meter {next(iter(slips.values()))}"
        return "a customer without a meter, a wrong sign (import_is_positive) or a wrong current transformer ratio?"


def _sum(powers: Iterable[Phases]) -> Phases:
    a = b = c = 0.0
    for power in powers:
        a, b, c = a + power[0], b + power[1], c + power[2]
    return a, b, c

"""The methods of the control socket on harmonics: ``harmonics.show`` and ``harmonic_filter.set``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from v2g.clock import Clock
from v2g.config.schema import Config, DcEvse
from v2g.config.writer import OPERATOR_DROPIN, UNSET, dropin_path
from v2g.control import messages
from v2g.control.messages_quality import FilterLine, HarmonicFilterParams, HarmonicFilterResult, HarmonicsResult
from v2g.control.server import Caller, Method, Refused, Role
from v2g.grid.harmonic_limits import current_limit_pct
from v2g.guard.harmonic_control import THRESHOLD_RANGE, feeder_thd
from v2g.guard.quality_report import QualityReport, read_report
from v2g.orchestrator.adoption import load_settings, write_settings
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.harmonics import filter_thresholds
from v2g.orchestrator.site import Site

_SILENT = "v2g-guard quality publishes nothing; see systemctl status v2g-guard-quality"
_LITTLE = "too little current flows on the V2G feeder for a THD to mean anything"


class HarmonicApi:
    """What is refused raises :class:`Refused` and has changed nothing."""

    def __init__(self, site: Site, quality_file: Path, config_dir: Path, clock: Clock, changes: Changes) -> None:
        """``quality_file``: what ``v2g-guard quality`` publishes."""
        self._site = site
        self._quality_file = quality_file
        self._config_dir = config_dir
        self._clock = clock
        self._changes = changes

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("harmonics.show", Role.VIEWER, messages.NoParams, self.show),
            Method("harmonic_filter.set", Role.ENGINEER, HarmonicFilterParams, self.set),
        )

    async def show(self, params: messages.NoParams, caller: Caller) -> HarmonicsResult:
        report = await self._report()
        limits = self._site.config.power_quality
        thd_now, not_measured = _thd(report)
        common: dict[str, Any] = {
            "thd_now": thd_now,
            "not_measured": not_measured if report is None or report.not_measured else "",
            "thd_v_limit_pct": limits.thd_v_limit_pct,
            "trd_limit_pct": limits.trd_limit_pct,
            "filters": tuple(self._lines()),
        }
        if report is None or common["not_measured"]:
            return HarmonicsResult(**common)
        return HarmonicsResult(
            **common,
            age_s=max(0.0, self._clock.monotonic_s() - report.as_of_s),
            frequency_hz=report.frequency_hz,
            highest_harmonic=report.highest_harmonic,
            sample_rate_hz=report.sample_rate_hz,
            thd_v_pct=report.thd_v_pct,
            thd_i_pct=report.thd_i_pct,
            trd_pct=report.trd_pct,
            harmonics_v_pct=report.harmonics_v_pct,
            harmonics_i_pct=report.harmonics_i_pct,
            limits_i_pct=tuple(current_limit_pct(order) for order in range(2, len(report.harmonics_i_pct) + 2)),
            active=report.active,
        )

    async def set(self, params: HarmonicFilterParams, caller: Caller) -> HarmonicFilterResult:
        """Into the operator's drop-in, and with the next set-points to ``v2g-guard wires``."""
        self._require_filter(params.evse_id)
        low, high = THRESHOLD_RANGE
        if params.threshold is not None and not low <= params.threshold <= high:
            raise Refused(
                f"threshold {params.threshold:g} is outside {low:g}..{high:g}: it is a share, 0.03 is 3 %",
                code="BAD_THRESHOLD",
            )
        loaded, changed = await self._changes.alone("a harmonic filter is being set", lambda: self._write(params))
        thd_now, not_measured = _thd(await self._report())
        return HarmonicFilterResult(
            changed=changed,
            file=str(dropin_path(self._config_dir, OPERATOR_DROPIN)),
            thd_now=thd_now,
            not_measured=not_measured,
            filters=tuple(self._lines()),
            remarks=tuple(_remarks(loaded, params)),
        )

    async def _write(self, params: HarmonicFilterParams) -> tuple[Config, bool]:
        """What is in force then, and whether it is another."""
        loaded = (await load_settings(self._config_dir)).config
        changes = dict(_changes(loaded, params))
        if changes:
            lifted = {path: UNSET if value is None else value for path, value in changes.items()}
            loaded = (await write_settings(self._config_dir, OPERATOR_DROPIN, lifted)).config
        if below := dict(_changes(loaded, params)):
            # Other files have it too: the operator's says explicitly that there is none.
            loaded = (await write_settings(self._config_dir, OPERATOR_DROPIN, below)).config
        self._site.filter_thresholds = filter_thresholds(loaded)
        return loaded, bool(changes)

    def _require_filter(self, evse_id: str | None) -> None:
        evses = self._site.config.dc_evses
        remedy = (
            "name its register map in evses[].inverter.harmonic_filter.map of the configuration and restart "
            "v2g-guard-wires and v2g-orchestrator"
        )
        if evse_id is None:
            if not _with_filter(evses):
                raise Refused(f"no inverter has a harmonic filter; {remedy}", code="NO_FILTER")
        elif evse_id not in {evse.id for evse in self._site.config.evses}:
            known = ", ".join(evse.id for evse in self._site.config.evses)
            raise Refused(f"there is no EVSE {evse_id!r}; there are {known}", code="UNKNOWN_EVSE")
        elif evse_id not in {evse.id for evse in _with_filter(evses)}:
            raise Refused(f"the inverter of {evse_id} has no harmonic filter; {remedy}", code="NO_FILTER")

    async def _report(self) -> QualityReport | None:
        return await asyncio.to_thread(read_report, self._quality_file, self._clock.monotonic_s())

    def _lines(self) -> Iterator[FilterLine]:
        image = self._site.image
        states = {} if image is None or image.wires is None else {each.evse_id: each for each in image.wires.filters}
        for evse in _with_filter(self._site.config.dc_evses):
            threshold, state = self._site.filter_thresholds.get(evse.id), states.get(evse.id)
            if state is None:
                yield FilterLine(evse_id=evse.id, threshold=threshold, value=None)
                continue
            yield FilterLine(
                evse_id=evse.id,
                threshold=threshold,
                value=state.value,
                unit=state.unit,
                active=state.active,
                thd_before=state.thd_before,
                limited_by=state.limited_by,
            )


def _with_filter(evses: Sequence[DcEvse]) -> list[DcEvse]:
    return [evse for evse in evses if evse.inverter.harmonic_filter is not None]


def _own(evse: DcEvse) -> float | None:
    return evse.inverter.harmonic_filter.threshold if evse.inverter.harmonic_filter is not None else None


def _changes(config: Config, params: HarmonicFilterParams) -> Iterator[tuple[str, float | None]]:
    """What is other than it shall be, by path. For all: the site's threshold, and no inverter has its own."""
    filters = _with_filter(config.dc_evses)
    if params.evse_id is None:
        if config.harmonic_filter.threshold != params.threshold:
            yield "harmonic_filter.threshold", params.threshold
        wanted: Mapping[str, float | None] = {evse.id: None for evse in filters}
    else:
        wanted = {params.evse_id: params.threshold}
    for evse in filters:
        if evse.id in wanted and _own(evse) != wanted[evse.id]:
            yield f"evses[{evse.id}].inverter.harmonic_filter.threshold", wanted[evse.id]


def _remarks(config: Config, params: HarmonicFilterParams) -> Iterator[str]:
    site = config.harmonic_filter.threshold
    if params.evse_id is not None and params.threshold is None and site is not None:
        yield (
            f"{params.evse_id} follows the site's threshold, {100 * site:g} %: lift that for all with "
            "v2g-tool --set-harmonic-filter --off"
        )


def _thd(report: QualityReport | None) -> tuple[float | None, str]:
    """THD of the feeder's current, or why there is none."""
    if report is None or report.not_measured:
        return None, _SILENT if report is None else report.not_measured
    measured = feeder_thd(report)
    if measured is None:
        return None, "the guard's figures are not finite; check the current transducers"
    return measured.thd, "" if measured.thd is not None else _LITTLE

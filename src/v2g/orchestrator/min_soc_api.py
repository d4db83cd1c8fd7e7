"""The method ``min_soc.set`` of the control socket, and the min-SoC settings in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v2g.config.loader import Loaded
from v2g.config.problems import ConfigError
from v2g.config.schema import Config
from v2g.config.tree import parse
from v2g.config.writer import OPERATOR_DROPIN, UNSET, dropin_path, read_dropin
from v2g.control.messages_min_soc import MinSocLine, MinSocParams, MinSocResult
from v2g.control.server import Caller, Method, Refused, Role
from v2g.dispatch.min_soc import MAX_VEHICLES, MinSoc, MinSocSettings, vehicle_id_problem
from v2g.orchestrator.adoption import load_settings, write_settings
from v2g.orchestrator.changes import Changes
from v2g.sessions.bay import EvseBay
from v2g.sessions.supervisor import SessionInfo

_BY_VEHICLE = "dispatch.min_soc_by_vehicle"


def min_soc_settings(config: Config) -> MinSocSettings:
    """What a configuration sets."""
    return MinSocSettings(
        site_pct=config.dispatch.min_soc_pct,
        by_evse={evse.id: evse.min_soc_pct for evse in config.evses if evse.min_soc_pct is not None},
        by_vehicle=config.dispatch.min_soc_by_vehicle,
    )


@dataclass(frozen=True, slots=True)
class _Present:
    info: SessionInfo
    soc_pct: float | None
    own_pct: float | None

    @property
    def name(self) -> str:
        return self.info.identity or self.info.evccid or "EVCCID unknown"

    def minimum(self, settings: MinSocSettings) -> MinSoc:
        return settings.of(self.info.evse_id, self.info.identity, self.info.evccid, self.own_pct)


class MinSocApi:
    """Holds :attr:`settings`, which the control cycle reads. What is refused raises :class:`Refused` and has changed
    nothing."""

    def __init__(
        self,
        config: Config,
        bays: Mapping[str, EvseBay],
        session: Callable[[str], SessionInfo | None],
        config_dir: Path,
        changes: Changes,
    ) -> None:
        self.settings = min_soc_settings(config)
        """In force; replaced whole."""
        self._evse_ids = tuple(evse.id for evse in config.evses)
        self._bays = bays
        self._session = session
        self._config_dir = config_dir
        self._changes = changes

    def methods(self) -> tuple[Method[Any], ...]:
        return (Method("min_soc.set", Role.OPERATOR, MinSocParams, self.set),)

    async def set(self, params: MinSocParams, caller: Caller) -> MinSocResult:
        """Into the operator's drop-in; the next control cycle goes by it."""
        self._check(params)
        return await self._changes.alone("a min-SoC is being set", lambda: self._set(params))

    def _check(self, params: MinSocParams) -> None:
        value, vehicle = params.value, params.vehicle
        if params.evse_id is not None and vehicle is not None:
            raise Refused("give an EVSE or a vehicle, not both", code="BAD_MIN_SOC")
        if value is not None and not 0.0 <= value <= 100.0:
            raise Refused(f"min-SoC {value:g} % is outside 0..100 %", code="BAD_MIN_SOC")
        if value is None and params.evse_id is None and vehicle is None:
            raise Refused(
                "the site always has a min-SoC: set another one, or name the EVSE or vehicle whose value is taken back",
                code="BAD_MIN_SOC",
            )
        if params.evse_id is not None and params.evse_id not in self._evse_ids:
            known = ", ".join(self._evse_ids)
            raise Refused(f"there is no EVSE {params.evse_id[:64]!r}; there are {known}", code="UNKNOWN_EVSE")
        if vehicle is not None and (problem := vehicle_id_problem(vehicle)):
            raise Refused(
                f"{vehicle[:64]!r} can be no vehicle: it {problem}; give the subject of its certificate, or its EVCCID",
                code="BAD_VEHICLE",
            )

    async def _set(self, params: MinSocParams) -> MinSocResult:
        loaded = await load_settings(self._config_dir)
        before = self.settings
        value_before = _value(min_soc_settings(loaded.config), params)
        changes = await self._wanted(loaded, params, value_before)
        if changes:
            loaded = await write_settings(self._config_dir, OPERATOR_DROPIN, changes)
        self.settings = min_soc_settings(loaded.config)
        value = _value(self.settings, params)
        return MinSocResult(
            changed=bool(changes),
            target=_target(params),
            value=value,
            before=value_before,
            file=_file(loaded, params),
            vehicles=tuple(self._lines(before)),
            remarks=tuple(self._remarks(loaded, params, value)),
        )

    async def _wanted(self, loaded: Loaded, params: MinSocParams, now_pct: float | None) -> dict[str, Any]:
        """What has to be written, by path; nothing where it is so already."""
        if params.value is not None and params.value == now_pct:
            return {}
        own = await self._own()
        if params.vehicle is not None:
            vehicles = dict(_section(_section(own, "dispatch"), "min_soc_by_vehicle"))
            if params.value is None:
                if vehicles.pop(params.vehicle, None) is None:
                    return {}
            else:
                if now_pct is None and len(loaded.config.dispatch.min_soc_by_vehicle) >= MAX_VEHICLES:
                    raise Refused(
                        f"{MAX_VEHICLES} vehicles have a min-SoC of their own, and more are not kept: take back those "
                        "that no longer come (--unset --vehicle ID)",
                        code="TOO_MANY_VEHICLES",
                    )
                vehicles[params.vehicle] = params.value
            return {_BY_VEHICLE: vehicles or UNSET}
        if params.evse_id is None:
            return {"dispatch.min_soc_pct": params.value}
        path = f"evses[{params.evse_id}].min_soc_pct"
        if params.value is not None:
            return {path: params.value}
        entries = own.get("evses")
        mine = [each for each in entries if each.get("id") == params.evse_id] if isinstance(entries, list) else []
        return {path: UNSET} if any("min_soc_pct" in each for each in mine) else {}

    async def _own(self) -> dict[str, Any]:
        """The operator's drop-in as it is."""
        file = dropin_path(self._config_dir, OPERATOR_DROPIN)
        try:
            text = await asyncio.to_thread(read_dropin, self._config_dir, OPERATOR_DROPIN)
            content = parse(text or "", str(file)).plain()
        except (OSError, UnicodeDecodeError, ConfigError) as error:
            raise Refused(f"{file} cannot be read: {error}", code="CONFIG") from None
        return content if isinstance(content, dict) else {}

    def _present(self) -> Iterator[_Present]:
        for evse_id, bay in self._bays.items():
            info, procedure = self._session(evse_id), bay.procedure
            if info is not None and procedure is not None:
                own_pct = procedure.needs.min_soc_pct if procedure.needs is not None else None
                yield _Present(info, procedure.soc_pct, own_pct)

    def _lines(self, before: MinSocSettings) -> Iterator[MinSocLine]:
        for present in self._present():
            was, now = present.minimum(before), present.minimum(self.settings)
            if now.pct != was.pct:
                yield MinSocLine(
                    evse_id=present.info.evse_id,
                    vehicle=present.name,
                    min_soc_pct=now.pct,
                    before_pct=was.pct,
                    whose=now.whose,
                    soc_pct=present.soc_pct,
                )

    def _remarks(self, loaded: Loaded, params: MinSocParams, value: float | None) -> Iterator[str]:
        settings = self.settings
        if value is not None and 0.0 < value <= 1.0:
            yield f"{value:g} % is little; is {100 * value:g} % meant?"
        if params.value is None and value is not None:
            yield f"{_file(loaded, params)} still says {value:g} %: set another value, or remove it there"
        if params.evse_id is None and params.vehicle is None and settings.by_evse:
            own = ", ".join(f"{evse_id} {pct:g} %" for evse_id, pct in settings.by_evse.items())
            yield f"EVSEs with a value of their own keep it: {own}"
        if params.evse_id is None and settings.by_vehicle and params.vehicle is None:
            yield f"vehicles with a value of their own keep it: {len(settings.by_vehicle)}"
        if params.vehicle is None or params.value is None:
            return
        for present in self._present():
            info, counts = present.info, present.minimum(settings)
            if info.identity != params.vehicle and info.evccid == params.vehicle and counts.pct > params.value:
                yield (
                    f"{info.evse_id}: {params.vehicle} is only what the vehicle claims to be, which cannot lower its "
                    f"{counts}" + (f"; its certificate is {info.identity}" if info.identity else "")
                )


def _section(content: dict[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name)
    return found if isinstance(found, dict) else {}


def _value(settings: MinSocSettings, params: MinSocParams) -> float | None:
    if params.vehicle is not None:
        return settings.by_vehicle.get(params.vehicle)
    return settings.site_pct if params.evse_id is None else settings.by_evse.get(params.evse_id)


def _target(params: MinSocParams) -> str:
    if params.vehicle is not None:
        return f"vehicle {params.vehicle}"
    return "site" if params.evse_id is None else f"EVSE {params.evse_id}"


def _file(loaded: Loaded, params: MinSocParams) -> str:
    if params.vehicle is not None:
        path = f"{_BY_VEHICLE}.{params.vehicle}"
    elif params.evse_id is not None:
        position = next((at for at, evse in enumerate(loaded.config.evses) if evse.id == params.evse_id), -1)
        path = f"evses[{position}].min_soc_pct"
    else:
        path = "dispatch.min_soc_pct"
    return loaded.place(path)

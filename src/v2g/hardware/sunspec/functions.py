"""Puts the site's settings into an inverter: SunSpec 703, 704, and the stored curves and controls of 705 to 712.

Each function is read first and written only where it differs, so that a look every minute costs no memory cell of the
device. A stored set is written whole, adopted (``AdptCrvReq``), waited for (``AdptCrvRslt``), read back from the first
set, which SunSpec keeps for what is in force, and enabled. What a device lacks or refuses is no error: it is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from v2g.clock import Clock
from v2g.grid.support import ConstantPowerFactor
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.sunspec.codec import ModelImage, SunSpecError
from v2g.hardware.sunspec.discovery import ModelLocation
from v2g.hardware.sunspec.groups import read_model, runs, writable_points, write_points, write_run
from v2g.hardware.sunspec.status import var_max_per_va
from v2g.hardware.sunspec.wanted import (
    ENTER_SERVICE_OPTIONAL,
    StoredSet,
    enter_service,
    in_var_max,
    stored_sets,
)

LOOK_AGAIN_S = 60.0
ADOPT_WITHIN_S = 5.0
_BUDGET_S = 0.05
"""How long one call may keep the connection before readings and set-points have their turn."""
_DISABLED, _ENABLED = 0, 1
_FAILED, _COMPLETED = 2, 1
_OVER_EXCITED, _UNDER_EXCITED = 0, 1
_CAPACITY, _ENTER_SERVICE, _CONTROLS = 702, 703, 704
_EXACT = ("V", "Hz", "ESVHi", "ESVLo", "ESHzHi", "ESHzLo")


class _LackingError(Exception):
    """Why the device does not do this function, for people."""


class FunctionsWriter:
    """Of one inverter. One task may use it, the one that owns the connection.

    ``lacks`` is None until the device was gone through once; then the functions it does not do as asked, each with the
    reason. Names: those of :class:`v2g.grid.support.SupportSettings`, ``enter_service``, ``anti_islanding``,
    ``momentary_cessation``, ``undervoltage_trip``, ``overvoltage_trip``, ``underfrequency_trip``,
    ``overfrequency_trip``.
    """

    def __init__(self, link: ModbusLink, clock: Clock, settings: DeviceSettings) -> None:
        self.lacks: Mapping[str, str] | None = None
        self.in_service = True
        """What 703 ES is to be."""
        self._link = link
        self._clock = clock
        self._settings = settings
        self._locations: Mapping[int, ModelLocation] = {}
        self._work: AsyncIterator[bool] | None = None
        self._again_at_s = 0.0
        self._start_over = False
        self._reasons: dict[str, str] = {}

    def connected(self, locations: Mapping[int, ModelLocation]) -> None:
        """A new connection: the device may be another one, or have forgotten."""
        self._locations = locations
        self._work = None
        self._again_at_s = 0.0

    def configure(self, settings: DeviceSettings) -> None:
        """Other settings: the device is gone through anew, from the start. At any time, :meth:`advance` may run."""
        self._settings = settings
        self._start_over = True

    async def advance(self) -> None:
        """Do a little of what is due. Raises :class:`DeviceError` when the device is lost on the way."""
        started_s = self._clock.monotonic_s()
        if self._start_over:
            self._start_over, self._work, self._again_at_s = False, None, 0.0
        if self._work is None:
            if started_s < self._again_at_s:
                return
            self._work = self._all()
        try:
            while not await anext(self._work) and self._clock.monotonic_s() - started_s < _BUDGET_S:
                pass
        except StopAsyncIteration:
            self._work = None
            self._again_at_s = self._clock.monotonic_s() + LOOK_AGAIN_S
        except DeviceError:
            self._work = None
            raise

    async def _all(self) -> AsyncIterator[bool]:
        """Yields between requests: True where the device needs time first."""
        self._reasons = {}
        jobs: list[tuple[str, AsyncIterator[bool]]] = [("anti_islanding", self._anti_islanding())]
        if self._settings.grid is not None:
            jobs.append(("enter_service", self._enter_service()))
        sets = stored_sets(self._settings)
        jobs += [(item.function, self._stored(item)) for item in sets if item.values is None]
        jobs.append(("constant_pf", self._constant_pf()))
        jobs += [(item.function, self._stored(item)) for item in sets if item.values is not None]
        for function, job in jobs:
            try:
                async for waits in job:
                    yield waits
            except (_LackingError, SunSpecError) as error:
                self._reasons[function] = str(error)
            except DeviceError as error:
                # An exception code is an answer: the device refuses this, and goes on with the rest.
                if not self._link.state.online:
                    raise
                self._reasons[function] = str(error)
            yield False
        self.lacks = self._reasons

    # ---- 703 and 704 --------------------------------------------------------------------------------------------

    async def _anti_islanding(self) -> AsyncIterator[bool]:
        image = await self._read(_CONTROLS)
        yield False
        if image.integer("AntiIslEna") is None:
            raise _LackingError("its SunSpec model 704 does not tell AntiIslEna")
        await self._settle(image, {"AntiIslEna": _ENABLED})

    async def _enter_service(self) -> AsyncIterator[bool]:
        grid = self._settings.grid
        if grid is None:
            return
        image = await self._read(_ENTER_SERVICE)
        yield False
        wanted = enter_service(grid) | {"ES": _ENABLED if self.in_service else _DISABLED}
        missing = [name for name in wanted if image.raw(name) is None]
        await self._settle(image, {name: value for name, value in wanted.items() if name not in missing})
        missing = [name for name in missing if name not in ENTER_SERVICE_OPTIONAL]
        if missing:
            raise _LackingError(f"its SunSpec model 703 does not implement {', '.join(missing)}")

    async def _constant_pf(self) -> AsyncIterator[bool]:
        factor = self._settings.support.constant_pf
        image = await self._read(_CONTROLS)
        yield False
        enables = [name for name in ("PFWInjEna", "PFWAbsEna") if image.integer(name) is not None]
        complete = len(enables) == 2 and all(image.raw(f"{group}.PF") is not None for group in ("PFWInj", "PFWAbs"))
        if factor is not None and complete:
            await self._settle(image, _power_factor(factor))
            yield False
            await self._settle(image, dict.fromkeys(enables, _ENABLED))
            return
        await self._settle(image, dict.fromkeys(enables, _DISABLED))
        if factor is not None:
            raise _LackingError("its SunSpec model 704 has no constant power factor for both directions")

    # ---- 705 to 712 ---------------------------------------------------------------------------------------------

    async def _stored(self, wanted: StoredSet) -> AsyncIterator[bool]:
        if wanted.values is None:
            if wanted.model in self._locations:
                image = await self._read(wanted.model)
                yield False
                await self._settle(image, {"Ena": _DISABLED})
            return
        image = await self._read(wanted.model)
        yield False
        values = self._applicable(image, wanted)
        forms = [values]
        if "DeptRef" in values and _CAPACITY in self._locations:
            other = in_var_max(values, var_max_per_va(await self._read(_CAPACITY)))
            forms += [other] if other is not None else []
        in_force = _Set(image, wanted.group, 1)
        if not any(in_force.holds(form) for form in forms):
            number = _writable_set(image, wanted)
            for form in forms:
                async for waits in self._write_set(image, wanted.group, number, form):
                    yield waits
                try:
                    async for waits in self._adopted(wanted, number, form):
                        yield waits
                    break
                except _LackingError:
                    # Some devices know reactive power only in percent of their largest.
                    if form is forms[-1]:
                        raise
        if image.integer("Ena") != _ENABLED:
            await self._settle(image, {"Ena": _ENABLED})

    def _applicable(self, image: ModelImage, wanted: StoredSet) -> Mapping[str, float]:
        """Without what the device has no place for and need not have."""
        in_force = _Set(image, wanted.group, 1)
        values = {}
        for name, value in (wanted.values or {}).items():
            group, dot, _ = name.rpartition(".Pt[")
            told_by = f"{group}.ActPt" if dot else name
            if name in wanted.optional and (not in_force.has(told_by) or in_force.raw(told_by) is None):
                if value and told_by == "MomCess.ActPt":
                    self._reasons["momentary_cessation"] = (
                        f"its SunSpec model {wanted.model} has no momentary cessation curve"
                    )
                continue
            if not in_force.has(name):
                raise _LackingError(f"its SunSpec model {wanted.model} has no place for {name}")
            _require_fine(image, in_force.full(name), value)
            values[name] = value
        return values

    async def _write_set(
        self, image: ModelImage, group: str, number: int, values: Mapping[str, float]
    ) -> AsyncIterator[bool]:
        """What is in force with our values over it, so that what is not ours stays as it is."""
        prefix = f"{group}[{number}]."
        written = []
        for full in writable_points(image.model, prefix):
            name = full.removeprefix(prefix)
            kept = image.raw(f"{group}[1].{name}")
            if name in values:
                image.set(full, values[name])
            elif kept is not None and number != 1:
                image.copy(f"{group}[1].{name}", full)
            else:
                continue
            written.append(full)
        for first, count in runs(image.model, written):
            await write_run(self._link, self._locations[image.model.id], image, first, count)
            yield False

    async def _adopted(self, wanted: StoredSet, number: int, values: Mapping[str, float]) -> AsyncIterator[bool]:
        request, result = f"Adpt{wanted.group}Req", f"Adpt{wanted.group}Rslt"
        location = self._locations[wanted.model]
        image = await self._read(wanted.model)
        if number != 1:
            image.set(request, number)
            await write_points(self._link, location, image, [request])
        deadline_s = self._clock.monotonic_s() + ADOPT_WITHIN_S
        while True:
            yield number != 1
            image = await self._read(wanted.model)
            told = image.integer(result)
            if told == _FAILED:
                raise _LackingError(f"it does not adopt what was written ({wanted.model} {result} FAILED)")
            if _Set(image, wanted.group, 1).holds(values) and (told in (_COMPLETED, None) or number == 1):
                return
            if number == 1 or self._clock.monotonic_s() >= deadline_s:
                state = "holds other values than written" if told == _COMPLETED else "did not finish adopting"
                raise _LackingError(f"it {state} ({wanted.model} {result} {told}, after {ADOPT_WITHIN_S:g} s)")

    # ---- requests -----------------------------------------------------------------------------------------------

    async def _read(self, number: int) -> ModelImage:
        location = self._locations.get(number)
        if location is None:
            raise _LackingError(f"it has no SunSpec model {number}")
        return await read_model(self._link, location)

    async def _settle(self, image: ModelImage, values: Mapping[str, float]) -> None:
        """Single points: written where they differ and read back."""
        wanted = {name: _require_fine(image, name, value) for name, value in values.items()}
        different = [name for name, words in wanted.items() if image.words(name) != words]
        if not different:
            return
        for name in different:
            image.set(name, values[name])
        location = self._locations[image.model.id]
        await write_points(self._link, location, image, different)
        kept = await read_model(self._link, location)
        refused = [name for name in different if kept.words(name) != wanted[name]]
        if refused:
            raise _LackingError(f"it does not keep what was written to {image.model.id} {', '.join(refused)}")


class _Set:
    """One stored set of a model's image."""

    def __init__(self, image: ModelImage, group: str, number: int) -> None:
        self._image = image
        self._prefix = f"{group}[{number}]."

    def full(self, name: str) -> str:
        return self._prefix + name

    def has(self, name: str) -> bool:
        return self._prefix + name in self._image.model.points

    def raw(self, name: str) -> object:
        return self._image.raw(self._prefix + name)

    def holds(self, values: Mapping[str, float]) -> bool:
        """Equal in the device's own resolution."""
        return all(
            self._image.words(self.full(name)) == self._image.encode(self.full(name), value)
            for name, value in values.items()
        )


def _writable_set(image: ModelImage, wanted: StoredSet) -> int:
    """Number of the first set that takes writes; the one in force only where the device says that it does."""
    numbers = _numbers(image.model.points, wanted.group)
    for number in [*numbers[1:], *numbers[:1]]:
        read_only = image.integer(f"{wanted.group}[{number}].ReadOnly")
        if read_only == 0 or (read_only is None and number != 1):
            return number
    raise _LackingError(f"its SunSpec model {wanted.model} has no stored set that may be written")


def _numbers(names: Iterable[str], group: str) -> Sequence[int]:
    found = {name.partition("]")[0].removeprefix(f"{group}[") for name in names if name.startswith(f"{group}[")}
    return sorted(map(int, found))


def _power_factor(factor: ConstantPowerFactor) -> dict[str, float]:
    excitation = _OVER_EXCITED if factor.over_excited else _UNDER_EXCITED
    return {
        f"{group}.{name}": value
        for group in ("PFWInj", "PFWAbs")
        for name, value in (("PF", factor.power_factor), ("Ext", excitation))
    }


def _require_fine(image: ModelImage, name: str, value: float) -> list[int]:
    """The registers of a value, unless the device's resolution would make another value of it."""
    words = image.encode(name, value)
    told = image.scaled(name, words)
    tolerance = 0.001 if name.rpartition(".")[2] in _EXACT else 0.01
    if not isinstance(told, int | float) or abs(told - value) > tolerance * abs(value) + 1e-9:
        raise _LackingError(f"its resolution makes {told} of {value:g} ({image.model.id} {name})")
    return words

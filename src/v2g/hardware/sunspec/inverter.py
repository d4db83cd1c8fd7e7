"""A bidirectional inverter by SunSpec, whatever the age of its models.

Which family's driver works is chosen when the device answers, by the models that it has: 701, 702 and 704
(:mod:`v2g.hardware.sunspec.ieee1547`), or an inverter model of 101 to 113 with 124
(:mod:`v2g.hardware.sunspec.legacy`). A device with both is driven by the first, which can prove its reversion, unless
its 704 has no active power set-point. Another device at the same address, told by model 1, is chosen for anew.

What belongs to one value comes out of one request; see :mod:`v2g.hardware.sunspec.groups` for models that need more.
"""

from __future__ import annotations

from collections.abc import Mapping

from v2g.clock import Clock
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import InverterCommand, InverterReading
from v2g.hardware.sunspec import ieee1547, legacy
from v2g.hardware.sunspec.codec import ModelImage, SunSpecError, load_model
from v2g.hardware.sunspec.discovery import Identity, ModelLocation, discover, read_identity, read_span
from v2g.hardware.sunspec.driver_fit import IEEE_1547, LEGACY, family_of
from v2g.hardware.sunspec.family import DriverOptions, Family
from v2g.hardware.sunspec.groups import read_model


class SunSpecInverter:
    """:class:`v2g.hardware.ports.InverterPort`. One task may use it; calls are not to overlap."""

    def __init__(
        self,
        evse_id: str,
        link: ModbusLink,
        clock: Clock,
        reversion_s: int = 3,
        settings: DeviceSettings | None = None,
        ramp_w_s: float | None = None,
    ) -> None:
        """``settings`` are written into the device and looked at again every minute; None leaves it as it is.
        ``ramp_w_s``: written into it where it has a ramp rate; None: its own."""
        self.evse_id = evse_id
        self.identity: Identity | None = None
        self._link = link
        self._clock = clock
        self._options = DriverOptions(evse_id=evse_id, reversion_s=reversion_s, ramp_w_s=ramp_w_s)
        self._settings = settings
        self._generation = -1
        self._known: Identity | None = None
        self._uncertain = False
        """The device did not say who it is when it was asked last."""
        self._family: Family | None = None

    @property
    def lacks(self) -> Mapping[str, str] | None:
        """:attr:`FunctionsWriter.lacks`, and ``ramp_rate`` where one is asked for; None as well where nothing is
        written."""
        return None if self._family is None else self._family.lacks

    @property
    def reversion_problem(self) -> str | None:
        """Why the reversion is not armed, for people."""
        return None if self._family is None else self._family.reversion_problem

    @property
    def setpoint_problem(self) -> str | None:
        """Why no power is commanded: what was written was not read back in time. For people."""
        return None if self._family is None else self._family.setpoints.problem

    @property
    def takes_reactive_power(self) -> bool:
        """It has a reactive set-point in var."""
        return self._family is not None and self._family.takes_reactive_power

    @property
    def apparent_rating_va(self) -> float:
        """0 until it was read."""
        return 0.0 if self._family is None else self._family.apparent_rating_va

    def configure(self, settings: DeviceSettings) -> None:
        """Other settings from the next readings on; without effect on a device that is left as it is."""
        if self._settings is None:
            return
        self._settings = settings
        if self._family is not None:
            self._family.configure(settings)

    async def read(self) -> InverterReading:
        return await (await self._opened()).read()

    async def apply(self, command: InverterCommand) -> None:
        await (await self._opened()).apply(command)

    async def set_connected(self, connected: bool) -> None:
        """Connect it to the grid or disconnect it (703 ES, 123 Conn), read back. Raises :class:`DeviceError`."""
        await (await self._opened()).set_connected(connected)

    async def limit_output(self, limit_w: float | None) -> None:
        """What it may inject at most, in the device (704 or 123 WMaxLimPct), rounded down to its resolution and read
        back; None: no limit. Raises :class:`DeviceError`."""
        await (await self._opened()).limit_output(limit_w)

    async def reset_alarms(self) -> None:
        """Latched alarms, by 715 AlarmReset. Raises :class:`DeviceError`, also where the device has none."""
        await (await self._opened()).reset_alarms()

    async def close(self) -> None:
        await self._link.close()

    async def dump(self) -> dict[str, object]:
        """Every point of the models known here, scaled, by ``model.point``; of others their length alone. Reads only,
        from any SunSpec device."""
        return await dump(await discover(self._link), self._link)

    async def _opened(self) -> Family:
        if self._family is not None and self._generation == self._link.generation and self._link.state.online:
            return self._family
        family, known = self._family, self._known
        self.identity = None
        if family is None or self._uncertain or known is None:
            locations = await discover(self._link)
            identity = await read_identity(self._link, locations[1]) if 1 in locations else None
            if family is None or identity != known or locations != family.locations:
                self._family, self._known = None, None
                family = await self._choose(locations)
        else:
            # Until it has answered as before, nothing that is known of the device holds.
            self._uncertain = True
            identity = await read_identity(self._link, family.locations[1])
            if identity != known:
                return await self._opened()
        await family.open()
        self._family, self._known, self.identity = family, identity, identity
        self._uncertain, self._generation = False, self._link.generation
        return family

    async def _choose(self, locations: Mapping[int, ModelLocation]) -> Family:
        family = family_of(locations)
        older = family == IEEE_1547 and legacy.complete(locations)
        if older and not await ieee1547.has_set_point(self._link, locations[ieee1547.CONTROLS]):
            family = LEGACY
        if family == IEEE_1547:
            return ieee1547.Ieee1547Family(self._options, self._link, self._clock, locations, self._settings)
        if family == LEGACY:
            return legacy.LegacyFamily(self._options, self._link, self._clock, locations, self._settings)
        missing = [str(number) for number in ieee1547.REQUIRED if number not in locations]
        raise self._link.refuse(
            f"it has no SunSpec model {', '.join(missing)}, which the driver needs, nor of the older family both an "
            "inverter model (101 to 113) and 124"
        )


async def dump(locations: Mapping[int, ModelLocation], link: ModbusLink) -> dict[str, object]:
    """See :meth:`SunSpecInverter.dump`."""
    points: dict[str, object] = {}
    for location in locations.values():
        try:
            image: ModelImage | None = await read_model(link, location)
        except SunSpecError:
            image = await _fixed_part(link, location)
        if image is not None:
            points |= {f"{location.id}.{name}": value for name, value in image.values()}
        points.setdefault(f"{location.id}.L", location.length - 2)
    return points


async def _fixed_part(link: ModbusLink, location: ModelLocation) -> ModelImage | None:
    """Of a model whose groups make no sense; None for one that is not known here."""
    try:
        model = load_model(location.id)
    except SunSpecError:
        return None
    return ModelImage(model, await read_span(link, location, 0, model.length))

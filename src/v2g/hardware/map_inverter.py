"""A bidirectional inverter by a register map.

What the map does not give is not made up: without the state the device counts as not connected, without a rating it
carries nothing, and without a reversion to zero that is written, read back and seen (DESIGN section 4) it may charge
and not discharge. While a set-point that can be read back is not seen to be taken
(:mod:`v2g.hardware.setpoint_watch`), readings carry a fault, zero is commanded whatever is asked for, and neither the
heartbeat nor the reversion time is written, so that the device leaves an order that it does not replace.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from v2g.clock import Clock
from v2g.grid.support import enabled
from v2g.hardware.inverter_driver import RAMP_RATE, DeviceSettings
from v2g.hardware.map_heartbeat import advance_heartbeat
from v2g.hardware.map_link import load_image
from v2g.hardware.map_reversion import MapReversion
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError, InverterCommand, InverterReading
from v2g.hardware.register_map import RegisterImage, RegisterMap, load_map
from v2g.hardware.setpoint_watch import SetpointWatch

ROLES: Final = {"power_w": "r"}
"""What every map must have, beside a set-point: ``setpoint_w``, or ``setpoint_magnitude_w`` with ``direction``."""

OPTIONAL: Final = {
    "setpoint_w": "w",
    "setpoint_magnitude_w": "w",
    "direction": "w",
    "setpoint_var": "w",
    "enable": "w",
    "heartbeat": "rw",
    "reversion_timeout_s": "rw",
    "reversion_remaining_s": "r",
    "heartbeat_echo": "r",
    "reactive_var": "r",
    "voltage_v": "r",
    "frequency_hz": "r",
    "dc_power_w": "r",
    "temperature_c": "r",
    "state": "r",
    "connected": "r",
    "fault_code": "r",
    "anti_islanding": "r",
    "max_charge_w": "r",
    "max_discharge_w": "r",
    "apparent_va": "r",
    "manufacturer": "r",
    "model": "r",
    "serial": "r",
    "firmware": "r",
}
"""What a map may have. Powers positive into the vehicle. ``direction``: the texts ``charge``, ``discharge`` and
``idle``; ``enable``: a bit, a register that is 1, or the texts ``on`` and ``off``; ``fault_code``: anything but 0 is a
fault, by the text of its ``values``; ``state``: see the map's ``states``."""

DIRECTIONS: Final = ("charge", "discharge", "idle")
_COMMANDS: Final = (
    "setpoint_w", "setpoint_magnitude_w", "direction", "setpoint_var", "enable", "heartbeat", "reversion_timeout_s",
)  # fmt: skip
_TRIPS: Final = (
    "enter_service", "undervoltage_trip", "overvoltage_trip", "underfrequency_trip", "overfrequency_trip",
)  # fmt: skip

_REFRESHES: Final = ("heartbeat", "reversion_timeout_s")
"""What prolongs an order beside the order itself."""


def load_inverter_map(name: str, config_dir: Path | None = None) -> RegisterMap:
    """As :func:`load_map`, with all that this driver needs."""
    map_ = load_map(name, config_dir, ROLES, OPTIONAL)
    problem = _problem(map_)
    if problem is not None:
        raise DeviceError(f"register map {name}: {problem}")
    return map_


def _problem(map_: RegisterMap) -> str | None:
    points = map_.points
    signed, split = "setpoint_w" in points, {"setpoint_magnitude_w", "direction"} & points.keys()
    if signed is bool(split) or len(split) == 1:
        return "points: one of setpoint_w, or setpoint_magnitude_w with direction"
    if split and not set(DIRECTIONS) <= set(points["direction"].values.values()):
        return f"points.direction: values need {', '.join(DIRECTIONS)}"
    for role in ("setpoint_w", "setpoint_magnitude_w", "setpoint_var"):
        point = points.get(role)
        if point is not None and ((point.min or 0.0) > 0 or (point.max or 0.0) < 0):
            return f"points.{role}: min to max leave out 0, which is what is ordered when no power may flow"
    for rating in ("max_charge_w", "max_discharge_w"):
        if rating not in points and getattr(map_.ratings, rating) is None:
            return f"points: {rating} missing; give it under ratings: when no register has it"
    enable = points.get("enable")
    if enable is not None and enable.values and not {"on", "off"} <= set(enable.values.values()):
        return "points.enable: values need on and off"
    if "connected" not in points and not map_.states.running:
        return "neither points.connected nor states.running: nothing tells when it can deliver"
    return None


class RegisterMapInverter:
    """:class:`v2g.hardware.inverter_driver.InverterDriver`. One task may use it; calls are not to overlap."""

    def __init__(
        self,
        evse_id: str,
        link: ModbusLink,
        map_: RegisterMap,
        clock: Clock,
        reversion_s: int = 3,
        settings: DeviceSettings | None = None,
        ramp_w_s: float | None = None,
    ) -> None:
        """``settings``: the functions in them are lacking, each with the map as the reason, and so is a ramp rate that
        is asked for; nothing is written."""
        self.evse_id = evse_id
        self._link = link
        self._clock = clock
        self._map = map_
        self._image = RegisterImage(map_)
        self._sent = RegisterImage(map_)
        """What was written last; ``_image`` is what the device says."""
        self._settings = settings
        self._ramp_w_s = ramp_w_s
        self._read_blocks = map_.read_blocks()
        self._held_blocks = map_.command_blocks(_COMMANDS)
        self._reversion = MapReversion(map_, reversion_s)
        self._generation = -1
        self._setpoint_w: float | None = None
        """Written on this connection."""
        self._watch = SetpointWatch()

    @property
    def reversion_problem(self) -> str | None:
        return self._reversion.problem

    @property
    def lacks(self) -> Mapping[str, str] | None:
        lacks = () if self._ramp_w_s is None else (RAMP_RATE,)
        if self._settings is not None:
            lacks = (*enabled(self._settings.support), *(() if self._settings.grid is None else _TRIPS), *lacks)
        elif not lacks:
            return None
        return dict.fromkeys(lacks, f"the register map {self._map.name} has none")

    @property
    def setpoint_problem(self) -> str | None:
        return self._watch.problem

    @property
    def takes_reactive_power(self) -> bool:
        return "setpoint_var" in self._map.points

    @property
    def apparent_rating_va(self) -> float:
        """The active rating where no apparent one is told."""
        return self._rating("apparent_va") or max(self._ratings())

    def configure(self, settings: DeviceSettings) -> None:
        if self._settings is not None:
            self._settings = settings

    async def read(self) -> InverterReading:
        """Raises :class:`DeviceError`, also for a device that is not the map's."""
        as_of_s = self._clock.monotonic_s()
        await self._fetch()
        if self._generation != self._link.generation:
            self._connected()
        image = self._image
        power_w = image.number("power_w")
        if not math.isfinite(power_w):
            raise self._link.refuse("it has no power_w")
        self._reversion.observe(image, self._sent, as_of_s)
        on, state = self._enabled(), image.optional_text("state") or ""
        max_charge_w, max_discharge_w = self._ratings()
        held_w = self._held_w()
        if self._reversion.reads_back:
            self._watch.look(math.nan if held_w is None else held_w, on, max(max_charge_w, max_discharge_w), as_of_s)
        return InverterReading(
            evse_id=self.evse_id,
            as_of_s=as_of_s,
            power_w=power_w,
            reactive_var=image.optional_number("reactive_var") or 0.0,
            voltage_v=image.optional_number("voltage_v") or 0.0,
            frequency_hz=image.optional_number("frequency_hz") or 0.0,
            setpoint_w=(held_w or 0.0) if on else 0.0,
            setpoint_enabled=on,
            reversion_armed=self._reversion.armed,
            reversion_remaining_s=image.optional_number("reversion_remaining_s") or 0.0,
            max_charge_w=max_charge_w,
            max_discharge_w=max_discharge_w,
            connected=self._able_to_deliver(state),
            fault=self._fault(state),
            anti_islanding=bool(image.optional_flag("anti_islanding")),
            dc_power_w=image.optional_number("dc_power_w"),
            temperature_c=image.optional_number("temperature_c"),
            state=state,
            alarms=(*image.faults(), *image.faults(alarm=True)),
        )

    async def apply(self, command: InverterCommand) -> None:
        """Everything that is commanded, in the map's order. Raises :class:`DeviceError`."""
        fresh = self._generation != self._link.generation or not self._link.state.online
        if fresh:
            await self.read()
        now_s = self._clock.monotonic_s()
        max_charge_w, max_discharge_w = self._ratings()
        taken = self._watch.problem is None
        power_w = command.power_w if taken and math.isfinite(command.power_w) else 0.0
        power_w = min(max(power_w, -max_discharge_w), max_charge_w)
        # While the countdown is being looked for, a refresh would hide it; the set-point is zero already.
        if taken and power_w == 0 and self._setpoint_w == 0 and self._reversion.hides(now_s):
            return
        repair = self._setpoint_w is None or self._image.wrong_constant() is not None
        power_w = self._fill(power_w, command.reactive_var)
        # Not known until all of it was taken: a write that is refused half way must not pass for the zero before it.
        self._setpoint_w = None
        roles = _COMMANDS if taken else tuple(role for role in _COMMANDS if role not in _REFRESHES)
        for block in self._map.write_blocks(roles, constants=repair):
            await self._link.write(block.address, self._sent.registers(block))
        now_s = self._clock.monotonic_s()
        self._setpoint_w = power_w
        self._watch.wrote(power_w, now_s)
        if taken:
            self._reversion.refreshed(now_s)

    async def close(self) -> None:
        await self._link.close()

    def _connected(self) -> None:
        """A new connection: nothing that was written on another is known to hold."""
        self._generation = self._link.generation
        self._setpoint_w = None
        self._watch.forget()
        self._reversion.lost()
        # Bits beside ours in a register stay as they are; and the heartbeat goes on from the device's, since one that
        # stays the same is no refresh.
        for block in self._held_blocks:
            self._sent.load(block, self._image.registers(block))

    async def _fetch(self) -> None:
        await load_image(self._link, self._image, (*self._read_blocks, *self._held_blocks))

    def _fill(self, power_w: float, reactive_var: float | None) -> float:
        """Everything into the image that is to be written; the set-point as the device will hold it."""
        sent, points = self._sent, self._map.points
        sent.write_constants()
        if "setpoint_w" in points:
            power_w = self._put("setpoint_w", power_w)
        else:
            magnitude_w = self._put("setpoint_magnitude_w", abs(power_w))
            direction = "idle" if magnitude_w == 0 else "charge" if power_w > 0 else "discharge"
            sent.set("direction", direction)
            power_w = math.copysign(magnitude_w, power_w) if magnitude_w else 0.0
        if self.takes_reactive_power:
            rating_va = self.apparent_rating_va
            wanted_var = reactive_var if reactive_var is not None and math.isfinite(reactive_var) else 0.0
            self._put("setpoint_var", min(max(wanted_var, -rating_va), rating_va))
        if "enable" in points:
            sent.set("enable", "on" if points["enable"].values else True)
        if "reversion_timeout_s" in points:
            sent.set("reversion_timeout_s", self._reversion.timeout_s)
        if "heartbeat" in points:
            advance_heartbeat(sent)
        return power_w

    def _put(self, role: str, value: float) -> float:
        """Within the point's limits, towards zero; what it became."""
        point = self._map.points[role]
        low, high = point.min if point.min is not None else -math.inf, point.max if point.max is not None else math.inf
        value = min(max(value, low), high)
        try:
            self._sent.set(role, value)
        except ValueError as error:
            raise self._link.refuse(f"{role}: {error}") from None
        return self._sent.number(role)

    def _rating(self, role: str) -> float:
        """0 when neither register nor map tells it."""
        if role in self._map.points:
            return max(self._image.optional_number(role) or 0.0, 0.0)
        return getattr(self._map.ratings, role) or 0.0

    def _ratings(self) -> tuple[float, float]:
        return self._rating("max_charge_w"), self._rating("max_discharge_w")

    def _enabled(self) -> bool:
        point = self._map.points.get("enable")
        if point is None or point.access == "w":
            return self._setpoint_w is not None
        return self._image.text("enable") == "on" if point.values else self._image.flag("enable")

    def _held_w(self) -> float | None:
        """The set-point in the device; None when it cannot be read back."""
        image, points = self._image, self._map.points
        if "setpoint_w" in points:
            return image.optional_number("setpoint_w") if points["setpoint_w"].access == "rw" else None
        if points["setpoint_magnitude_w"].access != "rw" or points["direction"].access != "rw":
            return None
        direction, magnitude_w = image.text("direction"), image.optional_number("setpoint_magnitude_w")
        if direction is None or magnitude_w is None:
            return None
        return {"charge": magnitude_w, "discharge": -magnitude_w}.get(direction, 0.0)

    def _able_to_deliver(self, state: str) -> bool:
        connected = self._image.optional_flag("connected")
        running = state in self._map.states.running if self._map.states.running else None
        told = [value for value in (connected, running) if value is not None]
        return bool(told) and all(told)

    def _fault(self, state: str) -> str | None:
        found = list(self._image.faults())
        if state in self._map.states.fault:
            found.append(f"state {state}")
        if "fault_code" in self._map.points and self._image.flag("fault_code"):
            found.append(self._image.text("fault_code") or f"code {self._image.number('fault_code'):.0f}")
        if self._watch.problem is not None:
            found.append(self._watch.problem)
        return ", ".join(found) or None

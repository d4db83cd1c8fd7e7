"""Whether a register map can be used: what contradicts itself is refused with the place and the reason."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from v2g.hardware.map_schema import Constant, Identity, Place, Point, RegisterMap
from v2g.hardware.registers import Table

UNITS = {
    "w": "W",
    "var": "var",
    "va": "VA",
    "v": "V",
    "a": "A",
    "hz": "Hz",
    "c": "°C",
    "s": "s",
    "ohm": "ohm",
    "wh": "Wh",
    "pct": "%",
}
"""Last part of a role's name -> its unit."""

_MAX_STEPS = 1000


def role_unit(role: str) -> str | None:
    """The unit that a role's name ends in (``power_w``: W); None for a role without."""
    return UNITS.get(role.rpartition("_")[2]) if "_" in role else None


def check_map(map_: RegisterMap, roles: Mapping[str, str], optional: Mapping[str, str]) -> None:
    """``roles`` must be there with this access (``r``, ``rw``; ``w`` is met by ``rw``), ``optional`` may be.

    Raises ValueError naming the place.
    """
    missing = [role for role in roles if role not in map_.points]
    if missing:
        raise ValueError(f"points: {', '.join(missing)} missing")
    for role, access in (*roles.items(), *optional.items()):
        point = map_.points.get(role)
        if point is not None and point.access != access and not (access == "w" and point.access == "rw"):
            raise ValueError(f"points.{role}.access must be {access}")
    for role, point in map_.points.items():
        _check_point(f"points.{role}", role, point)
    for number, constant in enumerate(map_.writes):
        _check_constant(f"writes[{number}]", constant)
    for number, identity in enumerate(map_.identity):
        _check_identity(f"identity[{number}]", identity)
    for number, fault in enumerate(map_.faults):
        _check_place(f"faults[{number}]", fault)
        if fault.string is not None or fault.type.is_float or fault.bit >= 16 * fault.words:
            raise ValueError(f"faults[{number}]: bit {fault.bit} is not in a register of type {fault.type}")
    _check_overlaps(map_)
    _check_states(map_)
    _check_reversion(map_)
    heartbeat = map_.points.get("heartbeat")
    if heartbeat is not None and heartbeat.written:
        _check_heartbeat(map_, heartbeat)


def _check_place(where: str, place: Place) -> None:
    if place.end > 65536:
        raise ValueError(f"{where}: beyond register 65535")


def _check_point(where: str, role: str, point: Point) -> None:
    _check_place(where, point)
    if point.written and point.table is not Table.HOLDING:
        raise ValueError(f"{where}: only holding registers can be written")
    if point.scale == 0 or not math.isfinite(point.scale) or not math.isfinite(point.offset):
        raise ValueError(f"{where}: scale is a number other than 0, offset a number")
    whole = point.string is None and not point.type.is_float
    if point.bit is not None and (not whole or point.values or point.bit >= 16 * point.words):
        raise ValueError(f"{where}: a bit is one of an integer register and has no values")
    if point.values and not whole:
        raise ValueError(f"{where}: an enumeration is of an integer type")
    for number in (*point.nan, *point.values):
        if not whole or not -(1 << (16 * point.words - 1)) <= number < 1 << (16 * point.words):
            raise ValueError(f"{where}: {number} is no raw value of type {point.type}")
    if point.string is not None and (point.written or point.scale != 1.0 or point.offset):
        raise ValueError(f"{where}: a text has no scale and is only read")
    if len(set(point.values.values())) != len(point.values) and point.written:
        raise ValueError(f"{where}: two values of a command have one text")
    _check_unit(where, role, point)
    _check_range(where, point)


def _check_unit(where: str, role: str, point: Point) -> None:
    wanted = role_unit(role)
    if point.unit is not None and wanted is not None and point.unit != wanted:
        raise ValueError(f"{where}: unit {point.unit} where the role is in {wanted}; let scale make {wanted} of it")


def _check_range(where: str, point: Point) -> None:
    low, high, step = point.min, point.max, point.step
    if any(value is not None and not math.isfinite(value) for value in (low, high, step)):
        raise ValueError(f"{where}: min, max and step are finite")
    if low is not None and high is not None and low > high:
        raise ValueError(f"{where}: min {low:g} is above max {high:g}")
    if step is None:
        return
    if low is None or high is None or step <= 0 or (high - low) / step > _MAX_STEPS:
        raise ValueError(f"{where}: a step is above 0 and needs min and max, at most {_MAX_STEPS} steps apart")


def _check_constant(where: str, constant: Constant) -> None:
    _check_place(where, constant)
    whole = constant.string is None and not constant.type.is_float
    if constant.table is not Table.HOLDING or not whole:
        raise ValueError(f"{where}: a constant is written to a holding register of an integer type")
    if not -(1 << (16 * constant.words - 1)) <= constant.value < 1 << (16 * constant.words):
        raise ValueError(f"{where}: {constant.value} does not fit into {constant.type}")


def _check_identity(where: str, identity: Identity) -> None:
    _check_place(where, identity)
    if isinstance(identity.value, str) != (identity.string is not None):
        raise ValueError(f"{where}: a text needs string: so many registers, a number needs none")
    if identity.value in ("", ()):
        raise ValueError(f"{where}: value is empty, every device would fit")


def _check_overlaps(map_: RegisterMap) -> None:
    owner: dict[tuple[Table, int, int], str] = {}
    accesses: dict[tuple[Table, int], str] = {}
    for name, place, bit in _owners(map_):
        # Bits are counted from the lowest of the whole value; which register that is depends on the word order.
        bits = range(16 * place.words) if bit is None else (bit,)
        for number in bits:
            word = number // 16
            big = (place.word_order or map_.word_order) == "big"
            address = place.address + (place.words - 1 - word if big else word)
            other = owner.setdefault((place.table, address, number % 16), name)
            if other != name:
                raise ValueError(f"{name} and {other} overlap at {place.table} register {address}")
            access = "r" if isinstance(place, Point) and not place.written else "w"
            if accesses.setdefault((place.table, address), access) != access:
                raise ValueError(f"{name}: {place.table} register {address} has bits to be read and bits to be written")


def _owners(map_: RegisterMap) -> Iterator[tuple[str, Place, int | None]]:
    for role, point in map_.points.items():
        yield f"points.{role}", point, point.bit
    for number, constant in enumerate(map_.writes):
        yield f"writes[{number}]", constant, None


def _check_states(map_: RegisterMap) -> None:
    named = (*map_.states.running, *map_.states.fault)
    known = set(map_.points["state"].values.values()) if "state" in map_.points else set()
    for text in named:
        if text not in known:
            raise ValueError(f"states: {text!r} is no value of points.state")
    both = set(map_.states.running) & set(map_.states.fault)
    if both:
        raise ValueError(f"states: {', '.join(sorted(both))} cannot be both running and fault")


def _check_reversion(map_: RegisterMap) -> None:
    reversion = map_.reversion
    if reversion is None:
        return
    for field, access in (("written", "rw"), ("remaining", "r"), ("echo", "r")):
        role = getattr(reversion, field)
        if role is None:
            continue
        if role not in map_.points or map_.points[role].access != access:
            raise ValueError(f"reversion.{field}: {role} must be a point with access {access}")
    if reversion.echo is not None and "heartbeat" not in map_.points:
        raise ValueError("reversion.echo: there is no point heartbeat that it could follow")


def _check_heartbeat(map_: RegisterMap, point: Point) -> None:
    plain = point.scale == 1.0 and point.offset == 0.0 and point.bit is None and not point.values
    if point.string is not None or point.type != "uint16" or not plain:
        # It counts 0..65535; any other register would refuse it one day, and every command with it.
        raise ValueError("points.heartbeat: a whole register of type uint16, with scale 1 and offset 0")
    last = map_.write_blocks()[-1]
    if not last.address <= point.address < last.address + last.count:
        raise ValueError(
            "points.heartbeat: it must be written with or after all other commands; give it the last order"
        )

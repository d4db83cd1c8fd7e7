"""What the guard and ``wires`` tell of each channel of the sensor map, and how good it is. Pure."""

from __future__ import annotations

from v2g.config.loader import Loaded
from v2g.control.messages_sensors import SensorLine
from v2g.guard.interlocks import Interlock
from v2g.guard.link import Image, SensorState
from v2g.guard.status import MAX_AGE_S, GuardStatus, Permit
from v2g.hardware.sensor_map import INTERLOCKS, BufferSource, Channel, Family
from v2g.hardware.waveform_layout import CHANNELS

RMS_CHANNELS = CHANNELS
"""Of these the guard tells the RMS value."""
_NO_WIRES = "v2g-guard-wires is not connected"
_SILENT = "v2g-guard tick is silent"


def rms(name: str, guard: GuardStatus, nominal_v: float) -> float | None:
    """RMS of one cycle, V or A; None for a channel of which the guard does not tell it."""
    group, _, phase = name.rpartition("_")
    if name not in RMS_CHANNELS:
        return None
    index = "abc".index(phase)
    match group:
        case "v_bus":
            return guard.v_pu[index] * nominal_v
        case "v_inv":
            return guard.inverter_v_pu[index] * nominal_v
        case "i_tr":
            return guard.transformer_a[index]
        case _:
            return guard.feeder_a[index]


def state_of(name: str, image: Image | None) -> SensorState | None:
    return None if image is None else next((state for state in image.sensors if state.name == name), None)


def sensor_line(channel: Channel, loaded: Loaded, guard: GuardStatus, image: Image | None, now_s: float) -> SensorLine:
    """One channel as it is at ``now_s``. The factor and its file are those of ``loaded``."""
    config, name = loaded.config, channel.name
    entry = config.calibration.sensors.get(name)
    position = ""
    value: float | None = None
    if channel.family is Family.CONTACT:
        position, age_s, quality, words = _contact(name, guard, now_s)
    elif isinstance(channel.source, BufferSource):
        value, age_s, quality, words = _buffer(channel, guard, config.grid.nominal_voltage_v, now_s)
    else:
        value, age_s, quality, words = _of_wires(channel, image, entry.factor if entry is not None else 1.0, now_s)
    measured = channel.family is not Family.CONTACT
    return SensorLine(
        name=name,
        kind=channel.family.value,
        source=str(channel.source),
        value=value,
        unit=channel.unit,
        quality=quality,
        words=words,
        age_s=None if age_s is None else round(age_s, 3),
        position=position,
        scale=channel.scale if measured else None,
        offset=channel.offset if measured else None,
        scale_from=channel.place,
        factor=(entry.factor if entry is not None else 1.0) if measured else None,
        factor_from=loaded.origin.get(f"calibration.sensors.{name}.factor", "") if entry is not None else "",
        calibrated_at=entry.at if entry is not None else "",
        calibrated_by=entry.by if entry is not None else "",
    )


def _contact(name: str, guard: GuardStatus, now_s: float) -> tuple[str, float | None, str, str]:
    age_s = now_s - guard.as_of_s
    if guard.permit is Permit.GUARD_STALE or not age_s <= MAX_AGE_S:
        return "unknown", None, "lost", _SILENT
    if name in INTERLOCKS:
        interlock = Interlock[name.upper()]
        if interlock not in guard.interlocks:
            return "unknown", age_s, "not told", "the guard does not watch it yet: v2g-tool sensors reload"
        if interlock in guard.interlocks_lost:
            return "unknown", age_s, "lost", "no word from its contact; check its wiring and the driver of the input"
        return "open" if interlock in guard.interlocks_open else "healthy", age_s, "good", ""
    closed = {"relay": guard.relay_closed, "mains": guard.mains_present, "breaker": guard.breaker_closed}[name]
    if closed is None:
        return "unknown", age_s, "lost", "no word from its contact; check its wiring and the driver of the input"
    return "closed" if closed else "open", age_s, "good", ""


def _buffer(
    channel: Channel, guard: GuardStatus, nominal_v: float, now_s: float
) -> tuple[float | None, float | None, str, str]:
    age_s = now_s - guard.as_of_s
    if guard.permit is Permit.GUARD_STALE or not age_s <= MAX_AGE_S:
        return None, None, "lost", _SILENT
    value = rms(channel.name, guard, nominal_v)
    if value is None:
        return None, age_s, "not told", "the guard tells the angles of an inverter's own channels, not their RMS"
    if not guard.measured:
        return None, age_s, "lost", "the guard has no measurement; check the waveform buffer and its driver"
    if not channel.minimum <= value <= channel.maximum:
        return value, age_s, "implausible", _outside(channel, value)
    return value, age_s, "good", ""


def _of_wires(
    channel: Channel, image: Image | None, factor: float, now_s: float
) -> tuple[float | None, float | None, str, str]:
    if image is None:
        return None, None, "lost", _NO_WIRES
    state = state_of(channel.name, image)
    if state is None:
        return None, None, "lost", "v2g-guard-wires does not read it yet: v2g-tool sensors reload"
    age_s = None if state.as_of_s is None else now_s - state.as_of_s
    value = state.value if age_s is not None and age_s <= channel.max_age_s else None
    if state.raw is not None and state.problem:
        last = (state.raw * channel.scale + channel.offset) * factor
        if not channel.minimum <= last <= channel.maximum:
            return value, age_s, "implausible", state.problem
    if value is not None:
        return value, age_s, "good", state.problem
    if age_s is None:
        return None, None, "lost", state.problem
    return None, age_s, "old", state.problem or f"{age_s:.1f} s old, {channel.max_age_s:g} s are allowed"


def _outside(channel: Channel, value: float) -> str:
    return (
        f"{value:.4g} {channel.unit} is outside {channel.minimum:g}..{channel.maximum:g}; is the transducer connected "
        "and its scale in sensor_map.conf right?"
    )

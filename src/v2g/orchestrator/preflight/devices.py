"""Sensors, waveform buffer, inverters, efficiency and relay. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from v2g.control.messages_sensors import SensorLine
from v2g.grid.estimate import SAMPLE_RATE_MAX_HZ, SAMPLE_RATE_MIN_HZ
from v2g.hardware.ports import Quantity
from v2g.hardware.sensor_map import INTERLOCKS
from v2g.host.preflight.model import Level, PreflightLine, failed, passed, warned

OIL, WINDING = Quantity.TOP_OIL_C.value, Quantity.WINDING_C.value
FRESH_S = 0.2
"""Of the waveform buffer. The guard itself allows much less; this is whether somebody writes at all."""
EFFICIENT = 0.97
_STRESS = Quantity.WINDING_STRESS_MPA.value
_BUFFER = "buffer"
_ASKED_ELSEWHERE = frozenset({"relay"})
_MANY = 6
_WIRES = "v2g-guard wires is not connected: no device can be reached"
_WIRES_REMEDY = "systemctl start v2g-guard-wires; journalctl -u v2g-guard-wires says what keeps it"


@dataclass(frozen=True, slots=True)
class WaveformFacts:
    """``problem``: why the buffer cannot be used; ``age_s``: of its newest samples."""

    path: str
    problem: str = ""
    rate_hz: int = 0
    channels: int = 0
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    name: str
    address: str
    online: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class EfficiencyFacts:
    """``measured`` by a discharge test, None: never; ``datasheet`` by the configuration. Both 0..1. ``refusal``: why
    its test refuses discharge, in words."""

    evse_id: str
    datasheet: float
    measured: float | None = None
    accepted: bool = False
    refusal: str = ""


def judge_sensors(sensors: Sequence[SensorLine]) -> Iterator[PreflightLine]:
    """Each channel of the sensor map; alike ones in one line."""
    name = "sensors"
    if not any(each.name == OIL for each in sensors):
        yield failed(
            name, "no oil sensor is mapped (top_oil_c): no V2G power is permitted", "add it to sensor_map.conf"
        )
    worse: dict[tuple[Level, str, str], list[str]] = {}
    good: list[SensorLine] = []
    for each in sensors:
        if each.name in _ASKED_ELSEWHERE or each.quality == "not told":
            continue
        if each.name in INTERLOCKS and each.position == "open":
            worse.setdefault((Level.WARN, "open", "close it, where nobody is in danger"), []).append(each.name)
        elif each.quality == "good":
            good.append(each)
        else:
            level = Level.FAIL if _is_vital(each) else Level.WARN
            worse.setdefault((level, f"{each.quality}: {each.words or 'no reason is told'}", _repair(each)), []).append(
                each.name
            )
    for (level, words, remedy), names in worse.items():
        shown = ", ".join(names[:_MANY]) + (f" and {len(names) - _MANY} more" if len(names) > _MANY else "")
        yield PreflightLine(name=name, level=level, found=f"{shown} {words}", remedy=remedy)
    if good:
        told = [_shown(each) for each in good if each.kind == "quantity"]
        winding = "" if any(each.name == WINDING for each in sensors) else "; no winding sensor is mapped"
        yield passed(name, f"{len(good)} good" + (f": {', '.join(told)}" if told else "") + winding)


def _is_vital(line: SensorLine) -> bool:
    return line.name in (OIL, _STRESS, "breaker", *INTERLOCKS) or line.kind == _BUFFER


def _repair(line: SensorLine) -> str:
    if line.kind == _BUFFER:
        return "v2g-tool sensors shows it; systemctl status v2g-guard-tick, and the driver of the measuring card"
    return f"look at cable, device and its entry in sensor_map.conf; v2g-tool sensors shows {line.name}"


def _shown(line: SensorLine) -> str:
    return line.name if line.value is None else f"{line.name} {line.value:.4g} {line.unit}".rstrip()


def judge_waveform(facts: WaveformFacts, guard_measures: bool | None = None) -> Iterator[PreflightLine]:
    """``guard_measures``: the guard says so of itself; None: it does not speak. It may read what others may not."""
    name = "waveform"
    remedy = "start the driver of the measuring card; waveform.buffer_path in v2g.yaml names its file"
    if facts.problem and guard_measures:
        yield passed(name, "the guard measures by it")
    elif facts.problem:
        yield failed(name, f"{facts.path}: {facts.problem}", remedy)
    elif not SAMPLE_RATE_MIN_HZ <= facts.rate_hz <= SAMPLE_RATE_MAX_HZ:
        yield failed(
            name,
            f"{facts.path} has {facts.rate_hz} samples a second; the guard takes {SAMPLE_RATE_MIN_HZ} to "
            f"{SAMPLE_RATE_MAX_HZ}",
            "set the rate of the driver of the measuring card",
        )
    elif not abs(facts.age_s) <= FRESH_S:
        yield failed(name, f"{facts.path}: its newest samples are {facts.age_s:.1f} s old", remedy)
    else:
        yield passed(name, f"{facts.channels} channels, {facts.rate_hz} samples a second, fresh")


def judge_inverters(devices: Sequence[DeviceFacts] | None, evses: Sequence[str]) -> Iterator[PreflightLine]:
    """``devices`` None: nobody is there who speaks with them. A device's name ends with the EVSE that it is of."""
    name, good = "inverters", 0
    if devices is None:
        yield failed(name, _WIRES, _WIRES_REMEDY)
        return
    for device in devices:
        if device.online:
            good += 1
            continue
        found = f"{device.name} at {device.address}: {device.error or 'no answer'}"
        remedy = (
            f"power, cable and address of the device; with v2g-guard-wires stopped, v2g-tool inverter detect "
            f"{device.address.partition(' ')[0]}"
        )
        its_evse = [evse for evse in evses if device.name.endswith(f" {evse}")]
        if its_evse:
            yield failed(name, found, remedy, its_evse)
        else:
            yield warned(name, found, remedy)
    if good:
        yield passed(name, f"{good} device{'s' if good != 1 else ''} answer{'' if good != 1 else 's'}")


def judge_efficiency(inverters: Iterable[EfficiencyFacts]) -> Iterator[PreflightLine]:
    name = "efficiency"
    good, never = [], []
    for each in inverters:
        if each.refusal:
            yield failed(name, f"{each.evse_id}: {each.refusal}", "as it says", [each.evse_id])
        elif each.measured is not None:
            good.append(f"{each.evse_id} {_percent(each.measured)}" + (" (accepted)" if each.accepted else ""))
        elif each.datasheet < EFFICIENT and not each.accepted:
            yield failed(
                name,
                f"{each.evse_id}: {_percent(each.datasheet)} by its datasheet (inverter.efficiency), less than "
                f"{_percent(EFFICIENT)}",
                "correct it, or measure it: v2g-tool test-discharge; or set inverter.accept_low_efficiency",
                [each.evse_id],
            )
        else:
            never.append(each)
    if never:
        ids = ", ".join(each.evse_id for each in never[:_MANY])
        more = f" and {len(never) - _MANY} more" if len(never) > _MANY else ""
        lowest = min(each.datasheet for each in never)
        yield warned(
            name,
            f"never measured: {ids}{more}; {_percent(lowest)} by datasheet",
            "v2g-tool test-discharge --evse ID measures it",
        )
    if good:
        yield passed(name, ", ".join(good[:_MANY]))


def judge_relay(setting_pu: float | None, has_feedback: bool, closed: bool | None) -> Iterator[PreflightLine]:
    """Of the hardware over-voltage relay. ``closed`` None: its position is not known."""
    name = "relay"
    if setting_pu is None:
        yield failed(
            name,
            "the setting of the over-voltage relay is not stated",
            "read it off the relay and write relay.setting_pu and relay.delay_s; then v2g-tool test-relay",
        )
    if not has_feedback:
        yield failed(
            name, "the relay's contact is not fed back", "wire its feedback to an input, and write relay.feedback_path"
        )
    elif closed is None:
        yield failed(name, "the position of the relay is not known", "start the driver of the input; check its wiring")
    elif not closed:
        yield failed(
            name,
            "the relay is open",
            "it closes once the voltage is below its setting; else look at its supply and its feedback",
        )
    elif setting_pu is not None:
        yield passed(name, f"set to {setting_pu:g} p.u., closed")


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"

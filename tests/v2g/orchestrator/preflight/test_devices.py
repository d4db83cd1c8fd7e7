"""Sensors, waveform buffer, inverters, efficiency and relay, judged."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from v2g.control.messages_sensors import SensorLine
from v2g.host.preflight.model import Level
from v2g.orchestrator.preflight.devices import (
    DeviceFacts,
    EfficiencyFacts,
    WaveformFacts,
    judge_efficiency,
    judge_inverters,
    judge_relay,
    judge_sensors,
    judge_waveform,
)

E1, E2 = "US*V2G*E1", "US*V2G*E2"
OIL = SensorLine(name="top_oil_c", kind="quantity", source="", value=61.2, unit="°C", quality="good")
AMBIENT = msgspec.structs.replace(OIL, name="ambient_c", value=25.0)
WINDING = msgspec.structs.replace(OIL, name="winding_c", value=80.0)
BUS = SensorLine(name="v_bus_a", kind="buffer", source="", value=277.0, unit="V", quality="good")
DOOR = SensorLine(name="door", kind="contact", source="", value=None, unit="", quality="good", position="healthy")


def lost(line: SensorLine, quality: str = "lost", words: str = "no answer") -> SensorLine:
    return msgspec.structs.replace(line, value=None, quality=quality, words=words)


def test_good_sensors_are_told_with_their_values() -> None:
    (line,) = judge_sensors([OIL, AMBIENT, BUS, DOOR])
    assert line.level is Level.PASS
    assert line.found == "4 good: top_oil_c 61.2 °C, ambient_c 25 °C; no winding sensor is mapped"
    (with_winding,) = judge_sensors([OIL, WINDING])
    assert "no winding sensor" not in with_winding.found


@pytest.mark.parametrize(
    ("bad", "level"),
    [
        (lost(OIL), Level.FAIL),
        (lost(OIL, "implausible", "reads 900 °C"), Level.FAIL),
        (lost(OIL, "old"), Level.FAIL),
        (lost(BUS), Level.FAIL),
        (lost(BUS, "implausible"), Level.FAIL),
        (lost(DOOR), Level.FAIL),
        (lost(WINDING), Level.WARN),
        (lost(AMBIENT), Level.WARN),
        (msgspec.structs.replace(DOOR, position="open"), Level.WARN),
    ],
)
def test_a_lost_sensor_fails_where_protection_or_the_oil_rests_on_it(bad: SensorLine, level: Level) -> None:
    others = [line for line in (OIL, BUS) if line.name != bad.name]
    first, rest = judge_sensors([bad, *others])
    assert (first.level, bad.name in first.found) == (level, True), first
    assert bad.words in first.found
    assert first.remedy
    assert rest.level is Level.PASS


def test_alike_sensors_are_told_together() -> None:
    channels = [msgspec.structs.replace(lost(BUS, words="v2g-guard tick is silent"), name=f"v_{n}") for n in range(12)]
    bad, good = judge_sensors([OIL, *channels])
    assert bad.found == "v_0, v_1, v_2, v_3, v_4, v_5 and 6 more lost: v2g-guard tick is silent"
    assert good.level is Level.PASS


def test_without_an_oil_sensor_nothing_is_permitted() -> None:
    bad, _ = judge_sensors([AMBIENT])
    assert (bad.level, "top_oil_c" in bad.found) == (Level.FAIL, True)


def test_what_nobody_could_be_asked_for_is_not_judged() -> None:
    (line,) = judge_sensors([OIL, msgspec.structs.replace(BUS, quality="not told")])
    assert line.found.startswith("1 good")


FRESH = WaveformFacts("/run/v2g/waveform", "", 6400, 12, 0.004)


@pytest.mark.parametrize(
    ("facts", "measures", "level"),
    [
        (FRESH, None, Level.PASS),
        (replace(FRESH, age_s=0.3), None, Level.FAIL),
        (replace(FRESH, age_s=-5.0), None, Level.FAIL),
        (replace(FRESH, rate_hz=1000), None, Level.FAIL),
        (replace(FRESH, rate_hz=50_000), None, Level.FAIL),
        (replace(FRESH, problem="No such file or directory"), None, Level.FAIL),
        (replace(FRESH, problem="Permission denied"), False, Level.FAIL),
        (replace(FRESH, problem="Permission denied"), True, Level.PASS),
        (replace(FRESH, age_s=float("nan")), None, Level.FAIL),
    ],
)
def test_the_waveform_buffer_is_there_fresh_and_of_a_usable_rate(
    facts: WaveformFacts, measures: bool | None, level: Level
) -> None:
    (line,) = judge_waveform(facts, measures)
    assert line.level is level


def test_a_device_that_does_not_answer_concerns_its_own_evse() -> None:
    devices = [
        DeviceFacts(f"inverter {E1}", "192.0.2.1:502 unit 1", False, "no connection"),
        DeviceFacts(f"DC output {E1}", "192.0.2.2:502 unit 1", True),
        DeviceFacts("transducers", "192.0.2.9:502 unit 1", False),
    ]
    inverter, transducers, good = judge_inverters(devices, (E1, E2))
    assert (inverter.level, inverter.evses) == (Level.FAIL, (E1,))
    assert "no connection" in inverter.found
    assert "inverter detect 192.0.2.1:502" in inverter.remedy
    assert (transducers.level, transducers.evses) == (Level.WARN, ())
    assert good.found == "1 device answers"


def test_an_evse_whose_id_ends_another_s_is_not_taken_for_it() -> None:
    (line,) = judge_inverters([DeviceFacts("inverter US*V2G*E11", "a", False)], ("E11", "US*V2G*E11", "11"))
    assert line.evses == ("US*V2G*E11",)


def test_without_wires_no_device_is_reached() -> None:
    (line,) = judge_inverters(None, (E1,))
    assert (line.level, line.evses, "v2g-guard wires" in line.found) == (Level.FAIL, (), True)


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (EfficiencyFacts(E1, 0.97, 0.981), Level.PASS, "98.1 %"),
        (EfficiencyFacts(E1, 0.97), Level.WARN, "never measured"),
        (EfficiencyFacts(E1, 0.95), Level.FAIL, "95.0 % by its datasheet"),
        (EfficiencyFacts(E1, 0.95, accepted=True), Level.WARN, "never measured"),
        (EfficiencyFacts(E1, 0.95, 0.975), Level.PASS, "97.5 %"),
        (EfficiencyFacts(E1, 0.97, 0.93, refusal="its discharge test measured 93.0 %"), Level.FAIL, "93.0 %"),
        (EfficiencyFacts(E1, 0.97, 0.93, accepted=True), Level.PASS, "93.0 % (accepted)"),
    ],
)
def test_efficiency_counts_as_measured_and_else_by_the_datasheet(
    facts: EfficiencyFacts, level: Level, words: str
) -> None:
    (line,) = judge_efficiency([facts])
    assert (line.level, words in line.found) == (level, True), line
    assert line.evses == ((E1,) if level is Level.FAIL else ())


@pytest.mark.parametrize(
    ("setting_pu", "has_feedback", "closed", "levels"),
    [
        (1.1, True, True, [Level.PASS]),
        (1.1, True, False, [Level.FAIL]),
        (1.1, True, None, [Level.FAIL]),
        (1.1, False, None, [Level.FAIL]),
        (None, True, True, [Level.FAIL]),
        (None, False, None, [Level.FAIL, Level.FAIL]),
    ],
)
def test_the_relay_is_stated_fed_back_and_closed(
    setting_pu: float | None, has_feedback: bool, closed: bool | None, levels: list[Level]
) -> None:
    assert [line.level for line in judge_relay(setting_pu, has_feedback, closed)] == levels

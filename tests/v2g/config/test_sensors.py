"""sensor_map.conf: the channels, their sources, and every mistake that it can hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.sensors import TOP_OIL
from v2g.config.loader import load
from v2g.config.problems import ConfigError
from v2g.config.sensors import load_sensor_map, parse_sensor_map, sample_factors
from v2g.hardware.endpoint import ModbusEndpoint, TlsFiles
from v2g.hardware.registers import RegisterType, Table, WordOrder
from v2g.hardware.sensor_map import (
    BufferSource,
    ContactSource,
    FileSource,
    Filter,
    InterlockChannel,
    ModbusSource,
    buffer_factors,
    interlock_channels,
)

SHIPPED = Path(__file__).resolve().parents[3] / "etc" / "v2g"

GOOD = """\
sensors:
  top_oil_c:
    source: {modbus: {host: 10.0.0.7, port: 1502, unit: 3, table: holding, register: 0x10, type: float32,
                      word_order: little, tls: {ca: ca.pem, certificate: c.pem, key: k.pem}}}
    scale: 0.1
    offset: -5
    unit: °C
    range: [-40, 150]
    filter: {median: 3}
    max_age_s: 2.5
  ambient_c:
    source: {file: /sys/bus/iio/devices/iio:device0/in_temp_input}
    scale: 0.001
    unit: °C
    range: [-50, 70]
    filter: {time_constant_s: 10}
  winding_stress_mpa: {source: {modbus: {host: 10.0.0.7, register: 3}}, unit: MPa, range: [0, 400]}
  v_bus_a: {source: {buffer: v_bus_a}, scale: 1.01, offset: 0.5, unit: V, range: [0, 600]}
  i_tr_a: {source: {buffer: i_tr_a}, unit: A, range: [0, 900]}
  emergency_stop: {source: {contact: /run/v2g-io/estop}}
  door: {source: {modbus: {host: 10.0.0.8, register: 0, bit: 3}}, closed_is: tripped}
  pilot_duty_pct@US*V2G*E1: {source: {modbus: {host: 10.0.0.9, register: 7}}, unit: "%", range: [0, 100]}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_sensor_map(text)
    return [str(problem).replace("\n    ", " > ") for problem in caught.value.problems]


def test_every_key_is_understood() -> None:
    sensors = parse_sensor_map(GOOD)
    oil, ambient, stress, voltage, current, stop, door, pilot = sensors
    device = ModbusEndpoint("10.0.0.7", 1502, 3, TlsFiles(Path("ca.pem"), Path("c.pem"), Path("k.pem")))
    assert oil.source == ModbusSource(device, Table.HOLDING, 16, RegisterType.FLOAT32, WordOrder.LITTLE)
    assert (oil.scale, oil.offset, oil.minimum, oil.maximum, oil.max_age_s) == (0.1, -5.0, -40.0, 150.0, 2.5)
    assert (oil.filter, oil.unit, oil.place) == (Filter(median=3), "°C", "sensor_map.conf:3")
    assert ambient.source == FileSource(Path("/sys/bus/iio/devices/iio:device0/in_temp_input"))
    assert (ambient.filter, ambient.max_age_s) == (Filter(time_constant_s=10.0), 5.0)
    assert stress.source == ModbusSource(ModbusEndpoint("10.0.0.7"), Table.INPUT, 3)
    assert (voltage.source, voltage.unit, current.unit) == (BufferSource("v_bus_a"), "V", "A")
    assert stop.source == ContactSource(Path("/run/v2g-io/estop"))
    assert (stop.closed_is_healthy, door.closed_is_healthy, door.max_age_s) == (True, False, 1.0)
    assert isinstance(door.source, ModbusSource)
    assert door.source.bit == 3
    assert (pilot.name, pilot.unit) == ("pilot_duty_pct@US*V2G*E1", "%")
    assert sensors.get("door") is door
    assert sensors.get("relay") is None


def test_interlocks_are_those_that_are_mapped() -> None:
    assert interlock_channels(parse_sensor_map(GOOD)) == (
        InterlockChannel("winding_stress", None, True),
        InterlockChannel("emergency_stop", Path("/run/v2g-io/estop"), True),
        # Read over Modbus: what is mirrored is "healthy", whatever the contact's own sense.
        InterlockChannel("door", None, True),
    )
    assert interlock_channels(parse_sensor_map(TOP_OIL)) == ()


def test_samples_are_corrected_by_scale_and_calibrated_factor() -> None:
    factors = buffer_factors(parse_sensor_map(GOOD), {"v_bus_a": 1.02, "i_v2g_a": 0.99, "top_oil_c": 1.1})
    assert factors == {
        "v_bus_a": pytest.approx((1.01 * 1.02, 0.5 * 1.02)),
        "i_tr_a": (1.0, 0.0),
        "i_v2g_a": (0.99, 0.0),
    }


def test_the_shipped_example_is_valid() -> None:
    sensors = load_sensor_map(SHIPPED / "sensor_map.conf", SHIPPED)
    names = [channel.name for channel in sensors]
    assert names[:2] == ["top_oil_c", "ambient_c"]
    assert len(names) == 14


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("top_oil_c:", "oil_c:", "sensor_map.conf:3: sensors.oil_c: is no known channel > did you mean"),
        ("pilot_duty_pct@", "pilot_duty@", "sensors.pilot_duty@US*V2G*E1: is no known channel > there are top_oil_c,"),
        ("port: 1502", "port: 99999", "sensors.top_oil_c.source.modbus.port: 99999: must be at most 65535"),
        ("scale: 0.1", "scale: 0.1 K", "sensors.top_oil_c.scale: '0.1 K': is text, a number is expected"),
        ("scale: 0.1", "scale: .nan", "sensors.top_oil_c.scale: nan: is no finite number"),
        ("scale: 0.1", "scale: 0", "sensors.top_oil_c.scale: 0.0: would turn every value into the offset"),
        ("type: float32", "type: real", "sensors.top_oil_c.source.modbus.type: 'real': is not supported"),
        ("table: holding", "tabel: holding", "sensors.top_oil_c.source.modbus.tabel: 'holding': is no known key"),
        ("[-40, 150]", "[150, -40]", "sensor_map.conf:8: sensors.top_oil_c.range: [150.0, -40.0]: is not in order"),
        ("    range: [-40, 150]\n", "", "sensors.top_oil_c.range: is missing > add 'range: [lowest, highest]'"),
        ("unit: °C", "unit: K", "sensor_map.conf:7: sensors.top_oil_c.unit: 'K': is not the unit of top_oil_c"),
        ("    unit: °C\n    range: [-40", "    range: [-40", "sensors.top_oil_c.unit: is missing > add 'unit: °C'"),
        ("register: 0x10", "register: 65535", "sensors.top_oil_c.source.modbus.register: 65535: leaves no room"),
        ("{median: 3}", "{median: 3, time_constant_s: 2}", "sensors.top_oil_c.filter: names median and time_constant"),
        ("{median: 3}", "{median: 4}", "sensors.top_oil_c.filter.median: 4: is even"),
        ("{buffer: v_bus_a}", "{buffer: u1}", "sensors.v_bus_a.source.buffer: 'u1': is another channel"),
        ("{buffer: i_tr_a}", "{file: /x}", "sensors.i_tr_a.source.file: is no source of i_tr_a > write one of buffer"),
        ("{buffer: i_tr_a}", "{}", "sensors.i_tr_a.source: names no source > write one of buffer"),
        ("{contact: /run/v2g-io/estop}", "{contact: x}", "sensors.emergency_stop.source.contact: 'x': is no absolute"),
        ("estop}}", "estop}, scale: 2}", "sensors.emergency_stop.scale: is for measured values"),
        (", bit: 3", "", "sensors.door.source.modbus.bit: is missing"),
        ("register: 3}", "register: 3, bit: 1}", "sensors.winding_stress_mpa.source.modbus.bit: 1: is for contacts"),
        ("closed_is: tripped", "closed_is: open", "sensors.door.closed_is: 'open': is not supported"),
        ("scale: 1.01", "max_age_s: 1", "sensors.v_bus_a.max_age_s: is not for channels of the waveform buffer"),
        ("scale: 1.01", "scale: -1", "sensors.v_bus_a.scale: -1.0: turns the channel round"),
        (
            "10.0.0.9, register: 7",
            "10.0.0.7, register: 3",
            "10.0.0.7:502 unit 1 input register 3: is read for winding_stress_mpa already (sensor_map.conf:17)",
        ),
    ],
)
def test_a_mistake_is_told_with_file_place_reason_and_remedy(old: str, new: str, said: str) -> None:
    assert old in GOOD
    (problem,) = problems(GOOD.replace(old, new, 1))
    assert said in problem
    assert problem.startswith("sensor_map.conf:")


def test_all_mistakes_are_told_at_once() -> None:
    assert len(problems(GOOD.replace("unit: ", "unti: ").replace("bit: 3", "bit: 16"))) >= 5


@pytest.mark.parametrize("text", ["top_oil_c = 5", "- a\n", "sensors: {top_oil_c: 5}", "a: [", "", "sensors: 5"])
def test_what_is_no_sensor_map_is_told_with_its_name(text: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith("sensor_map.conf")


def test_an_ini_file_is_told_as_that_and_where_the_form_stands() -> None:
    (problem,) = problems("# transducers\n\n[top_oil_c]\nsource = modbus\nhost = 192.0.2.10\n")
    assert problem.startswith("sensor_map.conf:3: is an INI file ([top_oil_c]), and not YAML > write it anew")
    assert "the head of etc/v2g/sensor_map.conf tells the form" in problem


def test_a_missing_or_binary_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.conf: cannot be read: No such file"):
        load_sensor_map(tmp_path / "none.conf", tmp_path)
    (tmp_path / "binary.conf").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ConfigError, match=r"binary\.conf: cannot be read: "):
        load_sensor_map(tmp_path / "binary.conf", tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "pilot_high_v@US*V2G*E9: {source: {file: /x}, unit: V, range: [-20, 20]}",
            "sensors.pilot_high_v@US*V2G*E9: there is no EVSE US*V2G*E9",
        ),
        (
            "winding_stress_mpa: {source: {file: /x}, unit: MPa, range: [0, 400]}",
            "is mapped and interlocks.winding_stress_limit_mpa is not set",
        ),
        (
            "relay: {source: {contact: /run/other}}",
            "sensors.relay: is /run/other here and /run/v2g-io/relay in relay.feedback_path",
        ),
        (
            "mains: {source: {modbus: {host: h, register: 0, bit: 0}}}",
            "is /run/v2g/contact-mains here and not set in protection.mains_input_path",
        ),
        (
            "breaker: {source: {modbus: {host: h, register: 0, bit: 0}}}",
            "sensors.breaker: cannot be read over Modbus",
        ),
    ],
)
def test_what_contradicts_the_configuration_is_told(configure, line: str, said: str) -> None:
    config_dir = configure()
    (config_dir / "sensor_map.conf").write_text(f"{TOP_OIL}  {line}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(config_dir)
    (problem,) = caught.value.problems
    assert said in str(problem)
    assert problem.line == 3


def test_a_loaded_configuration_brings_its_sensors_and_factors(configure) -> None:
    config_dir = configure(**{"80-calibration": "calibration: {sensors: {v_bus_a: {factor: 1.02}}}"})
    loaded = load(config_dir)
    assert [channel.name for channel in loaded.sensors] == ["top_oil_c"]
    assert sample_factors(loaded.config, loaded.sensors) == {"v_bus_a": (1.02, 0.0)}

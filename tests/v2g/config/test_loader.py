from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from v2g.config.loader import ConfigError, Problem, load
from v2g.config.schema import TlsProfileName

Configure = Callable[..., Path]


def problems(config_dir: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(config_dir)
    return caught.value.problems


def test_a_small_file_gets_the_defaults(configure: Configure) -> None:
    loaded = load(configure())
    assert loaded.config.evses[0].tcp_port == 15118
    assert loaded.config.evses[0].tls is TlsProfileName.STRICT
    assert loaded.config.dispatch.min_soc_pct == 30.0
    assert loaded.warnings == ()


def test_drop_ins_win_in_the_order_of_their_names(configure: Configure) -> None:
    config_dir = configure(
        **{"90-b": "dispatch: {min_soc_pct: 40}", "10-a": "dispatch: {min_soc_pct: 20, setpoint_lease_s: 2}"}
    )
    loaded = load(config_dir)
    assert loaded.config.dispatch.min_soc_pct == 40
    assert loaded.config.dispatch.setpoint_lease_s == 2
    assert loaded.files == tuple(config_dir / name for name in ("v2g.yaml", "conf.d/10-a.yaml", "conf.d/90-b.yaml"))


def test_entries_with_an_id_merge_by_id_and_new_ones_are_added(configure: Configure) -> None:
    added = "{id: US*V2G*E3, interface: evse3, inverter: {modbus: {host: a}}, dc: {modbus: {host: b}}}"
    loaded = load(configure(**{"50-x": f"evses: [{{id: US*V2G*E2, inverter: {{modbus: {{unit: 7}}}}}}, {added}]"}))
    assert [evse.id for evse in loaded.config.evses] == ["US*V2G*E1", "US*V2G*E2", "US*V2G*E3"]
    second = loaded.config.evses[1]
    assert (second.max_charge_w, second.inverter.modbus.host, second.inverter.modbus.unit) == (11000, "10.0.0.2", 7)


def test_each_value_says_which_file_and_line_it_came_from(configure: Configure) -> None:
    config_dir = configure(**{"50-x": "evses:\n- id: US*V2G*E2\n  inverter:\n    modbus: {unit: 7}\n"})
    loaded = load(config_dir)
    assert loaded.origin["evses[1].inverter.modbus.unit"] == str(config_dir / "conf.d" / "50-x.yaml")
    assert loaded.lines["evses[1].inverter.modbus.unit"] == 4
    assert loaded.origin["evses[1].inverter.modbus.host"] == str(config_dir / "v2g.yaml")
    assert "evses[1].tcp_port" not in loaded.origin


def test_an_empty_section_keeps_what_was_there(configure: Configure) -> None:
    loaded = load(configure(**{"50-x": "transformer:\ndispatch:\n", "60-y": ""}))
    assert loaded.config.transformer.rated_kva == 250


def test_a_null_takes_an_optional_limit_away(configure: Configure) -> None:
    limited = "evses: [{id: US*V2G*E1, inverter: {max_charge_w: 9000}}]"
    lifted = "evses: [{id: US*V2G*E1, inverter: {max_charge_w: null}}]"
    assert load(configure(**{"50-x": limited})).config.evses[0].inverter.max_charge_w == 9000
    assert load(configure(**{"50-x": limited, "60-y": lifted})).config.evses[0].inverter.max_charge_w is None


def test_anchors_and_merge_keys_spare_repetition(configure: Configure) -> None:
    text = """\
site: {id: s1}
transformer: {id: T1, rated_kva: 250}
grid: {nominal_voltage_v: 277}
evses:
  - &first
    id: US*V2G*E1
    interface: evse1
    max_charge_w: 7000
    inverter: {modbus: {host: 10.0.0.1}}
    dc: {modbus: {host: 10.0.1.1}}
  - <<: *first
    id: US*V2G*E2
    interface: evse2
    inverter: {modbus: {host: 10.0.0.2}}
    dc: {modbus: {host: 10.0.1.2}}
"""
    assert [evse.max_charge_w for evse in load(configure(text)).config.evses] == [7000, 7000]


VDE = "{nominal_frequency_hz: 50, profile: vde-ar-n-4105, confirm_unverified: true}"
E1, E2 = "evses: [{id: US*V2G*E1, ", "evses: [{id: US*V2G*E2, "

SINGLE = [
    ("transformer: {rated_kva: 250kVA}", "transformer.rated_kva", "'250kVA'", "number in kVA", "a number in kVA: 250"),
    (E2 + "max_charge_w: 10kW}]", "evses[1].max_charge_w", "'10kW'", "a number in W is expected", "in W: 10000"),
    (E2 + "max_charge_kw: 22}]", "evses[1].max_charge_kw", "22", "is no known key", "write max_charge_w: 22000"),
    (E2 + "max_charge: 22}]", "evses[1].max_charge", "22", "is no known key", "did you mean max_charge_w? It is in W"),
    ("dispatch: {setpoint_lease_s: 800ms}", "dispatch.setpoint_lease_s", "'800ms'", "in s", "in s: 0.8"),
    ("dispatch: {min_soc_pct: 1e1}", "dispatch.min_soc_pct", "'1e1'", "in %", "write 10, without quotes"),
    ("dispatch: {min_soc_pct: '30'}", "dispatch.min_soc_pct", "'30'", "is text", "write 30, without quotes"),
    ("dispatch: {min_soc_pct: 130}", "dispatch.min_soc_pct", "130", "at most 100 %", "from 0 to 100"),
    ("dispatch: {min_soc_pct: .nan}", "dispatch.min_soc_pct", "nan", "no finite number", "a number in %"),
    ("grid: {nominal_voltage_v: .inf}", "grid.nominal_voltage_v", "inf", "no finite number", "a number in V"),
    ("transformer: {coling: ONAN}", "transformer.coling", "'ONAN'", "is no known key", "did you mean cooling?"),
    ("transformer: {cooling: onan}", "transformer.cooling", "'onan'", "is not supported", "did you mean ONAN?"),
    ("grid: {category: iv}", "grid.category", "'iv'", "is not supported", "the choices are I, II, III"),
    ("grid: {trips: [OV1]}", "grid.trips", "", "is no section", "each entry by its name"),
    ("grid: {trips: {OV1: 5}}", "grid.trips.OV1", "5", "is no section", "keys threshold, time_s"),
    ("grid: {trips: {OV1: {time: 5}}}", "grid.trips.OV1.time", "5", "is no known key", "did you mean time_s?"),
    ("grid: {trips: {OV1: {time_s: 5min}}}", "grid.trips.OV1.time_s", "'5min'", "in s", "in s: 300"),
    ("grid: {trips: {UV1: {threshold: -1}}}", "grid.trips.UV1.threshold", "-1", "at least 0", "from 0"),
    ("grid: {enter_service: {delay_s: -1}}", "grid.enter_service.delay_s", "-1", "at least 0 s", "from 0"),
    ("grid: {enter_service_delay_s: 5}", "grid.enter_service_delay_s", "5", "no known key", "enter_service?"),
    ("protection: {feeder: {curve: inverse}}", "protection.feeder.curve", "'inverse'", "not supported", "very_inverse"),
    ("protection: {phase_cycles: 1}", "protection.phase_cycles", "1", "at least 2", "from 2 to 120"),
    ("relay: {setting_pu: 110%}", "relay.setting_pu", "'110%'", "in per unit", "in per unit: 1.1"),
    ("calibration: {phase_offset_deg: [1, 2]}", "calibration.phase_offset_deg", "", "has 2 entries", "a list of 3"),
    ("calibration: {phase_offset_deg: 7}", "calibration.phase_offset_deg", "7", "is no list", "[0.0, 0.0, 0.0]"),
    (
        "calibration: {phase_offset_deg: [0, .nan, 0]}",
        "calibration.phase_offset_deg[1]",
        "nan",
        "no finite number",
        "in degrees",
    ),
    (
        "functions: {volt_var: {points: [[0.92, 0.44], [0.98, x]]}}",
        "functions.volt_var.points[1][1]",
        "'x'",
        "a number is expected",
        "write a number",
    ),
    (
        "functions: {volt_var: {points: [0.92, 0.44]}}",
        "functions.volt_var.points[0]",
        "0.92",
        "is no list",
        "a list of 2",
    ),
    (
        E1 + "inverter: {voltage_channels: [a, b]}}]",
        "evses[0].inverter.voltage_channels",
        "",
        "has 2 entries",
        "[name, name, name]",
    ),
    ("power_quality: {voltage_window_pu: [0, 1.1]}", "power_quality.voltage_window_pu[0]", "0", "above 0", "per unit"),
    ("gird: {}", "gird", "", "is no known key", "did you mean grid?"),
    ("zzz: 1", "zzz", "1", "is no known key", "the keys here are site, transformer"),
    (
        E2 + "inverter: {modbus: {port: 70000}}}]",
        "evses[1].inverter.modbus.port",
        "70000",
        "at most 65535",
        "1 to 65535",
    ),
    (
        E2 + "inverter: {modbus: {port: web}}}]",
        "evses[1].inverter.modbus.port",
        "'web'",
        "whole number",
        "whole number",
    ),
    (E2 + "inverter: {modbus: {port: 5.5}}}]", "evses[1].inverter.modbus.port", "5.5", "whole number", "whole number"),
    (E1 + "inverter: {modbus: {port: 0502}}}]", "evses[0].inverter.modbus.port", "0502", "number 322", "leading zero"),
    (E2 + "inverter: {modbus: {host: 5}}}]", "evses[1].inverter.modbus.host", "5", "text is expected", "in quotes"),
    ("breaker: {closing_time_s: 60}", "breaker.closing_time_s", "60", "at most 1 s", "to 1"),
    (E2 + "inverter: {poll_s: 1}}]", "evses[1].inverter.poll_s", "1", "at most 0.5 s", "from 0.05 to 0.5"),
    (E2 + "inverter: {reversion_s: 0}}]", "evses[1].inverter.reversion_s", "0", "at least 1 s", "from 1 to 60"),
    (E2 + "tls: strct}]", "evses[1].tls", "'strct'", "is not supported", "did you mean strict?"),
    (
        E2 + "negative_discharge_limits: 1}]",
        "evses[1].negative_discharge_limits",
        "1",
        "true or false",
        "true or false",
    ),
    (E2 + "kind: AX}]", "evses[1].kind", "'AX'", "is not supported", "DC, AC"),
    (
        "evses: [{id: US*V2G*E9, kind: AC, interface: x, rotation: abb, ac: {modbus: {host: h}}}]",
        "evses[2].rotation",
        "'abb'",
        "is not supported",
        "abc, bca, cab, acb, cba, bac, a, b, c",
    ),
    (E2 + "inverter: {driver: sunspeck}}]", "evses[1].inverter.driver", "'sunspeck'", "supported", "mean sunspec?"),
    ("evses: [{id: E7}]", "evses[2].id", "'E7'", "is no EVSE id", "such as 'US*V2G*E1'"),
    ("evses: []", "evses", "", "has 0 entries", "at least 1"),
    ("evses: {id: x}", "evses", "", "is no list", "one '- ' an entry"),
    ("pki: [1]", "pki", "", "is no section", "write a map with the keys dir, strict_chain"),
    ("site: {id: no}", "site.id", "false", "is true or false, text is expected", "in quotes"),
    ("site: {id: null, id: x}", "site.id", "", "is written twice (first on line 1)", "keep one"),
    ("site: {id: !!python/name:os.system x}", "site.id", "x", "tag:yaml.org,2002:python/name", "remove the tag"),
    ("secc: {charge_loop_timeout_s: 100ms}", "secc.charge_loop_timeout_s", "'100ms'", "in s", "in s: 0.1"),
]


@pytest.mark.parametrize(("text", "path", "value", "reason", "remedy"), SINGLE)
def test_a_mistake_is_told_with_file_line_path_value_reason_and_remedy(
    configure: Configure, text: str, path: str, value: str, reason: str, remedy: str
) -> None:
    config_dir = configure(**{"50-x": text})
    found = [problem for problem in problems(config_dir) if problem.path == path]
    assert len(found) == 1
    assert found[0].file == str(config_dir / "conf.d" / "50-x.yaml")
    assert found[0].line == 1
    assert found[0].value == value
    assert reason in found[0].reason
    assert remedy in found[0].remedy


BETWEEN = [
    ("evses: [{id: USV2GE1, interface: e9, inverter: {modbus: {host: x}}, dc: {modbus: {host: y}}}]",
     "evses[2].id", "'USV2GE1'", "is the EVSE of evses[0] again"),
    (E2 + "interface: evse1, sdp_port: 15119}]", "evses[1].tcp_port", "15118", "taken on interface evse1"),
    (E2 + "interface: evse1, tcp_port: 15119}]", "evses[1].sdp_port", "15118", "taken on interface evse1"),
    (E2 + "inverter: {modbus: {host: 10.0.0.1}}}]", "evses[1].inverter.modbus", "10.0.0.1:502 unit 1", "is already"),
    (E2 + "dc: {modbus: {host: 10.0.0.1}}}]", "evses[1].dc.modbus", "10.0.0.1:502 unit 1", "is already"),
    (E2 + "tls: plain}]", "evses[1].tls", "'plain'", "test mode"),
    (E2 + "inverter: {driver: register_map}}]", "evses[1].inverter.driver", "'register_map'", "has no map"),
    (E2 + "inverter: {map: acme}}]", "evses[1].inverter.map", "'acme'", "is not read by driver sunspec"),
    ("interlocks: {winding_stress_limit_mpa: 40}", "interlocks.winding_stress_limit_mpa", "40",
     "nothing measures winding_stress_mpa"),
    (E2 + "min_voltage_v: 920}]", "evses[1].min_voltage_v", "920", "is not below max_voltage_v (920 V)"),
    ("paths: {run_dir: run/v2g}", "paths.run_dir", "'run/v2g'", "no absolute path"),
    ("paths: {run_dir: /" + "r" * 100 + "}", "paths.run_dir", repr("/" + "r" * 100), "longer than the 107 bytes"),
    ("waveform: {buffer_path: x}", "waveform.buffer_path", "'x'", "no absolute path"),
    ("protection: {mains_input_path: x}", "protection.mains_input_path", "'x'", "no absolute path"),
    ("relay: {feedback_path: x}", "relay.feedback_path", "'x'", "no absolute path"),
    ("{protection: {mains_input_path: /run/x}, relay: {feedback_path: /run/x}}",
     "relay.feedback_path", "'/run/x'", "is protection.mains_input_path already"),
    ("protection: {feeder: {pickup_pu: 3, instantaneous_pu: 2}}",
     "protection.feeder.instantaneous_pu", "2", "is not above pickup_pu (3)"),
    ("protection: {transformer: {instantaneous_pu: 1.5}}",
     "protection.transformer.instantaneous_pu", "1.5", "is not above pickup_pu (1.5)"),
    ("functions: {constant_pf: {enabled: true}, volt_var: {enabled: true}}",
     "functions.constant_pf.enabled", "true", "is enabled beside volt_var"),
    ("functions: {volt_watt: {points: [[1.1, 0.2], [1.06, 1]]}}",
     "functions.volt_watt.points[1]", "[1.06, 1]", "lies before the point at 1.1"),
    ("functions: {volt_var: {points: [[0.9, 25], [1.1, 0]]}}",
     "functions.volt_var.points[0]", "[0.9, 25]", "is more than the rating"),
    ("functions: {watt_var: {points: [[0.9, 0]]}}", "functions.watt_var.points", "", "is no curve"),
    ("functions: {frequency_droop: {k_of: 0.06}}", "functions.frequency_droop.k_of", "0.06",
     "is outside 0.02 .. 0.05 (IEEE 1547-2018 6.5.2.7.2, category III)"),
    ("{grid: {profile: ieee1547-II}, functions: {frequency_droop: {k_uf: 0.02}}}",
     "functions.frequency_droop.k_uf", "0.02", "is outside 0.03 .. 0.05 (IEEE 1547-2018 6.5.2.7.2, category II)"),
    ("functions: {volt_var: {enabled: true, points: [[0.9, 0.4], [0.95, 0], [1.02, 0], [1.08, -0.4]]}}",
     "functions.volt_var.points", "", "V2 = 0.95 is outside 0.97 .. 1 (IEEE 1547-2018 5.3.3)"),
    ("functions: {volt_watt: {enabled: true, points: [[1.06, 1], [1.08, 0.5], [1.1, 0]]}}",
     "functions.volt_watt.points", "", "has 3 points; IEEE 1547-2018 5.4.2 asks for 2"),
    ("functions: {volt_watt: {enabled: true, response_s: 0.1}}", "functions.volt_watt.response_s", "0.1",
     "is outside 0.5 .. 60 (IEEE 1547-2018 5.4.2)"),
    ("power_quality: {voltage_window_pu: [1.1, 0.9]}", "power_quality.voltage_window_pu", "[1.1, 0.9]", "no window"),
    (E1 + "inverter: {voltage_channels: [a, b, a]}}]",
     "evses[0].inverter.voltage_channels[2]", "'a'", "is evses[0].inverter.voltage_channels[0] already"),
    ("grid: {profile: nec}", "grid.profile", "'nec'", "is no known profile"),
    ("grid: {profile: g99}", "grid.profile", "'g99'", "is written for 50 Hz"),
    ("grid: {trips: {OV9: {time_s: 1}}}", "grid.trips.OV9", "", "is no trip element of ieee1547-III"),
    ("grid: {trips: {OV1: {time_s: 14}}}", "grid.trips.OV1.time_s", "14",
     "outside its range of adjustability of 1 to 13 s (IEEE 1547-2018 6.4.1, Table 13)"),
    ("grid: {category: II, trips: {UV1: {threshold: 0.9}}}", "grid.trips.UV1.threshold", "0.9",
     "0 to 0.88 p.u. (IEEE 1547-2018 6.4.1, Table 12)"),
    ("grid: {enter_service: {delay_s: 700}}", "grid.enter_service.delay_s", "700",
     "0 to 600 s (IEEE 1547-2018 4.10.2, Table 4)"),
    ("grid: {nominal_frequency_hz: 50, profile: vde-ar-n-4105, trips: {U<: {time_s: 9}}}",
     "grid.trips.U<.time_s", "9", "states no range of adjustability"),
    ("transformer: {hot_spot_limit_c: 400}", "transformer", "", "hot-spot limit of 400 °C"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path", "value", "reason"), BETWEEN)
def test_values_that_contradict_each_other_are_told(
    configure: Configure, text: str, path: str, value: str, reason: str
) -> None:
    config_dir = configure(**{"50-x": text})
    (found,) = problems(config_dir)
    assert (found.path, found.value) == (path, value)
    if path != "transformer":
        assert (found.file, found.line) == (str(config_dir / "conf.d" / "50-x.yaml"), 1)
    assert reason in found.reason
    assert found.remedy


def test_one_cabinet_may_be_inverter_and_dc_side_of_its_own_evse(configure: Configure) -> None:
    loaded = load(configure(**{"50-x": E2 + "dc: {modbus: {host: 10.0.0.2}}}]"}))
    assert loaded.config.evses[1].dc.modbus == loaded.config.evses[1].inverter.modbus


def test_an_evse_twice_in_one_file_is_no_merge(configure: Configure) -> None:
    (found,) = problems(configure(**{"50-x": "evses:\n- id: US*V2G*E1\n- id: US*V2G*E1\n"}))
    assert (found.path, found.line) == ("evses[1].id", 3)
    assert "is there already: evses[0], line 2" in found.reason


def test_every_mistake_is_told_at_once(configure: Configure) -> None:
    config_dir = configure("site: {}\ntransformer: {id: T1, rated_kva: -1}\nevses: []\n")
    assert {problem.path for problem in problems(config_dir)} == {"site.id", "transformer.rated_kva", "evses", "grid"}


def test_a_missing_key_names_its_section_line_and_form(configure: Configure) -> None:
    found = {p.path: p for p in problems(configure("site:\n  name: x\ntransformer: {id: T1}\nevses: []\n"))}
    assert (found["site.id"].line, found["site.id"].reason) == (2, "is missing")
    assert found["transformer.rated_kva"].remedy == "add 'rated_kva: ' with a number in kVA"
    assert found["grid"].remedy == "add the section 'grid:' with at least nominal_voltage_v"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("site: [1\nx: 2", "is not YAML"),
        ("- 1", "is no map of sections"),
        ("just words", "is no map of sections"),
        ("a: *b", "undefined alias"),
        ("? [1, 2]\n: x", "has a key that is no word"),
        ("site: {<<: 5}", "merges something that is no map"),
        ("a: \x07", "is not YAML"),
        ("a: &a [*a, *a]", "nested too deeply or too large"),
        ("---\na: 1\n---\nb: 2", "is not YAML"),
    ],
)
def test_text_that_is_no_configuration_is_refused(configure: Configure, text: str, reason: str) -> None:
    (found,) = problems(configure(text))
    assert reason in found.reason


@pytest.mark.soak
def test_aliases_cannot_blow_up(configure: Configure) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))
    (found,) = problems(configure(bomb))
    assert "too large" in found.reason


def test_text_that_is_no_utf8_names_the_line(configure: Configure) -> None:
    config_dir = configure()
    (config_dir / "v2g.yaml").write_bytes(b"site:\n  id: \xff\n")
    (found,) = problems(config_dir)
    assert (found.line, "no UTF-8" in found.reason) == (2, True)


def test_a_missing_file_or_sensor_map_is_told(configure: Configure, tmp_path: Path) -> None:
    config_dir = configure()
    (config_dir / "sensor_map.conf").unlink()
    (found,) = problems(config_dir)
    assert found.path == "sensor_map"
    assert "sensor_map.conf does not exist" in found.reason
    (found,) = problems(tmp_path / "nowhere")
    assert found.reason == "does not exist"


def test_a_file_that_cannot_be_read_is_told(configure: Configure) -> None:
    config_dir = configure()
    (config_dir / "conf.d" / "50-x.yaml").mkdir()
    (found,) = problems(config_dir)
    assert (found.file, found.reason) == (str(config_dir / "conf.d" / "50-x.yaml"), "cannot be read: Is a directory")


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("relay: {setting_pu: null}", "relay.setting_pu is not stated: discharge is refused"),
        ("relay: {setting_pu: 1.15}", "relay.setting_pu is 1.15, above 1.10: discharge is refused"),
        ("relay: {setting_pu: 110}", "relay.setting_pu is 110 (110 % is 1.1), above 1.10"),
        ("relay: {feedback_path: ''}", "relay.feedback_path is empty"),
        (
            "relay: {delay_s: 0.16}",
            "the hardware relay trips after 0.16 s above 1.1 p.u., but 1.1 to 1.2 p.u. must be ridden through for 12 s "
            "(IEEE 1547-2018 6.4.2, Table 16)",
        ),
        (
            "grid: {category: II}\nrelay: {delay_s: 0.5}",
            "must be ridden through for 1 s (IEEE 1547-2018 6.4.2, Table 15)",
        ),
        ("grid: {trips: {OV1: {time_s: 5}}}", "OV1 trips after 5 s above 1.1 p.u., but 1.1 to 1.2 p.u. must be"),
        ("grid: {nominal_frequency_hz: 50}", "grid.profile: no profile is named, and none is the default at 50 Hz"),
        ("grid: {profile: simulation}", "grid.profile 'simulation': is not verified"),
        (f"grid: {VDE}", "profile vde-ar-n-4105 is not verified against VDE-AR-N 4105:2018"),
        ("protection: {phase_limit_deg: 30}", "more than the 20 degrees at which the breaker may be closed"),
        ("calibration: {phase_offset_deg: [0, 0, -120]}", "calibration.phase_offset_deg corrects -120 degrees"),
        (E1 + "inverter: {phase_offset_deg: [25, 0, 0]}}]", "evses[0].inverter.phase_offset_deg corrects 25 degrees"),
        ("protection: {transformer: {rated_a: 400}}", "more than the 300.8 A of 250 kVA at 277 V"),
        ("transformer: {rated_kva: 250000}", "if 250000 VA is meant, write 250"),
        ("grid: {nominal_voltage_v: 480}", "looks like line to line: 277 V?"),
        ("dispatch: {min_soc_pct: 0.3}", "30 % meant?"),
        (E1 + "max_charge_w: 22}]", "for 22 kW write 22000"),
        (E1 + "inverter: {max_discharge_w: 10}}]", "evses[0].inverter.max_discharge_w is 10 W"),
        (E1 + "tls: compat}]", "evses[0].tcp_port is 15118 with tls compat"),
        ("secc: {charge_loop_timeout_s: 1.0}", "the standard's is 0.5 s"),
        ("pki: {allow_plain: true}", "test mode"),
    ],
)
def test_figures_that_look_like_another_unit_are_remarked(configure: Configure, text: str, warning: str) -> None:
    (found,) = load(configure(**{"50-x": text})).warnings
    assert warning in found


def test_a_compat_evse_on_a_dynamic_port_is_not_remarked(configure: Configure) -> None:
    assert load(configure(**{"50-x": E1 + "tls: compat, tcp_port: 49152}]"})).warnings == ()


def test_a_transformer_of_its_own_rating_is_not_remarked(configure: Configure) -> None:
    assert load(configure(**{"50-x": "protection: {transformer: {rated_a: 300.8}}"})).warnings == ()


def test_a_null_or_nothing_keeps_the_defaults_of_the_guard(configure: Configure) -> None:
    text = "grid: {trips: , enter_service: {delay_s: null}}\nfunctions: {volt_var: {points: null}}\nprotection:\n"
    config = load(configure(**{"50-x": text})).config
    assert config.grid.trips == {}
    assert config.grid.enter_service.delay_s is None
    assert config.functions.volt_var.points is None
    assert config.protection.transformer.rated_a is None


def test_every_value_outside_its_profile_is_told_at_once(configure: Configure) -> None:
    text = "grid:\n  trips:\n    OV1: {time_s: 14}\n    UF1:\n      time_s: 1\n  enter_service: {delay_s: 700}\n"
    found = problems(configure(**{"50-x": text}))
    assert [(problem.path, problem.line) for problem in found] == [
        ("grid.trips.OV1.time_s", 3), ("grid.trips.UF1.time_s", 5), ("grid.enter_service.delay_s", 6),
    ]  # fmt: skip


def test_adjustments_of_several_files_add_up(configure: Configure) -> None:
    first, second = "grid: {trips: {OV1: {time_s: 12.5}}}", "grid: {trips: {OV1: {threshold: 1.15}, UV2: {time_s: 3}}}"
    trips = load(configure(**{"50-x": first, "60-y": second})).config.grid.trips
    assert (trips["OV1"].time_s, trips["OV1"].threshold, trips["UV2"].time_s) == (12.5, 1.15, 3.0)


def test_files_that_are_no_drop_ins_are_remarked(configure: Configure) -> None:
    config_dir = configure()
    (config_dir / "conf.d" / "50-x.yml").write_text("nonsense: 1")
    (config_dir / "conf.d" / ".50-x.yaml.swp").write_text("nonsense: 1")
    (found,) = load(config_dir).warnings
    assert "50-x.yml is ignored" in found


def test_a_problem_reads_as_two_lines() -> None:
    problem = Problem("/etc/v2g/v2g.yaml", "evses[1].tcp_port", "70000", "must be at most 65535", "write less", 12)
    assert str(problem) == "/etc/v2g/v2g.yaml:12: evses[1].tcp_port: 70000: must be at most 65535\n    write less"


@pytest.mark.soak
def test_five_hundred_evses_load(configure: Configure) -> None:
    devices = "inverter: {modbus: {host: i%d}}, dc: {modbus: {host: d%d}}"
    entries = "".join(f"  - {{id: US*V2G*E{n}, interface: e{n}, {devices % (n, n)}}}\n" for n in range(500))
    text = (
        f"site: {{id: s}}\ntransformer: {{id: T, rated_kva: 2500}}\ngrid: {{nominal_voltage_v: 277}}\nevses:\n{entries}"
    )
    assert len(load(configure(text)).config.evses) == 500


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("breaker: {opening_time_s: 0.12}", "breaker.opening_time_s", "must open within 0.055 s"),
        ("waveform: {max_age_s: 0.15}", "waveform.max_age_s", "cannot keep the time of OF2"),
        (f"grid: {VDE}\nbreaker: {{opening_time_s: 1.6}}", "breaker.opening_time_s", "is longer than 1.5 s"),
        (f"grid: {VDE}\nwaveform: {{max_age_s: 0.15}}", "waveform.max_age_s", "cannot keep the time of"),
    ],
)
def test_what_the_guard_refuses_at_its_start_is_refused_here(
    configure: Configure, text: str, path: str, reason: str
) -> None:
    (found,) = problems(configure(**{"50-x": text}))
    assert found.path == path
    assert reason in found.reason


def test_old_samples_allowed_by_name_are_remarked(configure: Configure) -> None:
    loaded = load(configure(**{"50-x": "waveform: {max_age_s: 0.15, allow_slow: true}"}))
    assert any("clearing times of IEEE 1547-2018, 1547a-2020 are not kept" in warning for warning in loaded.warnings)
    quick = load(configure(**{"50-x": "waveform: {max_age_s: 0.04, allow_slow: true}"}))
    assert not any("clearing times" in warning for warning in quick.warnings)


def test_a_sensor_map_without_top_oil_is_refused(configure: Configure) -> None:
    config_dir = configure()
    (config_dir / "sensor_map.conf").write_text("sensors: {}\n")
    (found,) = problems(config_dir)
    assert (found.file, found.path) == (str(config_dir / "sensor_map.conf"), "sensors.top_oil_c")
    assert "without a top-oil transducer no power is permitted" in found.remedy

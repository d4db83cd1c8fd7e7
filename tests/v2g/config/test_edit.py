"""Changes as people type them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from v2g.config.edit import EditError, edits, pairs, suggestions, unset_keys, value_of
from v2g.config.loader import load
from v2g.config.reference import entry_for
from v2g.config.writer import UNSET, write_dropin

Configure = Callable[..., Path]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["dispatch.dwell_s", "5min"], [("dispatch.dwell_s", "5min")]),
        (["dispatch.dwell_s=5min"], [("dispatch.dwell_s", "5min")]),
        (
            ["site.name=A = B", "dispatch.min_soc_by_vehicle.CN=x,O=y", "40"],
            [("site.name", "A = B"), ("dispatch.min_soc_by_vehicle.CN=x,O=y", "40")],
        ),
        (["dispatch.dwel_s=5min"], [("dispatch.dwel_s", "5min")]),
        (["site.name", ""], [("site.name", "")]),
        (["site.name", "a=b", "site.id=x"], [("site.name", "a=b"), ("site.id", "x")]),
    ],
)
def test_paths_and_values_come_in_pairs(words: list[str], found: list[tuple[str, str]]) -> None:
    assert pairs(words) == found


def test_a_path_without_a_value_is_told() -> None:
    with pytest.raises(EditError, match=r"dispatch\.dwell_s: there is no value behind it"):
        pairs(["site.name", "x", "dispatch.dwell_s"])


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("dispatch.dwell_s", "300", 300.0),
        ("dispatch.dwell_s", "5min", 300.0),
        ("dispatch.dwell_s", "5 min", 300.0),
        ("dispatch.dwell_s", "1m", 60.0),
        ("dispatch.planning.every_s", "0.5h", 1800.0),
        ("utility.longest_signal_s", "1d 12h", 129_600.0),
        ("dispatch.planning.horizon_h", "2d", 48.0),
        ("breaker.opening_time_s", "50ms", 0.05),
        ("evses[].max_charge_w", "7.4kW", 7400.0),
        ("evses[].max_charge_w", "7,4 kW", 7400.0),
        ("transformer.rated_kva", "0.25MVA", 250.0),
        ("mesh.alone_import_kw", "800W", 0.8),
        ("dispatch.min_soc_pct", "40%", 40.0),
        ("dispatch.min_soc_by_vehicle.CN=a", "40 %", 40.0),
        ("harmonic_filter.threshold", "3%", 0.03),
        ("harmonic_filter.threshold", "none", None),
        ("dispatch.peak_shaving_pu", "75%", 0.75),
        ("transformer.ambient_fallback_c", "-5 °C", -5.0),
        ("history.keep_days", "300d", 300),
        ("history.max_mb", "1gb", 1000),
        ("evses[].tcp_port", "49152", 49_152),
        ("dispatch.planning.enabled", "off", False),
        ("dispatch.planning.enabled", "YES", True),
        ("dispatch.default_mode", "IDLE", "idle"),
        ("evses[].tls", "Compat", "compat"),
        ("site.name", " Maple Street 12: pad ", " Maple Street 12: pad "),
        ("site.name", "", ""),
        ("firewall.dns", "192.0.2.53, 192.0.2.54", ["192.0.2.53", "192.0.2.54"]),
        ("firewall.dns", "[]", []),
        ("firewall.dns", "", []),
        ("power_quality.voltage_window_pu", "0.9,1.1", [0.9, 1.1]),
        ("functions.volt_var.points", "[[0.92, 0.44], [1.08, -0.44]]", [[0.92, 0.44], [1.08, -0.44]]),
        ("firewall.hosts.vtn.example", "[192.0.2.5]", ["192.0.2.5"]),
    ],
)
def test_a_value_is_read_in_the_unit_of_its_setting(path: str, text: str, value: Any) -> None:
    entry = entry_for(path)
    assert entry is not None
    read = value_of(entry, text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("dispatch.dwell_s", "5km", "alone or with ms, s, sec, min, m, h behind it"),
        ("dispatch.dwell_s", "soon", "write a number in s, from 30 to 800"),
        ("dispatch.min_soc_pct", "40W", "is no value"),
        ("history.keep_days", "1.5", "write a whole number"),
        ("dispatch.planning.enabled", "maybe", "neither true nor false"),
        ("dispatch.default_mode", "idel", "is idle meant?"),
        ("evses[].max_charge_w", "10kWh", "is no value"),
        ("firewall.dns", "[a, b", "cannot be read"),
        ("firewall.dns", "[a]\nother: 1", "more than one value"),
    ],
)
def test_what_is_no_value_is_answered_with_one_that_is(path: str, text: str, words: str) -> None:
    entry = entry_for(path)
    assert entry is not None
    with pytest.raises(EditError) as caught:
        value_of(entry, text)
    assert words in str(caught.value)
    assert str(caught.value).startswith(entry.path)


def test_every_mistake_is_told_at_once(configure: Configure) -> None:
    config = load(configure()).config
    changes = [
        ("dispatch.dwel_s", "5min"),
        ("dispatch", "x"),
        ("evses[US*V2G*E9].max_charge_w", "1kW"),
        ("evses[7].max_charge_w", "1kW"),
        ("grid.profile", "g99"),
        ("calibration.phase_offset_deg", "[0,0,0]"),
        ("firewall.operators[0].interface", "eth0"),
        ("pki.dir", "/tmp"),
        ("dispatch.dwell_s", "5min"),
        ("dispatch.dwell_s", "6min"),
    ]
    with pytest.raises(EditError) as caught:
        edits(changes, config)
    for words in (
        "dispatch.dwel_s: there is no such setting; is dispatch.dwell_s meant?",
        "dispatch: is a section, and takes no value itself; there are default_mode",
        "there is no 'US*V2G*E9' in evses; there are US*V2G*E1, US*V2G*E2",
        "there is no '7' in evses",
        "grid.profile: is not set here: v2g-tool grid profile",
        "calibration.phase_offset_deg: is not set here: calibrations write it",
        "pki.dir: is not set here: write it into v2g.yaml",
        "have no id by which one could be named",
        "dispatch.dwell_s: is given twice",
    ):
        assert words in str(caught.value)


def test_what_is_typed_becomes_a_key_of_the_writer(configure: Configure) -> None:
    config_dir = configure()
    config = load(config_dir).config
    found = edits(
        [
            ("evses[1].max_charge_w", "9kW"),
            ("evses[US*V2G*E1].inverter.poll_s", "100ms"),
            ("dispatch.min_soc_by_vehicle.CN=a.b,O=c", "45"),
            ("grid.trips.OV1.time_s", "12s"),
        ],
        config,
    )
    assert [each.key for each in found] == [
        "evses[US*V2G*E2].max_charge_w",
        "evses[US*V2G*E1].inverter.poll_s",
        "dispatch.min_soc_by_vehicle.{CN=a.b,O=c}",
        "grid.trips.OV1.time_s",
    ]
    loaded = write_dropin(config_dir, {each.key: each.value for each in found})
    assert loaded.config.evses[1].max_charge_w == 9000
    assert loaded.config.dispatch.min_soc_by_vehicle == {"CN=a.b,O=c": 45.0}
    assert loaded.config.grid.trips["OV1"].time_s == 12.0


def test_only_what_the_operators_file_says_is_taken_back(configure: Configure) -> None:
    config_dir = configure(**{"50-site": "dispatch: {max_soc_pct: 90}"})
    write_dropin(config_dir, {"dispatch.dwell_s": 300.0, "evses[US*V2G*E2].max_charge_w": 9000.0, "site.name": "X"})
    loaded = load(config_dir)
    assert unset_keys(["dispatch.dwell_s", "evses[1].max_charge_w", "site"], loaded) == {
        "dispatch.dwell_s": UNSET,
        "evses[US*V2G*E2].max_charge_w": UNSET,
        "site": UNSET,
    }
    with pytest.raises(EditError) as caught:
        unset_keys(["dispatch.max_soc_pct", "dispatch.ramp_pu_s", "evses[US*V2G*E1].max_charge_w", "nothing"], loaded)
    text = str(caught.value)
    assert f"dispatch.max_soc_pct: is not in {config_dir}/conf.d/90-operator.yaml; {config_dir}/conf.d/50-site" in text
    assert "dispatch.ramp_pu_s" in text
    assert "it has its default" in text
    assert "nothing: there is no such setting" in text


def test_suggestions_end_like_it_or_look_like_it() -> None:
    assert suggestions("dwell_s") == ["dispatch.dwell_s"]
    assert suggestions("dispatch.dwell")[0] == "dispatch.dwell_s"
    assert "evses[].inverter.modbus.port" in suggestions("modbus.port")
    assert suggestions("qqqq") == []

"""The reference has every setting, says what it means and what a change takes."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from v2g.config.loader import load
from v2g.config.reference import Entry, below, entry_for, markdown, of_path, reference, text, value_words
from v2g.config.reload_rules import RULES, SERVICES, Live, rule_for, to_restart, without_places
from v2g.config.schema import Config
from v2g.config.values import values

ENTRIES = reference()
SETTINGS = [entry for entry in ENTRIES if not entry.is_section]
ETC = Path(__file__).resolve().parents[3] / "etc" / "v2g"


def entry(path: str) -> Entry:
    found = entry_for(path)
    assert found is not None, path
    return found


@pytest.mark.parametrize("each", ENTRIES, ids=lambda each: each.path)
def test_every_key_says_what_it_means(each: Entry) -> None:
    words = each.text.removeprefix("DC:").removeprefix("AC:").strip(" ;.")
    assert len(words) >= 3, f"{each.path}: a docstring behind it in the schema says what it is"
    assert "``" not in each.text
    assert ":attr:" not in each.text


def test_no_setting_is_left_out() -> None:
    known = {each.path for each in ENTRIES}
    for each in values(load(ETC)):
        found = entry_for(each.path)
        assert found is not None, each.path
        assert found.path in known


def test_defaults_are_those_that_hold() -> None:
    loaded = load(ETC)
    for each in values(loaded):
        found = entry_for(each.path)
        if found is None or each.place or found.is_section or found.only or found.default == "required":
            continue
        shown = each.value if isinstance(each.value, str) else msgspec.json.encode(each.value).decode()
        assert {"null": "none", "": "empty"}.get(shown, shown) == found.default, each.path


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("dispatch.dwell_s", "number in s, from 30 to 800"),
        ("dispatch.default_mode", "one of auto, idle"),
        ("evses[].tls", "one of strict, compat, plain"),
        ("evses[].allow_discharge", "true or false (AC only)"),
        ("grid.category", "text, one of I, II, III"),
        ("grid.trips.NAME.time_s", "number in s, above 0"),
        ("power_quality.voltage_window_pu", "list of 2 numbers in per unit"),
        ("firewall.dns", "list of texts"),
        ("dispatch.min_soc_by_vehicle", "map of names to numbers"),
        ("history.keep_days", "whole number, from 1 to 3660"),
    ],
)
def test_what_a_value_may_be_is_told_in_words(path: str, words: str) -> None:
    assert value_words(entry(path)) == words


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("evses[US*V2G*E1].tls", "evses[].tls"),
        ("evses[0].inverter.modbus.port", "evses[].inverter.modbus.port"),
        ("grid.trips.OV1", "grid.trips"),
        ("grid.trips.OV1.time_s", "grid.trips.NAME.time_s"),
        ("dispatch.min_soc_by_vehicle.CN=a.b,O=c", "dispatch.min_soc_by_vehicle.NAME"),
        ("mesh.members[tr-11].weight", "mesh.members[].weight"),
        ("dispatch", "dispatch"),
    ],
)
def test_a_path_as_it_is_typed_is_found(typed: str, path: str) -> None:
    found = entry_for(typed)
    if path == "grid.trips":
        assert found is None or found.path.startswith("grid.trips")
        return
    assert entry(typed).path == path


def test_a_setting_that_two_kinds_have_says_both_meanings() -> None:
    both = entry("evses[].max_current_a")
    assert both.default == "DC: 80.0; AC: 32.0"
    assert both.text.startswith("DC: ")
    assert "; AC: " in both.text


def test_a_section_has_what_is_below_it() -> None:
    found = [each.path for each in of_path("dispatch.planning")]
    assert found[0] == "dispatch.planning"
    assert "dispatch.planning.every_s" in found
    assert not any(path.startswith("dispatch.min") for path in found)
    assert of_path("nothing") == ()
    assert of_path(None) == ENTRIES


def test_completion_names_evses_by_their_ids() -> None:
    assert [path for path, _ in below("evses[US*V2G*E2].max_ch", ["US*V2G*E1", "US*V2G*E2"])] == [
        "evses[US*V2G*E2].max_charge_w"
    ]
    assert all("NAME" not in path and "[]" not in path for path, _ in below("", ["US*V2G*E1"]))


def test_the_forms_have_every_setting() -> None:
    for shown in (markdown(ENTRIES), text(ENTRIES, 60)):
        for each in ENTRIES:
            assert each.path in shown
    assert max(len(line) for line in text(of_path("dispatch"), 60).splitlines()) <= 60
    assert markdown(of_path("dispatch.dwell_s")).splitlines()[2].count(" | ") == 4


# ---- what a change takes ----


def test_each_section_is_classified() -> None:
    named = {rule.path for rule in RULES}
    for field in msgspec.structs.fields(Config):
        assert field.encode_name in named, f"{field.encode_name}: one line in config/reload_rules.py"


def test_rules_are_about_settings_that_there_are_and_services_that_there_are() -> None:
    known = {each.path for each in ENTRIES}
    for rule in RULES:
        assert rule.path in known, rule.path
        assert set(rule.services) <= set(SERVICES), rule.path
        assert bool(rule.services) + bool(rule.live) + bool(rule.command) == 1, rule.path
    assert len({rule.path for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("path", "live", "words"),
    [
        ("dispatch.dwell_s", Live.DISPATCH, "reload"),
        ("dispatch.min_soc_by_vehicle.CN=a", Live.MIN_SOC, "reload"),
        ("evses[US*V2G*E1].min_soc_pct", Live.MIN_SOC, "reload"),
        ("evses[US*V2G*E1].inverter.harmonic_filter.threshold", Live.FILTERS, "reload"),
        ("evses[US*V2G*E1].inverter.harmonic_filter.map", None, "restart of v2g-guard-wires and v2g-orchestrator"),
        ("grid.trips.OV1.time_s", Live.GUARD, "reload"),
        ("calibration.sensors.top_oil_c.factor", Live.SENSORS, "reload"),
        ("firewall.dns", None, "v2g-tool firewall apply"),
        ("pki.dir", None, "restart of v2g-orchestrator"),
    ],
)
def test_the_longest_rule_counts(path: str, live: Live | None, words: str) -> None:
    assert rule_for(path).live is live
    assert rule_for(path).words == words


def test_an_unknown_section_has_no_rule() -> None:
    with pytest.raises(KeyError):
        rule_for("nothing.at_all")
    assert without_places("a[US*V2G*E1].d[0]") == "a[].d[]"


def test_services_are_restarted_who_is_asked_before_who_asks() -> None:
    rules = [rule_for("site.id"), rule_for("functions.volt_var.enabled"), rule_for("dispatch.dwell_s")]
    assert to_restart(rules) == ("v2g-guard-wires", "v2g-orchestrator")
    assert to_restart([rule_for("dispatch.dwell_s")]) == ()
    assert to_restart([rule_for("dispatch.dwell_s")], reload=False) == ("v2g-orchestrator",)
    assert to_restart([rule_for("relay.delay_s"), rule_for("sensor_map")], reload=False) == (
        "v2g-guard-tick",
        "v2g-guard-wires",
    )


def test_the_reference_as_json_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    from click.testing import CliRunner

    from v2g.cli.config_reference import reference as command

    told = json.loads(CliRunner().invoke(command, ["dispatch", "--json"]).output)
    assert told["dispatch.dwell_s"]["unit"] == "s"
    assert told["dispatch.dwell_s"]["takes"] == "reload"
    assert set(told) == {each.path for each in of_path("dispatch") if not each.is_section}

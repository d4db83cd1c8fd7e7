from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from v2g.grid import ieee1547, profiles
from v2g.grid.settings import (
    EnterServiceSettings,
    GridSettings,
    Measured,
    SettingsError,
    SettingsUnset,
    Side,
    Timing,
)

EUROPEAN = {"vde-ar-n-4105": "VDE_AR_N_4105_2018", "g99": "G99_type_A_LV", "en50549-1": "EN_50549_1"}
REFERENCE_NAMES = {
    "vde-ar-n-4105": {"U_gg": "U>>", "U_g": "U>", "U_l": "U<", "U_ll": "U<<", "f_g": "f>", "f_l": "f<"},
    "g99": {
        "U_V": "U<", "O_V_1": "U>", "O_V_2": "U>>", "U_F_1": "f<", "U_F_2": "f<2", "O_F": "f>", "LoM_rocof": "LoM",
    },
    "en50549-1": {"U_l": "U<", "U_ll": "U<<", "U_g_10min": "U>", "U_gg": "U>>", "f_g": "f>", "f_l": "f<"},
}  # fmt: skip
CASE_PROFILES = {"vde4105": "vde-ar-n-4105", "g99": "g99"}


@pytest.fixture(scope="module")
def reference(shared_data: Path) -> Any:
    return yaml.safe_load((shared_data / "grid/reference/ieee1547_2018.yaml").read_text())


@pytest.fixture(scope="module")
def european(shared_data: Path) -> Any:
    return yaml.safe_load((shared_data / "grid/reference/eu_50hz.yaml").read_text())


@pytest.fixture(scope="module")
def table(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data / "grid/reference/trip_settings.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data / "grid/cases.csv").open() as file:
        return list(csv.DictReader(file))


def ieee(category: str = "III", **arguments: Any) -> GridSettings:
    return profiles.resolve(nominal_frequency_hz=60.0, category=category, **arguments)


def example(name: str) -> GridSettings:
    return profiles.resolve(nominal_frequency_hz=50.0, profile=name, confirmed=True)


@pytest.mark.parametrize("category", ieee1547.CATEGORIES)
def test_trip_defaults_and_ranges_are_those_of_the_reference(reference: Any, category: str) -> None:
    rows = dict(reference["voltage_trip"][category])
    amended = reference["voltage_trip"]["amendment_1547a_2020"]
    elements = {setting.element: setting for setting in ieee(category).trips.elements}
    frequency = {name: row for name, row in reference["frequency_trip"].items() if name != "provenance"}
    assert set(elements) == {*rows, *frequency}
    for name, row in rows.items():
        time_range = amended.get(f"{category}_{name}_t_range", row["t_range"])
        assert (elements[name].threshold, elements[name].time_s) == (row["v"], row["t"])
        assert profiles.ranges(f"ieee1547-{category}", name) == (tuple(row["v_range"]), tuple(time_range))
        assert elements[name].quantity is Measured.VOLTAGE
    for name, row in frequency.items():
        assert (elements[name].threshold, elements[name].time_s) == (row["f"], row["t"])
        assert profiles.ranges(f"ieee1547-{category}", name) == (tuple(row["f_range"]), tuple(row["t_range"]))
        assert elements[name].quantity is Measured.FREQUENCY
    for name, setting in elements.items():
        assert (setting.side is Side.OVER) == name.startswith("O")
        assert setting.timing is Timing.CLEARING
        assert "IEEE 1547-2018" in setting.clause


def test_the_table_of_trip_settings_agrees_value_by_value(table: list[dict[str, str]]) -> None:
    compared = 0
    for row in table:
        if row["standard"] != "IEEE1547-2018":
            continue
        for category in ieee1547.CATEGORIES if row["category"] == "all" else (row["category"],):
            setting = ieee(category).trips.element(row["element"])
            assert (setting.threshold, setting.time_s) == (float(row["pickup"]), float(row["clearing_time_s"]))
            threshold, time_s = profiles.ranges(f"ieee1547-{category}", row["element"])
            assert threshold == (float(row["pickup_min"]), float(row["pickup_max"]))
            if category != "III" or row["element"] not in ("UV1", "UV2"):
                assert time_s == (float(row["time_min_s"]), float(row["time_max_s"]))
            compared += 1
    assert compared == 12 + 3 * 4


def test_enter_service_is_that_of_the_reference(reference: Any) -> None:
    names = {"v_lo_pu": "v_lo", "v_hi_pu": "v_hi", "f_lo_hz": "f_lo", "f_hi_hz": "f_hi", "delay_s": "delay_s",
             "ramp_s": "duration_ramp_s", "random_delay_s": "randomized_delay_s"}  # fmt: skip
    for category in ieee1547.CATEGORIES:
        window = ieee(category).enter_service
        allowed = profiles.enter_service_ranges(f"ieee1547-{category}")
        assert set(allowed) == set(names)
        for field, name in names.items():
            row = reference["enter_service"][name]
            assert getattr(window, field) == row["default"]
            assert allowed[field] == tuple(row["range"])
    assert reference["enter_service"]["randomized_delay_s"]["only_below_kva"] == ieee1547.RANDOM_DELAY_BELOW_KVA


def test_synchronisation_limits_go_by_rating(reference: Any) -> None:
    for row in reference["synchronization"]["rows"]:
        limits = ieee(rated_kva=row["kva"][1]).sync
        assert limits.df_hz == row["df_hz"]
        assert limits.dv_pu == pytest.approx(row["dv_pct"] / 100)
        assert limits.dtheta_deg == row["dtheta_deg"]
        assert ieee(rated_kva=row["kva"][0] + 0.1).sync == limits


@pytest.mark.parametrize("name", EUROPEAN)
def test_european_examples_are_those_of_the_reference(european: Any, name: str) -> None:
    rows, names = european[EUROPEAN[name]], REFERENCE_NAMES[name]
    elements = {setting.element: setting for setting in example(name).trips.elements}
    assert set(elements) == set(names.values())
    for key, element in names.items():
        row, setting = rows[key], elements[element]
        threshold = next(row[quantity] for quantity in ("v", "f", "hz_per_s") if quantity in row)
        assert (setting.threshold, setting.time_s) == (threshold, row["t"] if "t" in row else row["t_max"])
        assert (setting.side is Side.OVER) == (key[-1] == "g" or key.startswith(("O_", "U_g", "LoM")))
        assert setting.timing is Timing.OPERATE
        # YAML 1.1 reads the key "on" as true.
        ten_minutes = "10-min" in row.get(True, "") or key.endswith("_10min")
        assert (setting.quantity is Measured.VOLTAGE_10MIN) == ten_minutes
        assert (setting.quantity is Measured.ROCOF) == (element == "LoM")


@pytest.mark.parametrize("name", EUROPEAN)
def test_european_examples_enter_service_as_vde_and_say_where_that_is_assumed(european: Any, name: str) -> None:
    row, window = european["VDE_AR_N_4105_2018"]["reconnect"], example(name).enter_service
    assert [window.v_lo_pu, window.v_hi_pu, window.f_lo_hz, window.f_hi_hz] == row["v"] + row["f"]
    assert window.delay_s == row["wait_s"]
    assert window.ramp_s == 100 / row["gradient_pct_per_min"] * 60
    assert ("assumed" in window.clause) == (name != "vde-ar-n-4105")
    assert "assumed" in example(name).sync.clause


def test_the_cases_name_elements_that_exist(cases: list[dict[str, str]]) -> None:
    named = 0
    for case in cases:
        profile = CASE_PROFILES.get(json.loads(case["settings"]).get("profile", ""))
        if case["family"] in ("eu_trip", "eu_lom") and case["expect"] == "TRIP":
            assert profile is not None
            example(profile).trips.element(case["element"])
            named += 1
    assert named == 8


def test_every_adjustment_of_the_cases_is_inside_the_ranges(cases: list[dict[str, str]]) -> None:
    adjusted = 0
    for case in cases:
        settings = json.loads(case["settings"])
        if "override" in settings:
            changes = {name: {"threshold": row["v"], "time_s": row["t"]} for name, row in settings["override"].items()}
            resolved = ieee(settings["profile"].removeprefix("default_"), trips=changes)
            alone = profiles.only(resolved, tuple(changes))
            assert [(e.element, e.threshold, e.time_s) for e in alone.trips.elements] == [
                (name, row["v"], row["t"]) for name, row in settings["override"].items()
            ]
            adjusted += 1
        if es := settings.get("es"):
            window = ieee(
                enter_service={
                    "v_lo_pu": es["v_lo"], "v_hi_pu": es["v_hi"], "f_lo_hz": es["f_lo"], "f_hi_hz": es["f_hi"],
                    "delay_s": es["delay"], "ramp_s": es["ramp"], "random_delay_s": es["random"],
                },
            ).enter_service  # fmt: skip
            assert (window.delay_s, window.ramp_s, window.random_delay_s) == (es["delay"], es["ramp"], es["random"])
            adjusted += 1
    assert adjusted == 21 + 8


@pytest.mark.parametrize("category", ieee1547.CATEGORIES)
def test_the_islanding_test_settings_are_those_of_the_reference(reference: Any, category: str) -> None:
    rows = reference["islanding"]["test_settings"]
    suffix = "_III" if category == "III" else "_I_II"
    for setting in profiles.islanding_test(category).trips.elements:
        name = setting.element
        key = name if name.startswith("OV") else name + suffix if name.startswith("UV") else name[:2]
        assert [setting.threshold, setting.time_s] == rows[key]
    assert profiles.islanding_test(category).islanding_s == reference["islanding"]["max_s"]
    assert profiles.islanding_test(category).permit_off_s == reference["cease_to_energize_on_permit_off_s"]["max"]


@pytest.mark.parametrize("category", ieee1547.CATEGORIES)
def test_the_widest_settings_trip_last(category: str) -> None:
    for default, widest in zip(ieee(category).trips.elements, profiles.widest(category).trips.elements, strict=True):
        threshold, time_s = profiles.ranges(f"ieee1547-{category}", widest.element)
        assert threshold is not None
        assert time_s is not None
        assert widest.threshold == (threshold[1] if widest.side is Side.OVER else threshold[0])
        assert widest.time_s == time_s[1] >= default.time_s


def test_the_category_is_the_profile_where_none_is_named() -> None:
    assert [ieee(category).profile for category in ieee1547.CATEGORIES] == [
        "ieee1547-I", "ieee1547-II", "ieee1547-III",
    ]  # fmt: skip
    assert ieee("II").trips.category == "II"
    named = profiles.resolve(nominal_frequency_hz=60.0, profile="ieee1547-I", category="III")
    assert named == ieee("I")
    assert named.verified
    assert (named.adjusted, named.remarks) == ((), ())


def test_only_keeps_what_it_names() -> None:
    kept = profiles.only(ieee(), ("UF2", "OV1"))
    assert [setting.element for setting in kept.trips.elements] == ["OV1", "UF2"]
    with pytest.raises(KeyError):
        kept.trips.element("OV2")
    with pytest.raises(SettingsError, match="ieee1547-III has no element 'OV3'; its elements are OV2, OV1"):
        profiles.only(ieee(), ("OV3",))


@pytest.mark.parametrize("name", ["simulation", *EUROPEAN])
def test_an_unverified_profile_needs_a_persons_confirmation(name: str) -> None:
    hz = 60.0 if name == "simulation" else 50.0
    with pytest.raises(SettingsUnset, match=r"grid\.confirm_unverified: true") as caught:
        profiles.resolve(nominal_frequency_hz=hz, profile=name)
    assert caught.value.path == "grid.profile"
    confirmed = profiles.resolve(nominal_frequency_hz=hz, profile=name, confirmed=True)
    assert not confirmed.verified
    assert f"profile {name} is not verified" in confirmed.remarks[0]


def test_the_simulation_is_category_iii_that_enters_service_sooner() -> None:
    simulation = profiles.resolve(nominal_frequency_hz=60.0, profile="simulation", confirmed=True)
    assert simulation.trips == ieee("III").trips
    assert (simulation.enter_service.delay_s, simulation.enter_service.ramp_s) == (1.0, 1.0)
    assert simulation.adjusted == ()


@pytest.mark.parametrize("hz", [50.0, 59.9, 16.7])
def test_without_a_profile_no_other_frequency_than_60_hz_has_settings(hz: float) -> None:
    with pytest.raises(SettingsUnset, match="IEEE 1547-2018 holds at 60 Hz and is not scaled") as caught:
        profiles.resolve(nominal_frequency_hz=hz)
    if hz == 50.0:
        assert "choose one of vde-ar-n-4105, g99, en50549-1" in caught.value.remedy
    assert profiles.refusals(nominal_frequency_hz=hz) == ()


@pytest.mark.parametrize(
    ("arguments", "path", "reason", "remedy"),
    [
        ({"profile": "nec"}, "grid.profile", "no known profile", "choose one of ieee1547-I, ieee1547-II"),
        ({"profile": "g99", "confirmed": True}, "grid.profile", "written for 50 Hz", "ieee1547-III, simulation"),
        ({"category": "IV"}, "grid.category", "no abnormal operating performance category", "I, II, III"),
        ({"trips": {"OV3": {"time_s": 1.0}}}, "grid.trips.OV3", "no trip element of ieee1547-III", "OV2, OV1"),
        ({"trips": {"OV1": {"time": 1.0}}}, "grid.trips.OV1.time", "no value", "threshold, time_s"),
        (
            {"trips": {"OV1": {"time_s": 0.99}}},
            "grid.trips.OV1.time_s",
            "outside its range of adjustability of 1 to 13 s (IEEE 1547-2018 6.4.1, Table 13)",
            "the default is 13",
        ),
        (
            {"trips": {"UV1": {"time_s": 1.9}}},
            "grid.trips.UV1.time_s",
            "2 to 50 s (IEEE 1547-2018 6.4.1, Table 13, range as amended by IEEE 1547a-2020)",
            "from 2 to 50",
        ),
        (
            {"category": "II", "trips": {"UV1": {"threshold": 0.9}}},
            "grid.trips.UV1.threshold",
            "0 to 0.88 p.u. (IEEE 1547-2018 6.4.1, Table 12)",
            "the default is 0.7",
        ),
        (
            {"trips": {"OF2": {"threshold": 61.5}}},
            "grid.trips.OF2.threshold",
            "61.8 to 66 Hz (IEEE 1547-2018 6.5.1, Table 18)",
            "from 61.8 to 66",
        ),
        ({"trips": {"OV2": {"threshold": 1.25}}}, "grid.trips.OV2.threshold", "fixed at 1.2 p.u.", "leave it out"),
        ({"trips": {"OV1": {"time_s": float("nan")}}}, "grid.trips.OV1.time_s", "outside", "from 1 to 13"),
        (
            {"enter_service": {"delay_s": 601.0}},
            "grid.enter_service.delay_s",
            "0 to 600 s (IEEE 1547-2018 4.10.2, Table 4)",
            "the default is 300",
        ),
        ({"enter_service": {"f_hi_hz": 60.0}}, "grid.enter_service.f_hi_hz", "60.1 to 61 Hz", "60.1"),
        ({"enter_service": {"v_lo_pu": 0.8}}, "grid.enter_service.v_lo_pu", "0.88 to 0.95 p.u.", "0.917"),
        ({"enter_service": {"ramp_s": 0.0}}, "grid.enter_service.ramp_s", "1 to 1000 s", "from 1"),
        ({"enter_service": {"wait_s": 1.0}}, "grid.enter_service.wait_s", "no value", "v_lo_pu, v_hi_pu"),
        (
            {"enter_service": {"random_delay_s": 300.0}, "rated_kva": 500.0},
            "grid.enter_service.random_delay_s",
            "for DER below 500 kVA, and this one has 500 kVA (IEEE 1547-2018 4.10.3)",
            "leave it out",
        ),
        (
            {"enter_service": {"random_delay_s": 300.0, "ramp_s": 10.0}},
            "grid.enter_service.ramp_s",
            "takes the place of the ramp",
            "leave out",
        ),
    ],
)
def test_a_refusal_names_value_clause_range_and_remedy(
    arguments: dict[str, Any], path: str, reason: str, remedy: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        profiles.resolve(nominal_frequency_hz=60.0, **arguments)
    error = caught.value
    assert not isinstance(error, SettingsUnset)
    assert error.path == path
    assert reason in error.reason
    assert remedy in error.remedy
    assert str(error).startswith(path)
    arguments.pop("confirmed", None)
    (found,) = profiles.refusals(nominal_frequency_hz=60.0, **arguments)
    assert str(found) == str(error)


def test_1547_is_not_scaled_to_50_hz() -> None:
    with pytest.raises(SettingsError, match="not scaled to 50 Hz"):
        profiles.resolve(nominal_frequency_hz=50.0, profile="ieee1547-III", confirmed=True)


def test_all_refusals_are_told_at_once() -> None:
    found = profiles.refusals(
        nominal_frequency_hz=60.0,
        trips={"OV1": {"time_s": 0.5, "threshold": 2.0}, "XX": {}},
        enter_service={"delay_s": 700.0},
    )
    assert [error.path for error in found] == [
        "grid.trips.XX", "grid.trips.OV1.time_s", "grid.trips.OV1.threshold", "grid.enter_service.delay_s",
    ]  # fmt: skip


@pytest.mark.parametrize("name", EUROPEAN)
def test_profiles_without_ranges_cannot_be_adjusted(name: str) -> None:
    with pytest.raises(SettingsError, match="states no range of adjustability") as caught:
        profiles.resolve(nominal_frequency_hz=50.0, profile=name, confirmed=True, trips={"U<": {"time_s": 9.0}})
    assert caught.value.path == "grid.trips.U<.time_s"
    with pytest.raises(SettingsError, match="states no range of adjustability"):
        profiles.resolve(nominal_frequency_hz=50.0, profile=name, confirmed=True, enter_service={"delay_s": 5.0})
    assert profiles.ranges(name, "U<") == (None, None)
    assert profiles.enter_service_ranges(name) == {}
    same = {"U<": {"time_s": example(name).trips.element("U<").time_s}}
    assert profiles.resolve(nominal_frequency_hz=50.0, profile=name, confirmed=True, trips=same) == example(name)


def test_what_differs_from_the_profile_is_told() -> None:
    settings = ieee(
        trips={"OV1": {"time_s": 12.0, "threshold": 1.1}}, enter_service={"delay_s": 60.0, "random_delay_s": 30.0}
    )
    assert settings.adjusted == (
        "OV1.time_s 13 -> 12",
        "enter_service.delay_s 300 -> 60",
        "enter_service.ramp_s 300 -> 0",
        "enter_service.random_delay_s 0 -> 30",
    )
    assert settings.remarks == ()


def test_an_element_faster_than_ride_through_is_allowed_and_remarked() -> None:
    (remark,) = ieee(trips={"OV1": {"time_s": 5.0}}).remarks
    assert remark == (
        "OV1 trips after 5 s above 1.1 p.u., but 1.1 to 1.2 p.u. must be ridden through for 12 s "
        "(IEEE 1547-2018 6.4.2, Table 16)"
    )


@given(
    category=st.sampled_from(ieee1547.CATEGORIES),
    element=st.sampled_from(["OV2", "OV1", "UV1", "UV2", "OF2", "OF1", "UF1", "UF2"]),
    name=st.sampled_from(["threshold", "time_s"]),
    share=st.floats(min_value=-1.0, max_value=2.0),
)
def test_exactly_the_values_inside_a_range_are_taken(category: str, element: str, name: str, share: float) -> None:
    allowed = profiles.ranges(f"ieee1547-{category}", element)[0 if name == "threshold" else 1]
    assert allowed is not None
    lo, hi = allowed
    value = lo + (share if hi == lo else share * (hi - lo))
    change = {element: {name: value}}
    if lo <= value <= hi:
        assert getattr(ieee(category, trips=change).trips.element(element), name) == value
    else:
        with pytest.raises(SettingsError):
            ieee(category, trips=change)


def test_an_unknown_profile_or_element_has_no_ranges() -> None:
    with pytest.raises(SettingsError, match="no known profile"):
        profiles.ranges("nec", "OV1")
    with pytest.raises(SettingsError, match="no trip element of g99"):
        profiles.ranges("g99", "OV1")


def test_a_value_on_the_threshold_is_not_beyond_it() -> None:
    over, under = ieee().trips.element("OV2"), ieee().trips.element("UF2")
    assert (over.is_beyond(1.20), over.is_beyond(1.2001)) == (False, True)
    assert (under.is_beyond(56.5), under.is_beyond(56.49)) == (False, True)


def test_the_window_holds_its_limits_and_no_unknown_frequency() -> None:
    window = EnterServiceSettings(v_lo_pu=0.917, v_hi_pu=1.05, f_lo_hz=59.5, f_hi_hz=60.1, delay_s=300.0)
    assert window.contains((0.917, 1.0, 1.05), 59.5)
    assert window.contains((1.0, 1.0, 1.0), 60.1)
    assert not window.contains((0.916, 1.0, 1.0), 60.0)
    assert not window.contains((1.0, 1.0, 1.051), 60.0)
    assert not window.contains((1.0, 1.0, 1.0), 60.11)
    assert not window.contains((1.0, 1.0, 1.0), None)
    for phase in range(3):
        assert not window.contains(tuple(float("nan") if at == phase else 1.0 for at in range(3)), 60.0)

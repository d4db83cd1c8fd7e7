from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from v2g.grid.settings import (
    Measured,
    SettingsError,
    Side,
    default_enter_service_settings,
    default_trip_settings,
)

REFERENCE = Path(__file__).resolve().parents[3] / "../shared/data/grid/reference/ieee1547_2018.yaml"


@pytest.fixture(scope="module")
def reference():
    if not REFERENCE.exists():
        pytest.skip(f"reference data absent: {REFERENCE}")
    return yaml.safe_load(REFERENCE.read_text())


def test_the_category_iii_defaults_are_those_of_the_reference(reference) -> None:
    settings = default_trip_settings("III", 60.0)
    voltage = {n: (e["v"], e["t"]) for n, e in reference["voltage_trip"]["III"].items()}
    frequency = {n: (e["f"], e["t"]) for n, e in reference["frequency_trip"].items() if n != "provenance"}
    assert {e.element: (e.threshold, e.clearing_time_s) for e in settings.elements} == voltage | frequency
    for element in settings.elements:
        assert (element.quantity is Measured.VOLTAGE) == (element.element in voltage)
        assert (element.side is Side.OVER) == element.element.startswith("O")
        assert "IEEE 1547-2018" in element.clause


def test_the_enter_service_window_is_that_of_the_reference(reference) -> None:
    window, table = default_enter_service_settings(60.0), reference["enter_service"]
    assert (window.v_lo_pu, window.v_hi_pu) == (table["v_lo"]["default"], table["v_hi"]["default"])
    assert (window.f_lo_hz, window.f_hi_hz) == (table["f_lo"]["default"], table["f_hi"]["default"])
    assert window.delay_s == table["delay_s"]["default"]


@pytest.mark.parametrize("nominal_hz", [50.0, 0.0, 59.9])
def test_no_other_frequency_than_60_hz_has_defaults(nominal_hz: float) -> None:
    with pytest.raises(SettingsError, match=r"nominal_frequency_hz .* not scaled"):
        default_trip_settings("III", nominal_hz)
    with pytest.raises(SettingsError, match="no verified trip settings"):
        default_enter_service_settings(nominal_hz)


def test_an_unknown_category_and_a_delay_out_of_range_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"grid\.category 'IV'"):
        default_trip_settings("IV", 60.0)
    with pytest.raises(SettingsError, match="0 to 600 s"):
        default_enter_service_settings(60.0, 601.0)


def test_a_value_on_the_threshold_is_not_beyond_it() -> None:
    settings = default_trip_settings("III", 60.0)
    assert not settings.element("OV2").is_beyond(1.20)
    assert settings.element("OV2").is_beyond(1.2001)
    assert not settings.element("UF2").is_beyond(56.5)
    with pytest.raises(KeyError):
        settings.element("OV3")

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from v2g.config.loader import load
from v2g.config.protection import (
    UNSET_DIGEST,
    feeder_rated_a,
    grid_settings,
    grid_settings_if_confirmed,
    protection_settings,
    settings_digest,
    transformer_rated_a,
)
from v2g.config.schema import Config
from v2g.grid import profiles
from v2g.grid.overcurrent import Curve
from v2g.grid.settings import SettingsUnset
from v2g.hardware.sensor_map import SensorMap

Configure = Callable[..., Path]
SHIPPED = Path(__file__).resolve().parents[3] / "etc" / "v2g"


@pytest.fixture
def config(configure: Configure) -> Callable[[str], Config]:
    return lambda text="": load(configure(**{"50-x": text})).config


def test_without_a_word_category_iii_holds(config: Callable[..., Config]) -> None:
    assert grid_settings(config()) == profiles.resolve(nominal_frequency_hz=60.0, rated_kva=44.0)


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_holds_with_the_defaults_of_breaker_and_samples(config: Callable[..., Config], name: str) -> None:
    hz = 60 if name == "simulation" or name.startswith("ieee1547") else 50
    named = config(f"grid: {{nominal_frequency_hz: {hz}, profile: {name}, confirm_unverified: true}}")
    assert protection_settings(named).grid.profile == name
    assert settings_digest(named, SensorMap()) != UNSET_DIGEST


def test_adjustments_reach_the_guard(config: Callable[..., Config]) -> None:
    settings = grid_settings(
        config(
            "grid: {category: II, alarm_window_hz: 0.3, trips: {OV1: {time_s: 5}, UV2: {threshold: 0.4}}, "
            "enter_service: {delay_s: 60, ramp_s: 120}}"
        )
    )
    assert settings.profile == "ieee1547-II"
    assert settings.alarm_window_hz == 0.3
    assert (settings.trips.element("OV1").time_s, settings.trips.element("UV2").threshold) == (5.0, 0.4)
    assert (settings.enter_service.delay_s, settings.enter_service.ramp_s) == (60.0, 120.0)
    assert len(settings.adjusted) == 4


def test_rated_currents_come_from_the_ratings_or_as_configured(config: Callable[..., Config]) -> None:
    """250 kVA at 277 V; EVSEs of 22 kW and of 11 kW charge, 22 kW discharge."""
    plain = config()
    assert transformer_rated_a(plain) == pytest.approx(250_000 / (3 * 277))
    assert feeder_rated_a(plain) == pytest.approx(44_000 / (3 * 277))
    stated = config("protection: {feeder: {rated_a: 80}, transformer: {rated_a: 290}}")
    assert (feeder_rated_a(stated), transformer_rated_a(stated)) == (80.0, 290.0)


def test_protection_settings_carry_what_is_configured(config: Callable[..., Config]) -> None:
    settings = protection_settings(
        config(
            "breaker: {opening_time_s: 0.04, closing_time_s: 0.08}\n"
            "protection: {phase_limit_deg: 15, phase_cycles: 8, transformer: {rated_a: 290, curve: very_inverse}}\n"
            "calibration: {phase_offset_deg: [7, 6.5, 7.5]}\n"
        )
    )
    assert (settings.opening_time_s, settings.closing_time_s) == (0.04, 0.08)
    assert (settings.phase_limit_deg, settings.phase_cycles) == (15.0, 8)
    assert settings.phase_offset_deg == (7.0, 6.5, 7.5)
    assert (settings.feeder.place, settings.feeder.pickup_pu, settings.feeder.curve) == (
        "feeder", 1.2, Curve.STANDARD_INVERSE,
    )  # fmt: skip
    assert (settings.transformer.rated_a, settings.transformer.pickup_pu, settings.transformer.curve) == (
        290.0, 1.5, Curve.VERY_INVERSE,
    )  # fmt: skip
    assert (settings.relay.setting_pu, settings.relay.delay_s, settings.relay.feedback) == (1.10, 12.5, True)


def test_a_relay_without_a_word_has_neither_setting_nor_feedback(config: Callable[..., Config]) -> None:
    relay = protection_settings(config("relay: {setting_pu: null, feedback_path: ''}")).relay
    assert (relay.setting_pu, relay.feedback) == (None, False)


@pytest.mark.parametrize("text", ["grid: {nominal_frequency_hz: 50}", "grid: {profile: simulation}"])
def test_unset_settings_have_no_digest_and_permit_nothing(config: Callable[..., Config], text: str) -> None:
    unset = config(text)
    with pytest.raises(SettingsUnset):
        protection_settings(unset)
    assert settings_digest(unset, SensorMap()) == UNSET_DIGEST
    confirmed = grid_settings_if_confirmed(unset)
    assert (confirmed is None) == ("50" in text)


def test_the_digest_tells_settings_apart_and_nothing_else(config: Callable[..., Config]) -> None:
    plain = settings_digest(config(), SensorMap())
    assert re.fullmatch("[0-9a-f]{8}", plain)
    assert plain != UNSET_DIGEST
    assert settings_digest(config("site: {name: x}\ndispatch: {min_soc_pct: 40}"), SensorMap()) == plain
    assert settings_digest(config("protection: {transformer: {pickup_pu: 1.5}}"), SensorMap()) == plain
    others = [
        "grid: {category: II}",
        "grid: {alarm_window_hz: 0.4}",
        "grid: {trips: {OV1: {time_s: 12.9}}}",
        "grid: {enter_service: {delay_s: 299}}",
        "breaker: {opening_time_s: 0.049}",
        "breaker: {closing_time_s: 0.07}",
        "protection: {feeder: {time_multiplier: 0.2}}",
        "relay: {delay_s: 13}",
        "calibration: {phase_offset_deg: [0, 0.1, 0]}",
    ]
    digests = {plain, *(settings_digest(config(text), SensorMap()) for text in others)}
    assert len(digests) == len(others) + 1


def elsewhere(configure: Configure, code: str) -> str:
    """What a process of its own prints that has loaded the configuration as ``loaded``."""
    head = "import sys, pathlib; from v2g.config.loader import load; loaded = load(pathlib.Path(sys.argv[1])); "
    search = os.pathsep.join(path for path in sys.path if path)
    found = subprocess.run(
        [sys.executable, "-c", head + code, str(configure())],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": search},
    )
    return found.stdout.strip()


def test_the_digest_is_the_same_in_every_process(configure: Configure) -> None:
    code = "from v2g.config.protection import settings_digest; print(settings_digest(loaded.config, loaded.sensors))"
    assert elsewhere(configure, code) == settings_digest(load(configure()).config, SensorMap())


def test_reading_a_configuration_does_not_bring_numpy(configure: Configure) -> None:
    assert elsewhere(configure, "print('numpy' in sys.modules)") == "False"


def test_the_shipped_file_is_without_warning_and_so_are_its_commented_lines(configure: Configure) -> None:
    """What stands behind '#' is a setting too; with all of them switched on the file still holds."""
    shipped = (SHIPPED / "v2g.yaml").read_text(encoding="utf-8")
    assert load(configure(shipped)).warnings == ()
    rest = shipped[shipped.index("\ngrid:") : shipped.index("\nsensor_map:")]
    uncommented = re.sub(r"(?m)^( *)# ( *\w+:)", r"\1\2", rest)
    loaded = load(configure(shipped.replace(rest, uncommented)))
    assert loaded.config.grid.trips.keys() == {"OV1", "UV1"}
    assert loaded.config.functions.volt_var.points is not None
    assert loaded.config.power_quality.summary_every_s == 600.0
    plain = grid_settings(load(configure(shipped)).config)
    assert replace(grid_settings(loaded.config), adjusted=plain.adjusted) == plain

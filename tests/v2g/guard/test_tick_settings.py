"""What ``tick`` takes from the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.sensors import TOP_OIL
from v2g.config.loader import Loaded, load
from v2g.grid.settings import SettingsError
from v2g.guard.phases import EvseChannels
from v2g.guard.tick_settings import interlock_contacts, tick_settings

CONFIG = """
site: {{id: test}}
transformer: {{id: T1, rated_kva: 250}}
grid: {{nominal_voltage_v: 277, nominal_frequency_hz: {hz}}}
waveform: {{max_age_s: {age}, allow_slow: {slow}}}
relay: {{setting_pu: 1.1, feedback_path: /run/v2g/relay}}
protection: {{mains_input_path: /run/v2g/mains}}
evses:
  - id: US*V2G*E1
    interface: lo
    inverter:
      modbus: {{host: 127.0.0.1, port: 5020}}
      voltage_channels: [v_e1_a, v_e1_b, v_e1_c]
      phase_offset_deg: [{offset}, 0, 0]
    dc: {{modbus: {{host: 127.0.0.1, port: 5021}}}}
  - id: US*V2G*E2
    interface: lo
    tcp_port: 50000
    sdp_port: 50001
    inverter: {{modbus: {{host: 127.0.0.1, port: 5030}}}}
    dc: {{modbus: {{host: 127.0.0.1, port: 5031}}}}
"""


@pytest.fixture
def configured(tmp_path: Path):
    def write(
        hz: float = 60.0, offset: float = 0.0, age: float = 0.03, slow: str = "false", interlocks: str = ""
    ) -> Loaded:
        limit = "interlocks: {winding_stress_limit_mpa: 200}\n" if interlocks else ""
        (tmp_path / "v2g.yaml").write_text(CONFIG.format(hz=hz, offset=offset, age=age, slow=slow) + limit)
        (tmp_path / "sensor_map.conf").write_text(TOP_OIL + interlocks, encoding="utf-8")
        return load(tmp_path)

    return write


def test_inputs_and_the_transducers_of_single_evses_are_taken(configured) -> None:
    settings = tick_settings(configured(offset=3.5))
    assert settings.relay_feedback == Path("/run/v2g/relay")
    assert settings.mains_input == Path("/run/v2g/mains")
    assert settings.evse_channels == (EvseChannels("US*V2G*E1", ("v_e1_a", "v_e1_b", "v_e1_c"), (3.5, 0.0, 0.0)),)
    assert settings.protection is not None
    assert settings.protection.relay.feedback


def test_a_calibration_of_one_evse_changes_the_digest(configured) -> None:
    assert tick_settings(configured()).digest == tick_settings(configured()).digest
    assert tick_settings(configured()).digest != tick_settings(configured(offset=3.5)).digest


def test_at_50_hz_without_a_profile_there_are_no_settings_and_words_for_it(configured) -> None:
    settings = tick_settings(configured(hz=50.0))
    assert settings.protection is None
    assert "grid.profile" in settings.unset
    settings.require_young_samples()


def test_samples_that_may_be_too_old_are_refused_unless_allowed_by_name(configured) -> None:
    config = configured(age=0.2, slow="true")
    tick_settings(config).require_young_samples()
    strict = tick_settings(config)
    with pytest.raises(SettingsError, match=r"waveform\.max_age_s 0\.2"):
        type(strict)(
            nominal_voltage_v=277.0,
            nominal_frequency_hz=60.0,
            protection=strict.protection,
            waveform_max_age_s=0.2,
        ).require_young_samples()


INTERLOCKS = """\
  emergency_stop: {source: {contact: /run/io/estop}}
  door: {source: {contact: /run/io/door}, closed_is: tripped}
  winding_stress_mpa:
    source: {modbus: {host: 192.0.2.10, register: 9}}
    unit: MPa
    range: [0, 500]
"""


def test_each_interlock_of_the_sensor_map_has_its_contact_or_the_one_that_wires_mirrors(configured) -> None:
    loaded = configured(interlocks=INTERLOCKS)
    paths, healthy_open = interlock_contacts(loaded)
    assert paths == {
        "emergency_stop": Path("/run/io/estop"),
        "door": Path("/run/io/door"),
        "winding_stress": Path("/run/v2g/contact-winding_stress"),
    }
    assert healthy_open == {"door"}
    settings = tick_settings(loaded)
    assert (settings.interlocks, settings.healthy_open) == (paths, healthy_open)
    assert tick_settings(configured()).interlocks == {}

"""Powerline links in the configuration: against interfaces, the firewall, register maps and the sensor map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from support.config_dir import two_evses, write_config
from support.sensors import TOP_OIL
from v2g.config.loader import ConfigError, Loaded, load

E1 = "US*V2G*E1"
MAP = "v2g-dc-evse"


class Site:
    """A configuration directory, with what differs from two EVSEs without powerline links."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.main = two_evses()

    def evse(self, position: int = 0, **fields: Any) -> Site:
        self.main["evses"][position] |= fields
        return self

    def load(self, **sections: Any) -> Loaded:
        write_config(self.folder, self.main | sections)
        return load(self.folder)

    def problem(self, **sections: Any) -> str:
        with pytest.raises(ConfigError) as caught:
            self.load(**sections)
        return str(caught.value)

    def warnings(self, **sections: Any) -> str:
        return "\n".join(self.load(**sections).warnings)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "etc")


@pytest.fixture
def without_pilot() -> str:
    """The built-in map of a DC output stage, without a role of the pilot or of the earth."""
    import v2g.hardware.maps as maps

    raw = yaml.safe_load((Path(maps.__path__[0]) / f"{MAP}.yaml").read_text())
    drop = ("pilot", "proximity", "earth")
    raw["points"] = {name: point for name, point in raw["points"].items() if not name.startswith(drop)}
    return yaml.safe_dump(raw)


def test_a_link_with_its_firewall_is_as_it_should_be(site: Site) -> None:
    loaded = site.evse(plc={}).load(firewall={"plc_interfaces": ["evse1"]})
    assert loaded.config.evses[0].plc is not None
    assert "plc" not in "\n".join(loaded.warnings)


@pytest.mark.parametrize("second", [{"plc": {}}, {}])
def test_two_evses_do_not_share_a_modem(site: Site, second: dict[str, Any]) -> None:
    site.evse(plc={}).evse(1, interface="evse1", tcp_port=50000, sdp_port=15119, **second)
    text = site.problem()
    assert "evses[1].interface: 'evse1': is the interface of EVSE US*V2G*E1 (evses[0]) too" in text
    assert "give each an interface of its own" in text


def test_evses_of_a_simulated_powerline_share_the_loopback(site: Site) -> None:
    port = {"port": "unix:/run/v2g/powerline.sock"}
    site.evse(plc=port, interface="lo").evse(1, plc=port, interface="lo", tcp_port=50000, sdp_port=15119)
    assert "plc" not in site.warnings()


def test_a_modem_on_the_loopback_is_none(site: Site) -> None:
    text = site.evse(plc={"calibration_db": 1.0}, interface="lo").problem()
    assert "is a powerline modem on the loopback" in text
    assert "unix:/path" in text


def test_a_socket_beside_which_the_driver_s_own_end_has_no_room_is_refused(site: Site) -> None:
    text = site.evse(plc={"port": "unix:/" + "x" * 99}, interface="lo").problem()
    assert "evses[0].plc.port" in text
    assert "4 bytes too long" in text


@pytest.mark.parametrize("port", ["/run/x.sock", "tcp:1", "unix:x", "unix:"])
def test_a_port_is_the_interface_or_a_unix_socket(site: Site, port: str) -> None:
    assert "evses[0].plc.port" in site.evse(plc={"port": port}).problem()


def test_a_simulated_powerline_on_a_real_interface_is_warned_of(site: Site) -> None:
    text = site.evse(plc={"port": "unix:/run/v2g/line.sock"}).warnings(firewall={"plc_interfaces": ["evse1"]})
    assert "evses[0].plc.port is unix:/run/v2g/line.sock, a simulated powerline, and vehicles come by evse1" in text


def test_a_link_that_the_firewall_leaves_open_is_warned_of_with_the_remedy(site: Site) -> None:
    text = site.evse(plc={}).warnings()
    assert "evse1, which is not in firewall.plc_interfaces" in text
    assert "v2g-tool firewall apply" in text


def test_a_firewall_that_waits_for_a_driver_that_does_not_know_of_it_is_warned_of(site: Site) -> None:
    text = site.warnings(firewall={"plc_interfaces": ["evse2"]})
    assert "firewall.plc_interfaces[0] is evse2, and EVSE US*V2G*E2 there has no plc" in text
    assert "in evses[1]" in text


def test_an_empty_section_is_told_to_mean_nothing(site: Site) -> None:
    loaded = site.evse(plc=None).load()
    assert loaded.config.evses[0].plc is None
    assert any("evses[0].plc is empty" in warning and "plc: {}" in warning for warning in loaded.warnings)


def test_a_pilot_that_nothing_measures_is_refused_with_every_way_out(site: Site, without_pilot: str) -> None:
    (site.folder / "devices").mkdir(parents=True)
    (site.folder / "devices/bare.yaml").write_text(without_pilot)
    dc = {"modbus": {"host": "10.0.1.1"}, "map": "bare"}
    text = site.evse(dc=dc, plc={"pilot": "evse"}).problem()
    assert "evses[0].plc.pilot: 'evse': has nothing that tells the pilot: map 'bare' has no" in text
    assert f"pilot_high_v@{E1}" in text
    assert "pilot: modem" in text


@pytest.mark.parametrize("pilot", ["modem", "none"])
def test_whose_pilot_is_told_otherwise_needs_none(site: Site, without_pilot: str, pilot: str) -> None:
    (site.folder / "devices").mkdir(parents=True)
    (site.folder / "devices/bare.yaml").write_text(without_pilot)
    site.evse(dc={"modbus": {"host": "10.0.1.1"}, "map": "bare"}, plc={"pilot": pilot}).load()


def test_the_sensor_map_may_tell_the_pilot(site: Site, without_pilot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = f"  pilot_high_v@{E1}: {{source: {{modbus: {{host: 192.0.2.11, register: 4}}}}, scale: 0.01, unit: V, "
    monkeypatch.setattr("support.config_dir.TOP_OIL", TOP_OIL + channel + "range: [-15, 15]}\n")
    (site.folder / "devices").mkdir(parents=True)
    (site.folder / "devices/bare.yaml").write_text(without_pilot)
    site.evse(dc={"modbus": {"host": "10.0.1.1"}, "map": "bare"}, plc={}).load()


@pytest.mark.parametrize("counts", [True, False])
def test_a_validation_without_a_counter_of_toggles_is_warned_of(site: Site, without_pilot: str, counts: bool) -> None:
    raw = yaml.safe_load(without_pilot)
    if counts:
        raw["points"] |= {
            "pilot_state": {"table": "input", "address": 900, "values": {1: "A", 2: "B", 3: "C"}},
            "pilot_toggles": {"table": "input", "address": 901},
        }
    (site.folder / "devices").mkdir(parents=True)
    (site.folder / "devices/bare.yaml").write_text(yaml.safe_dump(raw))
    text = site.evse(dc={"modbus": {"host": "10.0.1.1"}, "map": "bare"}, plc={"pilot": "none"}).warnings(
        plc={"validate": True}
    )
    assert ("plc.validate is on, and map 'bare' of evses[0] has no pilot_toggles" in text) is not counts

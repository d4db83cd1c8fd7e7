"""The section ``firewall``: its contradictions, and the plan that is made of the whole configuration."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from support.config_dir import two_evses, write_config
from v2g.config.firewall_plan import firewall_plan, plan_remarks
from v2g.config.loader import ConfigError, Loaded, load
from v2g.config.schema_firewall import Firewall
from v2g.host.firewall.model import Plan

MAC = "00:e0:4c:68:00:1d"
OPERATORS = [{"addresses": ["10.9.0.0/28"], "ports": [22]}]
SHIPPED = Path(__file__).resolve().parents[3] / "etc" / "v2g" / "v2g.yaml"


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Loaded]:
    def loaded(**sections: Any) -> Loaded:
        write_config(tmp_path / "etc", two_evses(**sections))
        return load(tmp_path / "etc")

    return loaded


def problem_of(site: Any, **firewall: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        site(firewall=firewall)
    return str(caught.value)


def test_without_the_section_a_site_is_as_it_was(site: Any) -> None:
    plan: Plan = firewall_plan(site())
    assert [link.interface for link in plan.links] == ["evse1", "evse2"]
    assert plan.access == ()


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"operators": [{"addresses": ["10.9.0.1/28"], "ports": [22]}]}, "10.9.0.0/28 for the network"),
        ({"operators": [{"addresses": ["ssh.example"], "ports": [22]}]}, "is no IPv4 or IPv6 address"),
        ({"operators": [{"addresses": ["10.9.0.1"], "ports": [502]}]}, "is Modbus, which is never open inwards"),
        ({"utility": [{"addresses": ["10.9.0.1"], "ports": [22, 802]}]}, "is Modbus, which is never open inwards"),
        ({"utility": [{"addresses": ["10.9.0.1"]}]}, "opens no port"),
        ({"utility": [{"addresses": ["fe80::/64"], "ports": [22]}]}, "without their interface"),
        ({"utility": [{"addresses": ["10.9.0.1"], "ports": [22], "interface": "evse1"}]}, "interface of EVSE US*V2G*E"),
        ({"utility": [{"addresses": ["10.9.0.1"], "ports": [22], "interface": "lo"}]}, "is the loopback"),
        ({"utility": [{"addresses": ["10.9.0.1"], "ports": [22], "interface": 'e"; drop'}]}, "is no name of an"),
        ({"dhcp_client": ["evse2"]}, "is the interface of EVSE US*V2G*E2"),
        ({"router_adverts": ["evse2"]}, "is the interface of EVSE US*V2G*E2"),
        ({"evse_macs": {"US*V2G*E1": ["00:e0:4c"]}}, "is no MAC address"),
        ({"evse_macs": {"US*V2G*E9": [MAC]}}, "there is no EVSE 'US*V2G*E9'"),
        ({"evse_macs": {"US*V2G*E1": ["ff:ff:ff:ff:ff:ff"]}}, "no single device"),
        ({"plc_interfaces": ["eth0"]}, "is the interface of no EVSE"),
        ({"hosts": {"a.example": ["b.example"]}}, "is no IPv4 or IPv6 address"),
        ({"dns": ["224.0.0.1"]}, "is no address of one host"),
        ({"destinations": [{"addresses": ["0.0.0.0/0"], "ports": [443]}]}, "is every address"),
        ({"state_dir": "state"}, "is no absolute path"),
        ({"operators": [{"addresses": ["10.9.0.1"], "ports": [0]}]}, "must be at least 1"),
        ({"output": "closed"}, "open, strict"),
        ({"evse_macs": {"US*V2G*E1": [101112131415]}}, "in quotes"),
    ],
)  # fmt: skip
def test_a_contradiction_is_told_with_its_line_and_remedy(site: Any, section: dict[str, Any], told: str) -> None:
    text = problem_of(site, **section)
    assert told in text
    assert "v2g.yaml:" in text


def test_a_mac_that_is_known_at_two_evses_is_told_and_allowed(site: Any) -> None:
    loaded = site(firewall={"evse_macs": {"US*V2G*E1": [MAC], "US*V2G*E2": [MAC.upper(), "00e04c68001d"]}})
    assert [text for text in loaded.warnings if "known at several EVSEs" in text]
    assert [evse.macs for link in firewall_plan(loaded).links for evse in link.evses] == [(MAC,), (MAC,)]


def test_a_wide_network_is_told(site: Any) -> None:
    loaded = site(firewall={"operators": [{"addresses": ["10.0.0.0/7"], "ports": [22]}]})
    assert [text for text in loaded.warnings if "has 10.0.0.0/7" in text]


def test_every_modbus_device_of_the_configuration_is_in_the_plan(site: Any) -> None:
    meter = {"id": "shop", "modbus": {"host": "10.0.2.1", "port": 802}}
    devices = firewall_plan(site(utility={"meters": [meter]})).devices
    assert {(one.source, str(one.address), one.port) for one in devices} == {
        ("evses[0].inverter.modbus", "10.0.0.1", 502),
        ("evses[0].dc.modbus", "10.0.1.1", 502),
        ("evses[1].inverter.modbus", "10.0.0.2", 502),
        ("evses[1].dc.modbus", "10.0.1.2", 502),
        ("utility.meters[0].modbus", "10.0.2.1", 802),
        ("sensors.top_oil_c.source.modbus", "192.0.2.10", 502),
    }


def with_host(host: str, **sections: Any) -> dict[str, Any]:
    evses = two_evses()["evses"]
    evses[0]["inverter"]["modbus"]["host"] = host
    return {"evses": evses, **sections}


def test_a_host_name_is_refused_with_the_place_for_its_address(site: Any) -> None:
    loaded = site(**with_host("inverter1.local"))
    with pytest.raises(ConfigError) as caught:
        firewall_plan(loaded)
    text = str(caught.value)
    assert "evses[0].inverter.modbus.host" in text
    assert "firewall.hosts: {inverter1.local: [192.0.2.7]}" in text
    assert "v2g.yaml:" in text


def test_a_host_name_with_its_addresses_is_taken(site: Any) -> None:
    hosts = {"inverter1.local": ["10.0.3.1", "fe80::7%eth1"]}
    devices = firewall_plan(site(**with_host("inverter1.local", firewall={"hosts": hosts}))).devices
    found = {(str(one.address), one.interface) for one in devices if one.source == "evses[0].inverter.modbus"}
    assert found == {("10.0.3.1", ""), ("fe80::7", "eth1")}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_device_on_this_host_opens_nothing(site: Any, host: str) -> None:
    evses = with_host(host)["evses"]
    evses[0]["inverter"]["modbus"]["port"] = 40_000
    plan = firewall_plan(site(evses=evses))
    assert next(one for one in plan.devices if one.source == "evses[0].inverter.modbus").address.is_loopback
    assert plan.guarded == (502, 802)


def test_a_port_of_modbus_that_something_else_uses_is_not_shut_for_that(site: Any) -> None:
    evses = with_host("10.0.0.1")["evses"]
    evses[0]["inverter"]["modbus"]["port"] = 8443
    evses[1]["inverter"]["modbus"]["port"] = 1502
    openadr = {"url": "https://vtn.example:8443/v3", "client_id": "c", "client_secret_file": "/x", "ven_name": "v"}
    assert firewall_plan(site(evses=evses, utility={"openadr": openadr})).guarded == (502, 802, 1502)


def test_an_interface_with_odd_characters_is_refused(site: Any) -> None:
    evses = two_evses()["evses"]
    evses[0]["interface"] = 'evse1" accept; flush ruleset; "'
    loaded = site(evses=evses)
    with pytest.raises(ConfigError, match=r"evses\[0\]\.interface.*is no name of an interface"):
        firewall_plan(loaded)


def test_strict_output_knows_the_servers_of_other_sections(site: Any) -> None:
    openadr = {"url": "https://vtn.example/v3", "client_id": "c", "client_secret_file": "/x", "ven_name": "v"}
    firewall = {
        "output": "strict",
        "hosts": {"vtn.example": ["192.0.2.5"]},
        "dns": ["192.0.2.53"],
        "ntp": ["192.0.2.123"],
        "destinations": [{"addresses": ["192.0.2.80/32"], "ports": [443]}],
    }
    enrolment = {"protocol": "est", "url": "https://192.0.2.9:8443"}
    loaded = site(utility={"openadr": openadr}, firewall=firewall, pki={"enrolment": enrolment})
    plan = firewall_plan(loaded)
    assert plan.strict
    assert [(one.source, str(one.network), one.tcp, one.udp) for one in plan.destinations] == [
        ("utility.openadr.url", "192.0.2.5/32", (443,), ()),
        ("pki.enrolment.url", "192.0.2.9/32", (8443,), ()),
        ("firewall.dns[0]", "192.0.2.53/32", (53, 853), (53,)),
        ("firewall.ntp[0]", "192.0.2.123/32", (4460,), (123,)),
        ("firewall.destinations[0]", "192.0.2.80/32", (443,), ()),
    ]


@pytest.mark.parametrize(
    ("probe", "found"),
    [("192.0.2.77:443", [("heartbeat.probe", "192.0.2.77/32", (443,))]), ("icmp:192.0.2.77", [])],
)
def test_strict_output_lets_the_probe_of_the_gateway_out(site: Any, probe: str, found: list[Any]) -> None:
    plan = firewall_plan(site(firewall={"output": "strict"}, heartbeat={"probe": probe}))
    assert [(one.source, str(one.network), one.tcp) for one in plan.destinations] == found


def test_a_gateway_by_name_needs_its_address_with_strict_output(site: Any) -> None:
    loaded = site(firewall={"output": "strict"}, heartbeat={"probe": "gw.example:443"})
    with pytest.raises(ConfigError, match=r"heartbeat\.probe.*host name"):
        firewall_plan(loaded)


def test_with_open_output_the_names_of_servers_need_no_address(site: Any) -> None:
    openadr = {"url": "https://vtn.example/v3", "client_id": "c", "client_secret_file": "/x", "ven_name": "v"}
    assert firewall_plan(site(utility={"openadr": openadr})).destinations == ()


def test_evses_that_serve_any_vehicle_are_remarked(site: Any) -> None:
    loaded = site(firewall={"evse_macs": {"US*V2G*E1": [MAC]}})
    assert any("any device below evse2" in text for text in plan_remarks(loaded))


def test_evses_on_one_interface_are_one_link(site: Any) -> None:
    evses = two_evses()["evses"]
    evses[1] |= {"interface": "evse1", "tcp_port": 49152, "sdp_port": 15119}
    (link,) = firewall_plan(site(evses=evses, firewall={"plc_interfaces": ["evse1"]})).links
    assert (len(link.evses), link.plc) == (2, True)


def test_500_evses_make_a_plan(site: Any) -> None:
    one = two_evses()["evses"][0]
    evses = [
        one
        | {"id": f"US*V2G*E{n}", "interface": f"evse{n}"}
        | {"inverter": {"modbus": {"host": str(ipaddress.IPv4Address(0x0A000000 + n))}}}
        | {"dc": {"modbus": {"host": str(ipaddress.IPv4Address(0x0A010000 + n))}}}
        for n in range(1, 501)
    ]
    plan = firewall_plan(site(evses=evses))
    assert (len(plan.links), len(plan.devices)) == (500, 1001)


def test_the_shipped_file_shows_every_setting() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    part = text[text.index("# firewall:\n") :].partition("\n\n")[0]
    section = yaml.safe_load("\n".join(line[2:] for line in part.splitlines()))["firewall"]
    msgspec.convert(section, Firewall)
    assert set(section) == {field.name for field in msgspec.structs.fields(Firewall)}
    defaults = Firewall()
    for name in (
        "admit_s",
        "connections",
        "new_per_s",
        "sdp_per_s",
        "log_per_minute",
        "forward",
        "local_only",
        "state_dir",
    ):
        assert section[name] == getattr(defaults, name)

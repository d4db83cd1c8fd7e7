from __future__ import annotations

import ipaddress

import pytest

from support.firewall_plans import full
from v2g.host.firewall.judgement import Finding, idle, judge
from v2g.host.firewall.model import Plan
from v2g.host.firewall.sockets import Listener

EPHEMERAL = range(32768, 61000)


def listener(protocol: str, address: str, port: int, owner: str = "prog[9]") -> Listener:
    return Listener(protocol, ipaddress.ip_address(address), port, 0, 1, owner)


@pytest.mark.parametrize(
    ("protocol", "address", "port", "finding", "words"),
    [
        ("tcp", "fe80::1", 15118, Finding.EXPLAINED, "evses[0].tcp_port"),
        ("udp", "::", 15119, Finding.EXPLAINED, "evses[2].sdp_port"),
        ("tcp", "0.0.0.0", 22, Finding.EXPLAINED, "firewall.operators[0], firewall.utility[0]"),
        ("tcp", "127.0.0.1", 8080, Finding.LOCAL, "only this host"),
        ("tcp", "::1", 502, Finding.LOCAL, "only this host"),
        ("tcp", "0.0.0.0", 502, Finding.UNEXPLAINED, "Modbus is never open inwards"),
        ("tcp", "0.0.0.0", 8080, Finding.UNEXPLAINED, "stop prog, let it listen on 127.0.0.1"),
        ("udp", "0.0.0.0", 5353, Finding.UNEXPLAINED, "avahi-daemon"),
        ("udp", "0.0.0.0", 68, Finding.EXPLAINED, "firewall.dhcp_client"),
        ("udp", "0.0.0.0", 40000, Finding.CLIENT, "only answers"),
        ("tcp", "0.0.0.0", 40000, Finding.UNEXPLAINED, "no rule"),
        ("tcp", "::", 49155, Finding.UNEXPLAINED, "no rule"),
    ],
)
def test_each_open_port_is_explained_or_has_a_remedy(
    protocol: str, address: str, port: int, finding: Finding, words: str
) -> None:
    (found,) = judge(full(), [listener(protocol, address, port)], EPHEMERAL)
    assert found.finding is finding
    assert words in found.words


def test_without_dhcp_configured_its_client_is_not_explained() -> None:
    (found,) = judge(Plan(site="s"), [listener("udp", "0.0.0.0", 68)], EPHEMERAL)
    assert (found.finding, "firewall.dhcp_client" in found.words) == (Finding.UNEXPLAINED, True)


def test_without_its_name_the_program_is_still_spoken_of() -> None:
    (found,) = judge(Plan(site="s"), [listener("tcp", "0.0.0.0", 99, "")], EPHEMERAL)
    assert "as root" in found.words


def test_rules_for_ports_at_which_nobody_listens_are_told() -> None:
    sockets = [
        listener("tcp", "fe80::1", 15118),
        listener("udp", "::", 15118),
        listener("tcp", "127.0.0.1", 9100),
        listener("tcp", "::", 22),
    ]
    found = {(one.protocol, one.port, one.source) for one in idle(full(), sockets)}
    assert found == {
        ("tcp", 49152, "evses[1].tcp_port"),
        ("udp", 15119, "evses[2].sdp_port"),
        ("tcp", 49153, "evses[2].tcp_port"),
        ("tcp", 9100, "firewall.utility[0]"),
        ("udp", 161, "firewall.utility[0]"),
    }

"""Firewall plans for tests: one with everything, one as large as a configuration may be."""

from __future__ import annotations

import ipaddress

from v2g.host.firewall.model import Access, Destination, Device, EvseLink, EvsePorts, Plan

FIRST, SECOND = "00:e0:4c:68:00:1d", "00:e0:4c:68:00:1e"


def evse(number: int, tcp_port: int = 15118, sdp_port: int = 15118, macs: tuple[str, ...] = ()) -> EvsePorts:
    return EvsePorts(
        evse_id=f"US*V2G*E{number}", source=f"evses[{number - 1}]", sdp_port=sdp_port, tcp_port=tcp_port, macs=macs
    )


def full(strict: bool = True) -> Plan:
    """Every kind of rule: a link with known vehicles, a shared one, a PLC link, the loopback."""
    return Plan(
        site="maple-street-12",
        links=(
            EvseLink(interface="evse1", evses=(evse(1, macs=(SECOND, FIRST, FIRST)),)),
            EvseLink(interface="eth0.10", evses=(evse(2, 49152), evse(3, 49153, 15119, (FIRST,)))),
            EvseLink(interface="evse4", evses=(evse(4),), plc=True),
            EvseLink(interface="lo", evses=(evse(5, 49155),)),
        ),
        access=(
            Access(
                source="firewall.operators[0]",
                networks=tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"))),
                tcp=(22,),
            ),
            Access(
                source="firewall.utility[0]",
                networks=(ipaddress.ip_network("192.0.2.16/29"),),
                tcp=(9100, 22),
                udp=(161,),
                interface="eth0",
            ),
        ),
        devices=(
            Device(source="evses[1].inverter.modbus", address=ipaddress.ip_address("192.168.40.12"), port=502),
            Device(source="evses[0].inverter.modbus", address=ipaddress.ip_address("192.168.40.11"), port=802),
            Device(source="evses[0].dc.modbus", address=ipaddress.ip_address("192.168.40.11"), port=802),
            Device(source="evses[2].dc.modbus", address=ipaddress.ip_address("2001:db8::7"), port=1502),
            Device(
                source="utility.meters[0].modbus", address=ipaddress.ip_address("fe80::1"), port=502, interface="eth1"
            ),
            Device(source="evses[4].dc.modbus", address=ipaddress.ip_address("127.0.0.1"), port=1503),
        ),
        guarded=(502, 802, 1502),
        destinations=(
            Destination(source="firewall.ntp[0]", network=ipaddress.ip_network("192.0.2.123"), tcp=(4460,), udp=(123,)),
            Destination(
                source="firewall.dns[0]", network=ipaddress.ip_network("fe80::53"), udp=(53,), interface="eth0"
            ),
        ),
        dhcp_interfaces=("eth0",),
        router_advert_interfaces=("eth1", "eth0"),
        strict=strict,
    )


def large(count: int = 500) -> Plan:
    """``count`` EVSEs, each on an interface of its own, with devices and vehicles of its own."""
    return Plan(
        site="large",
        links=tuple(
            EvseLink(
                interface=f"evse{number}",
                evses=(evse(number, macs=(f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}",)),),
            )
            for number in range(1, count + 1)
        ),
        devices=tuple(
            Device(
                source=f"evses[{number - 1}].dc.modbus", address=ipaddress.IPv4Address(0x0A000000 + number), port=502
            )
            for number in range(1, count + 1)
        ),
        access=(Access(source="firewall.operators[0]", networks=(ipaddress.ip_network("10.9.0.0/28"),), tcp=(22,)),),
    )

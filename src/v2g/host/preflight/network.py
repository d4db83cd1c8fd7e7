"""IPv6 at the EVSEs' interfaces, and whether their ports are free or ours. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from v2g.host.firewall.sockets import Listener
from v2g.host.firewall.words import LOOPBACK
from v2g.host.preflight.model import PreflightLine, failed, passed, warned

DAD_FAILED, TENTATIVE, OPTIMISTIC = 0x08, 0x40, 0x04


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """One IPv6 address; ``flags`` as /proc/net/if_inet6 has them."""

    address: ipaddress.IPv6Address
    flags: int = 0


@dataclass(frozen=True, slots=True)
class InterfaceFacts:
    """``up``: it is switched on; ``carrier``: something answers at the other end of the cable, None: not told.
    ``disabled``: net.ipv6.conf.<name>.disable_ipv6, None: not to be read."""

    name: str
    exists: bool = True
    up: bool = True
    carrier: bool | None = True
    disabled: bool | None = False
    addresses: tuple[AddressFacts, ...] = ()

    @property
    def usable(self) -> tuple[ipaddress.IPv6Address, ...]:
        """Addresses that a vehicle can reach us by."""
        return tuple(
            each.address
            for each in self.addresses
            if (each.address.is_link_local or (self.name == LOOPBACK and each.address.is_loopback))
            and not each.flags & DAD_FAILED
            and not (each.flags & TENTATIVE and not each.flags & OPTIMISTIC)
        )


@dataclass(frozen=True, slots=True)
class WantedPort:
    """What one EVSE listens on."""

    evse_id: str
    interface: str
    protocol: str
    port: int


def judge_ipv6(interfaces: Sequence[InterfaceFacts], evses: Mapping[str, Sequence[str]]) -> Iterator[PreflightLine]:
    """``evses``: ids by interface."""
    name, good = "ipv6", []
    for facts in interfaces:
        problem = _problem(facts)
        if problem is None:
            good.append(f"{facts.name} {facts.usable[0]}")
            continue
        found, remedy, fatal = problem
        if fatal:
            yield failed(name, found, remedy, evses.get(facts.name, ()))
        else:
            yield warned(name, found, remedy)
    if good:
        more = f" and {len(good) - 4} more" if len(good) > 4 else ""
        yield passed(name, ", ".join(good[:4]) + more)


def _problem(facts: InterfaceFacts) -> tuple[str, str, bool] | None:
    """What is wrong, what to do, whether it is a fail."""
    name = facts.name
    if not facts.exists:
        return f"there is no interface {name}", "ip link shows those there are; correct evses in v2g.yaml", True
    if not facts.up:
        return f"{name} is down", f"ip link set {name} up; keep it so in the network's configuration", True
    if facts.disabled:
        return f"IPv6 is disabled on {name}", f"sysctl net.ipv6.conf.{name}.disable_ipv6=0, and keep it so", True
    if facts.usable:
        return None
    failed_ones = [each for each in facts.addresses if each.flags & DAD_FAILED]
    if failed_ones:
        words = f"{name}: address {failed_ones[0].address} is somebody else's too (duplicate)"
        return words, f"find the other device with the same MAC; then ip link set {name} down and up", True
    if any(each.flags & TENTATIVE for each in facts.addresses):
        words = f"{name}: its address is still tentative"
        return words, "wait 2 s for duplicate address detection, and look again", True
    if facts.carrier is False:
        words = f"{name} has no carrier, and so no address: no cable, or its modem is off"
        return words, "plug it in or switch the modem on; the address comes by itself", False
    kind = "IPv6 address ::1" if name == LOOPBACK else "IPv6 link-local address"
    remedy = f"sysctl net.ipv6.conf.{name}.addr_gen_mode=0, or give it one; ip -6 address show dev {name}"
    return f"{name} has no {kind}", remedy, True


def judge_ports(
    wanted: Sequence[WantedPort],
    listeners: Sequence[Listener],
    interfaces: Sequence[InterfaceFacts],
    daemon: tuple[int, int] | None,
) -> Iterator[PreflightLine]:
    """``daemon``: process and user id of the orchestrator that answers; None: none does, and ports have to be free."""
    name, good = "ports", 0
    addresses = {each.name: each.usable for each in interfaces}
    for port in wanted:
        there = [
            one
            for one in listeners
            if (one.protocol, one.port) == (port.protocol, port.port)
            and one.address.version == 6
            and (one.address.is_unspecified or one.address in addresses.get(port.interface, ()))
        ]
        where = f"{port.protocol.upper()} {port.port} on {port.interface} ({port.evse_id})"
        others = [one for one in there if daemon is None or not _is_of(one, daemon)]
        if daemon is not None and not there:
            yield failed(
                name,
                f"nobody listens at {where} although the daemon runs",
                "v2g-tool status says why; then systemctl restart v2g-orchestrator",
                [port.evse_id],
            )
        elif others and len(others) == len(there):
            who = others[0].owner
            if who:
                yield failed(
                    name,
                    f"{who} holds {where}",
                    f"stop {who}, or give the EVSE other ports in v2g.yaml",
                    [port.evse_id],
                )
            else:
                yield warned(name, f"somebody (uid {others[0].uid}) holds {where}", "run this as root to see who it is")
        else:
            good += 1
    if good:
        yield passed(name, f"{good} {'held by our daemon' if daemon is not None else 'free'}")


def judge_served(unreachable: Mapping[str, str], evses: Sequence[str]) -> Iterator[PreflightLine]:
    """The daemon's own word: by EVSE, why no vehicle can connect."""
    for evse_id, reason in unreachable.items():
        yield failed("ports", f"{evse_id}: no vehicle can connect: {reason}", "as it says", [evse_id])
    if good := len(evses) - len(unreachable):
        yield passed("ports", f"{good} EVSE{'s' if good != 1 else ''} served")


def _is_of(one: Listener, daemon: tuple[int, int]) -> bool:
    pid, uid = daemon
    return one.owner.endswith(f"[{pid}]") if one.owner else one.uid == uid


def judge_firewall(
    in_force: str, configuration: str, pending_s: float | None, problem: str = ""
) -> Iterator[PreflightLine]:
    """As ``v2g-tool firewall status`` tells it; ``problem``: why it cannot be told."""
    name = "firewall"
    if problem:
        yield warned(name, f"cannot be told: {problem}", "run this as root; v2g-tool firewall status")
    elif in_force == "not applied":
        yield warned(name, "no rules are in force: everybody reaches this host", "v2g-tool firewall apply")
    elif in_force != "as applied":
        yield warned(
            name, f"the rules in force are {in_force}", "v2g-tool firewall status shows what; then apply again"
        )
    elif pending_s is not None:
        yield warned(name, f"new rules go in {pending_s:.0f} s unless confirmed", "v2g-tool firewall confirm")
    elif configuration == "changed":
        yield warned(name, "the configuration makes other rules than those in force", "v2g-tool firewall apply")
    else:
        yield passed(name, "in force, as the configuration makes it")

"""IPv6 of the EVSEs' interfaces, their ports, and the firewall, judged."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest

from v2g.host.firewall.sockets import Listener
from v2g.host.preflight.model import Level
from v2g.host.preflight.network import (
    DAD_FAILED,
    OPTIMISTIC,
    TENTATIVE,
    AddressFacts,
    InterfaceFacts,
    WantedPort,
    judge_firewall,
    judge_ipv6,
    judge_ports,
    judge_served,
)

LINK_LOCAL = ipaddress.IPv6Address("fe80::1")
GLOBAL = ipaddress.IPv6Address("2001:db8::1")
ETH1 = InterfaceFacts("eth1", addresses=(AddressFacts(LINK_LOCAL), AddressFacts(GLOBAL)))
EVSES = {"eth1": ["US*V2G*E1", "US*V2G*E2"], "eth2": ["US*V2G*E3"]}


def with_flags(flags: int) -> InterfaceFacts:
    return replace(ETH1, addresses=(AddressFacts(LINK_LOCAL, flags),))


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (ETH1, Level.PASS, "eth1 fe80::1"),
        (with_flags(TENTATIVE | OPTIMISTIC), Level.PASS, "fe80::1"),
        (InterfaceFacts("lo", addresses=(AddressFacts(ipaddress.IPv6Address("::1")),)), Level.PASS, "lo ::1"),
        (InterfaceFacts("eth1", exists=False), Level.FAIL, "no interface eth1"),
        (replace(ETH1, up=False), Level.FAIL, "eth1 is down"),
        (replace(ETH1, disabled=True), Level.FAIL, "IPv6 is disabled on eth1"),
        (replace(ETH1, disabled=None), Level.PASS, "fe80::1"),
        (with_flags(TENTATIVE), Level.FAIL, "still tentative"),
        (with_flags(TENTATIVE | DAD_FAILED), Level.FAIL, "duplicate"),
        (replace(ETH1, addresses=(AddressFacts(GLOBAL),)), Level.FAIL, "no IPv6 link-local address"),
        (replace(ETH1, addresses=()), Level.FAIL, "no IPv6 link-local address"),
        (replace(ETH1, addresses=(), carrier=False), Level.WARN, "no carrier"),
        (InterfaceFacts("lo"), Level.FAIL, "no IPv6 address ::1"),
    ],
)
def test_an_interface_is_usable_by_its_link_local_address_only(facts: InterfaceFacts, level: Level, words: str) -> None:
    (line,) = judge_ipv6([facts], EVSES)
    assert (line.level, words in line.found) == (level, True), line
    assert line.evses == (tuple(EVSES.get(facts.name, ())) if level is Level.FAIL else ())


def test_one_broken_interface_concerns_its_own_evses() -> None:
    lines = list(judge_ipv6([ETH1, InterfaceFacts("eth2", exists=False)], EVSES))
    assert [(line.level, line.evses) for line in lines] == [(Level.FAIL, ("US*V2G*E3",)), (Level.PASS, ())]


TCP = WantedPort("US*V2G*E1", "eth1", "tcp", 15118)
OURS = (77, 990)


def listener(address: str = "fe80::1", port: int = 15118, owner: str = "", uid: int = 990) -> Listener:
    return Listener("tcp", ipaddress.ip_address(address), port, uid, 1, owner)


@pytest.mark.parametrize(
    ("there", "daemon", "level", "words"),
    [
        ([], None, Level.PASS, "1 free"),
        ([listener(owner="v2g-orchestrato[77]")], OURS, Level.PASS, "held by our daemon"),
        ([listener()], OURS, Level.PASS, "held by our daemon"),
        ([], OURS, Level.FAIL, "nobody listens"),
        ([listener(owner="nc[5]")], OURS, Level.FAIL, "nc[5] holds TCP 15118 on eth1"),
        ([listener(owner="nc[5]")], None, Level.FAIL, "nc[5] holds"),
        ([listener("::", owner="nc[5]")], None, Level.FAIL, "nc[5] holds"),
        ([listener(uid=1000)], None, Level.WARN, "uid 1000"),
        ([listener("fe80::2", owner="other[6]")], None, Level.PASS, "1 free"),
        ([listener("0.0.0.0", owner="four[6]")], None, Level.PASS, "1 free"),
        ([listener(port=22, owner="sshd[6]")], None, Level.PASS, "1 free"),
        ([listener("::", owner="nc[5]"), listener(owner="v2g-orchestrato[77]")], OURS, Level.PASS, "our daemon"),
    ],
)
def test_ports_are_free_or_held_by_the_daemon_that_answers(
    there: list[Listener], daemon: tuple[int, int] | None, level: Level, words: str
) -> None:
    (line,) = judge_ports([TCP], there, [ETH1], daemon)
    assert (line.level, words in line.found) == (level, True), line
    assert line.evses == (("US*V2G*E1",) if level is Level.FAIL else ())


def test_by_the_daemon_s_word_an_evse_that_nobody_can_reach_fails_alone() -> None:
    bad, good = judge_served({"US*V2G*E2": "no key"}, ["US*V2G*E1", "US*V2G*E2"])
    assert (bad.level, bad.evses, "no key" in bad.found) == (Level.FAIL, ("US*V2G*E2",), True)
    assert (good.level, good.found) == (Level.PASS, "1 EVSE served")


@pytest.mark.parametrize(
    ("status", "level", "words"),
    [
        (("as applied", "same", None, ""), Level.PASS, "in force"),
        (("not applied", "same", None, ""), Level.WARN, "everybody reaches"),
        (("changed", "same", None, ""), Level.WARN, "are changed"),
        (("not ours", "same", None, ""), Level.WARN, "are not ours"),
        (("as applied", "changed", None, ""), Level.WARN, "other rules"),
        (("as applied", "same", 40.0, ""), Level.WARN, "40 s unless confirmed"),
        (("", "", None, "nft: Operation not permitted"), Level.WARN, "Operation not permitted"),
    ],
)
def test_a_firewall_never_fails_and_says_what_differs(
    status: tuple[str, str, float | None, str], level: Level, words: str
) -> None:
    (line,) = judge_firewall(*status)
    assert (line.level, words in line.found) == (level, True), line

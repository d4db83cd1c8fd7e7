from __future__ import annotations

import ipaddress
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from v2g.host.firewall import words
from v2g.host.firewall.words import WordError

MAC = "00:e0:4c:68:00:1d"


@pytest.mark.parametrize(
    "text", [MAC, "00-E0-4C-68-00-1D", "00e04c68001d", "00e0.4c68.001d", " 00:E0:4C:68:00:1D\n", "00e04C68001d"]
)
def test_a_mac_is_read_in_any_notation(text: str) -> None:
    assert words.mac(text) == MAC


@pytest.mark.parametrize(
    "text",
    ["", "00:e0:4c:68:00", "00:e0:4c:68:00:1d:00", "00:e0-4c:68:00:1d", "0:e0:4c:68:0:1d", "zz:e0:4c:68:00:1d",
     "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", f"{MAC} }}; flush ruleset", "٠٠:e0:4c:68:00:1d"],
)  # fmt: skip
def test_what_is_no_single_mac_is_refused(text: str) -> None:
    with pytest.raises(WordError):
        words.mac(text)


@given(st.text())
@example('evse1" accept; flush ruleset; "')
@example("evse1\n")
@example("evse*")
@example("..")
def test_an_interface_is_plain_or_refused(text: str) -> None:
    try:
        name = words.interface(text)
    except WordError:
        return
    assert name == text
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", name)
    assert name not in (".", "..")
    assert not name.startswith(("-", "."))


@pytest.mark.parametrize("name", ["evse1", "eth0.100", "br-lan", "enx00e04c68001d", "0", "wlan_2"])
def test_usual_interfaces_are_taken(name: str) -> None:
    assert words.interface(name) == name


@given(st.text())
@example('x" ; drop ; "')
@example("a\nb\x00c")
def test_a_comment_can_end_nothing(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9 _.,:;()\[\]*/+@=%-]{0,120}", words.comment(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.9.0.1/28", "has bits set"),
        ("10.9.0.0/33", "is no IPv4"),
        ("nonsense", "is no IPv4"),
        ("0.0.0.0/0", "every address"),
        ("::/0", "every address"),
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("0.0.0.0", "unspecified"),
        ("::ffff:10.0.0.1", "IPv6 form"),
        ("fe80::1%eth0", "names an interface"),
        ("10.0.0.1; flush ruleset", "is no IPv4"),
    ],
)
def test_networks_that_are_none_are_refused_with_a_remedy(text: str, reason: str) -> None:
    with pytest.raises(WordError, match=reason) as caught:
        words.network(text)
    assert caught.value.remedy


def test_a_network_with_host_bits_says_both_that_may_be_meant() -> None:
    with pytest.raises(WordError, match=r"10\.9\.0\.0/28 for the network, 10\.9\.0\.1 for the one address"):
        words.network("10.9.0.1/28")


def test_overlapping_networks_of_both_families_become_few() -> None:
    found = words.collapsed(
        map(words.network, ["10.0.0.0/8", "2001:db8::/33", "10.1.0.0/16", "2001:db8:8000::/33", "10.0.0.0/8"])
    )
    assert [str(network) for network in found] == ["10.0.0.0/8", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("text", "address", "scope"),
    [
        ("192.168.40.11", "192.168.40.11", ""),
        ("fe80::1%eth1", "fe80::1", "eth1"),
        ("[2001:db8::7]", "2001:db8::7", ""),
        ("::ffff:10.0.0.1", "10.0.0.1", ""),
    ],
)
def test_one_address_is_read_with_its_interface(text: str, address: str, scope: str) -> None:
    assert words.address(text) == (ipaddress.ip_address(address), scope)


@pytest.mark.parametrize("text", ["inverter1.local", "fe80::1", 'fe80::1%a"b', "224.0.0.1", "0.0.0.0", "10.0.0.0/8"])
def test_what_is_no_one_address_is_refused(text: str) -> None:
    with pytest.raises(WordError):
        words.address(text)


@given(st.lists(st.text(alphabet="ab_.-2", min_size=1, max_size=4)))
@example(["a.b", "a-b", "a_b", "a_b_2"])
def test_two_interfaces_never_share_an_identifier(names: list[str]) -> None:
    found = words.identifiers(names)
    assert set(found) == set(names)
    assert len(set(found.values())) == len(found)
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", word) for word in found.values())
    assert words.identifiers(reversed(names)) == found

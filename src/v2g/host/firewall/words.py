"""Every word that reaches nftables' text, checked: interface names, MAC addresses, networks, comments.

The renderer writes nothing that did not come through here, so no configured text can become syntax.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

COMMENT_MAX = 120
"""Characters of a rule's comment; the kernel keeps 127 bytes."""
LOOPBACK = "lo"

_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", re.ASCII)
_MAC = re.compile(
    r"[0-9a-f]{12}|[0-9a-f]{2}(?::[0-9a-f]{2}){5}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}",
    re.ASCII,
)
_COMMENT_FORBIDDEN = re.compile(r"[^A-Za-z0-9 _.,:;()\[\]*/+@=%-]")
_NO_IDENTIFIER = re.compile(r"[^A-Za-z0-9_]")


class WordError(ValueError):
    """A word that cannot be used: ``reason`` and ``remedy``, both for people."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


def interface(text: str) -> str:
    """The name of a network interface as it is; it need not exist. Raises :class:`WordError`."""
    if _INTERFACE.fullmatch(text) is None or text in (".", ".."):
        raise WordError(
            "is no name of an interface that the firewall takes",
            "1 to 15 letters, digits, '_', '.' or '-': rename the interface with a systemd .link file",
        )
    return text


def mac(text: str) -> str:
    """``"00-E0-4C-68-00-1D"``, ``"00e0.4c68.001d"`` or ``"00e04c68001d"`` -> ``"00:e0:4c:68:00:1d"``.

    Raises :class:`WordError` for anything else, and for what is no single device's address.
    """
    lower = text.strip().lower()
    if _MAC.fullmatch(lower) is None:
        raise WordError("is no MAC address", "write six octets, such as '00:e0:4c:68:00:1d', in quotes")
    digits = re.sub(r"[^0-9a-f]", "", lower)
    if int(digits[:2], 16) & 1 or int(digits, 16) == 0:
        raise WordError("is no single device's MAC address (group or zero)", "write the address of the vehicle's modem")
    return ":".join(digits[n : n + 2] for n in range(0, 12, 2))


def network(text: str) -> Network:
    """``"10.9.0.0/28"``, or one address, from which something may come. Raises :class:`WordError`."""
    bare = text.strip()
    try:
        found = ipaddress.ip_network(bare)
    except ValueError:
        try:
            meant = ipaddress.ip_interface(bare)
        except ValueError:
            raise WordError("is no IPv4 or IPv6 address or network", "write it as 10.9.0.0/28 or 2001:db8::7") from None
        raise WordError(
            "has bits set behind its prefix", f"write {meant.network} for the network, {meant.ip} for the one address"
        ) from None
    if found.prefixlen == 0:
        raise WordError("is every address there is", "write the network that is meant")
    if found.is_multicast or found.is_loopback or (found.num_addresses == 1 and found.is_unspecified):
        raise WordError("is multicast, loopback or unspecified", "write addresses of other hosts")
    if isinstance(found, ipaddress.IPv6Network):
        if found.network_address.ipv4_mapped is not None:
            raise WordError("is an IPv4 address in IPv6 form", "write it as IPv4")
        if found.network_address.scope_id is not None:
            raise WordError("names an interface", "leave out the part behind %, and write it as interface")
    return found


def address(text: str) -> tuple[Address, str]:
    """One address that is connected to, and the interface it names (``fe80::1%eth0``) or ``""``.

    Raises :class:`WordError`, also for a host name.
    """
    try:
        found = ipaddress.ip_address(text.strip().removeprefix("[").removesuffix("]"))
    except ValueError:
        raise WordError("is no IPv4 or IPv6 address", "write it as 192.168.40.11 or 2001:db8::7") from None
    scope = ""
    if isinstance(found, ipaddress.IPv6Address):
        scope = interface(found.scope_id) if found.scope_id else ""
        found = found.ipv4_mapped or ipaddress.IPv6Address(int(found))
    if found.is_multicast or found.is_unspecified:
        raise WordError("is no address of one host", "write the address of the device")
    if found.version == 6 and found.is_link_local and not scope:
        raise WordError("is a link-local address without its interface", f"write it as {found}%eth0")
    return found, scope


def collapsed(networks: Iterable[Network]) -> tuple[Network, ...]:
    """Without overlaps, IPv4 first, in order: an interval set takes no address twice."""
    found = list(networks)
    v4 = [one for one in found if isinstance(one, ipaddress.IPv4Network)]
    v6 = [one for one in found if isinstance(one, ipaddress.IPv6Network)]
    return (*ipaddress.collapse_addresses(v4), *ipaddress.collapse_addresses(v6))


def port(number: int) -> int:
    """Raises :class:`WordError`."""
    if not 1 <= number <= 65535:
        raise WordError("is no port", "write 1 to 65535")
    return number


def comment(text: str) -> str:
    """As it may stand between quotes: what could end or change the quoting becomes ``_``."""
    return _COMMENT_FORBIDDEN.sub("_", text)[:COMMENT_MAX]


def identifiers(interfaces: Iterable[str]) -> dict[str, str]:
    """An identifier of nftables for each interface; two names never share one."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(set(interfaces), key=lambda each: (_NO_IDENTIFIER.search(each) is not None, each)):
        base = _NO_IDENTIFIER.sub("_", name)
        word, count = base, 1
        while word in taken:
            count += 1
            word = f"{base}_{count}"
        taken.add(word)
        names[name] = word
    return names

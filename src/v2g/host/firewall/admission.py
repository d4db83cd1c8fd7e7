"""Vehicles on PLC links: a MAC is admitted when the vehicle is matched, refreshed while it stays, and expires."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from v2g.host.firewall import kernel, words
from v2g.host.firewall.model import PLC_SET, TABLE
from v2g.host.firewall.nft import FirewallError, Nft
from v2g.host.firewall.render import SET_SIZE

LONGEST_S = 604_800.0
SET_FULL = SET_SIZE - 2
"""One place is left for a vehicle that is being replaced."""


def admit(
    nft: Nft, lock: AbstractContextManager[None], sets: Mapping[str, str], interface: str, mac: str, for_s: float
) -> tuple[str, ...]:
    """Let the vehicle with ``mac`` reach the EVSEs of ``interface`` for ``for_s`` (1 s to 7 d), from now on.

    Admitted already: its time begins anew. A vehicle is at one place: it leaves every other link, and the interfaces
    it left are returned. ``sets``: interface of each PLC link -> its set (``Plan.plc_sets``).
    ``lock`` keeps it apart from an apply. Raises :class:`FirewallError`, :class:`~v2g.host.firewall.words.WordError`.
    """
    if not 1 <= for_s <= LONGEST_S:
        raise FirewallError(f"a vehicle is admitted for 1 s to 7 d, not for {for_s:g} s")
    address, name = words.mac(mac), _set_of(sets, interface)
    with lock:
        there = nft.table()
        _require(there, name, interface)
        if sum(one.set_name == name and one.mac != address for one in kernel.admitted(there)) >= SET_FULL:
            raise FirewallError(f"{SET_FULL} vehicles are admitted to {interface} already: withdraw some")
        left = [one.set_name for one in kernel.admitted(there) if one.mac == address and one.set_name != name]
        commands = [step for other in left for step in _without(other, address)]
        commands += _without(name, address)
        commands.append(_element("add", name, {"elem": {"val": address, "timeout": round(for_s)}}))
        nft.load_json(commands)
    by_set = {each: link for link, each in sets.items()}
    return tuple(by_set.get(each, each.removeprefix(PLC_SET)) for each in left)


def withdraw(nft: Nft, lock: AbstractContextManager[None], sets: Mapping[str, str], interface: str, mac: str) -> bool:
    """The vehicle opens no further connection; what is open goes on. False: it was not admitted. Raises as admit."""
    address, name = words.mac(mac), _set_of(sets, interface)
    with lock:
        there = nft.table()
        _require(there, name, interface)
        was = any(one.mac == address and one.set_name == name for one in kernel.admitted(there))
        nft.load_json(_without(name, address))
    return was


def _set_of(sets: Mapping[str, str], interface: str) -> str:
    try:
        return sets[interface]
    except KeyError:
        known = f"PLC links are {', '.join(sets)}" if sets else "there is none: firewall.plc_interfaces is empty"
        raise FirewallError(f"{interface!r} is no PLC link of the configuration; {known}") from None


def _require(there: list[dict[str, Any]], name: str, interface: str) -> None:
    if not there:
        raise FirewallError("the firewall is not applied: v2g-tool firewall apply")
    if name not in kernel.plc_sets(there):
        raise FirewallError(
            f"the firewall in force has no set of vehicles with a time for {interface}: v2g-tool firewall status says "
            "whether the configuration has changed since, or what the kernel lacks"
        )


def _without(name: str, mac: str) -> list[dict[str, Any]]:
    """Added first, since what is not there cannot be deleted: in one transaction with what follows."""
    return [_element("add", name, mac), _element("delete", name, mac)]


def _element(what: str, name: str, element: Any) -> dict[str, Any]:
    return {what: {"element": {"family": "inet", "table": TABLE, "name": name, "elem": [element]}}}

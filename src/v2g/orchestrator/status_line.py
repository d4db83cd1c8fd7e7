"""The one line that ``systemctl status`` shows of the controller. Pure.

``3 vehicles, −14.2 kW, hot-spot 71 °C, headroom −38/+52 kW, grid ok, ISO 15118 ready on eth1 eth2 [fe80::…]:15118``:
power as measured, negative out of the vehicles; headroom is what the transformer permits for V2G each way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from v2g.control.messages import StatusResult

SHOWN_GROUPS = 4
SHOWN_INTERFACES = 6
SHOWN_LOST = 4


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the vehicle of one EVSE connects. ``host`` without its scope."""

    interface: str
    host: str
    port: int


def bound_words(bound: Sequence[Bound], lost: Sequence[str]) -> str:
    """``eth1 eth2 [fe80::…]:15118``; ``lost``: EVSEs that no vehicle can reach."""
    ports: dict[int, list[Bound]] = {}
    for each in bound:
        ports.setdefault(each.port, []).append(each)
    groups = [_group(port, members) for port, members in ports.items()]
    text = ", ".join(groups[:SHOWN_GROUPS]) or "no interface"
    if (more := sum(len(members) for members in list(ports.values())[SHOWN_GROUPS:])) > 0:
        text += f" and {more} more"
    if lost:
        rest = f" and {len(lost) - SHOWN_LOST} more" if len(lost) > SHOWN_LOST else ""
        text += f" (not on {', '.join(lost[:SHOWN_LOST])}{rest}: see status)"
    return text


def status_line(status: StatusResult, no_energy: str, where: str) -> str:
    """``no_energy``: why no energy may flow, empty while it may; ``where``: :func:`bound_words`."""
    vehicles = sum(evse.session is not None for evse in status.evses)
    powers_w = [evse.power_w for evse in status.evses if evse.power_w is not None]
    transformer = status.transformer
    parts = [
        f"{vehicles} vehicle{'s' if vehicles != 1 else ''}",
        f"{_signed_kw(sum(powers_w))} kW" if powers_w else "power unknown",
        f"hot-spot {transformer.hot_spot_c:.0f} °C" if transformer.hot_spot_c is not None else "hot-spot unknown",
        f"headroom −{_kw(-transformer.discharge_limit_w)}/+{_kw(transformer.charge_limit_w)} kW",
        f"no energy: {no_energy}" if no_energy else "grid ok",
    ]
    if (others := len(status.problems) - bool(no_energy)) > 0:
        parts.append(f"{others} problem{'s' if others != 1 else ''}: see v2g-control status")
    return ", ".join([*parts, f"ISO 15118 ready on {where}"])


def _group(port: int, members: Sequence[Bound]) -> str:
    interfaces = list(dict.fromkeys(each.interface for each in members))
    shown = " ".join(interfaces[:SHOWN_INTERFACES])
    if len(interfaces) > SHOWN_INTERFACES:
        shown += f" and {len(interfaces) - SHOWN_INTERFACES} more"
    hosts = {each.host for each in members}
    host = hosts.pop() if len(hosts) == 1 else "fe80::…" if all(each.startswith("fe80:") for each in hosts) else "…"
    return f"{shown} [{host}]:{port}"


def _kw(power_w: float) -> str:
    return f"{max(0.0, power_w) / 1e3:.0f}"


def _signed_kw(power_w: float) -> str:
    text = f"{abs(power_w) / 1e3:.1f}"
    sign = "" if float(text) == 0.0 else "+" if power_w > 0 else "−"
    return sign + text

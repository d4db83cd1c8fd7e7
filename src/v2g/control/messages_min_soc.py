"""Parameters and result of ``min_soc.set`` (operator). Values in % of a battery."""

from __future__ import annotations

import msgspec

from v2g.control.messages import Params


class MinSocParams(Params, frozen=True, kw_only=True):
    """Without ``evse_id`` and ``vehicle`` the value is the site's; not both of them."""

    value: float | None
    """0..100. None: take back what operators have set for this EVSE or vehicle."""
    evse_id: str | None = None
    vehicle: str | None = None
    """The subject of its certificate, or its EVCCID, which can only raise the value."""


class MinSocLine(msgspec.Struct, frozen=True, kw_only=True):
    """A vehicle that is plugged in, and what counts for it now."""

    evse_id: str
    vehicle: str
    min_soc_pct: float
    before_pct: float
    whose: str
    """Whose value it is: ``vehicle CN=..., authenticated``."""
    soc_pct: float | None = None


class MinSocResult(msgspec.Struct, frozen=True, kw_only=True):
    changed: bool
    """False: it was so already, and nothing was written."""
    target: str
    """``site``, ``EVSE US*V2G*E1`` or ``vehicle ...``."""
    value: float | None
    """What counts there now; None: it has no value of its own."""
    before: float | None
    file: str
    """Where it stands; empty: nowhere, it is a default."""
    vehicles: tuple[MinSocLine, ...] = ()
    """Those present for which another value counts now than before."""
    remarks: tuple[str, ...] = ()

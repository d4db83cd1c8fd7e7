"""The mesh as the control socket tells of it. Powers in W, magnitudes where a name says import or export."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from v2g.control.messages import Params

PINGS_AT_MOST = 100


class MeshLinkLine(msgspec.Struct, frozen=True, kw_only=True):
    """A link of ours. ``node`` empty: who is connected there is no member."""

    node: str
    address: str
    up: bool
    since_s: float | None
    """How long it has been so; None: never up."""
    round_trip_ms: float | None = None


class MeshMemberLine(msgspec.Struct, frozen=True, kw_only=True):
    """``present``: its last state counts; else it counts with its rating, ``worst_…_w``."""

    id: str
    group: str
    voice: str
    ourselves: bool
    present: bool
    deaf: bool
    """Heard, but it does not say that it hears us: it counts with its rating, too."""
    age_s: float | None
    hops: int | None
    """To it from us."""
    hops_to_substation: int | None
    """To the nearest head; None: there is no head, or no way to one."""
    round_trip_ms: float | None
    loss_pct: float | None
    flow_w: float | None
    """Positive downstream."""
    import_share_w: float
    export_share_w: float
    """What it may take, as it claims it."""
    worst_import_w: float
    worst_export_w: float
    capability_lo_w: float | None
    capability_hi_w: float | None
    """V2G power that it could take without the mesh, discharge negative."""
    top_oil_c: float | None
    hot_spot_c: float | None
    vehicles: int | None
    needed_wh: float | None
    surplus_wh: float | None
    permit: str
    """Empty: energy may flow."""
    links: tuple[str, ...]
    island: int
    """Its number, ours is 1."""
    head: bool
    version: str = ""
    states_taken: int = 0
    states_missed: int = 0
    """Totals since the start."""


class MeshCapLine(msgspec.Struct, frozen=True, kw_only=True):
    import_w: float
    export_w: float
    by: str
    reason: str
    ends_in_s: float
    """Unless it is told anew."""
    ordered_s: float | None = None
    """Where it was ordered, for how long it is still told; None: elsewhere."""


class MeshGroupLine(msgspec.Struct, frozen=True, kw_only=True):
    """Limits None: there is none. ``counted_…``: what its members claim, or their ratings."""

    id: str
    parent: str
    import_w: float | None
    export_w: float | None
    cap: MeshCapLine | None
    counted_import_w: float
    counted_export_w: float
    flow_w: float | None
    """Sum of what members tell; None: one is not heard."""
    members: int
    present: int
    binds_import: bool
    binds_export: bool
    """Of ours."""


class MeshWireLine(msgspec.Struct, frozen=True, kw_only=True):
    """Totals since the start."""

    received: int
    received_bytes: int
    sent: int
    sent_bytes: int
    dropped: int
    unsent: int
    states_sent: int
    opened: int


class MeshResult(msgspec.Struct, frozen=True, kw_only=True):
    """``problem``: why there is nothing more; empty: all is well."""

    problem: str
    network: str = ""
    node: str = ""
    region: str = ""
    role: str = ""
    """``live`` or ``standby`` of a region's gateway."""
    import_w: float | None = None
    export_w: float | None = None
    """What our transformer may take; None: no limit."""
    import_by: str = ""
    export_by: str = ""
    loss_pct: float | None = None
    members: tuple[MeshMemberLine, ...] = ()
    groups: tuple[MeshGroupLine, ...] = ()
    links: tuple[MeshLinkLine, ...] = ()
    islands: tuple[tuple[str, ...], ...] = ()
    drops: dict[str, int] = {}
    """By reason."""
    drops_by_sender: dict[str, dict[str, int]] = {}
    wire: MeshWireLine | None = None
    north: tuple[MeshMemberLine, ...] = ()
    """Regions, as a live gateway hears them."""


class MeshPingParams(Params, frozen=True, kw_only=True):
    node: str
    count: Annotated[int, Meta(ge=1, le=PINGS_AT_MOST)] = 4


class MeshPingResult(msgspec.Struct, frozen=True, kw_only=True):
    """``round_trips_ms``: in order, None: no answer within 2 s."""

    node: str
    round_trips_ms: tuple[float | None, ...]
    hops: int | None


class MeshCapParams(Params, frozen=True, kw_only=True):
    """Of a head: the limits of a group for a time; what is left out stays as it is configured."""

    group: str
    import_w: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    export_w: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    valid_s: Annotated[float, Meta(ge=5, le=7 * 86_400)]
    reason: Annotated[str, Meta(max_length=120)] = ""


class MeshUncapParams(Params, frozen=True, kw_only=True):
    group: str


class MeshCapResult(msgspec.Struct, frozen=True, kw_only=True):
    message: str

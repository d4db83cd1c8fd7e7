"""The section ``mesh``: our neighbours, who belongs to the mesh, the limits that all share; and ``heartbeat``."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from v2g.config.schema_base import Positive, Section

NodeName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""Certificate common name of a node, id of a group, a member or a region."""
Locator = Annotated[str, Meta(pattern=r"^tls/(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$")]
"""``tls/host:port``."""
Kilowatts = Annotated[float, Meta(ge=0, le=1e6)]


class MeshNeighbour(Section, frozen=True, kw_only=True):
    """Another node that we have a link with."""

    node: NodeName
    """Its name: the common name of its certificate."""
    address: Locator | None = None
    """Where we dial it, by host name or IPv4 address; left out: it dials us."""


class MeshGroup(Section, frozen=True, kw_only=True):
    """A feeder, a busbar, a substation: limits on the sum of the flows of all members below it."""

    id: NodeName
    """By which members and ``v2g-tool mesh cap`` name it."""
    parent: NodeName | None = None
    """The group above; None: none."""
    import_kw: Kilowatts | None = None
    """Downstream; None: not limited."""
    export_kw: Kilowatts | None = None
    """Upstream, a magnitude; None: not limited."""


class MeshMember(Section, frozen=True, kw_only=True):
    """A transformer below a group; in ``north``, a region."""

    id: NodeName
    """Of a transformer, its node's name."""
    group: NodeName
    """The group that it is directly below."""
    rated_kw: Kilowatts | None = None
    """The worst that it can draw or feed while nothing is heard of it. None: ``import_kw`` and ``export_kw`` say."""
    import_kw: Kilowatts | None = None
    """The worst that it can draw; None: ``rated_kw``."""
    export_kw: Kilowatts | None = None
    """The worst that it can feed in; None: ``rated_kw``."""
    weight: Positive | None = None
    """Its part where not all can have what they wish; None: by its rating in kW."""
    speakers: Annotated[tuple[NodeName, ...], Meta(max_length=4)] = ()
    """Nodes that speak for it, of a region its gateways in their order; empty: its own."""
    head: bool = False
    """It may publish caps: the substation's."""


class MeshNorth(Section, frozen=True, kw_only=True):
    """Of a region's gateway: the mesh above, of regions."""

    region_group: NodeName
    """Which of our groups the region is."""
    groups: Annotated[tuple[MeshGroup, ...], Meta(min_length=1, max_length=64)]
    """Of the mesh of regions."""
    members: Annotated[tuple[MeshMember, ...], Meta(min_length=1, max_length=512)]
    """Its regions."""
    listen: Annotated[tuple[Locator, ...], Meta(max_length=8)] = ()
    """Where gateways of other regions dial us."""
    neighbours: Annotated[tuple[MeshNeighbour, ...], Meta(max_length=64)] = ()
    """Gateways that we have a link with."""


class Mesh(Section, frozen=True, kw_only=True):
    network: NodeName
    """The same at all members; messages of other networks are dropped."""
    node: NodeName
    """Ours: the common name of our certificate, and a member's."""
    members: Annotated[tuple[MeshMember, ...], Meta(min_length=1, max_length=512)]
    """All of the mesh; the same at each of them."""
    groups: Annotated[tuple[MeshGroup, ...], Meta(min_length=1, max_length=64)]
    """Feeders, busbars, substation; the same at all members."""
    listen: Annotated[tuple[Locator, ...], Meta(max_length=8)] = ("tls/[::]:7447",)
    """Where neighbours dial us."""
    neighbours: Annotated[tuple[MeshNeighbour, ...], Meta(max_length=64)] = ()
    """Nodes that we have a link with."""
    dir: str = ""
    """``chain.pem``, ``private.key``, ``ca.pem`` and ``crl/``; empty: ``<pki.dir>/mesh``."""
    region: NodeName | None = None
    """None: the mesh is flat."""
    gateways: Annotated[tuple[NodeName, ...], Meta(max_length=4)] = ()
    """Of the region, the first by preference; one is live, the others stand by."""
    alone_import_kw: Kilowatts = 0.0
    """What the region may take while no gateway tells what the north leaves it."""
    alone_export_kw: Kilowatts = 0.0
    """What the region may feed in while no gateway tells what the north leaves it."""
    north: MeshNorth | None = None
    """None: this node is no gateway."""
    meters: Annotated[dict[NodeName, str], Meta(max_length=64)] = msgspec.field(default_factory=dict)
    """Of a head: by group, the file into which its meter's driver writes the flow in W, positive downstream, at least
    once a second. What it shows beyond what the members tell is taken off the group's limit for all."""
    period_s: Annotated[float, Meta(ge=0.2, le=10)] = 1.0
    """Between two states of ours."""
    valid_s: Annotated[float, Meta(ge=1, le=60)] = 3.0
    """How long one counts; then we count with our rating."""
    lease_s: Annotated[float, Meta(ge=0.5, le=30)] = 1.0
    """A link that is silent for so long is lost."""
    deaf_after_s: Annotated[float, Meta(ge=1, le=120)] = 5.0
    """Who does not say for so long that it hears us counts with its rating."""
    ramp_pu_s: Annotated[float, Meta(gt=0, le=1)] = 0.05
    """Of our rating: how fast what we may take rises."""
    reserve_pu: Annotated[float, Meta(ge=0, le=0.5)] = 0.02
    """Of each limit, left free for base loads that change between two states."""
    margin_pu: Annotated[float, Meta(ge=0, le=0.2)] = 0.01
    """Of our rating, told on top of our base load for its noise."""


class Heartbeat(Section, frozen=True, kw_only=True):
    """LEDs below ``/sys/class/leds``; empty: none."""

    led: Annotated[str, Meta(pattern=r"^[^/]{0,64}$")] = ""
    """Steady while healthy; it flashes where there is no ``amber``."""
    amber: Annotated[str, Meta(pattern=r"^[^/]{0,64}$")] = ""
    """Flashes while more than 5 % of the mesh's messages of a minute are lost, or of the answers to the probe."""
    probe: Annotated[str, Meta(max_length=200)] = ""
    """The utility's gateway: ``host:port``, to which a TCP connection is opened and closed, or ``icmp:ADDRESS``, to
    which an echo is sent; empty: none."""
    probe_every_s: Annotated[float, Meta(ge=1, le=10)] = 2.0
    """Seconds between two probes."""

"""Light nodes: what a process of them is told, and what is said to it at its control socket."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from v2g.config.schema_mesh import Mesh
from v2g.simulation.line_client import LineClient


class LightConfigError(Exception):
    """A configuration of light nodes that cannot be used."""


class LightModel(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The transformer and the vehicles that a light node stands for. W; positive downstream and into vehicles."""

    rated_w: float = 250_000.0
    base_w: float = 80_000.0
    noise_w: float = 500.0
    """Of the base load, root mean square."""
    want_charge_w: float = 0.0
    want_discharge_w: float = 0.0
    """Magnitude. Of both the larger is what the vehicles would do."""
    ramp_w_s: float = 11_000.0
    vehicles: int = 0


class LightNodeConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    mesh: Mesh
    dir: str
    """Of its certificate, key and authority."""
    model: LightModel = msgspec.field(default_factory=LightModel)
    meter: dict[str, str] = {}
    """Of a head: by group, the file that its meter writes its flow into, W. A file that is old says nothing."""


class LightConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Of one process."""

    control_socket: str
    nodes: Annotated[list[LightNodeConfig], Meta(min_length=1)]
    record: str = ""
    """A file that gets a line for each node every second; empty: none."""
    seed: int = 1
    stagger_s: float = 0.0
    """Between the starts of two nodes."""


class Read(msgspec.Struct, frozen=True, kw_only=True, tag="read"):
    """The flows and shares of all nodes, and the process's own costs."""


class ReadFlows(msgspec.Struct, frozen=True, kw_only=True, tag="flows"):
    """The true flows of all nodes alone, W by node: what a meter asks for."""


class SetModel(msgspec.Struct, frozen=True, kw_only=True, tag="set"):
    """What is left out stays."""

    node: str
    base_w: float | None = None
    want_charge_w: float | None = None
    want_discharge_w: float | None = None


class SetWire(msgspec.Struct, frozen=True, kw_only=True, tag="wire"):
    """``down``: the node leaves the mesh, without a word to its vehicles; ``up``: it comes back, as it would start."""

    node: str
    state: Literal["up", "down"]


class SkewClock(msgspec.Struct, frozen=True, kw_only=True, tag="skew"):
    """What the node takes for the time of day is ahead by so much."""

    node: str
    by_s: float


class Lie(msgspec.Struct, frozen=True, kw_only=True, tag="lie"):
    """``under_w``: it tells so much less base load and flow than there is, and takes the room for its vehicles;
    ``over_w``: it tells so much more. 0: it is honest."""

    node: str
    under_w: float = 0.0
    over_w: float = 0.0


class Flood(msgspec.Struct, frozen=True, kw_only=True, tag="flood"):
    """It sends ``per_s`` copies of its states under new sequences for ``for_s``."""

    node: str
    per_s: float
    for_s: float


class PutCap(msgspec.Struct, frozen=True, kw_only=True, tag="cap"):
    """Of a head. ``valid_s`` 0: the cap ends."""

    node: str
    group: str
    import_w: float = 1e9
    export_w: float = 1e9
    valid_s: float = 3600.0


class Ping(msgspec.Struct, frozen=True, kw_only=True, tag="ping"):
    node: str
    to: str


class Replay(msgspec.Struct, frozen=True, kw_only=True, tag="replay"):
    """The node sends again what it heard last of ``of``, as it came."""

    node: str
    of: str


class ReloadTrust(msgspec.Struct, frozen=True, kw_only=True, tag="trust"):
    """Every node of the process reads its authority and revocation lists again."""


Request = Read | ReadFlows | SetModel | SetWire | SkewClock | Lie | Flood | PutCap | Ping | Replay | ReloadTrust


class NodeReading(msgspec.Struct, frozen=True, kw_only=True):
    """``flow_w``, ``base_w``: as they are, whatever it tells."""

    node: str
    at_s: float
    flow_w: float
    base_w: float
    want_w: float
    import_w: float
    export_w: float
    import_by: str
    export_by: str
    heard: int
    present: int
    members: int
    links: int
    islands: int
    hops: dict[str, int]
    states_sent: int
    received: int
    received_bytes: int
    sent: int
    sent_bytes: int
    drops: dict[str, int]
    drops_by_sender: dict[str, dict[str, int]]
    refusals: int
    loss: float | None
    round_trips_ms: dict[str, float]
    ages_s: dict[str, float]
    """By node, of its last state, whether it counts or not."""
    missed: dict[str, int]
    role: str
    problem: str


class ProcessReading(msgspec.Struct, frozen=True, kw_only=True):
    """``cpu_s``: since the start, of all threads; ``late_s``: the latest turn of the last reading's time."""

    at_s: float
    cpu_s: float
    rss_kb: int
    late_s: float
    nodes: list[NodeReading]


class LightClient(LineClient):
    """Requests are those of this module, by their tags: ``ask(type="read")``."""

    NAME = "process of light nodes"

    def read(self) -> ProcessReading:
        return msgspec.convert(self.ask(type="read")["reading"], ProcessReading)

    def flows_w(self) -> dict[str, float]:
        """As they are, whatever the nodes tell."""
        return msgspec.convert(self.ask(type="flows")["flows_w"], dict[str, float])


def read_light_config(path: Path) -> LightConfig:
    """Raises :class:`LightConfigError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LightConfig)
    except OSError as error:
        raise LightConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    except msgspec.MsgspecError as error:
        raise LightConfigError(f"{path}: {error}") from None

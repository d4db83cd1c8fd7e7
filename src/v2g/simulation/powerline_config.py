"""What the powerline process is told, and what is said on its control socket: JSON, one message a line.

Request ``{"do": "<what>", ...}``, answer ``{"ok": true, ...}`` or ``{"ok": false, "error": "..."}``:

- ``{"do": "measure"}``: every station with its network;
- ``{"do": "attenuation", "one": "EVSE 1", "other": "vehicle 1", "db": 35}``; ``{"do": "loss", "share": 0.1}``;
- ``{"do": "plug", "station": "vehicle 1", "plugged": false}``: off the line, or on it again;
- ``{"do": "answers", "station": "EVSE 1", "answers": false}``: the modem is broken, or works again;
- ``{"do": "leak", "source": "EVSE 1", "to": "stranger"}``: the second modem has the key of the first from now on;
- ``{"do": "noise", "station": "EVSE 1", "per_s": 1000, "for_s": 10}``: frames of nonsense to that station's host.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Level = Annotated[float, Meta(ge=0.0, le=200.0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class StationConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One modem. ``kind``: where its host is.

    ``unix``: ``address`` is the path of a datagram socket that is bound here; the host's first datagram tells its MAC.
    ``tap``: a TAP interface of that name is made here; whoever needs it in a namespace moves it there.
    ``veth``: one end of a veth pair that is here, by a packet socket; offloads of both ends have to be off.
    """

    name: str
    kind: Literal["unix", "tap", "veth"]
    address: str
    modem_mac: str
    host_mac: str = ""
    """Empty: by the host's first datagram, or by the source of its first frame."""
    offset_db: Level = 0.0
    make: Literal["qualcomm", "st"] = "qualcomm"
    """Of the modem: which requests it knows."""
    plugged: bool = True


class PairConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    one: str
    other: str
    db: Level


class PowerlineConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    control_socket: str
    stations: tuple[StationConfig, ...]
    pairs: tuple[PairConfig, ...] = ()
    default_db: Level = 100.0
    """Between stations that no pair names."""
    loss: Share = 0.0
    delay_s: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.001
    seed: int = 1


class PowerlineConfigError(Exception):
    """The file cannot be used; the message names it and the reason."""


def read_config(path: Path) -> PowerlineConfig:
    """Raises :class:`PowerlineConfigError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=PowerlineConfig)
    except (OSError, msgspec.MsgspecError) as error:
        raise PowerlineConfigError(f"powerline configuration {path}: {error}") from error


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    pass


class Measure(_Request, frozen=True, kw_only=True, tag="measure"):
    pass


class SetAttenuation(_Request, frozen=True, kw_only=True, tag="attenuation"):
    one: str
    other: str
    db: Level


class SetLoss(_Request, frozen=True, kw_only=True, tag="loss"):
    share: Share


class SetPlugged(_Request, frozen=True, kw_only=True, tag="plug"):
    station: str
    plugged: bool


class SetAnswers(_Request, frozen=True, kw_only=True, tag="answers"):
    station: str
    answers: bool


class LeakKey(_Request, frozen=True, kw_only=True, tag="leak"):
    source: str
    to: str


class MakeNoise(_Request, frozen=True, kw_only=True, tag="noise"):
    station: str
    per_s: Annotated[float, Meta(gt=0, le=20_000)]
    for_s: Annotated[float, Meta(gt=0, le=600)]


Request = Measure | SetAttenuation | SetLoss | SetPlugged | SetAnswers | LeakKey | MakeNoise


class StationMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    host_mac: str
    modem_mac: str
    plugged: bool
    answers: bool
    keyed: bool
    network: tuple[str, ...]
    """Stations in one network with it."""


class PowerlineMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    at_s: float
    stations: tuple[StationMeasurement, ...]
    passed: int
    dropped: int

"""The vehicle's side of a recorded matching, played into an EVSE's machine in injected time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from pyiso15118.slac import events as slac
from pyiso15118.slac.addresses import Mac
from pyiso15118.slac.evse import EvseMachine, EvseSlacConfig
from pyiso15118.slac.frame import Frame, decode_frame
from pyiso15118.slac.messages import (
    CM_ATTEN_CHAR_IND,
    CM_ATTEN_CHAR_RSP,
    CM_ATTEN_PROFILE_IND,
    CM_MNBC_SOUND_IND,
    CM_SLAC_MATCH_REQ,
    CM_SLAC_PARM_REQ,
    CM_START_ATTEN_CHAR_IND,
)

FROM_OUTSIDE = (
    CM_SLAC_PARM_REQ,
    CM_START_ATTEN_CHAR_IND,
    CM_MNBC_SOUND_IND,
    CM_ATTEN_PROFILE_IND,
    CM_ATTEN_CHAR_RSP,
    CM_SLAC_MATCH_REQ,
)
"""What the vehicle sends, and what the EVSE's own modem measures."""
TWICE_S = 0.01
"""Two EVSEs' interfaces were recorded in one file: what both heard is in it twice."""


@dataclass(frozen=True)
class Recorded:
    at: float
    data: bytes
    frame: Frame


@dataclass
class Capture:
    """One recording of a matching. Times in seconds from its first CM_SLAC_PARM.REQ."""

    name: str
    frames: list[Recorded]

    @property
    def evse_macs(self) -> list[Mac]:
        """The EVSEs that told an attenuation, or were asked to match, in order."""
        told = [f.frame.source for f in self.of(CM_ATTEN_CHAR_IND)]
        asked = [f.frame.message.evse_mac for f in self.of(CM_SLAC_MATCH_REQ)]
        return list(dict.fromkeys([*told, *asked]))

    def of(self, kind: type) -> list[Recorded]:
        return [one for one in self.frames if isinstance(one.frame.message, kind)]

    def told_db(self, evse_mac: Mac) -> float:
        """The average that the recorded EVSE told."""
        message = next(f.frame.message for f in self.of(CM_ATTEN_CHAR_IND) if f.frame.source == evse_mac)
        return sum(message.aag) / len(message.aag)

    def matched_mac(self) -> Mac:
        return self.of(CM_SLAC_MATCH_REQ)[-1].frame.message.evse_mac


@dataclass
class Answers:
    """What our machine sent and told, with times."""

    sent: list[tuple[float, Frame]] = field(default_factory=list)
    events: list[tuple[float, slac.Event]] = field(default_factory=list)

    def at(self, kind: type) -> float:
        return next(at for at, frame in self.sent if isinstance(frame.message, kind))

    def message(self, kind: type) -> Any:
        return next(frame.message for _, frame in self.sent if isinstance(frame.message, kind))

    def event(self, kind: type) -> Any:
        return next(event for _, event in self.events if isinstance(event, kind))

    def count(self, kind: type) -> int:
        return sum(isinstance(frame.message, kind) for _, frame in self.sent)


def captures(folder: Path) -> Iterator[Capture]:
    """Those in which a vehicle matches; a first request that nothing followed is left out."""
    rows = [json.loads(line) for line in (folder / "slac" / "frames.jsonl").read_text().splitlines()]
    for name in dict.fromkeys(row["capture"] for row in rows):
        own = [row for row in rows if row["capture"] == name and row["t"] is not None]
        starts = [row["t"] for row in own if row["name"] == "CM_START_ATTEN_CHAR.IND"]
        if not starts:
            continue
        begin = max(row["t"] for row in own if row["name"] == "CM_SLAC_PARM.REQ" and row["t"] <= starts[0])
        frames = []
        seen: dict[bytes, float] = {}
        for row in own:
            data = bytes.fromhex(row["hex"])
            if row["t"] >= begin and row["t"] - seen.get(data, -1.0) > TWICE_S:
                frames.append(Recorded(row["t"] - begin, data, decode_frame(data)))
                seen[data] = row["t"]
        yield Capture(name.removesuffix(".pcapng"), frames)


def play(capture: Capture, machine: EvseMachine, *, modem: Mac | None = None) -> Answers:
    """``modem``: only profiles of this modem are for this EVSE."""
    answers = Answers()

    def collect(now: float) -> None:
        answers.sent += [(now, decode_frame(data)) for data in machine.frames_to_send()]
        while (event := machine.next_event()) is not None:
            answers.events.append((now, event))

    def until(now: float) -> None:
        while (due := machine.next_deadline()) is not None and due <= now:
            machine.handle_timer(due)
            collect(due)

    for one in capture.frames:
        if not isinstance(one.frame.message, FROM_OUTSIDE):
            continue
        if isinstance(one.frame.message, CM_ATTEN_PROFILE_IND) and modem not in (None, one.frame.source):
            continue
        until(one.at)
        machine.receive_frame(one.data, one.at)
        collect(one.at)
    return answers


def machine(evse_mac: Mac, calibration_db: float = 0.0, **settings: Any) -> EvseMachine:
    """Keyed, with a vehicle on the pilot, at the time 0."""
    made = EvseMachine(
        EvseSlacConfig(evse_mac=evse_mac, calibration_db=calibration_db, **settings), random=Random(7).randbytes
    )
    made.start(0.0)
    made.key_set(0.0)
    made.plugged(True, 0.0)
    while made.next_event() is not None:
        pass
    return made

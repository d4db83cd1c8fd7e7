"""Whole conversations: our vehicle and our charger, and somebody on the line between them.

All that is known of the machines here is how their owner drives them, and the benches that play the owner in the tests
of ``pyiso15118``.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from fuzz.checks import Sampler, require
from fuzz.content import change
from pyiso15118 import exi
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import (
    ChargingStarted,
    ChargingStopped,
    EndReason,
    FrameIgnored,
    MessageReceived,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    SessionEnded,
)
from pyiso15118.machine import Machine
from pyiso15118.v2gtp import HEADER_BYTES, encode_frame, namespace_of

BENCHES = Path(__file__).resolve().parents[1] / "pyiso15118" / "conftest.py"
OF_THE_END = frozenset({"live", "charging", "failure", "contactors_closed"})
"""What the end of a session may change in a machine's memory of it: energy is off."""
ON_AND_OFF = {
    **{PowerDeliveryStarted: "on", PowerDeliveryStopped: "off"},
    **{ChargingStarted: "on", ChargingStopped: "off"},
}
REFUSED = frozenset({EndReason.PROTOCOL_ERROR, EndReason.FAILED_BY_US, EndReason.FAILED_BY_PEER})
LONGEST_S = 20.0
"""Seconds, on the machines' clock, after which a conversation is broken off."""


@cache
def benches() -> Any:
    """The module of the benches: ``Pair`` and ``SeccBench``."""
    spec = importlib.util.spec_from_file_location("pyiso15118_benches", BENCHES)
    if spec is None or spec.loader is None:
        raise ImportError(f"{BENCHES} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Watch:
    """Stands before a machine: changes what it receives by ``alter`` and requires that refusals leave no trace.

    That is judged of frames that arrive alone: of several at once the first may be good and the last not.
    """

    def __init__(self, machine: Machine, alter: Callable[[bytes], list[bytes]] = lambda data: [data]) -> None:
        self.machine: Any = machine
        self.alter = alter
        self.receive, self.take = machine.receive_data, machine.next_event
        self.between_frames = True
        self.waiting: deque[Any] = deque()
        self.seen: list[Any] = []
        self.machine.receive_data = self.receive_data
        self.machine.next_event = self.next_event

    def receive_data(self, data: bytes, now: float) -> None:
        """What the owner calls."""
        for piece in self.alter(data):
            before = self.machine.session, self.machine.state, self.machine.next_deadline()
            alone = self.between_frames and piece[:2] == b"\x01\xfe" and frame_bytes(piece) >= len(piece)
            self.between_frames = alone and frame_bytes(piece) == len(piece)
            self.receive(piece, now)
            told = self._collect()
            if alone or not any(isinstance(event, MessageReceived) for event in told):
                self.judge(before, told)

    def next_event(self) -> Any:
        """What the owner calls."""
        self._collect()
        return self.waiting.popleft() if self.waiting else None

    def _collect(self) -> list[Any]:
        told = []
        while (event := self.take()) is not None:
            told.append(event)
        self.waiting.extend(told)
        self.seen.extend(told)
        return told

    def judge(self, before: tuple[Any, Any, float | None], told: list[Any]) -> None:
        """A refused message ends the session and changes nothing of it; an ignored one does not even that."""
        session = before[0]
        if told and isinstance(told[-1], SessionEnded) and told[-1].reason in REFUSED:
            changed = {
                field.name
                for field in fields(session)
                if getattr(session, field.name) != getattr(self.machine.session, field.name)
            }
            require(changed <= OF_THE_END, f"{told[-1].detail!r} refused, yet {sorted(changed - OF_THE_END)} changed")
        if told and all(isinstance(event, FrameIgnored) for event in told):
            now = self.machine.session, self.machine.state, self.machine.next_deadline()
            require(now == before, f"ignored, yet {before} became {now}")

    def finish(self, now: float) -> None:
        """The line is cut; the machine must have ended, have said so last and once, and have energy off."""
        self.machine.receive_eof(now)
        self._collect()
        kinds = [type(event) for event in self.seen]
        require(self.machine.closed and self.machine.next_deadline() is None, "not closed by the end of the stream")
        require(kinds.count(SessionEnded) == 1 and kinds[-1] is SessionEnded, "SessionEnded is not last and single")
        switching = [kind for kind in kinds if kind in ON_AND_OFF]
        require(not switching or ON_AND_OFF[switching[-1]] == "off", f"energy is left on: {switching}")


def frame_bytes(frame: bytes) -> int:
    """The length that a frame's header announces, header included."""
    return HEADER_BYTES + int.from_bytes(frame[4:HEADER_BYTES])


class Meddler:
    """Does to each frame on the line what the next four bytes of ``plan`` say, and nothing once they are used up."""

    def __init__(self, plan: bytes, known: list[bytes]) -> None:
        self.plan = plan
        self.known = known
        self.place = 0

    def __call__(self, frame: bytes) -> list[bytes]:
        step = self.plan[self.place : self.place + 4]
        self.place += 4
        if len(step) < 4 or step[0] % 8 < 2:
            return [frame]
        kind, which, rng = step[0] % 8, step[1], Random(step[2] << 8 | step[3])
        match kind:
            case 2 | 3:
                return [other_content(frame, rng)]
            case 4:
                damaged = bytearray(frame)
                damaged[HEADER_BYTES + which % max(len(frame) - HEADER_BYTES, 1) - (which > 250)] ^= 1 << step[3] % 8
                return [bytes(damaged)]
            case 5:
                return [self.known[which % len(self.known)], frame][: 1 + step[3] % 2]
            case 6:
                cut = which % len(frame)
                return [frame[:cut], frame[cut:]]
            case _:
                stranger = encode_frame((0x8101, 0x8102, 0x8005, 0x9000)[which % 4], rng.randbytes(which % 9))
                return [stranger, frame] if step[3] % 4 else []


def other_content(frame: bytes, rng: Random) -> bytes:
    """A frame whose message says something else, by the same schema."""
    payload_type = int.from_bytes(frame[2:4])
    namespace = namespace_of(payload_type)
    if namespace is None:
        return frame
    try:
        message = exi.decode(namespace, frame[HEADER_BYTES:])
        header = getattr(message, "Header", None)
        for _ in range(rng.choice((1, 1, 2, 4))):
            message = change(rng, message)
        if header is not None and rng.random() < 0.8:
            message = msgspec.structs.replace(message, Header=header)
        return encode_frame(payload_type, exi.encode(message, namespace))
    except exi.ExiError:
        return frame


@cache
def known_frames() -> tuple[list[bytes], list[bytes]]:
    """What a good session sends to the charger and to the vehicle."""
    pair = benches().Pair(loops=2)
    to_charger: list[bytes] = []
    to_vehicle: list[bytes] = []

    def noting(frames: list[bytes]) -> Callable[[bytes], list[bytes]]:
        def note(frame: bytes) -> list[bytes]:
            frames.append(frame)
            return [frame]

        return note

    Watch(pair.secc.machine, noting(to_charger))
    Watch(pair.evcc, noting(to_vehicle))
    pair.run()
    require(pair.evcc.closed and len(to_charger) > 10, "the good session does not come to its end")
    return to_charger, to_vehicle


def converse(plan: bytes) -> list[Any]:
    """One conversation with a meddler on the line; gives all events of both machines."""
    to_charger, to_vehicle = known_frames()
    pair = benches().Pair(loops=2)
    # One plan for both directions, in the order in which the frames pass.
    meddler = Meddler(plan, to_charger + to_vehicle)
    watches = [Watch(pair.secc.machine, meddler), Watch(pair.evcc, meddler)]
    try:
        pair.run(max_s=LONGEST_S)
    except LocalProtocolError:
        pass  # the benches' owners believe what they are told, and what they then ask for may make no sense
    for watch in watches:
        watch.finish(pair.now)
    return [event for watch in watches for event in watch.seen]


def charger_hears(data: bytes) -> list[Any]:
    """A charger that was brought as far as the first byte says hears the rest, cut as the second says."""
    frames, _ = known_frames()
    good, size, stream = data[0] % len(frames), data[1] or len(data), data[2:]
    bench = benches().SeccBench()
    watch = Watch(bench.machine)
    for frame in frames[:good]:
        bench.feed(frame)
        bench.advance(0.05)
    for start in range(0, len(stream), size):
        bench.feed(stream[start : start + size])
        bench.advance(0.05)
    watch.finish(bench.now)
    return watch.seen


def count(sampler: Sampler, told: list[Any]) -> None:
    """Keep count of how sessions end."""
    ends = [event.reason for event in told if isinstance(event, SessionEnded)]
    sampler.counts["refused" if any(reason in REFUSED for reason in ends) else "accepted"] += 1

"""Whole conversations: our vehicle and our charger, and somebody on the line between them.

All that is known of the machines here is how their owner drives them, and what they remember of a session.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import lru_cache
from random import Random
from typing import Any

import msgspec

from fuzz.checks import Sampler, require
from fuzz.content import change
from fuzz.settings import SETTING_BYTES, Setting, setting_of, staged
from fuzz.whims import WHIMS_OF_CHARGER, WHIMS_OF_VEHICLE
from pyiso15118 import exi
from pyiso15118.commands import Command, UpdateAcEvse, UpdateDcEvse
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
from pyiso15118.messages import Namespace
from pyiso15118.v2gtp import HEADER_BYTES, PayloadType, encode_frame, namespace_of

OF_THE_END = frozenset({"live", "charging", "standby", "watch", "obedience", "failure"}) | {
    "transfer.charging",
    "transfer.contactors_closed",
}
"""What the end of a session may change in a machine's memory of it: energy is off, nobody is watched any more, and why
it had to be off is known."""
ON_AND_OFF = {
    **{PowerDeliveryStarted: "on", PowerDeliveryStopped: "off"},
    **{ChargingStarted: "on", ChargingStopped: "off"},
}
REFUSED = frozenset({EndReason.PROTOCOL_ERROR, EndReason.FAILED_BY_US, EndReason.FAILED_BY_PEER})
REFUSED_BY_VEHICLE = REFUSED - {EndReason.FAILED_BY_US}
"""A vehicle that ends so has understood the answer and does not like what it says."""
LONGEST_S = 20.0
"""Seconds, on the machines' clock, after which a conversation is broken off."""
SIDE_STREAMS = (PayloadType.SCHEDULE_RENEGOTIATION, PayloadType.METERING_CONFIRMATION)
ON_SIDE_STREAMS = ("ScheduleExchangeReq", "MeteringConfirmationReq", "MeteringConfirmationRes")


class Watch:
    """Stands before a machine: changes what it receives by ``alter`` and requires that refusals leave no trace, and
    that energy flows in a sound EVSE only.

    The former is judged of frames that arrive alone: of several at once the first may be good and the last not. A
    command that the machine refuses is no news to its owner here: the benches' owners believe what they are told, and
    what they then ask for may make no sense.
    """

    def __init__(
        self,
        machine: Machine,
        alter: Callable[[bytes], list[bytes]] = lambda data: [data],
        refusals: frozenset[EndReason] = REFUSED,
    ) -> None:
        self.machine: Any = machine
        self.alter, self.refusals = alter, refusals
        self.receive, self.take, self.obey = machine.receive_data, machine.next_event, machine.command
        self.between_frames = True
        self.evse: tuple[UpdateAcEvse | UpdateDcEvse, float] | None = None
        self.waiting: deque[Any] = deque()
        self.seen: list[Any] = []
        self.machine.receive_data = self.receive_data
        self.machine.next_event = self.next_event
        self.machine.command = self.command

    def receive_data(self, data: bytes, now: float) -> None:
        """What the owner calls."""
        for piece in self.alter(data):
            self._collect()
            before = self._memory()
            alone = self.between_frames and piece[:2] == b"\x01\xfe" and frame_bytes(piece) >= len(piece)
            self.between_frames = alone and frame_bytes(piece) == len(piece)
            self.receive(piece, now)
            told = self._collect()
            if alone or not any(isinstance(event, MessageReceived) for event in told):
                self.judge(before, told)
            self.judge_energy(now)

    def command(self, command: Command, now: float) -> None:
        """What the owner calls."""
        before = self._memory()
        try:
            self.obey(command, now)
        except LocalProtocolError as error:
            require(before == self._memory(), f"{command} refused ({error}), yet {before} became {self._memory()}")
        else:
            if isinstance(command, UpdateAcEvse | UpdateDcEvse):
                self.evse = command, now
        self.judge_energy(now)

    def next_event(self) -> Any:
        """What the owner calls."""
        self._collect()
        return self.waiting.popleft() if self.waiting else None

    def _memory(self) -> tuple[Any, Any, float | None]:
        return self.machine.session, self.machine.state, self.machine.next_deadline()

    def _collect(self) -> list[Any]:
        told = []
        while (event := self.take()) is not None:
            told.append(event)
        self.waiting.extend(told)
        self.seen.extend(told)
        return told

    def judge(self, before: tuple[Any, Any, float | None], told: list[Any]) -> None:
        """A refused message ends the session and changes nothing of it; an ignored one does not even that."""
        if told and isinstance(told[-1], SessionEnded) and told[-1].reason in self.refusals:
            changed = changes(before[0], self.machine.session)
            require(changed <= OF_THE_END, f"{told[-1].detail!r} refused, yet {sorted(changed - OF_THE_END)} changed")
        if told and all(isinstance(event, FrameIgnored) for event in told):
            require(self._memory() == before, f"ignored, yet {before} became {self._memory()}")

    def judge_energy(self, now: float) -> None:
        """A charger in which energy may flow was told of a sound EVSE, not long ago."""
        if not getattr(self.machine.session, "charging", False):
            return
        require(self.evse is not None, "energy flows in an EVSE of which nothing is known")
        evse, at = self.evse or (None, 0.0)
        closed = evse.contactor_closed if isinstance(evse, UpdateAcEvse) else evse and evse.contactors_closed
        require(bool(closed) and evse is not None and evse.fault is None, f"energy flows in an EVSE like this: {evse}")
        require(now - at <= self.machine.config.evse_state_max_age_s, f"energy flows {now - at} s after the last word")

    def finish(self, now: float) -> None:
        """The line is cut; the machine must have ended, have said so last and once, and have energy off."""
        self.machine.receive_eof(now)
        self._collect()
        kinds = [type(event) for event in self.seen]
        require(self.machine.closed and self.machine.next_deadline() is None, "not closed by the end of the stream")
        require(kinds.count(SessionEnded) == 1 and kinds[-1] is SessionEnded, "SessionEnded is not last and single")
        switching = [kind for kind in kinds if kind in ON_AND_OFF]
        require(not switching or ON_AND_OFF[switching[-1]] == "off", f"energy is left on: {switching}")


def changes(before: Any, after: Any) -> set[str]:
    """Names of what differs; within what belongs to an energy service, names with a dot."""
    names = [field.name for field in fields(before)] if is_dataclass(before) else before.__struct_fields__
    found = set()
    for name in names:
        old, new = getattr(before, name), getattr(after, name)
        if name == "transfer":
            found |= {f"{name}.{inner}" for inner in changes(old, new)}
        elif old != new:
            found.add(name)
    return found


def frame_bytes(frame: bytes) -> int:
    """The length that a frame's header announces, header included."""
    return HEADER_BYTES + int.from_bytes(frame[4:HEADER_BYTES])


class Meddler:
    """Does to each frame on the line what the next four bytes of ``plan`` say, and nothing once they are used up.

    Not only to the frame: the vehicle's or the charger's owner may have a whim meanwhile.
    """

    def __init__(self, plan: bytes, known: list[bytes], pair: Any) -> None:
        self.plan = plan
        self.known = known
        self.beside = side_frames(known)
        self.pair = pair
        self.place = 0

    def __call__(self, frame: bytes) -> list[bytes]:
        step = self.plan[self.place : self.place + 4]
        self.place += 4
        if len(step) < 4 or step[0] % 10 < 2:
            return [frame]
        kind, which, rng = step[0] % 10, step[1], Random(step[2] << 8 | step[3])
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
            case 7:
                return self.stranger(frame, which, step[3], rng)
            case 8:
                self.pair.command(WHIMS_OF_VEHICLE[which % len(WHIMS_OF_VEHICLE)])
            case _:
                WHIMS_OF_CHARGER[which % len(WHIMS_OF_CHARGER)](self.pair.station)
        return [frame]

    def stranger(self, frame: bytes, which: int, how: int, rng: Random) -> list[bytes]:
        """``frame`` after one of another stream, or lost."""
        if which < 128 and self.beside:
            beside = self.beside[which % len(self.beside)]
            return [other_content(beside, rng) if how & 1 else beside, frame]
        other = encode_frame((0x8101, 0x8102, 0x8005, 0x9000)[which % 4], rng.randbytes(which % 9))
        return [other, frame] if how % 4 else []


def side_frames(known: list[bytes]) -> list[bytes]:
    """What may be said beside the main stream, on either side stream."""
    return [
        encode_frame(payload_type, frame[HEADER_BYTES:])
        for frame in known
        if namespace_of(type_of(frame)) is Namespace.COMMON_MESSAGES
        and type(exi.decode(Namespace.COMMON_MESSAGES, frame[HEADER_BYTES:])).__name__ in ON_SIDE_STREAMS
        for payload_type in SIDE_STREAMS
    ]


def type_of(frame: bytes) -> int:
    """The payload type in a frame's header."""
    return int.from_bytes(frame[2:4])


def other_content(frame: bytes, rng: Random) -> bytes:
    """A frame whose message says something else, by the same schema."""
    namespace = namespace_of(type_of(frame))
    if namespace is None:
        return frame
    try:
        message = exi.decode(namespace, frame[HEADER_BYTES:])
        header = getattr(message, "Header", None)
        for _ in range(rng.choice((1, 1, 2, 4))):
            message = change(rng, message)
        if header is not None and rng.random() < 0.8:
            message = msgspec.structs.replace(message, Header=header)
        return encode_frame(type_of(frame), exi.encode(message, namespace))
    except exi.ExiError:
        return frame


@lru_cache(maxsize=300)
def known_frames(setting: Setting) -> tuple[list[bytes], list[bytes]]:
    """What a good session sends to the charger and to the vehicle."""
    pair = staged(setting)
    to_charger: list[bytes] = []
    to_vehicle: list[bytes] = []

    def noting(frames: list[bytes]) -> Callable[[bytes], list[bytes]]:
        def note(frame: bytes) -> list[bytes]:
            frames.append(frame)
            return [frame]

        return note

    Watch(pair.secc, noting(to_charger))
    Watch(pair.machine, noting(to_vehicle), REFUSED_BY_VEHICLE)
    pair.run(max_s=3 * LONGEST_S)
    good = {EndReason.STOPPED, EndReason.PAUSED}
    ends = [event for events in (pair.events, pair.station.events) for event in events[-1:]]
    require(
        all(isinstance(event, SessionEnded) and event.reason in good for event in ends),
        f"the good session of {setting} comes to this end: {ends}",
    )
    return to_charger, to_vehicle


def converse(data: bytes) -> list[Any]:
    """One conversation with a meddler on the line, and one more if it is paused; gives all events of both machines.

    The first bytes choose the setting, the rest is the meddler's plan.
    """
    setting, plan = setting_of(data), data[SETTING_BYTES:]
    to_charger, to_vehicle = known_frames(setting)
    pair = staged(setting)
    # One plan for both directions, in the order in which the frames pass.
    meddler = Meddler(plan, to_charger + to_vehicle, pair)
    seen = meet(pair, meddler)
    if pair.secc.paused is not None or pair.machine.paused is not None:
        meddler.pair = staged(setting, pair)
        seen += meet(meddler.pair, meddler)
    return seen


def meet(pair: Any, meddler: Meddler) -> list[Any]:
    """One conversation of these two."""
    watches = [Watch(pair.secc, meddler), Watch(pair.machine, meddler, REFUSED_BY_VEHICLE)]
    pair.run(max_s=LONGEST_S)
    for watch in watches:
        watch.finish(pair.now)
    return [event for watch in watches for event in watch.seen]


HEARING_BYTES = SETTING_BYTES + 2


def charger_hears(data: bytes) -> list[Any]:
    """A charger in the setting that the first bytes choose, brought as far as the next one says, hears the rest, cut as
    the one between says."""
    setting = setting_of(data)
    frames, _ = known_frames(setting)
    how, stream = data[SETTING_BYTES:HEARING_BYTES], data[HEARING_BYTES:]
    good, size = how[0] % len(frames), how[1] or len(stream) or 1
    station = staged(setting).station
    watch = Watch(station.machine)
    for piece in [*frames[:good], *(stream[start : start + size] for start in range(0, len(stream), size))]:
        station.machine.receive_data(piece, station.now)
        wait(station, 0.05)
    watch.finish(station.now)
    return watch.seen


def wait(station: Any, seconds: float) -> None:
    """Let time pass for a charger's owner, who does what it is told; what is sent goes nowhere."""
    machine = station.machine
    until = station.now + seconds
    station.take_events()
    while (deadline := machine.next_deadline()) is not None and deadline <= until:
        station.now = max(station.now, deadline)
        machine.handle_timer(station.now)
        station.take_events()
    station.now = until
    station.catch_up()
    station.tell()
    while machine.data_to_send():
        pass


def count(sampler: Sampler, told: list[Any]) -> None:
    """Keep count of how sessions end."""
    ends = [event.reason for event in told if isinstance(event, SessionEnded)]
    sampler.counts["refused" if any(reason in REFUSED for reason in ends) else "accepted"] += 1

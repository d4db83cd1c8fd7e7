"""A vehicle on a real interface, in a process of its own: ``python slac_vehicle.py ours|captured INTERFACE [CAPTURE]``.

``ours`` is our machine with its modem; ``captured`` sends the frames of a recorded vehicle at its pace, addresses and
run ID replaced. Prints one JSON object a line: ``{"at": seconds, "said": ...}``, the last with ``"linked"``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pyiso15118.errors import RemoteProtocolError
from pyiso15118.slac.addresses import LOCAL_MODEM, Mac
from pyiso15118.slac.frame import Frame, decode_frame, encode_frame
from pyiso15118.slac.messages import (
    CM_ATTEN_CHAR_IND,
    CM_ATTEN_CHAR_RSP,
    CM_MNBC_SOUND_IND,
    CM_SET_KEY_CNF,
    CM_SET_KEY_REQ,
    CM_SLAC_MATCH_CNF,
    CM_SLAC_MATCH_REQ,
    CM_SLAC_PARM_CNF,
    CM_SLAC_PARM_REQ,
    CM_START_ATTEN_CHAR_IND,
)
from support.slac_replay import Capture, captures
from support.slac_replay import Recorded as RecordedFrame
from v2g.clock import SystemClock
from v2g.hardware.ethernet_port import OnFrame, OnLost, PacketPort
from v2g.simulation.vehicle_plc import PowerlinePlug

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
BEGAN = time.monotonic()


def say(said: str, **more: Any) -> None:
    print(json.dumps({"at": round(time.monotonic() - BEGAN, 4), "said": said, **more}), flush=True)


STEPS: dict[type, tuple[str, type]] = {
    CM_SLAC_PARM_CNF: ("CM_SLAC_PARM.CNF", CM_SLAC_PARM_REQ),
    CM_ATTEN_CHAR_IND: ("CM_ATTEN_CHAR.IND", CM_MNBC_SOUND_IND),
    CM_SLAC_MATCH_CNF: ("CM_SLAC_MATCH.CNF", CM_SLAC_MATCH_REQ),
}
"""Each answer, and what it answers."""


def key_of(message: object) -> dict[str, str]:
    if not isinstance(message, CM_SLAC_MATCH_CNF):
        return {}
    return {"nid": message.nid.hex(), "nmk": message.nmk.hex()}


class WatchedPort(PacketPort):
    """Says how long each answer took."""

    def __init__(self, interface: str) -> None:
        super().__init__(interface)
        self.last_sent: dict[type, float] = {}

    def send(self, data: bytes) -> None:
        self.last_sent[type(decode_frame(data).message)] = time.monotonic()
        super().send(data)

    async def start(self, on_frame: OnFrame, on_lost: OnLost) -> None:
        def watched(data: bytes) -> None:
            self.watch(data)
            on_frame(data)

        await super().start(watched, on_lost)

    def watch(self, data: bytes) -> None:
        try:
            message = decode_frame(data).message
        except RemoteProtocolError:
            return
        name, asked = STEPS.get(type(message), ("", CM_SLAC_PARM_REQ))
        if name and asked in self.last_sent:
            say(name, after_ms=ms(self.last_sent[asked]), **key_of(message))


async def ours(interface: str) -> None:
    """Until it is linked, or for as long as whoever started it waits."""
    plug = PowerlinePlug(WatchedPort(interface), SystemClock(), say, lambda reason: say(f"lost: {reason}"))
    running = asyncio.create_task(plug.run())
    await plug.linked.wait()
    say("link", linked=True, average_db=plug.attenuation_db)
    await asyncio.sleep(1.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class Recorded:
    """The frames of a recorded vehicle, one step after the other, as it sent them."""

    def __init__(self, interface: str, capture: Capture) -> None:
        self.port = PacketPort(interface)
        self.capture = capture
        self.heard: asyncio.Queue[Frame] = asyncio.Queue(1000)
        self.old_mac = capture.of(CM_SLAC_PARM_REQ)[0].frame.source
        self.old_evse = capture.matched_mac()
        self.evse: Mac = b""
        self.run_id = secrets.token_bytes(8)
        self.old_run = capture.of(CM_SLAC_PARM_REQ)[0].frame.message.run_id

    async def go(self) -> None:
        await self.port.start(self.hear, say)
        capture = self.capture
        request = capture.of(CM_SLAC_PARM_REQ)[0]
        for _ in range(20):
            self.send(request.data)
            asked = time.monotonic()
            try:
                parameters = await self.next(CM_SLAC_PARM_CNF, 0.5)
                break
            except TimeoutError:
                continue
        else:
            raise TimeoutError("no CM_SLAC_PARM.CNF")
        self.evse = parameters.source
        say("CM_SLAC_PARM.CNF", after_ms=ms(asked))
        before = self.of_evse(CM_SLAC_PARM_CNF)
        last = time.monotonic()
        for one in (*capture.of(CM_START_ATTEN_CHAR_IND), *capture.of(CM_MNBC_SOUND_IND)):
            last = await self.send_after(one, before, last)
            before = one
        told = await self.next(CM_ATTEN_CHAR_IND, 1.2)
        levels = told.message.aag
        say("CM_ATTEN_CHAR.IND", after_ms=ms(last), average_db=round(sum(levels) / len(levels), 2))
        heard = time.monotonic()
        answer = next(r for r in capture.of(CM_ATTEN_CHAR_RSP) if r.frame.destination == self.old_evse)
        last = await self.send_after(answer, self.of_evse(CM_ATTEN_CHAR_IND), heard)
        asked = await self.send_after(capture.of(CM_SLAC_MATCH_REQ)[-1], answer, last)
        given = await self.next(CM_SLAC_MATCH_CNF, 1.0)
        say("CM_SLAC_MATCH.CNF", after_ms=ms(asked), **key_of(given.message))
        key = CM_SET_KEY_REQ(nid=given.message.nid, new_key=given.message.nmk)
        self.port.send(encode_frame(Frame(source=self.port.mac, destination=LOCAL_MODEM, message=key)))
        await self.next(CM_SET_KEY_CNF, 1.0)
        say("link", linked=True, mac=self.port.mac.hex(":"))
        await asyncio.sleep(10.0)

    def hear(self, data: bytes) -> None:
        with contextlib.suppress(RemoteProtocolError, asyncio.QueueFull):
            self.heard.put_nowait(decode_frame(data))

    def of_evse(self, kind: type) -> RecordedFrame:
        return next(one for one in self.capture.of(kind) if one.frame.source == self.old_evse)

    async def send_after(self, one: RecordedFrame, before: RecordedFrame, since: float) -> float:
        """As long after ``since`` as it came after ``before`` in the recording; when it was sent."""
        await asyncio.sleep(since + one.at - before.at - time.monotonic())
        self.send(one.data)
        return time.monotonic()

    def send(self, data: bytes) -> None:
        for old, new in ((self.old_mac, self.port.mac), (self.old_evse, self.evse), (self.old_run, self.run_id)):
            data = data.replace(old, new) if new else data
        self.port.send(data)

    async def next(self, kind: type, within_s: float) -> Frame:
        async with asyncio.timeout(within_s):
            while True:
                frame = await self.heard.get()
                if isinstance(frame.message, kind):
                    return frame


def ms(since: float) -> float:
    return round(1000 * (time.monotonic() - since), 1)


async def main(kind: str, interface: str, name: str = "") -> None:
    if kind == "ours":
        await ours(interface)
    else:
        await Recorded(interface, next(one for one in captures(DATA) if one.name == name)).go()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

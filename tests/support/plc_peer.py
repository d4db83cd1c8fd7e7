"""A tiny powerline at a datagram socket, in real time: one modem for whoever says hello, and vehicles behind it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import time
from pathlib import Path

from pyiso15118.slac import events as ev
from pyiso15118.slac.addresses import BROADCAST, LOCAL_MODEM
from pyiso15118.slac.ev import EvMachine, EvSlacConfig
from pyiso15118.slac.frame import Frame, decode_frame, encode_frame
from pyiso15118.slac.messages import CM_ATTEN_PROFILE_IND, CM_MNBC_SOUND_IND
from support.plc_modem import QUALCOMM, Modem

VEHICLE, VEHICLE_MODEM = bytes.fromhex("02000000ee01"), bytes.fromhex("020000005e01")


class Powerline:
    """``path``: bound here. ``hellos``: MAC addresses of hosts, in order."""

    def __init__(self, path: Path, db: float = 9.0) -> None:
        self.path = path
        self.db = db
        self.modem = Modem(QUALCOMM)
        self.hellos: list[str] = []
        self.host = b""
        self.car = EvMachine(EvSlacConfig(ev_mac=VEHICLE), random=random.Random(7).randbytes)
        self.car_events: list[ev.Event] = []
        self.car_nmk = b""
        self._peer = ""
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(self.path))
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        self.path.unlink(missing_ok=True)

    def plug_in(self) -> None:
        self.car.start(time.monotonic())
        self._serve_car()

    def unplug(self) -> None:
        """The vehicle's modem is off the line at once; nobody tells the pilot here."""
        self.car.unplugged(time.monotonic())
        self.car_nmk = b""
        self._serve_car()

    def send(self, data: bytes) -> bool:
        """To the host. False: it has no room."""
        if self._socket is None or not self._peer:
            return False
        try:
            self._socket.sendto(data, self._peer)
        except OSError:
            return False
        return True

    def _read(self) -> None:
        while self._socket is not None:
            try:
                data, peer = self._socket.recvfrom(2000)
            except BlockingIOError:
                return
            if data.startswith(b"{"):
                self.hellos.append(json.loads(data)["mac"])
                self.host, self._peer = bytes.fromhex(self.hellos[-1].replace(":", "")), os.fsdecode(peer)
            else:
                self._from_host(data)

    def _from_host(self, data: bytes) -> None:
        frame = decode_frame(data)
        if frame.destination == LOCAL_MODEM:
            joined = bool(self.car_nmk) and self.car_nmk == self.modem.nmk
            self.modem.members = [(VEHICLE_MODEM, VEHICLE)] if joined else []
            for answer in self.modem.answer(frame.message, time.monotonic()):
                self.send(encode_frame(Frame(source=self.modem.mac, destination=self.host, message=answer)))
            return
        self.car.receive_frame(data, time.monotonic())
        self._serve_car()

    def _on_timer(self) -> None:
        self.car.handle_timer(time.monotonic())
        self._serve_car()

    def _serve_car(self) -> None:
        for data in self.car.frames_to_send():
            self.send(data)
            if isinstance(decode_frame(data).message, CM_MNBC_SOUND_IND):
                profile = CM_ATTEN_PROFILE_IND(pev_mac=VEHICLE, aag=(round(self.db),) * 58)
                self.send(encode_frame(Frame(source=self.modem.mac, destination=BROADCAST, message=profile)))
        while (event := self.car.next_event()) is not None:
            self.car_events.append(event)
            if isinstance(event, ev.SetKey):
                self.car_nmk = event.nmk
                self.car.key_set(time.monotonic())
                self.car.link(True, time.monotonic())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.car.next_deadline()
        if due is not None:
            delay_s = max(0.0, due - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer)

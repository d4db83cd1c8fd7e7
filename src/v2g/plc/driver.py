"""``kplc-driver``: the ports, modems and SLAC of every EVSE with a powerline link, in one process and one thread."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyiso15118.slac.addresses import Mac, mac_text
from v2g.clock import Clock
from v2g.config.schema import Config
from v2g.control.messages_plc import PlcState
from v2g.hardware.ethernet_port import FramePort, PortError, frame_port
from v2g.hardware.ports import PilotState
from v2g.host.notify import Notifier
from v2g.plc.admission import Admission, Firewall
from v2g.plc.link import ALIVE_PERIOD_S, IMAGE_PERIOD_S, Pilots, PlcAlive, PlcChange, PlcImage
from v2g.plc.link_server import PlcServer
from v2g.plc.station import Station, StationConfig
from v2g.plc.story import Record
from v2g.telemetry import logs

PILOTS_STALE_AFTER_S = 1.0
STOP_WITHIN_S = 1.0
"""The end of the process waits at most this long for the modems' new keys."""
_PERIOD_S = 0.05
_STATUS_PERIOD_S = 1.0
_RETRY_FIRST_S, _RETRY_MOST_S = 0.5, 10.0
_UNKNOWN_EVSES = 8

MakePort = Callable[[str, str, bytes], FramePort]


def station_configs(config: Config) -> tuple[StationConfig, ...]:
    """Of every EVSE that has a powerline link."""
    return tuple(
        StationConfig(evse_id=evse.id, interface=evse.interface, plc=evse.plc, site=config.plc)
        for evse in config.evses
        if evse.plc is not None
    )


def simulated_mac(evse_id: str) -> Mac:
    """A locally administered address for an EVSE at a simulated powerline, always the same one."""
    return b"\x02" + hashlib.sha256(evse_id.encode()).digest()[:5]


@dataclass(slots=True)
class _Link:
    """One station at its port."""

    station: Station
    port: FramePort
    timer: asyncio.TimerHandle | None = None
    reopening: asyncio.TimerHandle | None = None
    opening: asyncio.Task[None] | None = None
    retry_s: float = _RETRY_FIRST_S
    published: int = -1


class Driver:
    """All of it for one configuration. ``sock``: of the orchestrator, which ``uids`` may use.

    ``firewall`` guards ``plc_sets``' interfaces. ``random`` is a cryptographic source.
    """

    def __init__(
        self,
        stations: Collection[StationConfig],
        sock: Path,
        *,
        uids: Collection[int],
        plc_sets: Mapping[str, str],
        firewall: Firewall,
        clock: Clock,
        notifier: Notifier,
        random: Callable[[int], bytes],
        make_port: MakePort = frame_port,
    ) -> None:
        self._clock = clock
        self._notifier = notifier
        self._server = PlcServer(sock, self._on_pilots, self._publish_image, uids)
        self._links = {
            one.evse_id: _Link(
                Station(one, clock, random, self._elsewhere),
                make_port(one.interface, one.plc.port, simulated_mac(one.evse_id)),
            )
            for one in stations
        }
        interfaces = frozenset(one.interface for one in stations) & plc_sets.keys()
        self._admission = Admission(interfaces, firewall, self._on_admission)
        self._pilots: dict[str, PilotState | None] = {}
        self._pilots_at_s = -PILOTS_STALE_AFTER_S
        self._pilots_known = False
        self._unknown: tuple[str, ...] = ()
        self._resting = self._stopping = False
        self._rekeyed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set. Raises :class:`~v2g.plc.link_server.PlcSocketError`."""
        await self._server.start()
        try:
            self._admission.start()
            for link in self._links.values():
                await self._open(link)
            self._notifier.ready(self._status_text())
            await self._beat(stop)
            self._notifier.stopping()
            await self._come_to_rest()
        finally:
            self._stopping = True
            await self._admission.close()
            await self._server.close()
            for link in self._links.values():
                for waiting in (link.timer, link.reopening, link.opening):
                    if waiting is not None:
                        waiting.cancel()
                link.port.close()

    async def _beat(self, stop: asyncio.Event) -> None:
        image_at_s = alive_at_s = status_at_s = watchdog_at_s = 0.0
        while not stop.is_set():
            now_s = self._clock.monotonic_s()
            if self._pilots_known and now_s - self._pilots_at_s > PILOTS_STALE_AFTER_S:
                self._forget_pilots()
            if now_s >= image_at_s:
                image_at_s = now_s + IMAGE_PERIOD_S
                alive_at_s = now_s + ALIVE_PERIOD_S
                self._publish_image()
            elif now_s >= alive_at_s:
                alive_at_s = now_s + ALIVE_PERIOD_S
                self._server.publish(PlcAlive(as_of_s=now_s))
            self._publish_changes()
            if now_s >= status_at_s:
                status_at_s = now_s + _STATUS_PERIOD_S
                self._notifier.status(self._status_text())
            if self._notifier.interval_s is not None and now_s >= watchdog_at_s:
                watchdog_at_s = now_s + self._notifier.interval_s / 2
                self._notifier.watchdog()
            try:
                async with asyncio.timeout(_PERIOD_S):
                    await stop.wait()
            except TimeoutError:
                pass

    async def _come_to_rest(self) -> None:
        self._resting = True
        for link in self._links.values():
            link.station.stop()
            self._serve(link)
        self._publish_changes()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_WITHIN_S):
                await self._rekeyed.wait()
        left = [one for one, link in self._links.items() if not link.station.rekeyed]
        if left:
            logs.daemon_log().warning(
                "PLC_KEY_LEFT",
                f"{', '.join(left)}: the modem has not confirmed its last key, and may stay linked with its vehicle "
                "until the next start",
            )

    # ---- ports ----

    async def _open(self, link: _Link) -> None:
        try:
            await link.port.start(
                lambda data: self._on_frame(link, data), lambda reason: self._on_port_lost(link, reason)
            )
        except PortError as error:
            self._on_port_lost(link, str(error))
            return
        link.retry_s = _RETRY_FIRST_S
        link.station.port_opened(link.port.mac)
        self._serve(link)

    def _on_port_lost(self, link: _Link, reason: str) -> None:
        link.station.port_lost(f"{reason}; tried again by itself")
        self._serve(link)
        if not self._stopping:
            link.reopening = asyncio.get_running_loop().call_later(link.retry_s, self._reopen, link)
            link.retry_s = min(2 * link.retry_s, _RETRY_MOST_S)

    def _reopen(self, link: _Link) -> None:
        link.opening = asyncio.get_running_loop().create_task(self._open(link), name=f"port of {link.station.evse_id}")

    def _on_frame(self, link: _Link, data: bytes) -> None:
        link.station.receive_frame(data)
        self._serve(link)

    def _on_timer(self, link: _Link) -> None:
        link.timer = None
        link.station.handle_timer()
        self._serve(link)

    def _serve(self, link: _Link) -> None:
        """What a station wants after anything was told to it."""
        station = link.station
        for data in station.frames_to_send():
            link.port.send(data)
        for record in station.records():
            _write(record)
        linked = station.linked_mac
        self._admission.wish(station.config.interface, mac_text(linked) if linked is not None else None)
        if self._resting and all(one.station.rekeyed for one in self._links.values()):
            self._rekeyed.set()
        due = station.next_deadline()
        if link.timer is not None:
            link.timer.cancel()
            link.timer = None
        if due is not None:
            delay_s = max(0.0, due - self._clock.monotonic_s())
            link.timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer, link)

    # ---- the orchestrator ----

    def _on_pilots(self, pilots: Pilots) -> None:
        now_s = self._clock.monotonic_s()
        if abs(now_s - pilots.as_of_s) > PILOTS_STALE_AFTER_S:
            return
        self._pilots_at_s, self._pilots_known = pilots.as_of_s, True
        told = {pilot.evse_id: pilot for pilot in pilots.pilots}
        for evse_id, link in self._links.items():
            pilot = told.get(evse_id)
            link.station.pilot(pilot.state if pilot is not None else None, pilot.toggles if pilot is not None else None)
            self._serve(link)
        unknown = tuple(sorted(told.keys() - self._links.keys()))
        if unknown != self._unknown:
            self._unknown = unknown
            if unknown:
                logs.daemon_log().warning(
                    "PLC_UNKNOWN_EVSE",
                    f"pilots of {', '.join(unknown[:_UNKNOWN_EVSES])} are not used: not in the configuration that this "
                    "process was started with; to take a changed one: systemctl restart kplc-driver",
                )

    def _forget_pilots(self) -> None:
        self._pilots_known = False
        for link in self._links.values():
            link.station.pilot(None)
            self._serve(link)

    def _publish_image(self) -> None:
        lines = []
        for link in self._links.values():
            link.published = link.station.version
            lines.append(link.station.line())
        self._server.publish(PlcImage(as_of_s=self._clock.monotonic_s(), lines=tuple(lines)))

    def _publish_changes(self) -> None:
        changed = [link for link in self._links.values() if link.published != link.station.version]
        if changed:
            for link in changed:
                link.published = link.station.version
            lines = tuple(link.station.line() for link in changed)
            self._server.publish(PlcChange(as_of_s=self._clock.monotonic_s(), lines=lines))

    def _on_admission(self, interface: str, problem: str) -> None:
        for link in self._links.values():
            if link.station.config.interface == interface:
                link.station.admission(problem)
                self._serve(link)

    def _elsewhere(self, mac: Mac) -> str | None:
        return next((one for one, link in self._links.items() if link.station.matched_mac == mac), None)

    def _status_text(self) -> str:
        states = [link.station.line().state for link in self._links.values()]
        linked = sum(state is PlcState.LINKED for state in states)
        without = sum(state is PlcState.NO_MODEM for state in states)
        return (
            f"{len(states) - without} of {len(states)} modems answer, {linked} vehicles linked; "
            f"orchestrator {'connected' if self._server.connected else 'not connected'}"
        )


def _write(record: Record) -> None:
    log = logs.comms_log()
    match record.level:
        case "info":
            log.info(record.code, record.message, **record.fields)
        case "warning":
            log.warning(record.code, record.message, **record.fields)
        case "error":
            log.error(record.code, record.message, **record.fields)

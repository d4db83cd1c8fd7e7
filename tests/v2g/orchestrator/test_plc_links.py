"""Powerline links in the control cycle: what a lost link does to power, session, pilot and log; in injected time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pyiso15118 import events as ev
from support.control_world import E1, E2, World
from support.kept_log import KeptLog
from v2g.clock import ManualClock
from v2g.config.schema import Config
from v2g.config.schema_plc import EvsePlc
from v2g.control.messages_plc import PlcLine, PlcState
from v2g.guard.link import Image
from v2g.hardware.ports import PilotReading, PilotState
from v2g.orchestrator import status
from v2g.orchestrator.plc_links import DRIVER, TELL_AFTER_S, PlcLinks
from v2g.plc.link import Pilots, PlcImage

MAC = "02:00:00:00:00:01"
PEER = SimpleNamespace(host="::1", scope_id=0)
UP = PlcLine(evse_id=E1, interface="lo", state=PlcState.LINKED, vehicle_mac=MAC)
LOST = PlcLine(evse_id=E1, interface="lo", state=PlcState.FREE, problem="its modem is no longer heard")


class Connection:
    """A vehicle's connection that lasts until it is aborted."""

    peer_identity = None
    peer_address = PEER

    def __init__(self) -> None:
        self.aborted: list[str] = []

    def abort(self, reason: str) -> None:
        self.aborted.append(reason)

    def command(self, command: object) -> None: ...

    async def events(self) -> AsyncIterator[ev.Event]:
        return
        yield


class Linked:
    """A world whose first EVSE has a powerline link; its driver says what it is told to, every cycle."""

    def __init__(self, world: World, config: Config, clock: ManualClock) -> None:
        self.world, self.clock, self.log = world, clock, KeptLog()
        self.links = PlcLinks(config, Path("/nonexistent/plc.sock"), world.site, world.sessions, clock, self.log)
        self.sent: list[Pilots] = []
        self.links.client.send = self._send  # type: ignore[method-assign]
        self.line: PlcLine | None = UP
        self.heard = True
        world.cycle._on_cycle = self.on_cycle

    def _send(self, pilots: Pilots) -> bool:
        self.sent.append(pilots)
        return True

    def on_cycle(self, now_s: float) -> None:
        self.links.on_cycle(now_s)
        self.speak()

    def speak(self) -> None:
        if self.heard:
            lines = () if self.line is None else (self.line,)
            self.links.client._known.take(PlcImage(as_of_s=self.clock.monotonic_s(), lines=lines))

    def connect(self) -> Connection:
        connection = Connection()
        assert self.links.begin(E1, PEER) is None
        self.world.sessions._active[E1] = connection  # type: ignore[assignment]
        return connection

    def command(self) -> Any:
        return next(setpoint.command for setpoint in self.world.wires.sent[-1].evses if setpoint.evse_id == E1)

    def problems(self) -> str:
        return "\n".join((*status.problems(self.world.site, self.clock.monotonic_s()), *self.links.problems()))


@pytest.fixture
def linked(config_of: Callable[..., Config], wires_of: Any, guard: Any, log_of: Any, clock: ManualClock) -> Linked:
    config = config_of(2)
    first = msgspec.structs.replace(config.evses[0], plc=EvsePlc(port="unix:/run/v2g/line.sock"))
    config = msgspec.structs.replace(config, evses=(first, config.evses[1]))
    world = World(config, wires_of((E1, E2), clock), guard, log_of, clock)
    linked = Linked(world, config, clock)
    linked.speak()
    return linked


async def charging(linked: Linked) -> Connection:
    linked.world.charge(E1)
    connection = linked.connect()
    await linked.world.discharge()
    linked.world.run(5)
    assert linked.world.power(E1) < -9_000.0
    return connection


@pytest.mark.parametrize("how", ["lost", "another vehicle", "not told of"])
async def test_a_lost_link_takes_the_power_in_the_next_cycle_and_closes_the_session(linked: Linked, how: str) -> None:
    connection = await charging(linked)
    other = msgspec.structs.replace(UP, vehicle_mac="02:00:00:00:00:02")
    linked.line = {"lost": LOST, "another vehicle": other, "not told of": None}[how]
    linked.speak()
    linked.world.run(1)
    assert linked.world.power(E1) == 0.0
    procedure = linked.world.site.bays[E1].procedure
    assert procedure is not None
    assert str(procedure.fault).startswith("powerline link lost: ")
    assert connection.aborted == [procedure.fault]
    linked.world.run(30)
    assert not linked.command().close_contactors


async def test_a_driver_that_falls_silent_ends_the_session_within_1_2_s(linked: Linked) -> None:
    connection = await charging(linked)
    linked.heard = False
    linked.world.run(9)
    assert linked.world.power(E1) < -9_000.0
    linked.world.run(3)
    assert linked.world.power(E1) == 0.0
    assert connection.aborted[0].startswith("powerline link not known: ")
    assert (DRIVER, "WARNING") in [(code, level) for level, code, _, _ in linked.log.lines]
    assert "no vehicle is served at US*V2G*E1" in linked.problems()


async def test_the_other_evse_goes_on(linked: Linked) -> None:
    linked.world.charge(E2)
    await linked.world.discharge(evse_id=E2)
    linked.world.run(5)
    linked.heard = False
    linked.world.run(30)
    assert linked.world.power(E2) < -9_000.0
    assert linked.world.site.bays[E2].fault is None


def test_without_a_session_a_link_that_is_down_is_no_fault(linked: Linked) -> None:
    linked.line = msgspec.structs.replace(LOST, problem="")
    linked.world.run(3)
    assert linked.world.site.bays[E1].fault is None
    assert "powerline" not in linked.problems()
    assert linked.world.api.snapshot().evses[0].fault is None


def test_the_status_names_a_link_that_failed_beside_its_evse(linked: Linked) -> None:
    linked.line = LOST
    linked.world.run(2)
    assert linked.world.api.snapshot().evses[0].fault == "no powerline link: its modem is no longer heard"
    assert linked.world.api.snapshot().evses[1].fault is None


def test_a_connection_whose_link_was_lost_in_its_handshake_is_not_served(linked: Linked) -> None:
    linked.line = LOST
    linked.world.run(1)
    assert linked.links.begin(E1, PEER) == "the powerline link is not up: its modem is no longer heard"
    assert linked.log.codes() == ["PLC_NOT_MATCHED"]
    assert linked.links.begin(E2, PEER) is None


def test_a_driver_is_told_of_once_when_it_does_not_come_and_once_when_it_does(linked: Linked) -> None:
    linked.links.client._known.as_of_s = None
    linked.heard = False
    linked.world.run(round(TELL_AFTER_S / 0.1) - 1)
    assert linked.log.lines == []
    linked.world.run(20)
    assert linked.log.codes() == [DRIVER]
    linked.heard = True
    linked.world.run(20)
    assert [level for level, _, _, _ in linked.log.lines] == ["WARNING", "INFO"]


def test_pilots_are_told_when_they_change_and_every_200_ms(linked: Linked) -> None:
    wires = linked.world.wires
    wires.evses[E1]["pilot"] = PilotReading(state=PilotState.A)
    linked.world.run(11)
    alive = len(linked.sent)
    assert 5 <= alive <= 6
    wires.evses[E1]["pilot"] = PilotReading(state=PilotState.B)
    linked.world.run(1)
    assert [pilot.state for pilot in linked.sent[-1].pilots] == [PilotState.B]
    assert linked.sent[-1].as_of_s == linked.clock.monotonic_s()
    frozen = wires.image
    assert isinstance(frozen, Image)
    wires.frozen = frozen
    linked.world.run(12)
    assert linked.sent[-1].pilots[0].state is None


def test_an_error_on_the_pilot_lasts_four_seconds_at_least(linked: Linked) -> None:
    linked.line = PlcLine(evse_id=E1, interface="lo", state=PlcState.ERROR, pilot_error=True)
    linked.world.run(2)
    assert linked.command().pilot_error
    assert not linked.command().close_contactors
    linked.line = msgspec.structs.replace(LOST, problem="")
    linked.world.run(38)
    assert linked.command().pilot_error
    linked.world.run(3)
    assert not linked.command().pilot_error


def test_the_state_that_is_commanded_is_told_as_such(linked: Linked) -> None:
    linked.line = PlcLine(evse_id=E1, interface="lo", state=PlcState.ERROR, pilot_error=True)
    linked.world.wires.evses[E1]["pilot"] = PilotReading(state=PilotState.F)
    linked.world.run(3)
    assert "state F, as commanded: the powerline link has failed" in linked.problems()


async def test_no_error_comes_on_the_pilot_while_a_session_runs_or_something_is_closed(linked: Linked) -> None:
    await charging(linked)
    linked.line = msgspec.structs.replace(UP, pilot_error=True)
    linked.world.run(5)
    assert not linked.command().pilot_error
    bay = linked.world.site.bays[E1]
    procedure = bay.procedure
    assert procedure is not None
    linked.world.looping.clear()
    bay.end(procedure, linked.clock.monotonic_s())
    closed = []
    while not linked.command().pilot_error and len(closed) < 60:
        closed.append(linked.world.wires.evses[E1]["contactors_closed"])
        linked.world.run(1)
    assert linked.command().pilot_error
    assert closed[0]
    assert not closed[-1]


def test_a_site_without_links_has_nothing_to_tell(world: World, config_of: Callable[..., Config]) -> None:
    links = PlcLinks(config_of(2), Path("/nonexistent"), world.site, world.sessions, world.clock, KeptLog())
    assert world.site.plc is None
    links.on_cycle(5000.0)
    assert links.problems() == ()
    assert links.admission.admits(E1, PEER) is None

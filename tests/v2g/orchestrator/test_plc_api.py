"""The method ``plc``, and a daemon whose EVSE has a powerline link: a vehicle before, with and after its link."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from pyiso15118.aio import NetworkError, connect, discover, local_address
from pyiso15118.evcc import EvccConfig
from pyiso15118.sdp import Security
from support.control_world import ALICE, E1, E2
from support.plc_driver import FakePlcDriver
from v2g.clock import ManualClock, SystemClock
from v2g.config.loader import Loaded
from v2g.config.paths import run_paths
from v2g.config.schema import Config, Paths
from v2g.config.schema_plc import EvsePlc
from v2g.control.client import CallRefused, ControlClient
from v2g.control.messages_plc import PlcLine, PlcParams, PlcState
from v2g.control.server import Refused
from v2g.host.notify import Notifier
from v2g.orchestrator.main import Orchestrator
from v2g.orchestrator.plc_api import NO_LINKS, PlcApi
from v2g.plc.link import PlcChange, PlcImage
from v2g.sessions import drain
from v2g.telemetry import logs

MAC = "02:00:00:00:00:01"
UP = PlcLine(evse_id=E1, interface="lo", state=PlcState.LINKED, vehicle_mac=MAC, nid="0011223344556677")
DOWN = PlcLine(evse_id=E1, interface="lo", state=PlcState.FREE)


def with_plc(config: Config) -> Config:
    first = msgspec.structs.replace(config.evses[0], plc=EvsePlc(port="unix:/run/v2g/line.sock"))
    return msgspec.structs.replace(config, evses=(first, *config.evses[1:]))


class Links:
    def __init__(self, *lines: PlcLine, silent: str = "") -> None:
        self.lines = {line.evse_id: line for line in lines}
        self._silent = silent

    def silent(self, now_s: float) -> str:
        return self._silent


@pytest.fixture
def ask(config_of: Callable[..., Config]) -> Callable[..., Any]:
    async def show(links: Links, evse_id: str | None = None, config: Config | None = None) -> Any:
        api = PlcApi(config or with_plc(config_of(2)), links, ManualClock())
        return await api.show(PlcParams(evse_id=evse_id), ALICE)

    return show


async def test_every_evse_with_a_powerline_link_is_shown_as_it_was_told(ask: Any) -> None:
    result = await ask(Links(UP, PlcLine(evse_id=E2, interface="lo", state=PlcState.FREE)))
    assert result.evses == (UP,)
    assert result.problem == ""


async def test_a_silent_driver_is_a_problem_beside_what_it_said_last(ask: Any) -> None:
    result = await ask(Links(UP, silent="kplc-driver is silent"), E1)
    assert (result.evses, result.problem) == ((UP,), "kplc-driver is silent")


async def test_a_link_that_was_never_told_of_says_why(ask: Any) -> None:
    (line,) = (await ask(Links(silent="kplc-driver is silent"))).evses
    assert (line.evse_id, line.state, line.problem) == (E1, PlcState.NO_MODEM, "kplc-driver is silent")
    (line,) = (await ask(Links())).evses
    assert "systemctl restart kplc-driver" in line.problem


async def test_unknown_evses_and_those_without_a_link_are_refused_by_name(ask: Any, config_of: Any) -> None:
    with pytest.raises(Refused, match="there is no EVSE 'X'; there are US"):
        await ask(Links(UP), "X")
    with pytest.raises(Refused, match=r"E2 has no powerline link.*; these have: US\*V2G\*E1"):
        await ask(Links(UP), E2)
    assert (await ask(Links(), config=config_of(2))).problem == NO_LINKS


def free_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def folder() -> Iterator[Path]:
    # Unix sockets have short paths.
    with TemporaryDirectory(prefix="v2g") as name:
        yield Path(name)


class Daemon:
    def __init__(self, folder: Path, config: Config) -> None:
        self.folder, self.config = folder, config
        loaded = Loaded(config=config, origin={}, config_dir=folder)
        self.orchestrator = Orchestrator(loaded, run_paths(config), SystemClock(), Notifier({}))
        self.driver = FakePlcDriver(folder / "plc.sock")

    async def call(self, **params: Any) -> Any:
        def ask() -> Any:
            with ControlClient(self.folder / "control.sock") as client:
                return client.call("plc", params)

        return await asyncio.to_thread(ask)

    def say(self, line: PlcLine) -> None:
        self.driver.say(PlcImage(as_of_s=SystemClock().monotonic_s(), lines=(line,)))

    def change(self, line: PlcLine) -> None:
        self.driver.say(PlcChange(as_of_s=SystemClock().monotonic_s(), lines=(line,)))

    async def discover(self) -> Any:
        return await discover(
            "lo", security=Security.NONE, port=self.config.evses[0].sdp_port, retry_s=0.05, attempts=3
        )

    def told(self) -> list[str]:
        return (self.folder / "log/comms.log").read_text().splitlines()


@pytest.fixture
async def daemon(
    config_of: Callable[..., Config], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Daemon]:
    try:
        local_address("lo")
    except NetworkError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(drain, "RELEASE_WITHIN_S", 0.1)
    paths = Paths(run_dir=str(folder), log_dir=str(folder / "log"), state_dir=str(folder))
    config = msgspec.structs.replace(with_plc(config_of(1, tls="plain", tcp_port=free_port())), paths=paths)
    logs.configure(folder / "log", stderr=False)
    daemon = Daemon(folder, config)
    await daemon.driver.start()
    task = asyncio.create_task(daemon.orchestrator.main())
    try:
        await until(lambda: daemon.driver.connections and daemon.orchestrator._ready)
        yield daemon
    finally:
        daemon.orchestrator.stop()
        await asyncio.wait((task,), timeout=10.0)
        await daemon.driver.close()
        logs.close()


async def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


async def test_the_control_socket_shows_the_links(daemon: Daemon) -> None:
    assert "connected and silent" in (await daemon.call())["problem"]
    daemon.say(UP)
    await until(lambda: daemon.orchestrator._plc.client.lines)
    result = await daemon.call(evse_id=E1)
    assert result["problem"] == ""
    assert (result["evses"][0]["state"], result["evses"][0]["vehicle_mac"]) == ("linked", MAC)
    with pytest.raises(CallRefused, match="no EVSE"):
        await daemon.call(evse_id="US*V2G*E7")


async def test_a_vehicle_is_served_with_its_link_only_and_the_log_tells_it_in_order(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.say(DOWN)
    await until(lambda: daemon.orchestrator._plc.client.lines)
    with pytest.raises(NetworkError):
        await daemon.discover()
    daemon.say(UP)
    await until(lambda: daemon.orchestrator._plc.client.lines[E1] == UP)
    found = await daemon.discover()
    vehicle = await connect(found.address, EvccConfig(evccid="WMIV1234567890ABCDEX"), tls=None)
    await until(lambda: any(" SESSION_START " in line for line in daemon.told()))
    daemon.say(UP)
    daemon.change(DOWN)
    await asyncio.wait_for(vehicle.closed(), 1.0)
    with pytest.raises(NetworkError):
        await daemon.discover()
    await until(lambda: any(" SESSION_ABORTED " in line for line in daemon.told()))
    codes = [line.split()[2] for line in daemon.told()]
    assert [record.code for record in caplog.records if hasattr(record, "code")] == ["PLC_NOT_MATCHED"] * 2
    wanted = ["CONNECTED", "SESSION_START", "SESSION_ABORTED"]
    assert [code for code in dict.fromkeys(codes) if code in wanted] == wanted
    assert "powerline link lost: free" in next(line for line in daemon.told() if " SESSION_ABORTED " in line)
    assert daemon.driver.got, "pilots are told to the driver"

"""The daemon as a whole, in this process: readiness, a second one, a clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from pyiso15118.aio import NetworkError, local_address
from v2g.clock import SystemClock
from v2g.config.loader import Loaded
from v2g.config.paths import run_paths
from v2g.config.schema import Config, Paths
from v2g.config.schema_mesh import Heartbeat as HeartbeatConfig
from v2g.control.client import ControlClient
from v2g.control.endpoint import EndpointError
from v2g.host.notify import Notifier
from v2g.orchestrator import main as main_module
from v2g.orchestrator.heartbeat import Heartbeat
from v2g.orchestrator.main import Orchestrator
from v2g.sessions import drain
from v2g.telemetry import logs
from v2g.telemetry.audit_check import check_with_files


def free_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def folder() -> Iterator[Path]:
    # Unix sockets have short paths.
    with TemporaryDirectory(prefix="v2g") as name:
        yield Path(name)


@pytest.fixture
def loaded(config_of: Callable[..., Config], folder: Path) -> Loaded:
    try:
        local_address("lo")
    except NetworkError as error:
        pytest.skip(str(error))
    paths = Paths(run_dir=str(folder), log_dir=str(folder / "log"), state_dir=str(folder))
    config = msgspec.structs.replace(config_of(1, tls="plain", tcp_port=free_port()), paths=paths)
    return Loaded(config=config, origin={}, config_dir=folder)


@pytest.fixture(autouse=True)
def without_devices_nothing_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "RELEASE_WITHIN_S", 0.1)


class Listener:
    """A service manager's end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(path))
        self.heard: list[str] = []
        self.path = path

    def notifier(self) -> Notifier:
        return Notifier({"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": "400000"})

    async def until(self, text: str, limit_s: float = 5.0) -> None:
        async with asyncio.timeout(limit_s):
            while not any(text in line for line in self.heard):
                with contextlib.suppress(BlockingIOError):
                    while True:
                        self.heard.append(self.socket.recv(4096).decode())
                await asyncio.sleep(0.02)


@pytest.fixture
async def running(loaded: Loaded, folder: Path) -> AsyncIterator[tuple[Orchestrator, Listener, asyncio.Task[int]]]:
    logs.configure(folder / "log", stderr=False)
    listener = Listener(folder / "notify")
    daemon = Orchestrator(loaded, run_paths(loaded.config), SystemClock(), listener.notifier())
    task = asyncio.create_task(daemon.main())
    try:
        await listener.until("READY=1")
        yield daemon, listener, task
    finally:
        daemon.stop()
        await asyncio.wait((task,), timeout=10.0)
        listener.socket.close()
        logs.close()


Running = tuple[Orchestrator, Listener, asyncio.Task[int]]


async def test_ready_means_bound_and_the_watchdog_is_fed_by_cycles(running: Running, loaded: Loaded) -> None:
    _, listener, _ = running
    port = loaded.config.evses[0].tcp_port
    assert f"ISO 15118 ready on lo [::1]:{port}" in "".join(listener.heard)
    _, writer = await asyncio.open_connection("::1", port)
    writer.close()
    await listener.until("WATCHDOG=1")
    await listener.until("hot-spot unknown, headroom −0/+0 kW, no energy: guard stale, ")


async def test_control_socket_answers_with_what_is_missing(running: Running, folder: Path) -> None:
    def ask() -> dict[str, object]:
        with ControlClient(folder / "control.sock") as client:
            return dict(client.call("status"))

    status = await asyncio.to_thread(ask)
    assert status["ready"] is True
    assert "v2g-guard tick is silent" in str(status["problems"])


async def test_the_audit_log_has_the_life_of_the_daemon_in_one_chain(
    running: Running, loaded: Loaded, folder: Path
) -> None:
    daemon, _, task = running

    def ask() -> tuple[dict[str, Any], dict[str, Any]]:
        with ControlClient(folder / "control.sock") as client:
            client.call("status")
            return client.call("audit.verify"), client.call("audit.head")

    verdict, head = await asyncio.to_thread(ask)
    assert (verdict["intact"], verdict["broken"]) == (True, 0)
    assert head["log"] == str(folder / "log/audit.log")
    with pytest.raises(EndpointError):
        await Orchestrator(loaded, run_paths(loaded.config), SystemClock(), Notifier({})).main()
    daemon.stop()
    await asyncio.wait_for(task, 10.0)
    codes = [line.split()[2] for line in (folder / "log/audit.log").read_text().splitlines()]
    assert codes[:2] == ["CHAIN_STARTED", "START"]
    assert codes[-1] == "STOP"
    assert codes.count("START") == 1, "the second one wrote nothing"
    logs.close()
    found = check_with_files(folder / "log/audit.log", [folder / "audit.key"], folder / "audit.head")
    assert found.intact
    assert found.last_seq == len(codes)


async def test_second_orchestrator_is_refused_and_the_first_goes_on(running: Running, loaded: Loaded) -> None:
    _, listener, task = running
    second = Orchestrator(loaded, run_paths(loaded.config), SystemClock(), Notifier({}))
    with pytest.raises(EndpointError, match="another orchestrator"):
        await second.main()
    listener.heard.clear()
    await listener.until("WATCHDOG=1")
    assert not task.done()


async def test_stop_is_clean_and_leaves_no_socket(running: Running, folder: Path) -> None:
    daemon, listener, task = running
    daemon.stop()
    assert await asyncio.wait_for(task, 10.0) == 0
    assert not (folder / "control.sock").exists()
    await listener.until("STOPPING=1")


async def test_port_in_use_is_an_error_that_names_it(running: Running, loaded: Loaded, folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    paths = Paths(run_dir=str(other), log_dir=str(other), state_dir=str(other))
    config = msgspec.structs.replace(loaded.config, paths=paths)
    again = Loaded(config=config, origin={}, config_dir=other)
    with pytest.raises(NetworkError, match=str(config.evses[0].tcp_port)):
        await Orchestrator(again, run_paths(config), SystemClock(), Notifier({})).main()
    assert not (other / "control.sock").exists()


async def test_an_evse_whose_interface_is_missing_does_not_keep_the_site_from_working(
    config_of: Callable[..., Config], loaded: Loaded, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = config_of(2, tls="plain", tcp_port=free_port()).evses
    evses = (first, msgspec.structs.replace(second, interface="nosuch0"))
    partly = Loaded(config=msgspec.structs.replace(loaded.config, evses=evses), origin={}, config_dir=folder)
    logs.configure(folder / "log", stderr=False)
    listener = Listener(folder / "notify")
    daemon = Orchestrator(partly, run_paths(partly.config), SystemClock(), listener.notifier())
    task = asyncio.create_task(daemon.main())

    def ask() -> dict[str, Any]:
        with ControlClient(folder / "control.sock") as client:
            return client.call("status")

    try:
        await listener.until(f"(not on {second.id}: see status)")
        _, writer = await asyncio.open_connection("::1", first.tcp_port)
        writer.close()
        status = await asyncio.to_thread(ask)
    finally:
        daemon.stop()
        await asyncio.wait((task,), timeout=10.0)
        listener.socket.close()
        logs.close()
    words = f"{second.id}: no vehicle can connect: there is no network interface 'nosuch0'"
    assert words in str(status["problems"])
    assert "nosuch0" in status["evses"][1]["fault"]
    assert words in caplog.text


async def test_the_heartbeat_led_is_steady_while_the_daemon_is_ready_and_off_once_it_has_stopped(
    loaded: Loaded, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    led = folder / "leds" / "green"
    led.mkdir(parents=True)
    for name, text in (("brightness", "0"), ("max_brightness", "3"), ("trigger", "[none] timer")):
        (led / name).write_text(text)
    monkeypatch.setattr(main_module, "Heartbeat", partial(Heartbeat, directory=led.parent))
    config = msgspec.structs.replace(loaded.config, heartbeat=HeartbeatConfig(led="green"))
    listener = Listener(folder / "notify")
    daemon = Orchestrator(replace(loaded, config=config), run_paths(config), SystemClock(), listener.notifier())
    task = asyncio.create_task(daemon.main())
    try:
        await listener.until("READY=1")
        async with asyncio.timeout(5.0):
            while (led / "brightness").read_text().strip() != "3":
                await asyncio.sleep(0.02)
        assert daemon._daemon().heartbeat == "steady"
    finally:
        daemon.stop()
        await asyncio.wait((task,), timeout=10.0)
        listener.socket.close()
    assert (led / "brightness").read_text().strip() == "0"

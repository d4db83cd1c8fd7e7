"""The real ``kplc-driver`` at a simulated line: a vehicle's whole stay, what breaks meanwhile, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.config_dir import two_evses, write_config
from support.plc_peer import VEHICLE
from support.plc_site import E1, Site, until
from v2g.control.messages_plc import PlcState
from v2g.hardware.ports import PilotState
from v2g.plc.link_client import PlcClient

pytestmark = pytest.mark.soak


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    await site.start()
    yield site
    await site.close()


async def test_a_vehicles_whole_stay_is_told_and_logged(site: Site) -> None:
    assert await site.linked() < 4.0
    assert site.now is not None
    assert site.now.vehicle_mac == VEHICLE.hex(":")
    assert site.now.attenuation is not None
    assert site.now.attenuation.average_db == 9.0
    site.line.unplug()
    took_s = await until(lambda: not site.is_in(PlcState.LINKED))
    assert took_s < 1.0
    site.pilot = PilotState.A
    await until(lambda: site.is_in(PlcState.FREE))
    codes = [line.split()[2] for line in site.log().splitlines()]
    assert codes[:5] == ["PLC_MODEM", "PLC_MATCHING", "PLC_MATCHING", "PLC_MATCHING", "PLC_LINK"]
    assert "PLC_LINK_LOST" in codes


async def test_a_modem_that_dies_is_told_within_a_second_and_found_again(site: Site) -> None:
    await site.linked()
    site.line.modem.on = False
    assert await until(lambda: site.is_in(PlcState.NO_MODEM)) < 1.1
    site.line.modem.on = True
    await until(lambda: site.is_in(PlcState.WAITING))


async def test_a_line_that_goes_away_is_opened_again(site: Site) -> None:
    await site.linked()
    site.line.close()
    await until(lambda: site.is_in(PlcState.NO_MODEM))
    assert site.now is not None
    assert "does the simulated powerline run?" in site.now.problem
    site.line.start()
    await until(lambda: len(site.line.hellos) >= 2, 15.0)
    await until(lambda: site.is_in(PlcState.WAITING))


async def test_a_killed_driver_is_silent_and_a_new_one_matches_anew_with_another_key(site: Site) -> None:
    await site.linked()
    before = site.line.modem.nmk
    site.end(signal.SIGKILL)
    assert await until(lambda: site.now is None) < 1.3
    site.line.unplug()
    site.launch()
    assert await site_back(site) < 8.0
    site.line.plug_in()
    await until(lambda: site.is_in(PlcState.LINKED))
    assert site.line.modem.nmk != before


async def site_back(site: Site) -> float:
    return await until(lambda: site.is_in(PlcState.WAITING), 10.0)


async def test_a_clean_end_takes_the_link_and_leaves_a_key_that_nobody_has(site: Site) -> None:
    await site.linked()
    before = site.line.modem.nmk
    process = site.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    await until(lambda: process.poll() is not None, 5.0)
    assert process.returncode == 0
    assert site.line.modem.nmk != before == site.line.car_nmk
    assert not (site.folder / "run_dir" / "plc.sock").exists()
    assert "kplc-driver stops" in site.log()
    assert list(site.folder.glob("pl1.*")) == []


async def test_a_second_driver_says_that_one_runs_already(site: Site) -> None:
    await until(lambda: site.is_in(PlcState.FREE))
    words = (sys.executable, "-m", "v2g.cli.kplc_driver", "--config", str(site.config))
    done = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, timeout=20.0, check=False)
    assert done.returncode == 1
    assert "another kplc-driver serves" in done.stderr
    assert site.is_in(PlcState.FREE)


async def test_a_newer_orchestrator_takes_the_place_of_the_older_without_a_loss_of_the_link(site: Site) -> None:
    await site.linked()
    newer = PlcClient(site.folder / "run_dir" / "plc.sock")
    await newer.start()
    await until(lambda: E1 in newer.lines)
    assert newer.lines[E1].state is PlcState.LINKED
    await newer.close()
    await until(lambda: site.is_in(PlcState.LINKED))
    assert "PLC_PEER_REPLACED" in (site.folder / "log_dir" / "daemon.log").read_text()


async def test_pilots_that_stop_coming_are_unknown_and_nobody_new_is_answered(site: Site) -> None:
    await until(lambda: site.is_in(PlcState.FREE))
    site.pilot = PilotState.B
    await until(lambda: site.is_in(PlcState.WAITING))
    assert site.pilots_task is not None
    site.pilots_task.cancel()
    assert await until(lambda: site.is_in(PlcState.FREE)) < 1.5
    site.line.plug_in()
    await asyncio.sleep(1.0)
    assert "PLC_MATCHING" not in site.log()


async def test_a_thousand_frames_of_noise_a_second_cost_no_link(site: Site) -> None:
    await site.linked()
    began, sent = time.monotonic(), 0
    while time.monotonic() - began < 5.0:
        due = int((time.monotonic() - began) * 1000)
        while sent < due:
            site.line.send(os.urandom(60))
            sent += 1
        await asyncio.sleep(0.002)
    assert sent >= 4900
    assert site.is_in(PlcState.LINKED)
    assert "PLC_LINK_LOST" not in site.log()


async def test_without_an_evse_on_powerline_it_ends_at_once_and_says_so(tmp_path: Path) -> None:
    main = two_evses(paths={name: str(tmp_path / name) for name in ("run_dir", "state_dir", "log_dir")})
    write_config(tmp_path / "etc", main)
    words = (sys.executable, "-m", "v2g.cli.kplc_driver", "--config", str(tmp_path / "etc"))
    done = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, timeout=20.0, check=False)
    assert done.returncode == 0
    assert "no EVSE of the configuration has a powerline link" in done.stderr


async def test_a_service_with_nothing_to_do_was_ready_before_it_ended(tmp_path: Path) -> None:
    main = two_evses(paths={name: str(tmp_path / name) for name in ("run_dir", "state_dir", "log_dir")})
    write_config(tmp_path / "etc", main)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(2.0)
        words = (sys.executable, "-m", "v2g.cli.kplc_driver", "--config", str(tmp_path / "etc"))
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        done = await asyncio.to_thread(subprocess.run, words, env=environment, timeout=20.0, check=False)
        assert done.returncode == 0
        assert manager.recv(1000).startswith(b"READY=1")


async def test_readiness_watchdog_and_status_are_told(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        site.line.start()
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        environment.pop("WATCHDOG_PID", None)
        words = (sys.executable, "-m", "v2g.cli.kplc_driver", "--config", str(site.config))
        site.process = subprocess.Popen(words, env=environment, cwd=tmp_path)
        told: list[str] = []
        began = time.monotonic()
        while time.monotonic() - began < 4.0:
            with contextlib.suppress(BlockingIOError):
                told.append(manager.recv(1000).decode())
            await asyncio.sleep(0.005)
        site.process.terminate()
        await until(lambda: site.process is not None and site.process.poll() is not None)
        with contextlib.suppress(BlockingIOError):
            while True:
                told.append(manager.recv(1000).decode())
    await site.close()
    assert any(words.startswith("READY=1") for words in told)
    assert told.count("WATCHDOG=1") >= 10
    assert any("1 of 1 modems answer, 0 vehicles linked; orchestrator not connected" in words for words in told)
    assert told[-1] == "STOPPING=1" or "STOPPING=1" in told

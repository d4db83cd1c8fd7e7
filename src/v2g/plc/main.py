"""Entry of ``kplc-driver``: configuration, signals, the driver."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from v2g.clock import SystemClock
from v2g.config.firewall_plan import firewall_plan
from v2g.config.loader import ConfigError, Loaded, load
from v2g.config.paths import run_paths
from v2g.hardware.ethernet_port import PortError, frame_port
from v2g.host.notify import Notifier
from v2g.host.users import commanders
from v2g.plc.admission import NftFirewall
from v2g.plc.driver import Driver, simulated_mac, station_configs
from v2g.plc.link_server import PlcSocketError
from v2g.telemetry import logs
from v2g.telemetry.logs_loop import tended_logs

EXIT_FAILURE = 1
EXIT_CONFIG = 2
NO_LINK = "no EVSE of the configuration has a powerline link (evses[].plc): there is nothing to do"


def main(config_dir: Path) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code: 0, 1 for a failure, 2 for the configuration.

    Without an EVSE that has a powerline link it says so and ends with 0: its unit restarts it on failure only.
    """
    try:
        loaded = load(config_dir)
        sets = _plc_sets(loaded)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    paths = run_paths(loaded.config)
    logs.configure(paths.log_dir, name="kplc-driver")
    if not station_configs(loaded.config):
        logs.daemon_log().info("PLC_DRIVER_ENDED", NO_LINK)
        # A service that ends before it was ready is one that failed, for systemd.
        notifier = Notifier()
        notifier.ready(NO_LINK)
        notifier.close()
        return 0
    try:
        asyncio.run(_serve(loaded, sets))
    except PlcSocketError as error:
        logs.daemon_log().error("PLC_DRIVER_FAILED", str(error))
        return EXIT_FAILURE
    return 0


def check(config_dir: Path, say: Callable[[str], None]) -> bool:
    """Open each port once, and say what is found; True: all can be used. Raises :class:`ConfigError`."""
    loaded = load(config_dir)
    stations = station_configs(loaded.config)
    if not stations:
        say(NO_LINK)
        return True
    sets, sound = _plc_sets(loaded), True
    for one in stations:
        admitted = "vehicles are admitted to the firewall's set" if one.interface in sets else "the firewall has no set"
        try:
            mac = asyncio.run(_try(one.interface, one.plc.port, simulated_mac(one.evse_id)))
        except PortError as error:
            sound = False
            say(f"{one.evse_id}: {error}")
        else:
            say(f"{one.evse_id}: {one.plc.port or one.interface} can be used, address {mac.hex(':')}; {admitted}")
    return sound


async def _try(interface: str, address: str, mac: bytes) -> bytes:
    port = frame_port(interface, address, mac)
    try:
        await port.start(lambda data: None, lambda reason: None)
        return port.mac
    finally:
        port.close()


def _plc_sets(loaded: Loaded) -> Mapping[str, str]:
    return firewall_plan(loaded).plc_sets if loaded.config.firewall.plc_interfaces else {}


async def _serve(loaded: Loaded, sets: Mapping[str, str]) -> None:
    config = loaded.config
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_on_loop_error)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    notifier = Notifier()
    stations = station_configs(config)
    try:
        driver = Driver(
            stations,
            run_paths(config).plc_sock,
            uids=commanders(config.control.daemon_user),
            plc_sets=sets,
            firewall=NftFirewall(sets),
            clock=SystemClock(),
            notifier=notifier,
            random=os.urandom,
        )
        logs.daemon_log().info("PLC_DRIVER_STARTED", f"powerline links of {', '.join(one.evse_id for one in stations)}")
        # SIGHUP is theirs alone: a rotation must not cost a link.
        async with tended_logs():
            await driver.run(stop)
    finally:
        notifier.close()
    logs.daemon_log().info("PLC_DRIVER_ENDED", "the modems have keys that no vehicle has")


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    logs.daemon_log().error("PLC_DRIVER_ERROR", f"internal error: {context.get('message', '')} {error!r}".strip())

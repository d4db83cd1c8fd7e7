"""Entry of ``v2g-guard wires``: configuration, ports, signals."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from pathlib import Path
from typing import Any

from v2g.clock import SystemClock
from v2g.config.loader import ConfigError, Loaded, load
from v2g.config.paths import run_paths
from v2g.guard.status_block import StatusReader
from v2g.guard.wires import Wires
from v2g.guard.wires_server import WiresSocketError
from v2g.guard.wires_settings import WiresSettings, wires_settings
from v2g.hardware.ports import DeviceError
from v2g.host.notify import Notifier
from v2g.telemetry import logs
from v2g.telemetry.logs_loop import tended_logs

EXIT_FAILURE = 1
EXIT_CONFIG = 2


def main(config_dir: Path) -> int:
    """Run ``wires`` until SIGTERM or SIGINT. Returns the exit code: 0, 1 for a failure, 2 for the configuration."""
    try:
        loaded = load(config_dir)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    paths = run_paths(loaded.config)
    logs.configure(paths.log_dir, name="v2g-guard-wires")
    try:
        asyncio.run(_serve(loaded, config_dir))
    except DeviceError as error:
        logs.daemon_log().error("GUARD_WIRES_CONFIG", str(error))
        return EXIT_CONFIG
    except WiresSocketError as error:
        logs.daemon_log().error("GUARD_WIRES_FAILED", str(error))
        return EXIT_FAILURE
    return 0


async def _serve(loaded: Loaded, config_dir: Path) -> None:
    config = loaded.config
    paths = run_paths(config)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_on_loop_error)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    notifier = Notifier()
    permits = StatusReader(paths.guard_status)
    try:
        wires = Wires(
            config,
            paths,
            loaded.sensors,
            permits,
            config_dir=config_dir,
            clock=SystemClock(),
            notifier=notifier,
            jitter=random.random,
            settings=_settings(loaded),
            load_settings=lambda: wires_settings(load(config_dir)),
            load_site=lambda: load(config_dir),
        )
        # SIGHUP is theirs alone: a rotation must not take the inverters to zero.
        async with tended_logs():
            await wires.run(stop)
    finally:
        permits.close()
        notifier.close()
    logs.daemon_log().info("GUARD_WIRES_ENDED", "inverters are commanded to zero")


def _settings(loaded: Loaded) -> WiresSettings:
    settings = wires_settings(loaded)
    if settings.unset:
        logs.daemon_log().warning("WIRES_NO_SETTINGS", f"the inverters keep their own trip settings: {settings.unset}")
    return settings


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # What a device sends can make its protocol fail; the connection is closed then, and the link says which device.
    error = context.get("exception")
    logs.daemon_log().warning("WIRES_CONNECTION", f"{context.get('message', '')} {error!r}".strip())

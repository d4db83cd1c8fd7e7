"""A vehicle as a process: ``python -m v2g.simulation.vehicle --config vehicle.json``, at a DC or an AC EVSE.

SIGUSR1: its driver pauses the session. SIGUSR2: it comes back to it.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from pyiso15118.errors import Iso15118Error
from v2g.clock import SystemClock
from v2g.host.notify import Notifier
from v2g.simulation.vehicle_ac import AcVehicle
from v2g.simulation.vehicle_config import VehicleConfig, VehicleConfigError, read_config
from v2g.simulation.vehicle_dc import DcVehicle


async def _serve(config: VehicleConfig) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    notifier = Notifier()
    vehicle = (AcVehicle if config.kind == "AC" else DcVehicle)(config, SystemClock())
    loop.add_signal_handler(signal.SIGUSR1, vehicle.pause)
    loop.add_signal_handler(signal.SIGUSR2, vehicle.go_on)
    running = asyncio.create_task(vehicle.run())
    notifier.ready(config.evccid)
    period_s = notifier.interval_s or 1.0
    while not ended.is_set() and not running.done():
        notifier.watchdog()
        try:
            await asyncio.wait_for(ended.wait(), period_s)
        except TimeoutError:
            continue
    notifier.stopping()
    await vehicle.stop()
    running.cancel()
    (outcome,) = await asyncio.gather(running, return_exceptions=True)
    if isinstance(outcome, Exception):
        print(f"the vehicle failed: {outcome!r}", file=sys.stderr)
        return 1
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM. Exit 2: the configuration or certificates cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m v2g.simulation.vehicle", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see v2g.simulation.vehicle_config")
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(_serve(read_config(options.config)))
    except (VehicleConfigError, Iso15118Error) as error:
        print(f"vehicle: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

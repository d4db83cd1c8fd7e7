"""What noise on a powerline costs ``kplc-driver``: ``python tests/bench/bench_slac_noise.py``.

It writes ``report_slac_noise.md`` beside itself.

The real process runs at a simulated line with one vehicle linked, and gets frames of nonsense, as many a second as
asked for. Measured are its own CPU time, how late its sign of life comes to the orchestrator, whether the link held,
and how long another vehicle takes from being plugged in to its link when the noise was there before it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pyiso15118.slac.addresses import BROADCAST
from pyiso15118.slac.frame import Frame, encode_frame
from pyiso15118.slac.messages import CM_ATTEN_PROFILE_IND, CM_SLAC_PARM_REQ
from support.plc_site import E1, Site, until
from v2g.control.messages_plc import PlcState
from v2g.hardware.ports import PilotState

REPORT = Path(__file__).with_name("report_slac_noise.md")
SECONDS = 10.0
_CHANCE = random.Random(9)


def nonsense(at: int) -> bytes:
    return os.urandom(60)


def other_kinds(at: int) -> bytes:
    """Of the right Ethertype, to everybody, and cut at any place."""
    profile = CM_ATTEN_PROFILE_IND(pev_mac=_CHANCE.randbytes(6), aag=(at % 60,) * 58)
    source = b"\x02" + at.to_bytes(5, "big")
    return encode_frame(Frame(source=source, destination=BROADCAST, message=profile))[: 20 + at % 60]


def requests(at: int) -> bytes:
    """Vehicles that ask to be matched, each another one."""
    request = CM_SLAC_PARM_REQ(run_id=at.to_bytes(8, "big"))
    return encode_frame(Frame(source=b"\x02" + at.to_bytes(5, "big"), destination=BROADCAST, message=request))


RUNS: tuple[tuple[str, Callable[[int], bytes] | None, int], ...] = (
    ("nothing but the link", None, 0),
    ("random bytes", nonsense, 1000),
    ("broken profiles to everybody", other_kinds, 1000),
    ("requests of ever other vehicles", requests, 1000),
    ("requests of ever other vehicles", requests, 5000),
)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(make: Callable[[int], bytes] | None, per_s: int) -> tuple[float, float, int, bool]:
    """Share of one core, longest silence in s, frames sent, and whether the vehicle was linked all the time."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        await site.start()
        try:
            await site.linked()
            assert site.process is not None
            heard: list[float] = []
            began, before, sent, held = time.monotonic(), cpu_s(site.process.pid), 0, True
            while (now := time.monotonic()) - began < SECONDS:
                while make is not None and sent < (now - began) * per_s:
                    site.line.send(make(sent))
                    sent += 1
                if site.client.as_of_s is not None and (not heard or heard[-1] != site.client.as_of_s):
                    heard.append(site.client.as_of_s)
                held = held and E1 in site.client.lines and site.client.lines[E1].state is PlcState.LINKED
                await asyncio.sleep(0.002)
            share = (cpu_s(site.process.pid) - before) / (time.monotonic() - began)
            silences = [after - earlier for earlier, after in itertools.pairwise(heard)]
            await until(lambda: site.is_in(PlcState.LINKED))
            return share, max(silences), sent, held
        finally:
            await site.close()


async def links_after(make: Callable[[int], bytes] | None, per_s: int) -> tuple[float | None, int]:
    """Seconds from plugging in to the link, None where it did not come, and lines that ``comms.log`` has then."""

    async def flood() -> None:
        began, sent = time.monotonic(), 0
        while make is not None:
            while sent < (time.monotonic() - began) * per_s:
                site.line.send(make(sent))
                sent += 1
            await asyncio.sleep(0.002)

    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        await site.start()
        flooding = asyncio.get_running_loop().create_task(flood())
        try:
            await until(lambda: site.is_in(PlcState.FREE))
            site.pilot = PilotState.B
            await until(lambda: site.is_in(PlcState.WAITING) or site.is_in(PlcState.MATCHING))
            site.line.plug_in()
            took_s = await until(lambda: site.is_in(PlcState.LINKED))
        except TimeoutError:
            return None, len(site.log().splitlines())
        finally:
            flooding.cancel()
            await site.close()
        return took_s, len(site.log().splitlines())


async def main() -> None:
    rows = []
    for name, make, per_s in RUNS:
        share, silence_s, sent, held = await measure(make, per_s)
        took_s, lines = await links_after(make, per_s)
        rows.append(
            f"| {name} | {sent / SECONDS:,.0f} | {share:.1%} | {silence_s * 1000:.0f} ms | {'yes' if held else 'no'} "
            f"| {f'{took_s:.2f} s' if took_s is not None else 'never'} | {lines} |"
        )
        print(rows[-1])
    text = [
        "# Noise on a powerline: what it costs kplc-driver",
        "",
        f"`python tests/bench/bench_slac_noise.py`, Python {platform.python_version()}, {os.cpu_count()} cores. "
        f"One EVSE at a simulated line, one vehicle linked, {SECONDS:g} s each. An orchestrator takes a driver for "
        "gone after 1 s of silence. *New link after*: another vehicle, plugged in while the noise is there; the lines "
        "of comms.log are counted then.",
        "",
        "| frames | a second | of one core | longest silence | link held | new link after | lines |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]
    REPORT.write_text("\n".join(text))


if __name__ == "__main__":
    asyncio.run(main())

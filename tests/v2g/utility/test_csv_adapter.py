"""The example adapter as a process of its own: a CSV export into a served feed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from v2g.clock import ManualClock
from v2g.utility.meter_book import MeterBook
from v2g.utility.meter_feed import MeterFeedServer, answer
from v2g.utility.meter_reading import MeterSpec
from v2g.utility.meter_view import Phases

ADAPTER = Path(__file__).resolve().parents[3] / "etc/v2g/examples/meter_csv_adapter.py"
EXPORT = """\
meter,time,P1,P2,P3
c1,2023-11-14T22:13:20Z,0.25,0.00,1.15
c2,2023-11-14T23:13:20+01:00,0.5,,
c1,2023-11-14T21:58:20Z,0.10,0.00,1.00
c2,1699999000,0.4,,
c2,1699998000,,,
"""
POWERS = ("--unit", "kW", "--phase", "a=P1", "--phase", "b=P2", "--phase", "c=P3")


@dataclass
class Done:
    code: int
    out: str
    err: str


class Site:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "meters.sock"
        self.clock = ManualClock()
        specs = [MeterSpec(id=meter, max_age_s=1200.0, rated_w=15_000.0, fed=True) for meter in ("c1", "c2")]
        self.book = MeterBook(specs)
        self.server = MeterFeedServer(self.socket, "", self._take, self.clock)

    def _take(self, line: bytes) -> bytes:
        return answer(line, self.book, self.clock.monotonic_s(), self.clock.unix_s())

    def powers(self) -> dict[str, Phases | None]:
        view = self.book.view(self.clock.monotonic_s(), self.clock.unix_s(), None)
        return {line.id: line.power_w for line in view.lines}

    async def run(self, export: str | bytes, *options: str) -> Done:
        path = self.folder / "export.csv"
        path.write_bytes(export.encode() if isinstance(export, str) else export)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(ADAPTER), "--socket", str(self.socket), *options, str(path),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 60.0)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    await made.server.start()
    yield made
    await made.server.close()


async def test_an_export_is_written_in_the_order_of_its_times(site: Site) -> None:
    done = await site.run(EXPORT, *POWERS)
    assert (done.code, done.out, done.err) == (0, "4 readings taken, 0 refused\n", "")
    assert site.powers() == {"c1": (250.0, 0.0, 1150.0), "c2": (500.0, 0.0, 0.0)}
    assert [site.book.records[meter].counts.late for meter in ("c1", "c2")] == [0, 0]
    assert (await site.run(EXPORT, *POWERS)).code == 0


async def test_registers_local_times_and_decimal_commas(site: Site) -> None:
    export = "\ufeffZähler;Zeit;kWh\nc1;2023-11-14 22:58:20;5120,25\nc1;2023-11-14 23:13:20;5120,55\n"
    options = ("--meter", "Zähler", "--time", "Zeit", "--total", "kWh", "--energy", "--unit", "kWh")
    done = await site.run(export, *options, "--timezone", "Europe/Berlin", "--delimiter", ";", "--decimal", ",")
    assert (done.code, done.err) == (0, "")
    assert site.powers()["c1"] == pytest.approx((400.0,) * 3)


async def test_each_row_that_is_refused_is_named_with_its_line(site: Site) -> None:
    export = (
        "meter,time,P1,P2,P3\nc1,2023-11-14T22:13:20Z,x,0,0\nc1,yesterday,1,1,1\nc1,2023-11-14T22:13:20,1,1,1\n"
        "c9,2023-11-14T22:13:20Z,1,1,1\nc1,2023-11-14T22:13:20Z,1,1,1\nc2,2023-11-14T22:23:20Z,1,1,1\n"
    )
    done = await site.run(export, *POWERS)
    assert (done.code, done.out) == (1, "1 readings taken, 5 refused\n")
    words = [
        "'x' is no number",
        "'yesterday' is no number",
        "has no time zone; give --timezone",
        "'c9' is not expected",
    ]
    for line, (said, wanted) in enumerate(zip(done.err.splitlines(), words, strict=False), start=2):
        assert f"export.csv:{line}: " in said
        assert wanted in said
    assert 'export.csv:7: meter c2: "at" is 10 min in the future' in done.err


async def test_a_column_that_is_not_there_is_named_with_those_that_are(site: Site) -> None:
    done = await site.run("id,time,P1,P2,P3\nc1,1700000000,1,1,1\n", *POWERS)
    assert done.code == 1
    assert "there is no column meter; there are id, time, P1, P2, P3" in done.err


async def test_usage_and_an_absent_feed_have_their_exit_codes(site: Site) -> None:
    done = await site.run(EXPORT, "--total", "P1", "--unit", "kWh")
    assert (done.code, "needs --energy" in done.err) == (2, True)
    assert (await site.run(b"meter\xff,time\n", *POWERS)).code == 2
    await site.server.close()
    done = await site.run(EXPORT, *POWERS)
    assert done.code == 3
    assert "is the daemon running, utility.meter_feed configured, and this user in its group?" in done.err

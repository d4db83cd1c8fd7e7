"""What the history costs: ``python tests/bench/bench_history.py``.

Measured: a put and a cycle of the recorder on the control thread, alone and beside a writer that is busy; the writer's
rows a second; bytes a day, and what 400 days come to; reading 30 days. Writes ``report_history.md`` beside itself.
"""

from __future__ import annotations

import platform
import random
import statistics
import tempfile
import time
from math import sin
from pathlib import Path
from types import SimpleNamespace

from v2g.dispatch.orders import Grant
from v2g.guard.status import GuardStatus, Permit
from v2g.hardware.ports import InverterReading
from v2g.orchestrator.recorder import Recorder
from v2g.telemetry import history
from v2g.telemetry.history import EvseMinute, History, MinuteRow, read_evse_minutes, read_minutes
from v2g.telemetry.history_file import Entry, HistoryFile
from v2g.thermal.view import ThermalView

REPORT = Path(__file__).with_name("report_history.md")
FIRST_MIN = 29_400_480
DAY_MIN = 1440
DAYS = 30
SITES = (2, 64)
UNBOUNDED = 1 << 40
BUSY_SHARE = 0.35
"""Of the day, an EVSE that is used well has a vehicle."""
REPEATS = 5
CYCLES = 3000
MB = 1 << 20


def minute(unix_min: int, evses: int, noise: random.Random) -> tuple[MinuteRow, tuple[EvseMinute, ...]]:
    base_w = 80e3 + 40e3 * sin(unix_min / DAY_MIN * 6.283) + noise.gauss(0.0, 2e3)
    row = MinuteRow(
        unix_min=unix_min,
        base_w=base_w,
        base_var=base_w * 0.3,
        load_w=base_w - 5e3,
        v2g_w=-5e3 + noise.gauss(0.0, 50.0),
        k_pu=base_w / 250e3,
        f_hl=1.0 + noise.random(),
        ambient_read_c=20.0 + noise.random(),
        top_oil_read_c=50.0 + noise.random(),
        ambient_c=20.0 + noise.random(),
        top_oil_c=50.0 + noise.random(),
        hot_spot_c=60.0 + noise.random(),
        bias_k=noise.gauss(0.0, 1.0),
        lo_w=-90e3 + noise.gauss(0.0, 100.0),
        hi_w=110e3 + noise.gauss(0.0, 100.0),
        ageing_rate=noise.random() / 100,
    )
    return row, tuple(
        EvseMinute(
            unix_min=unix_min,
            evse_id=f"US*V2G*E{n}",
            vehicle=f"WMIV{(n * 7 + unix_min // 240) % 900:08d}",
            power_w=noise.uniform(-20e3, 20e3),
            granted_w=noise.uniform(-20e3, 20e3),
            soc_pct=float(noise.randrange(101)),
        )
        for n in range(evses)
    )


def put_us(beside_writer: bool, evses: int, directory: Path) -> tuple[float, float]:
    """Median and 99.9th percentile of one ``put_minute``."""
    noise = random.Random(1)
    rows = [minute(FIRST_MIN + n, evses, noise) for n in range(CYCLES)]
    writer = History(directory / f"put{beside_writer}{evses}.sqlite", keep_days=400, max_bytes=UNBOUNDED)
    if beside_writer:
        writer.start()
    taken = []
    for row, evse_rows in rows:
        started = time.perf_counter()
        writer.put_minute(row, evse_rows)
        taken.append((time.perf_counter() - started) * 1e6)
        if beside_writer:
            time.sleep(0.0005)
    writer.close(60.0)
    taken.sort()
    return statistics.median(taken), taken[int(0.999 * len(taken))]


def recorder_us(evses: int) -> float:
    """Best of several medians of one cycle."""

    class Nowhere:
        def put_minute(self, row: MinuteRow, evses: tuple[EvseMinute, ...] = ()) -> None: ...

        put_trip = put_minute

    ids = [f"US*V2G*E{n}" for n in range(evses)]
    bays = {each: SimpleNamespace(procedure=SimpleNamespace(evccid="WMIV1", soc_pct=50)) for each in ids}
    grants = {each: Grant(evse_id=each, power_w=-7e3, bound_by=None, order_id=1) for each in ids}
    view = ThermalView(
        lo_w=-1e4, hi_w=1e4, top_oil_c=50.0, hot_spot_c=60.0, ambient_c=20.0, k_pu=0.4, load_w=1e5, base_load_w=1e5,
        f_hl=1.1, ageing_rate=0.1,
    )  # fmt: skip
    recorder = Recorder(Nowhere(), ids)  # type: ignore[arg-type]
    medians = []
    for _ in range(REPEATS):
        taken = []
        for n in range(CYCLES):
            now_s = 1000.0 + n * 0.1
            guard = GuardStatus(
                as_of_s=now_s, permit=Permit.GRANTED, breaker_commanded_closed=True, breaker_closed=True,
                measured=True, load_measured=True,
            )  # fmt: skip
            inverters = [
                InverterReading(
                    evse_id=each, as_of_s=now_s, power_w=-7e3, max_charge_w=1e4, max_discharge_w=1e4, connected=True,
                    reversion_armed=True, anti_islanding=True,
                )
                for each in ids
            ]  # fmt: skip
            started = time.perf_counter()
            recorder.add(view, guard, inverters, grants, bays, 1.764e9 + n * 0.1, now_s)  # type: ignore[arg-type]
            taken.append((time.perf_counter() - started) * 1e6)
        medians.append(statistics.median(taken))
    return min(medians)


def written(evses: int, path: Path) -> tuple[float, float, float]:
    """Of :data:`DAYS` days, all EVSEs busy: rows a second in batches, ms of one minute's transaction, bytes a day."""
    noise = random.Random(2)
    spent_s, rows = 0.0, 0
    file = HistoryFile(path, keep_days=400, max_bytes=UNBOUNDED)
    per_batch = max(1, history._BATCH_ROWS // (1 + evses))
    for day in range(DAYS):
        entries: list[Entry] = [minute(FIRST_MIN + day * DAY_MIN + m, evses, noise) for m in range(DAY_MIN)]
        for at in range(0, DAY_MIN, per_batch):
            started = time.perf_counter()
            rows += file.write(entries[at : at + per_batch], {})
            spent_s += time.perf_counter() - started
    single_ms = []
    for n in range(200):
        entry = minute(FIRST_MIN + DAYS * DAY_MIN + n, evses, noise)
        started = time.perf_counter()
        file.write([entry], {})
        single_ms.append((time.perf_counter() - started) * 1e3)
    file.close()
    return rows / spent_s, statistics.median(single_ms), path.stat().st_size / (DAYS + 200 / DAY_MIN)


def read_s(path: Path, what: str) -> tuple[float, int]:
    read = read_minutes if what == "minutes" else read_evse_minutes
    started = time.perf_counter()
    count = sum(1 for _ in read(path, FIRST_MIN, FIRST_MIN + DAYS * DAY_MIN))
    return time.perf_counter() - started, count


def shrink(path: Path) -> str:
    """Bring the file of 64 EVSEs to half its size."""
    before = path.stat().st_size
    file = HistoryFile(path, keep_days=400, max_bytes=before // 2)
    started = time.perf_counter()
    file.write([minute(FIRST_MIN + (DAYS + 1) * DAY_MIN, 64, random.Random(3))], {})
    spent_s, after = time.perf_counter() - started, file.size_bytes
    file.close()
    return (
        f"Bound lowered to {before / 2 / MB:.0f} MB: the file of 64 EVSEs went from {before / MB:.0f} to "
        f"{after / MB:.0f} MB in {spent_s:.1f} s, in the writer's thread."
    )


def main() -> None:
    lines = [
        "# The history by the minute",
        "",
        f"Python {platform.python_version()}, {platform.machine()}. Written by `python tests/bench/bench_history.py`.",
        "",
        "On the control thread, µs:",
        "",
        "| EVSEs | put_minute, median | 99.9 % | beside a busy writer, median | 99.9 % | recorder, a cycle |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for evses in SITES:
            alone, beside = put_us(False, evses, directory), put_us(True, evses, directory)
            lines.append(
                f"| {evses} | {alone[0]:.1f} | {alone[1]:.1f} | {beside[0]:.1f} | {beside[1]:.1f} | "
                f"{recorder_us(evses):.1f} |"
            )
        lines += [
            "",
            f"The writer and the file, every EVSE with a vehicle all day, {DAYS} days:",
            "",
            "| EVSEs | rows a second | one minute's transaction, ms | MB a day | 400 days, MB | read minutes, s | "
            "read EVSE minutes, s |",
            "|---:|---:|---:|---:|---:|---:|---:|",
        ]
        a_day: dict[int, float] = {}
        for evses in (0, *SITES):
            path = directory / f"{evses}.sqlite"
            rate, single_ms, a_day[evses] = written(evses, path)
            (minutes_s, minutes), (evses_s, evse_rows) = read_s(path, "minutes"), read_s(path, "evses")
            mb_a_day = a_day[evses] / MB
            lines.append(
                f"| {evses} | {rate:,.0f} | {single_ms:.2f} | {mb_a_day:.2f} | {mb_a_day * 400:.0f} | "
                f"{minutes_s:.2f} ({minutes:,}) | {evses_s:.2f} ({evse_rows:,}) |"
            )
        shrunk = shrink(directory / "64.sqlite")
    worst, bare = a_day[64], a_day[0]
    usual = bare + (worst - bare) * BUSY_SHARE
    lines += [
        "",
        f"With vehicles at {BUSY_SHARE * 100:.0f} % of all times, 64 EVSEs take {usual * 400 / MB:.0f} MB for 400 "
        f"days; 512 MB hold {512 * 0.9 * MB / usual:.0f} days then, and {512 * 0.9 * MB / worst:.0f} days with every "
        "EVSE busy all day (deleting begins at 90 % of the bound).",
        "",
        shrunk,
        "",
    ]
    REPORT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

"""A day of two SunSpec meters on Modbus servers that nobody here wrote: the npm package modbus-serial, and libmodbus.

The registers are made by pysunspec2's own encoder; the day is written to the servers over Modbus.
"""

from __future__ import annotations

import math
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sunspec2.device

from interop.test_modbus_servers import PATIENT, libmodbus_command, serial_command
from v2g.clock import ManualClock, SystemClock
from v2g.config.schema_evse import ModbusAddress
from v2g.config.schema_meters import Meter
from v2g.hardware.modbus import ModbusEndpoint, ModbusLink
from v2g.utility.meter_book import MeterBook
from v2g.utility.meter_poll import MeterPoll
from v2g.utility.meter_reading import MeterSpec
from v2g.utility.meter_view import Phases

pytestmark = pytest.mark.interop

QUARTER_S, QUARTERS = 900.0, 96
ABSENT = 0x8000


def registers(model_id: int, **points: Any) -> list[int]:
    """As pysunspec2 encodes a model; points that are not given are not implemented."""
    model = sunspec2.device.Model(model_id, data=points)
    data = model.get_mb()
    words = list(struct.unpack(f">{len(data) // 2}H", data))
    words[0], words[1] = model_id, len(words) - 2
    return words


def chain(model_id: int, **points: Any) -> tuple[list[int], int]:
    """From 40000 on, and the address of the meter model."""
    common = registers(1, Mn="Maker", Md="Meter", SN=f"sn{model_id}")
    words = [0x5375, 0x6E53, *common]
    at = 40000 + len(words)
    return [*words, *registers(model_id, **points), 0xFFFF, 0], at


def powers_w(quarter: int) -> Phases:
    """A shop with a photovoltaic plant on phase c."""
    hour = quarter / 4.0
    sun_w = 12_000.0 * max(0.0, math.sin(math.pi * (hour - 6.0) / 12.0)) if 6.0 <= hour <= 18.0 else 0.0
    return 500.0 + 100.0 * hour, 800.0, round(1_000.0 - sun_w, -1)


@pytest.fixture(params=["modbus-serial", "libmodbus"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, int, int]]:
    """Port, address of the meter model, and its number."""
    model_id = 203 if request.param == "modbus-serial" else 201
    scale = {"W_SF": 1, "WphA": 0, "WphB": 0, "WphC": 0} if model_id == 203 else {"W_SF": 0}
    words, at = chain(model_id, W=0, **scale)
    image = tmp_path / "meter.csv"
    image.write_text("address,value\n" + "".join(f"{40000 + n},{word}\n" for n, word in enumerate(words)))
    command = serial_command(image) if request.param == "modbus-serial" else libmodbus_command(tmp_path, image)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            word, number = server.stdout.readline().split()
            assert word == "port"
            yield int(number), at, model_id
        finally:
            server.terminate()


def link(name: str, port: int) -> ModbusLink:
    return ModbusLink(name, ModbusEndpoint("127.0.0.1", port, 1), SystemClock(), lambda: 0.5, PATIENT)


def words_of(values: Sequence[float], scale: float) -> list[int]:
    return [round(value / scale) & 0xFFFF for value in values]


async def test_a_day_of_a_meter_becomes_the_base_load_by_phase(served: tuple[int, int, int]) -> None:
    port, at, model_id = served
    meter = Meter(id="shop", modbus=ModbusAddress(host="127.0.0.1"), rotation="bca" if model_id == 203 else "b")
    clock = ManualClock()
    book = MeterBook([MeterSpec(id="shop", max_age_s=1200.0, rated_w=40_000.0)])
    ours, plant = link("meter shop", port), link("the plant", port)
    poll = MeterPoll(meter, ours, book, clock, lambda: 0.5)
    for quarter in range(QUARTERS):
        a, b, c = powers_w(quarter)
        # W, WphA, WphB and WphC follow one another from the 18th register of the model on.
        if model_id == 203:
            await plant.write(at + 18, words_of((a + b + c, a, b, c), 10.0))
        else:
            await plant.write(at + 18, words_of((a + b + c,), 1.0))
        await poll.once()
        view = book.view(clock.monotonic_s(), clock.unix_s(), None)
        wanted = (c, a, b) if model_id == 203 else (0.0, a + b + c, 0.0)
        assert view.base_w == pytest.approx(wanted, abs=5.0), view.lines
        clock.advance(QUARTER_S)
    record = book.records["shop"]
    assert (record.counts.used, record.counts.gaps, record.counts.refused) == (QUARTERS, 0, 0)
    assert len(record.history.means()) == QUARTERS
    assert ours.state.reconnects == 0
    await ours.close()
    await plant.close()


async def test_a_power_that_is_not_implemented_is_no_power(served: tuple[int, int, int]) -> None:
    port, at, _ = served
    clock = ManualClock()
    book = MeterBook([MeterSpec(id="shop", max_age_s=1200.0, rated_w=40_000.0)])
    ours = link("meter shop", port)
    await ours.write(at + 18, [ABSENT] * 4)
    await MeterPoll(Meter(id="shop", modbus=ModbusAddress(host="h")), ours, book, clock, lambda: 0.5).once()
    (line,) = book.view(clock.monotonic_s(), clock.unix_s(), None).lines
    assert line.power_w is None
    assert "tells no power: W or its scale factor W_SF is not implemented" in line.problem
    await ours.close()

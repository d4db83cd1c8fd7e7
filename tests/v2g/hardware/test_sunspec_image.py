"""The register image that pysunspec2 makes of a 1547 device, over a real server; and dumps of the other models."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.sunspec_devices import DRAFTS, Chain, told
from v2g.clock import SystemClock
from v2g.hardware.modbus import LinkTiming, ModbusEndpoint, ModbusLink
from v2g.hardware.ports import DeviceError, InverterCommand
from v2g.hardware.registers import Table
from v2g.hardware.sunspec.codec import END_MODEL_ID, ModelImage, load_model, load_repeated
from v2g.hardware.sunspec.discovery import discover, read_identity
from v2g.hardware.sunspec.groups import read_model
from v2g.hardware.sunspec.inverter import SunSpecInverter, dump
from v2g.hardware.sunspec.status import dc_power_w

PATIENT = LinkTiming(request_timeout_s=5.0, connect_timeout_s=5.0)


@dataclass
class Reference:
    device: Any
    link: ModbusLink
    models: list[dict[str, Any]]


@pytest.fixture
async def reference(shared_data: Path, serve: Any, registers: Any) -> AsyncIterator[Reference]:
    """Nothing but the image is at the server, and nothing may be written."""
    folder = shared_data / "grid" / "sunspec"
    if not (folder / "pysunspec2_device_1547.registers.csv").is_file():
        pytest.skip("the SunSpec image is absent: ../shared/data/grid/sunspec")
    with (folder / "pysunspec2_device_1547.registers.csv").open() as file:
        words = {int(row["address"]): int(row["value"]) for row in csv.DictReader(file)}
    for address, word in words.items():
        registers.tables[Table.HOLDING][address] = word
    registers.missing = set(range(65536)) - words.keys()
    device = json.loads((folder / "pysunspec2_device_1547.json").read_text())
    served = await serve(registers)
    link = ModbusLink("inverter X", ModbusEndpoint("127.0.0.1", served.port), SystemClock(), lambda: 0.5, PATIENT)
    yield Reference(registers, link, [model for model in device["models"] if model["ID"] != END_MODEL_ID])
    await link.close()


async def test_every_point_of_every_model_is_that_of_the_json(reference: Reference) -> None:
    found = await discover(reference.link)
    assert list(found) == [1, *range(701, 714)]
    identity = await read_identity(reference.link, found[1])
    assert (identity.manufacturer, identity.model, identity.version) == ("SunSpecTest", "Test-1547-1", "1.2.3")
    compared, drafts, unstated = 0, set(), 0
    for model in reference.models:
        image = await read_model(reference.link, found[model["ID"]])
        stated = dict(told(model))
        for name, value in stated.items():
            if name.rpartition(".")[2] in ("ID", "L", "Pad") and name in image.model.points:
                continue
            if name not in image.model.points:
                drafts.add(f"{model['ID']}.{name.rpartition('.')[2]}")
                continue
            assert image.raw(name) == value, f"{model['ID']}.{name}"
            compared += 1
        for name in image.model.points.keys() - stated.keys() - {"ID", "L"}:
            assert image.raw(name) is None, f"{model['ID']}.{name}"
            unstated += 1
    assert (compared, drafts, unstated) == (328, DRAFTS, 56)


async def test_its_dump_is_scaled_and_whole(reference: Reference) -> None:
    points = await SunSpecInverter("US*V2G*E1", reference.link, SystemClock()).dump()
    assert (points["1.Md"], points["701.Hz"], points["701.LNV"]) == ("Test-1547-1", 60.01, 240.0)
    assert points["705.Crv[1].Pt[1].V"] == 92.0
    assert points["704.WSet"] is None
    assert len(points) == 328 + 56 + 2 * 14 + 1, "with ID and L of each model, and the pad of the first"
    assert reference.device.writes == []


async def test_the_driver_says_what_it_lacks_and_writes_nothing(reference: Reference) -> None:
    driver = SunSpecInverter("US*V2G*E1", reference.link, SystemClock())
    for act in (driver.read, lambda: driver.apply(InverterCommand(power_w=1000.0))):
        with pytest.raises(DeviceError, match=r"704 has no active power set-point \(WSet, WSet_SF, WSetEna\)"):
            await act()
    assert reference.device.writes == []


def filled(number: int, values: dict[str, Any], repeats: int = 0, fitting: int = 0) -> ModelImage:
    """A model with these points, scale factors first; the others are not implemented."""
    model = load_repeated(number, (repeats,) if repeats else (), fitting) if repeats or fitting else load_model(number)
    image = ModelImage.blank(model)
    for name in sorted(values, key=lambda name: not name.endswith("_SF")):
        image.set(name, values[name])
    return image


STORAGE = {"WH_SF": 0, "Pct_SF": -1, "WHRtg": 60_000, "WHAvail": 30_000, "SoC": 50.5, "SoH": 99.0, "Sta": 2}
CONTROL = {"LocRemCtl": 0, "DERHb": 4_000_000_000, "ControllerHb": 7, "OpCtl": 1}
PORTS = {
    "NPrt": 3, "DCA_SF": -1, "DCV_SF": 0, "DCW_SF": 1, "DCA": 30.5, "DCW": 12_000,
    "Prt[1].PrtTyp": 2, "Prt[1].IDStr": "CCS", "Prt[1].DCV": 800, "Prt[1].DCA": 12.5, "Prt[1].DCW": 10_000,
    "Prt[2].PrtTyp": 2, "Prt[2].DCV": 400, "Prt[2].DCW": -3_000,
    "Prt[3].PrtTyp": 0, "Prt[3].DCV": 600, "Prt[3].DCW": 5_000,
}  # fmt: skip
MPPT = {
    "DCA_SF": -2, "DCV_SF": -1, "DCW_SF": 0, "N": 2, "module[1].IDStr": "PV", "module[1].DCA": 7.25,
    "module[1].DCV": 612.5, "module[1].DCW": 4440, "module[2].ID": 2, "module[2].DCW": 1200,
}  # fmt: skip
CURVES = {
    "ActCrv": 1, "ModEna": 0, "NCrv": 2, "NPt": 10, "Tms_SF": -2, "V_SF": -1, "curve[1].ActPt": 2,
    "curve[1].Tms1": 2.0, "curve[1].V1": 88.0, "curve[2].ActPt": 1, "curve[2].V20": 33.3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("number", "values", "shape"),
    [
        (713, STORAGE, {}),
        (714, PORTS, {"repeats": 3}),
        (715, CONTROL, {}),
        (160, MPPT, {"fitting": 2}),
        (129, CURVES, {"fitting": 2}),
    ],
)
async def test_a_dump_has_every_point_of_every_group(
    memory_link: Any, number: int, values: dict[str, Any], shape: dict[str, int]
) -> None:
    image = filled(number, values, **shape)
    link = memory_link(Chain([filled(1, {"Mn": "Maker"}), image]))
    points = {
        name: value for name, value in (await dump(await discover(link), link)).items() if not name.startswith("1.")
    }
    assert len(points) == len(image.model.points)
    assert {name: points[f"{number}.{name}"] for name in values} == pytest.approx(values)
    others = points.keys() - {f"{number}.{name}" for name in values} - {f"{number}.ID", f"{number}.L"}
    assert {name for name in others if points[name] not in (None, 0)} == set()


async def test_the_power_of_several_ports_is_their_sum_into_the_vehicle(memory_link: Any) -> None:
    link = memory_link(Chain([filled(714, PORTS, repeats=3)]))
    assert dc_power_w(await read_model(link, (await discover(link))[714])) == -12_000.0
    link = memory_link(Chain([filled(714, PORTS | {"Prt[2].DCW": None}, repeats=3)]))
    assert dc_power_w(await read_model(link, (await discover(link))[714])) is None


async def test_an_older_device_without_storage_says_what_the_driver_needs(memory_link: Any, shared_data: Path) -> None:
    path = shared_data / "grid" / "sunspec" / "pysunspec2_inverter_123.json"
    if not path.is_file():
        pytest.skip(f"absent: {path}")
    numbers = [model["ID"] for model in json.loads(path.read_text())["models"]]
    assert numbers == [1, 129]
    link = memory_link(Chain([filled(1, {"Mn": "Maker"}), filled(129, CURVES, fitting=2)]))
    with pytest.raises(
        DeviceError, match=r"no SunSpec model 701, 702, 704, .* an inverter model \(101 to 113\) and 124"
    ):
        await SunSpecInverter("US*V2G*E1", link, SystemClock()).read()

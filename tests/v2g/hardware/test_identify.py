"""Which device is at an address: against devices in memory that are, are not, or do not answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from v2g.hardware import identify
from v2g.hardware.identify import NoConnectionError, NotSunSpecError, SilentError
from v2g.hardware.ports import DeviceError
from v2g.hardware.register_map import RegisterImage, load_map
from v2g.hardware.registers import Table
from v2g.hardware.sunspec.codec import END_MODEL_ID, SUNS, ModelImage, load_model

NEVER = 1000
BARS = {"charge", "discharge"}


def lay(registers: Any, images: list[ModelImage], base: int = 40000) -> None:
    holding = registers.tables[Table.HOLDING]
    words = [*SUNS, *(word for image in images for word in image.registers), END_MODEL_ID, 0]
    holding[base : base + len(words)] = words


def filled(number: int, **values: float | str) -> ModelImage:
    image = ModelImage.blank(load_model(number))
    for name, value in values.items():
        image.set(name, value)
    return image


def legacy_device(registers: Any, *more: ModelImage) -> None:
    """10 kW each way by the models of the older family."""
    models = [
        filled(1, Mn="Olds", Md="Hybrid", Vr="2", SN="7"),
        filled(103, W_SF=0, W=0, St=4),
        filled(120, WRtg_SF=0, WRtg=10_000, MaxChaRte_SF=0, MaxChaRte=10_000, MaxDisChaRte_SF=0, MaxDisChaRte=10_000),
        filled(
            124, WChaMax_SF=0, WChaMax=10_000, StorCtl_Mod=0, InOutWRte_SF=-2, OutWRte=0, InWRte=0, InOutWRte_RvrtTms=3
        ),
    ]
    lay(registers, [*models, *more])


async def identified(link: Any, *maps: str) -> identify.UnitFound:
    return await identify.identify_unit(link, 1, [load_map(name) for name in maps])


def barred(fit: Any) -> dict[str, set[str]]:
    return {lack.name: set(lack.bars) for lack in fit.lacks}


@pytest.mark.parametrize("base", [40000, 50000, 0])
async def test_a_sunspec_inverter_is_told_with_base_identity_models_and_family(
    memory_link: Any, fake_inverter: Any, clock: Any, base: int
) -> None:
    device = fake_inverter(clock, base)
    found = await identified(memory_link(device))
    assert found.recognised
    assert found.sunspec is not None
    assert found.sunspec.base == base
    assert found.sunspec.models == (1, 701, 702, 703, 704)
    identity = found.sunspec.identity
    assert identity is not None
    assert (identity.manufacturer, identity.model, identity.version, identity.serial) == ("Acme", "Bi22", "1", "42")
    fit = found.sunspec.fit
    assert (fit.family, fit.max_charge_w, fit.max_discharge_w) == ("701-715", 20_000.0, 15_000.0)
    assert fit.permits("charge")
    assert fit.permits("discharge")
    assert barred(fit) == {"heartbeat": set(), "dc power": set(), "grid functions": set()}
    assert device.writes == []


@pytest.mark.parametrize("point", ["WSetRvrt", "WSetEnaRvrt", "WSetRvrtTms"])
async def test_without_a_reversion_point_and_without_heartbeats_it_does_not_discharge(
    memory_link: Any, fake_inverter: Any, clock: Any, point: str
) -> None:
    device = fake_inverter(clock)
    device.models[704].set(point, None)
    device.before_read = lambda table: None
    device.place()
    found = await identified(memory_link(device))
    assert found.sunspec is not None
    fit = found.sunspec.fit
    assert fit.permits("charge")
    assert not fit.permits("discharge")
    assert barred(fit)["reversion"] == barred(fit)["heartbeat"] == {"discharge"}
    assert point in next(lack.reason for lack in fit.lacks if lack.name == "reversion")

    device.models[715] = filled(715, ControllerHb=0, DERHb=5)
    device.place()
    found = await identified(memory_link(device))
    assert found.sunspec is not None
    fit = found.sunspec.fit
    assert fit.permits("discharge")
    assert barred(fit)["reversion"] == set()
    assert "heartbeat" not in barred(fit)


@pytest.mark.parametrize(
    ("model", "points", "name", "bars"),
    [
        (702, ("WChaRteMaxRtg", "WChaRteMax"), "charge rating", {"charge"}),
        (702, ("WMaxRtg", "WMax", "WDisChaRteMaxRtg"), "discharge rating", {"discharge"}),
        (702, ("W_SF",), "charge rating", {"charge"}),
        (704, ("WSet_SF",), "set-point", BARS),
        (704, ("WSetEna",), "set-point", BARS),
        (701, ("W",), "power", BARS),
        (704, ("AntiIslEna",), "anti-islanding", set()),
    ],
)
async def test_each_point_that_the_driver_needs_is_told_when_it_is_not_there(
    memory_link: Any, fake_inverter: Any, clock: Any, model: int, points: tuple[str, ...], name: str, bars: set[str]
) -> None:
    device = fake_inverter(clock)
    for point in points:
        device.models[model].set(point, None)
    device.before_read = lambda table: None
    device.place()
    found = await identified(memory_link(device))
    assert found.sunspec is not None
    assert barred(found.sunspec.fit)[name] == bars


async def test_a_device_of_the_older_models_discharges_only_with_heartbeats(memory_link: Any, registers: Any) -> None:
    legacy_device(registers)
    found = await identified(memory_link(registers))
    assert found.sunspec is not None
    fit = found.sunspec.fit
    assert (fit.family, fit.max_charge_w, fit.max_discharge_w) == ("101-124", 10_000.0, 10_000.0)
    assert fit.permits("charge")
    assert not fit.permits("discharge")

    legacy_device(registers, filled(715, ControllerHb=0, DERHb=5))
    found = await identified(memory_link(registers))
    assert found.sunspec is not None
    assert found.sunspec.fit.permits("discharge")
    assert registers.writes == []


async def test_a_sunspec_device_that_no_family_drives_says_which_models_are_missing(
    memory_link: Any, registers: Any
) -> None:
    lay(registers, [filled(1, Mn="Meter"), filled(103, W_SF=0, W=0)])
    found = await identified(memory_link(registers))
    assert found.sunspec is not None
    fit = found.sunspec.fit
    assert (fit.family, fit.max_discharge_w) == (None, 0.0)
    assert barred(fit) == {"models": BARS}
    assert "701, 702, 704" in fit.lacks[0].reason


async def test_a_model_that_cannot_be_read_bars_power_and_is_told(
    memory_link: Any, fake_inverter: Any, clock: Any
) -> None:
    device = fake_inverter(clock)
    device.missing = {device.addresses[702] + 10}
    found = await identified(memory_link(device))
    assert found.sunspec is not None
    assert "SunSpec model 702" in (found.sunspec.problem or "")
    assert barred(found.sunspec.fit)["model 702"] == BARS


async def test_a_chain_without_an_end_is_told_as_a_problem(memory_link: Any, registers: Any) -> None:
    registers.tables[Table.HOLDING][40000:40002] = SUNS
    found = await identified(memory_link(registers))
    assert found.sunspec is not None
    assert "does not end" in (found.sunspec.problem or "")
    assert found.sunspec.fit.family is None


async def test_a_device_of_a_register_map_is_told_by_its_identity(memory_link: Any, fake_evse: Any) -> None:
    found = await identified(memory_link(fake_evse()), "v2g-filter", "v2g-dc-evse")
    assert found.recognised
    assert found.sunspec is None
    assert [(each.name, each.kind) for each in found.maps] == [("v2g-dc-evse", "dc_evse")]


async def test_a_map_that_wants_missing_registers_does_not_fit(memory_link: Any, registers: Any) -> None:
    registers.missing = set(range(65536))
    found = await identified(memory_link(registers), "v2g-filter", "v2g-dc-evse")
    assert (found.answers, found.recognised) == (True, False)
    assert "exception 2" in (found.said or "")


async def test_each_unit_is_asked_and_a_silent_one_is_left_soon(
    memory_link: Any, fake_inverter: Any, clock: Any
) -> None:
    links: dict[int, Any] = {}

    def open_link(unit: int) -> Any:
        links[unit] = memory_link(fake_inverter(clock))
        links[unit].lose = NEVER if unit != 126 else 0
        # A connection was made: what is lost are the answers.
        links[unit].generation = 1
        return links[unit]

    found = await identify.identify(open_link, (1, 3, 126), ())
    assert [(each.unit, each.answers, each.recognised) for each in found] == [
        (1, False, False),
        (3, False, False),
        (126, True, True),
    ]
    assert NEVER - links[1].lose == identify.SCAN_PATIENCE
    assert not any(link.state.online for link in links.values())


async def test_a_unit_that_was_named_is_asked_for_longer(memory_link: Any, fake_inverter: Any, clock: Any) -> None:
    link = memory_link(fake_inverter(clock, 50000))
    link.generation, link.lose = 1, 1
    (found,) = await identify.identify(lambda unit: link, (1,), ())
    assert found.sunspec is not None
    assert found.sunspec.base == 50000


async def test_no_connection_is_an_error_of_its_own(memory_link: Any, registers: Any) -> None:
    link = memory_link(registers)
    link.lose = NEVER
    with pytest.raises(NoConnectionError):
        await identify.identify(lambda unit: link, (1, 2), ())
    with pytest.raises(NoConnectionError):
        await identify.dump_sunspec(link)


async def test_a_dump_has_every_point_with_value_unit_registers_and_names(
    memory_link: Any, fake_inverter: Any, clock: Any
) -> None:
    device = fake_inverter(clock)
    device.models[701].set("Alrm", 0b101)
    device.place()
    told = await identify.dump_sunspec(memory_link(device))
    points = {point.name: point for point in told.points}
    assert len(points) == sum(len(image.model.points) for image in device.models.values())
    assert (points["1.Mn"].value, points["1.Mn"].address) == ("Acme", device.addresses[1] + 2)
    assert (points["701.Hz"].value, points["701.Hz"].unit) == (60.01, "Hz")
    assert points["701.InvSt"].text == "RUNNING"
    assert points["701.Alrm"].text == "GROUND_FAULT AC_DISCONNECT"
    assert (points["702.WMaxRtg"].value, points["702.WMaxRtg"].registers) == (22_000.0, (2200,))
    assert (points["704.VarSet"].value, points["704.VarSet"].registers) == (None, (0x8000, 0))
    assert told.remarks == ()
    assert device.writes == []


async def test_a_dump_of_named_models_has_those_alone(memory_link: Any, fake_inverter: Any, clock: Any) -> None:
    told = await identify.dump_sunspec(memory_link(fake_inverter(clock)), (704, 1))
    assert {point.name.partition(".")[0] for point in told.points} == {"1", "704"}
    with pytest.raises(DeviceError, match=r"no SunSpec model 705; it has 1, 701, 702, 703, 704"):
        await identify.dump_sunspec(memory_link(fake_inverter(clock)), (704, 705))


async def test_a_vendors_own_model_is_told_with_its_place_and_the_dump_goes_on(
    memory_link: Any, registers: Any
) -> None:
    own = ModelImage(load_model(1), [65_000, 4, 1, 2, 3, 4])
    lay(registers, [filled(1, Mn="Acme"), own, filled(103, W_SF=1, W=150)])
    told = await identify.dump_sunspec(memory_link(registers))
    assert told.remarks == ("SunSpec model 65000 at 40070: unknown here, 6 registers",)
    assert {point.name: point.value for point in told.points}["103.W"] == 150


async def test_counts_that_make_no_sense_cost_the_groups_and_not_the_dump(memory_link: Any, registers: Any) -> None:
    curves = filled(705, NPt=60_000, NCrv=60_000)
    lay(registers, [filled(1), curves])
    told = await identify.dump_sunspec(memory_link(registers))
    assert "which no model holds" in told.remarks[0]
    assert {point.name: point.value for point in told.points}["705.NPt"] == 60_000


async def test_what_is_not_sunspec_or_silent_is_said_for_a_dump(memory_link: Any, registers: Any) -> None:
    with pytest.raises(NotSunSpecError, match="no SunSpec marker at 40000, 50000, 0"):
        await identify.dump_sunspec(memory_link(registers))
    link = memory_link(registers)
    link.generation, link.lose = 1, NEVER
    with pytest.raises(SilentError):
        await identify.dump_sunspec(link)


async def test_a_register_map_is_dumped_by_role(memory_link: Any, fake_evse: Any) -> None:
    device = fake_evse()
    device.image.set_fault("over-temperature", True)
    device.show()
    map_ = load_map("v2g-dc-evse")
    told = await identify.dump_map(memory_link(device), map_)
    points = {point.name: point for point in told.points}
    assert set(points) == set(map_.points)
    assert (points["max_voltage_v"].value, points["max_voltage_v"].unit) == (900.0, "V")
    assert points["max_voltage_v"].registers == (1, 24_464)
    assert points["insulation"].value == "valid"
    assert points["plugged"].value is True
    assert "fault: over-temperature" in told.remarks
    assert told.mismatch is None
    assert device.writes == []


async def test_another_device_under_a_register_map_is_told_as_such(memory_link: Any, registers: Any) -> None:
    told = await identify.dump_map(memory_link(registers), load_map("v2g-dc-evse"))
    assert (told.mismatch or "").startswith("it is no v2g-dc-evse: input register 0 is 0, wanted 22085")


async def test_registers_that_are_not_there_leave_their_points_empty(memory_link: Any, fake_evse: Any) -> None:
    device = fake_evse()
    device.missing = {2}
    told = await identify.dump_map(memory_link(device), load_map("v2g-dc-evse"))
    points = {point.name: point for point in told.points}
    assert (points["target_voltage_v"].value, points["target_voltage_v"].registers) == (None, ())
    assert points["max_voltage_v"].value == 900.0
    assert "exception 2" in told.remarks[0]


def test_maps_of_the_site_are_on_the_shelf_and_broken_ones_are_named(tmp_path: Path) -> None:
    devices = tmp_path / "devices"
    devices.mkdir()
    point = "points: { power_w: { table: holding, address: 7 } }\n"
    (devices / "mine.yaml").write_text(
        f"name: mine\nkind: inverter\n{point}identity: [{{ table: holding, address: 5, value: 77 }}]\n"
    )
    (devices / "anybody.yaml").write_text(f"name: anybody\n{point}")
    (devices / "broken.yaml").write_text("name: broken\n")
    shelf = identify.shelf(tmp_path)
    assert {"mine", "v2g-dc-evse", "v2g-filter"} <= {map_.name for map_ in shelf.told}
    assert shelf.without_identity == ("anybody",)
    assert len(shelf.problems) == 1
    assert "broken.yaml" in shelf.problems[0]


async def test_two_maps_that_fit_are_both_told(memory_link: Any, fake_inverter: Any, clock: Any) -> None:
    """An inverter by SunSpec has the registers of its filter beside them."""
    device = fake_inverter(clock)
    image = RegisterImage(load_map("v2g-filter"))
    image.stamp_identity()
    first, count = image.map.span(Table.HOLDING)
    device.tables[Table.HOLDING][first : first + count] = image.table(Table.HOLDING)
    found = await identified(memory_link(device), "v2g-filter", "v2g-dc-evse")
    assert found.sunspec is not None
    assert [each.name for each in found.maps] == ["v2g-filter"]


async def test_answers_now_and_then_end_the_search(memory_link: Any, registers: Any) -> None:
    """Bounded also where a device keeps us waiting between answers."""
    asked = 0
    link = memory_link(registers)
    link.generation = 1
    read: Callable[..., Any] = link.read

    async def mostly_silent(table: Table, address: int, count: int) -> Any:
        nonlocal asked
        asked += 1
        link.lose = 0 if asked == 1 else NEVER
        return await read(table, address, count)

    link.read = mostly_silent
    maps = [load_map("v2g-filter")] * 100
    found = await identify.identify_unit(link, 1, maps)
    assert (found.answers, found.recognised) == (True, False)
    assert asked <= 1 + 2 * identify.PATIENCE

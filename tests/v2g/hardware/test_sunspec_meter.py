"""SunSpec meters in memory and behind a real server: phases, totals, scale factors, and what is not implemented."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.sunspec_devices import Chain
from v2g.clock import ManualClock, SystemClock
from v2g.hardware.modbus import LinkTiming, ModbusEndpoint, ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.sunspec.codec import ModelImage, load_model, load_repeated
from v2g.hardware.sunspec.meter import METERS, SunSpecMeter, reading_of

WYE_W = {"W": 1500, "WphA": 200, "WphB": 300, "WphC": 1000, "W_SF": 1}


def meter_image(model: int, **points: float | None) -> ModelImage:
    image = ModelImage.blank(load_model(model))
    known = {name: value for name, value in points.items() if name in image.model.points}
    for name in sorted(known, key=lambda name: not name.endswith("_SF")):
        scale = known.get("W_SF" if name.startswith("W") else "VAR_SF", 0) or 0
        value = known[name]
        image.set(name, value if value is None or name.endswith("_SF") or name == "Evt" else value * 10.0**scale)
    return image


def common(serial: str = "m1") -> ModelImage:
    image = ModelImage.blank(load_model(1))
    for name, text in (("Mn", "Maker"), ("Md", "M"), ("Vr", "1"), ("SN", serial)):
        image.set(name, text)
    return image


@pytest.mark.parametrize("base", [40000, 50000, 0])
@pytest.mark.parametrize("model", METERS)
async def test_every_meter_model_is_found_at_every_base_address(
    memory_link: Any, clock: ManualClock, model: int, base: int
) -> None:
    scale = {"W_SF": 1} if model < 210 else {}
    image = meter_image(model, W=1500, WphA=1500 if model % 10 == 1 else None, **scale)
    meter = SunSpecMeter(memory_link(Chain([common(), image], base)), clock)
    reading = await meter.read()
    assert sum(reading.power_w) == pytest.approx(15_000 if model < 210 else 1500)
    assert (reading.model, reading.as_of_s) == (model, clock.monotonic_s())
    assert meter.identity is not None
    assert meter.identity.serial == "m1"


def test_powers_by_phase_with_their_scale_factor() -> None:
    reading = reading_of(meter_image(203, **WYE_W), 5.0, "meter m1")
    assert (reading.power_w, reading.legs, reading.wiring, reading.remark) == ((2000, 3000, 10_000), 3, "wye", "")
    assert reading.reactive_var is None


@pytest.mark.parametrize(
    ("model", "power_w"), [(201, (900.0, 0.0, 0.0)), (202, (450.0, 450.0, 0.0)), (203, (300.0, 300.0, 300.0))]
)
def test_a_total_alone_is_shared_among_the_meters_phases_and_said(model: int, power_w: tuple[float, ...]) -> None:
    reading = reading_of(meter_image(model, W=900, W_SF=0), 0.0, "meter m1")
    assert reading.power_w == power_w
    assert ("shared equally" in reading.remark) == (model != 201)


def test_a_delta_meter_of_two_elements_tells_no_phases() -> None:
    reading = reading_of(meter_image(204, W=900, WphA=700, WphC=200, W_SF=0), 0.0, "meter m1")
    assert reading.power_w == (300.0, 300.0, 300.0)
    assert "shared equally among its 3 phases" in reading.remark


def test_phases_without_a_total_are_enough() -> None:
    reading = reading_of(meter_image(203, **(WYE_W | {"W": None})), 0.0, "meter m1")
    assert sum(reading.power_w) == 15_000


def test_phases_of_zero_beside_a_total_are_no_phases() -> None:
    told = {"W": 900, "WphA": 0, "WphB": 0, "WphC": 0, "W_SF": 0}
    reading = reading_of(meter_image(203, **told), 0.0, "meter m1")
    assert reading.power_w == (300.0, 300.0, 300.0)
    assert "all 0 and its total is not" in reading.remark


def test_phases_that_contradict_the_total_are_refused() -> None:
    told = {"W": 900, "WphA": 900, "WphB": 900, "WphC": -100, "W_SF": 0}
    with pytest.raises(DeviceError, match="meter m1: its phases add up to 1700 W and its total W is 900 W"):
        reading_of(meter_image(203, **told), 0.0, "meter m1")


def test_a_power_without_its_scale_factor_is_none() -> None:
    image = meter_image(203, **WYE_W)
    image.set("W_SF", None)
    with pytest.raises(DeviceError, match="model 203 tells no power: W or its scale factor W_SF is not implemented"):
        reading_of(image, 0.0, "meter m1")


def test_a_missing_current_transformer_makes_every_power_worthless() -> None:
    with pytest.raises(DeviceError, match=r"a current transformer or a voltage input is missing \(Evt\)"):
        reading_of(meter_image(203, **WYE_W, Evt=1 << 7), 0.0, "meter m1")


def test_reactive_power_by_phase_where_it_is_told() -> None:
    told = WYE_W | {"VAR": 60, "VARphA": 10, "VARphB": 20, "VARphC": 30, "VAR_SF": 0}
    assert reading_of(meter_image(203, **told), 0.0, "m").reactive_var == (10.0, 20.0, 30.0)
    told = WYE_W | {"VAR": 60, "VAR_SF": 0}
    assert reading_of(meter_image(203, **told), 0.0, "m").reactive_var == (20.0, 20.0, 20.0)


async def test_a_device_without_a_meter_model_is_named_with_what_it_has(memory_link: Any, clock: ManualClock) -> None:
    meter = SunSpecMeter(memory_link(Chain([common(), ModelImage.blank(load_model(120))])), clock)
    with pytest.raises(DeviceError, match=r"no SunSpec meter model \(201 to 214\); it has 1, 120"):
        await meter.read()


async def test_after_a_new_connection_the_models_are_looked_for_again(memory_link: Any, clock: ManualClock) -> None:
    link = memory_link(Chain([common(), meter_image(203, **WYE_W)]))
    meter = SunSpecMeter(link, clock)
    await meter.read()
    before = len(link.device.requests)
    await meter.read()
    assert len(link.device.requests) == before + 1
    link.device = Chain([common("m2"), ModelImage.blank(load_model(120)), meter_image(203, W=7, W_SF=0)])
    link.lose = 1
    with pytest.raises(DeviceError, match="no answer"):
        await meter.read()
    assert sum((await meter.read()).power_w) == pytest.approx(7.0)
    assert meter.identity is not None
    assert meter.identity.serial == "m2"


async def test_a_float_meter_longer_than_a_request_is_read_whole(serve: Any) -> None:
    image = meter_image(213, W=1500, WphA=200, WphB=300, WphC=1000)
    assert image.registers[1] + 2 > 120
    served = await serve(Chain([common(), image]))
    link = ModbusLink(
        "meter m1", ModbusEndpoint("127.0.0.1", served.port), SystemClock(), lambda: 0.5, LinkTiming(5.0, 5.0)
    )
    reading = await SunSpecMeter(link, SystemClock()).read()
    assert reading.power_w == (200.0, 300.0, 1000.0)
    await link.close()


@given(st.sampled_from(METERS), st.data())
def test_any_registers_are_a_finite_power_or_a_refusal(model: int, data: st.DataObject) -> None:
    definition = load_repeated(model, ())
    words = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=0, max_size=definition.length))
    image = ModelImage.blank(definition)
    image.load(2, words[: definition.length - 2])
    try:
        reading = reading_of(image, 0.0, "meter m1")
    except DeviceError:
        return
    assert all(abs(value) < 1e40 for value in reading.power_w)
    assert reading.power_w[reading.legs :] == (0.0,) * (3 - reading.legs)

"""Register maps: the built-in one, files of people, and values in registers."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.hardware.dc_evse import ROLES
from v2g.hardware.ports import DeviceError
from v2g.hardware.register_map import RegisterImage, built_in_maps, load_map
from v2g.hardware.registers import RegisterType, Table, WordOrder, pack, unpack

SMALL = """
name: small
points:
  power: { table: holding, address: 10, type: int32, scale: 0.5, offset: 3 }
  mode:  { table: holding, address: 12, values: { 1: eco, 2: full } }
  active: { table: holding, address: 20, bit: 4, access: rw }
  level: { table: holding, address: 21, type: float32, access: rw }
"""


def small(tmp_path: Path, text: str = SMALL) -> RegisterImage:
    (tmp_path / "small.yaml").write_text(text)
    return RegisterImage(load_map("small.yaml", tmp_path))


def test_the_built_in_map_has_every_role_of_the_driver() -> None:
    assert "v2g-dc-evse" in built_in_maps()
    map_ = load_map("v2g-dc-evse", roles=ROLES)
    assert set(map_.points) - set(ROLES) == {"command_alive"}
    assert [(b.table, b.address, b.count) for b in map_.read_blocks()] == [(Table.INPUT, 0, 24)]
    block = map_.write_block()
    assert (block.table, block.address, block.count) == (Table.HOLDING, 0, 6)
    assert map_.watchdog_s == 3.0


@pytest.mark.parametrize(
    "heartbeat",
    [
        "{ table: holding, address: 0, type: int16, access: rw }",
        "{ table: holding, address: 0, type: uint16, scale: 0.1, access: rw }",
        "{ table: holding, address: 0, type: uint16, offset: 1, access: rw }",
        "{ table: holding, address: 0, type: uint16, bit: 0, access: rw }",
        "{ table: holding, address: 0, type: uint16, values: { 1: beat }, access: rw }",
    ],
)
def test_a_heartbeat_that_cannot_count_to_65535_is_refused(tmp_path: Path, heartbeat: str) -> None:
    built_in = (resources.files("v2g.hardware") / "maps" / "v2g-dc-evse.yaml").read_text()
    plain = "{ table: holding, address: 0, type: uint16, access: rw }"
    assert plain in built_in
    (tmp_path / "own.yaml").write_text(built_in)
    load_map("own.yaml", tmp_path, ROLES)
    (tmp_path / "own.yaml").write_text(built_in.replace(plain, heartbeat))
    with pytest.raises(DeviceError, match=r"own\.yaml: points\.heartbeat: a whole register of type uint16"):
        load_map("own.yaml", tmp_path, ROLES)


def test_values_go_in_and_come_out_in_their_units(tmp_path: Path) -> None:
    image = small(tmp_path)
    image.set("power", -123.5)
    image.set("mode", "full")
    image.set("active", True)
    image.set("level", 0.25)
    assert image.number("power") == -123.5
    assert image.text("mode") == "full"
    assert image.flag("active")
    assert image.registers(image.map.write_block()) == [1 << 4, 0x3E80, 0]
    image.set("active", False)
    assert not image.flag("active")


def test_numbers_that_the_map_does_not_know_have_no_text(tmp_path: Path) -> None:
    assert small(tmp_path).text("mode") is None


@pytest.mark.parametrize(("role", "value"), [("mode", "turbo"), ("power", "much"), ("power", 1e12)])
def test_values_that_do_not_fit_are_refused(tmp_path: Path, role: str, value: float | str) -> None:
    with pytest.raises(ValueError):
        small(tmp_path).set(role, value)


def test_another_device_is_recognised_by_its_identity() -> None:
    image = RegisterImage(load_map("v2g-dc-evse"))
    assert image.wrong_identity() == "input register 0 is 0, wanted 22085"
    image.stamp_identity()
    assert image.wrong_identity() is None


def test_fault_bits_have_texts() -> None:
    image = RegisterImage(load_map("v2g-dc-evse"))
    image.set_fault("contactor welded", True)
    image.set_fault("over-temperature", True)
    assert image.faults() == ("contactor welded", "over-temperature")
    image.set_fault("contactor welded", False)
    assert image.faults() == ("over-temperature",)
    with pytest.raises(KeyError):
        image.set_fault("bad mood", True)


def test_an_answer_of_another_length_is_refused() -> None:
    image = RegisterImage(load_map("v2g-dc-evse"))
    (block,) = image.map.read_blocks()
    with pytest.raises(ValueError, match="23 registers instead of 24"):
        image.load(block, [0] * 23)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\npoints: {a: {table: coil, address: 1}}", "table"),
        ("name: x\npoints: {a: {table: input, address: 70000}}", "address"),
        ("name: x\npoints: {a: {table: input, address: 1, colour: red}}", "colour"),
        ("name: x\npoints: {a: {table: input, address: 1, access: rw}}", "only holding registers can be written"),
        ("name: x\npoints: {a: {table: input, address: 65535, type: int32}}", "beyond register 65535"),
        ("name: x\npoints: {a: {table: input, address: 1, type: int32}, b: {table: input, address: 2}}", "overlap"),
        (
            "name: x\npoints:\n  a: {table: holding, address: 1, access: rw}\n"
            "  b: {table: holding, address: 3, access: rw}",
            "must be consecutive",
        ),
        ("name: x\npoints: {a: {table: input, address: 1, type: int32, bit: 2}}", "a bit is of type uint16"),
        ("name: [", "small.yaml"),
        ("42", "Expected `object`"),
    ],
)
def test_mistakes_in_a_file_are_told_with_file_and_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DeviceError, match=r"register map .*small\.yaml: ") as caught:
        small(tmp_path, text)
    assert said in str(caught.value)


def test_a_map_that_lacks_what_the_driver_needs_says_what(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    with pytest.raises(DeviceError, match=r"points: contactors_closed, .* missing"):
        load_map("small.yaml", tmp_path, ROLES)
    with pytest.raises(DeviceError, match=r"points\.power\.access must be rw"):
        load_map("small.yaml", tmp_path, {"power": "rw"})


def test_unknown_and_missing_maps_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"not built in; known are .*v2g-dc-evse"):
        load_map("acme")
    with pytest.raises(DeviceError, match=r"nothing\.yaml: .*check evses\[\]\.dc\.map"):
        load_map("nothing.yaml", tmp_path)


@given(type_=st.sampled_from(list(RegisterType)), order=st.sampled_from(list(WordOrder)), data=st.data())
def test_numbers_survive_every_type_and_word_order(type_: RegisterType, order: WordOrder, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=type_.words, max_size=type_.words))
    value = unpack(type_, words, order)
    if value == value and abs(value) != float("inf"):
        assert pack(type_, value, order) == words


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (RegisterType.INT16, 32768),
        (RegisterType.UINT16, -1),
        (RegisterType.UINT32, float("nan")),
        (RegisterType.INT64, float("inf")),
        (RegisterType.FLOAT32, 1e39),
    ],
)
def test_what_does_not_fit_into_its_type_is_refused(type_: RegisterType, value: float) -> None:
    with pytest.raises(ValueError):
        pack(type_, value)


def test_word_order_little_puts_the_low_word_first() -> None:
    assert pack(RegisterType.UINT32, 0x12345678, WordOrder.LITTLE) == [0x5678, 0x1234]

"""Register maps: the built-in one, files of people, and values in registers."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.hardware.dc_evse import OPTIONAL, ROLES
from v2g.hardware.ports import DeviceError
from v2g.hardware.register_map import Block, RegisterImage, built_in_maps, known_maps, load_map
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
    assert set(map_.points) - set(ROLES) - set(OPTIONAL) == {"command_alive"}
    assert [(b.table, b.address, b.count) for b in map_.read_blocks()] == [(Table.INPUT, 0, 33)]
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
    with pytest.raises(ValueError, match="23 registers instead of 33"):
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
        ("name: x\npoints: {a: {table: input, address: 1, type: float32, bit: 2}}", "a bit is one of an integer"),
        ("name: x\npoints: {a: {table: input, address: 1, type: int33}}", "points.a: Invalid enum value 'int33'"),
        ("name: x\npoints: {a: {table: input, address: 1, type: int33}}", "types are int16, "),
        ("name: x\npoints: [", "line 2: is not YAML: "),
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
    with pytest.raises(DeviceError, match=r"nothing\.yaml cannot be read: No such file or directory; put it there"):
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


VENDOR = """
name: vendor
word_order: little
read_gap: 0
identity:
  - { table: holding, address: 30, string: 4, value: Acme }
  - { table: holding, address: 40, value: [7, 9] }
points:
  serial:  { table: holding, address: 50, string: 5 }
  power_w: { table: input, address: 0, type: int32, scale: -10, nan: [0x80000000], unit: W }
  energy_wh: { table: input, address: 2, type: uint64, word_order: big }
  state:   { table: input, address: 6, type: uint32, values: { 35: failed, 307: ok } }
  carrier_hz: { table: holding, address: 100, access: rw, min: 4000, max: 16000, step: 4000 }
  late:    { table: holding, address: 5, access: rw, order: 2 }
  low:     { table: holding, address: 7, access: rw }
  high:    { table: holding, address: 8, access: w }
states: { running: [ok], fault: [failed] }
faults:
  - { table: input, address: 10, type: uint32, bit: 20, text: hot }
  - { table: input, address: 10, type: uint32, bit: 1, text: fan, alarm: true }
"""


def test_texts_negative_scales_and_values_that_are_none(tmp_path: Path) -> None:
    image = small(tmp_path, VENDOR)
    image.set("serial", "A-17")
    image.set("power_w", -12_340)
    image.set("energy_wh", 1 << 40)
    image.set("state", "ok")
    assert (image.text("serial"), image.number("power_w"), image.text("state")) == ("A-17", -12_340, "ok")
    assert image.raw("power_w") == (1234, 0)
    assert image.raw("energy_wh") == (0, 256, 0, 0)
    image.set("power_w", float("nan"))
    assert image.raw("power_w") == (0, 0x8000)
    assert (image.optional_number("power_w"), image.value("power_w")) == (None, None)
    image.set_fault("hot", True)
    image.set_fault("fan", True)
    assert (image.faults(), image.faults(alarm=True)) == (("hot",), ("fan",))
    assert image.wrong_identity() == "holding register 30 is '', wanted Acme"
    image.stamp_identity()
    assert image.wrong_identity() is None


def test_commands_are_written_in_order_without_gaps_and_only_those_asked_for(tmp_path: Path) -> None:
    map_ = small(tmp_path, VENDOR).map
    assert [(b.address, b.count) for b in map_.write_blocks()] == [(7, 2), (100, 1), (5, 1)]
    assert [(b.address, b.count) for b in map_.write_blocks(("late", "low"))] == [(7, 1), (5, 1)]
    assert [(b.address, b.count) for b in map_.command_blocks(("low", "high"))] == [(7, 1)]
    assert map_.points["carrier_hz"].steps == (4000, 8000, 12000, 16000)


def test_registers_that_the_map_does_not_know_are_read_only_where_it_allows(tmp_path: Path) -> None:
    map_ = small(tmp_path, VENDOR).map
    assert [(b.address, b.count) for b in map_.read_blocks()] == [(30, 4), (40, 1), (50, 5), (0, 8), (10, 2)]
    wide = small(tmp_path, VENDOR.replace("read_gap: 0", "read_gap: 2")).map
    assert [(b.address, b.count) for b in wide.read_blocks()] == [(30, 4), (40, 1), (50, 5), (0, 12)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("scale: -10", "scale: 0", "points.power_w: scale is a number other than 0"),
        ("unit: W", "unit: kW", "points.power_w: unit kW where the role is in W"),
        ("nan: [0x80000000]", "nan: [0x100000000]", "no raw value of type int32"),
        ("address: 7,", "address: 5,", "points.late and points.low overlap|points.low and points.late overlap"),
        ("step: 4000", "step: 0", "step is above 0"),
        ("min: 4000, ", "", "step is above 0 and needs min and max"),
        ("min: 4000", "min: 20000", "min 20000 is above max 16000"),
        ("string: 5 }", "string: 5, access: rw }", "a text has no scale and is only read"),
        ("running: [ok]", "running: [okay]", "'okay' is no value of points.state"),
        ("running: [ok]", "running: [ok, failed]", "cannot be both"),
        ("  late: ", "  low: ", "low is there twice"),
        ("bit: 20", "bit: 40", "bit 40 is not in a register"),
        ("value: Acme", "value: ''", "every device would fit"),
        ("string: 4, value", "value", "a text needs string"),
        ("states:", "reversion: { remaining: low }\nstates:", "reversion.remaining: low must be a point with access r"),
        ("states:", "writes: [{ address: 8, value: 1 }]\nstates:", "overlap at holding register 8"),
        ("states:", "writes: [{ address: 9, value: 70000 }]\nstates:", "70000 does not fit"),
        ("{ table: input, address: 6, type: uint32,", "{ table: input, address: 2, bit: 1,", "has no values"),
    ],
)
def test_contradictions_in_a_map_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in VENDOR
    with pytest.raises(DeviceError, match=said):
        small(tmp_path, VENDOR.replace(old, new, 1))


def test_bits_of_one_register_are_all_read_or_all_written(tmp_path: Path) -> None:
    text = (
        "name: x\npoints: {a: {table: holding, address: 1, bit: 1},"
        " b: {table: holding, address: 1, bit: 2, access: rw}}"
    )
    with pytest.raises(DeviceError, match="has bits to be read and bits to be written"):
        small(tmp_path, text)


def test_a_map_is_found_by_name_in_the_configuration_before_the_built_in_one(tmp_path: Path) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "acme.yaml").write_text(VENDOR)
    assert load_map("acme", tmp_path).name == "vendor"
    assert "acme" in known_maps(tmp_path)
    with pytest.raises(
        DeviceError, match=r"is not built in, and .*devices/other\.yaml does not exist; known are acme, "
    ):
        load_map("other", tmp_path)


def test_an_image_holds_what_the_map_spans_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text(
        "name: far\npoints:\n  a: { table: holding, address: 39900, access: rw }\n"
        "  b: { table: holding, address: 39904, type: int32 }\n"
    )
    image = RegisterImage(load_map("far.yaml", tmp_path))
    image.load(Block(Table.HOLDING, 39900, 6), [1, 0, 0, 0, 0, 7])
    image.poke(39900, [5])
    assert (image.number("a"), image.number("b")) == (5, 7)
    assert (image.table(Table.HOLDING), image.table(Table.INPUT)) == ([5, 0, 0, 0, 0, 7], [])


@pytest.mark.parametrize(("table", "address"), [("holding", 39899), ("holding", 39901), ("input", 39900)])
def test_registers_that_the_map_has_not_are_refused(tmp_path: Path, table: str, address: int) -> None:
    (tmp_path / "far.yaml").write_text("name: far\npoints:\n  a: { table: holding, address: 39900 }\n")
    image = RegisterImage(load_map("far.yaml", tmp_path))
    with pytest.raises(ValueError, match=f"1 {table} registers from {address} on are not all in the map"):
        image.load(Block(Table(table), address, 1), [1])
    assert image.table(Table.HOLDING) == [0]

"""``v2g-tool inverter detect`` and ``dump`` against Modbus servers that are what they say, something else, or mute."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import socket
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pymodbus.constants import ExcCodes

from v2g.cli import tool
from v2g.cli.inverter import Address, parse_address
from v2g.hardware.registers import Table
from v2g.hardware.sunspec.codec import END_MODEL_ID

READS = {3, 4}


async def run(words: str, *more: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, tool.cli, ["inverter", *words.split(), *more])


def at(served: Any) -> str:
    return f"127.0.0.1:{served.port}"


def stated(source: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in source.items():
        if isinstance(value, dict):
            yield from stated(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            for number, item in enumerate(value, 1):
                yield from stated(item, f"{prefix}{name}[{number}].")
        else:
            yield f"{prefix}{name}", value


def scale_factors(model: int) -> dict[str, str | None]:
    """By point, from the definitions of pysunspec2 and not from our reading of them."""
    source = resources.files("sunspec2") / "models" / "json" / f"model_{model}.json"

    def walk(group: Any, prefix: str) -> Iterator[tuple[str, str | None]]:
        for point in group["points"]:
            yield prefix + point["name"], point.get("sf")
        for child in group.get("groups", ()):
            yield from walk(child, f"{prefix}{child['name']}.")

    return dict(walk(json.loads(source.read_text("utf-8"))["group"], ""))


@pytest.fixture
def reference(shared_data: Path, registers: Any) -> tuple[Any, list[dict[str, Any]]]:
    """A device with the registers of pysunspec2's 1547 device, and the values that they were made of."""
    folder = shared_data / "grid" / "sunspec"
    if not (folder / "pysunspec2_device_1547.registers.csv").is_file():
        pytest.skip("the SunSpec image is absent: ../shared/data/grid/sunspec")
    with (folder / "pysunspec2_device_1547.registers.csv").open() as file:
        for row in csv.DictReader(file):
            registers.tables[Table.HOLDING][int(row["address"])] = int(row["value"])
    return registers, json.loads((folder / "pysunspec2_device_1547.json").read_text())["models"]


async def test_the_dump_of_a_1547_device_equals_the_values_that_it_was_made_of(reference: Any, serve: Any) -> None:
    device, models = reference
    served = await serve(device)
    result = await run(f"dump {at(served)} --json")
    assert result.exit_code == 0, result.output
    points = {point["name"]: point for point in json.loads(result.output)["points"]}
    compared = 0
    for model in models:
        if model["ID"] == END_MODEL_ID:
            continue
        scales = scale_factors(model["ID"])
        for name, raw in stated(model):
            # The file has names of older drafts, which never came into its registers.
            shown = points.get(f"{model['ID']}.{name}")
            if shown is None or name.rpartition(".")[2] in ("ID", "L", "Pad"):
                continue
            scale = scales[re.sub(r"\[\d+\]", "", name)]
            exponent = 0 if scale is None else model.get(scale)
            expected = raw if raw is None or exponent == 0 else None if exponent is None else raw * 10.0**exponent
            assert shown["value"] == (expected if isinstance(expected, str) else pytest.approx(expected)), name
            compared += 1
    assert compared >= 320
    assert (points["701.W"]["value"], points["701.W"]["unit"]) == (9800, "W")
    assert (points["701.Hz"]["value"], points["701.Hz"]["registers"]) == (60.01, [0, 60_010])
    assert (points["705.Crv[1].Pt[1].V"]["value"], points["705.Crv[2].Pt[4].Var"]["value"]) == (92.0, -40.0)
    assert (served.functions, device.writes, served.connections) == ({3}, [], 1)


async def test_the_1547_device_is_detected_once_for_all_units_with_what_it_lacks(reference: Any, serve: Any) -> None:
    device, _ = reference
    served = await serve(device)
    result = await run(f"detect {at(served)}")
    assert result.exit_code == 0, result.output
    for line in (
        "units 1, 2, 3, 126, 227, 255",
        "  SunSpec, base address 40000",
        "  manufacturer  SunSpecTest",
        "  model         Test-1547-1",
        "  serial        sn-123456789",
        "  driver        sunspec, by the models 701-715",
        "  discharge     no",
        "  lacks heartbeat: it has no model 715 (no discharge)",
    ):
        assert line in result.output.splitlines()
    assert served.functions <= READS
    assert device.writes == []


async def test_the_table_has_values_units_registers_and_names(serve: Any, fake_inverter: Any, clock: Any) -> None:
    device = fake_inverter(clock)
    served = await serve(device)
    result = await run(f"dump {at(served)} --model 701 --model 704")
    lines = {line.split()[0]: line.split()[1:] for line in result.output.splitlines()}
    assert lines["POINT"] == ["ADDRESS", "VALUE", "UNIT", "RAW", "MEANS"]
    assert lines["701.Hz"][1:] == ["60.01", "Hz", "0000", "ea6a"]
    assert lines["701.InvSt"][1:] == ["3", "0003", "RUNNING"]
    assert lines["704.VarSet"][1:] == ["-", "8000", "0000"]
    assert not any(name.startswith("702.") for name in lines)
    assert device.writes == []


async def test_detect_as_json_names_family_and_what_bars_power(serve: Any, fake_inverter: Any, clock: Any) -> None:
    device = fake_inverter(clock)
    device.models[702].set("WChaRteMaxRtg", None)
    device.place()
    served = await serve(device)
    result = await run(f"detect {at(served)} --unit 7 --json")
    (unit,) = json.loads(result.output)["units"]
    assert unit["unit"] == 7
    assert unit["sunspec"]["fit"]["family"] == "701-715"
    bars = {lack["name"]: lack["bars"] for lack in unit["sunspec"]["fit"]["lacks"]}
    assert bars["charge rating"] == ["charge"]
    assert bars["heartbeat"] == []


async def test_a_device_of_a_register_map_is_recognised_and_dumped_by_it(serve: Any, fake_evse: Any) -> None:
    device = fake_evse()
    served = await serve(device)
    result = await run(f"detect {at(served)} --unit 1")
    assert result.exit_code == 0, result.output
    assert "  register map v2g-dc-evse fits (dc evse)" in result.output
    result = await run(f"dump {at(served)} --map v2g-dc-evse")
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line.split()[1:] for line in result.output.splitlines()}
    assert lines["max_voltage_v"] == ["12", "input", "900", "V", "0001", "5f90"]
    assert lines["plugged"][2] == "yes"
    assert served.functions == READS
    assert device.writes == []


async def test_a_map_of_the_site_is_recognised_and_one_without_identity_is_told(
    serve: Any, registers: Any, tmp_path: Path
) -> None:
    (tmp_path / "devices").mkdir()
    point = "points: { power_w: { table: holding, address: 7 } }\n"
    identity = "identity: [{ table: holding, address: 5, value: 77 }]\nlacks: [a reversion]\n"
    (tmp_path / "devices" / "mine.yaml").write_text(f"name: mine\nkind: inverter\n{point}{identity}")
    (tmp_path / "devices" / "anybody.yaml").write_text(f"name: anybody\n{point}")
    registers.tables[Table.HOLDING][5] = 77
    served = await serve(registers)
    result = await run(f"detect {at(served)} --unit 1 --config {tmp_path}")
    assert result.exit_code == 0, result.output
    assert "  register map mine fits (inverter)\n    lacks: a reversion\n" in result.output
    assert "cannot be told from others, having no identity: anybody\n" in result.output


async def test_the_wrong_map_is_said_before_its_values(serve: Any, registers: Any) -> None:
    served = await serve(registers)
    result = await run(f"dump {at(served)} --map v2g-dc-evse")
    assert result.exit_code == 1
    assert result.output.startswith("it is no v2g-dc-evse: input register 0 is 0, wanted 22085; what follows means")


async def test_text_of_a_device_cannot_command_the_terminal(serve: Any, fake_inverter: Any, clock: Any) -> None:
    device = fake_inverter(clock)
    device.models[1].set("Mn", "A\x1b[2Jcme")
    device.place()
    served = await serve(device)
    for command in (f"detect {at(served)} --unit 1", f"dump {at(served)} --model 1"):
        result = await run(command)
        assert r"A\x1b[2Jcme" in result.output
        assert "\x1b" not in result.output


async def test_exceptions_are_answers_of_a_device_that_is_not_recognised(serve: Any, registers: Any) -> None:
    served = await serve(registers)
    served.exception = ExcCodes.ILLEGAL_ADDRESS
    result = await run(f"detect {at(served)}")
    assert result.exit_code == 1
    assert "answers, and is not recognised: " in result.output
    assert "(exception 2)\n  has registers at: none of the places looked at" in result.output
    result = await run(f"dump {at(served)}")
    assert result.exit_code == 1
    assert "no SunSpec marker at 40000, 50000, 0" in result.output
    assert "--map NAME reads one by a register map" in result.output
    result = await run(f"dump {at(served)} --map v2g-filter --json")
    assert result.exit_code == 1
    assert "exception 2" in json.loads(result.stdout)["error"]["message"]


async def test_what_answers_without_being_known_says_where_it_has_registers(serve: Any, registers: Any) -> None:
    registers.missing = set(range(100, 65_536))
    served = await serve(registers)
    result = await run(f"detect {at(served)} --unit 1")
    assert result.exit_code == 1
    assert "not recognised: reading 2 holding registers at 40000: it does not have these registers" in result.output
    assert "  has registers at: holding 0, input 0" in result.output


async def test_a_mute_unit_is_said_with_the_remedy(serve: Any, registers: Any) -> None:
    served = await serve(registers)
    served.silent = True
    result = await run(f"dump {at(served)} --unit 9 --timeout 0.05")
    assert result.exit_code == 1
    assert "connected, but unit 9 does not answer" in result.output
    assert "another --unit, or a longer --timeout?" in result.output
    result = await run(f"detect {at(served)} --timeout 0.05 --unit 9")
    assert (result.exit_code, result.output.splitlines()[1]) == (1, "unit 9: no answer")


async def test_a_model_that_is_not_there_names_those_that_are(serve: Any, fake_inverter: Any, clock: Any) -> None:
    served = await serve(fake_inverter(clock))
    result = await run(f"dump {at(served)} --model 705 --json")
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "DEVICE"
    assert error["message"].endswith("it has no SunSpec model 705; it has 1, 701, 702, 703, 704")


async def test_a_map_named_by_its_path_is_looked_for_where_it_is_typed(
    serve: Any, fake_evse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = await serve(fake_evse())
    built_in = resources.files("v2g.hardware") / "maps" / "v2g-dc-evse.yaml"
    (tmp_path / "mine.yaml").write_text(built_in.read_text("utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    result = await run(f"dump {at(served)} --map ./mine.yaml")
    assert result.exit_code == 0, result.output
    result = await run(f"dump {at(served)} --map ./yours.yaml")
    assert result.exit_code == 1
    assert f"{tmp_path}/yours.yaml cannot be read: No such file or directory" in result.output


@pytest.mark.parametrize("command", ["detect", "dump"])
@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("[::1]", socket.AF_INET6)])
async def test_nothing_there_is_exit_code_1_with_the_remedy(command: str, host: str, family: int) -> None:
    with socket.socket(family) as nobody:
        nobody.bind((host.strip("[]"), 0))
        port = nobody.getsockname()[1]
        result = await run(f"{command} {host}:{port} --timeout 0.3")
    assert result.exit_code == 1
    assert (
        f"v2g-tool: {host}:{port}: no connection (Connection refused) within 0.3 s; check power, cabling"
        in result.output
    )


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 502),
        ("inverter1:1502", "inverter1", 1502),
        ("[::1]:503", "::1", 503),
        ("[fe80::1%eth0]", "fe80::1%eth0", 502),
        ("2001:db8::7", "2001:db8::7", 502),
    ],
)
def test_addresses_are_read_as_people_write_them(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("detect [::1]:70000", "the port must be a number from 1 to 65535"),
        ("detect 192.0.2.1:0", "the port must be a number"),
        ("dump 192.0.2.1:modbus", "the port must be a number"),
        ("dump 192.0.2.1:", "the port must be a number"),
        ("dump [::1", "[::1]:502"),
        ("dump [::1]502", "[::1]:502"),
        ("dump 1:2:3", "no IPv6 address"),
        ("dump [host]:502", "no IPv6 address"),
        ("detect :502", "is no address"),
        ("detect tcp://192.0.2.1", "the port must be a number"),
        ("detect 192.0.2.1 --unit 256", "0<=x<=255"),
        ("detect 192.0.2.1 --timeout 0", "0 s is outside 0.05..60 s"),
        ("dump 192.0.2.1 --map x --model 704", "give one of them"),
    ],
)
async def test_what_cannot_be_meant_is_exit_code_2(words: str, told: str) -> None:
    result = await run(words)
    assert result.exit_code == 2
    assert told in result.output


async def test_an_unknown_map_names_the_known_ones() -> None:
    result = await run("dump 192.0.2.1 --map nobody")
    assert result.exit_code == 1
    assert "known are" in result.output
    assert "v2g-dc-evse" in result.output


async def test_the_group_lists_its_three_commands_and_warns_of_the_one_connection() -> None:
    result = await run("--help")
    commands = {line.split()[0] for line in result.output.partition("Commands:")[2].splitlines() if line.strip()}
    assert {"detect", "dump", "efficiency"} <= commands
    for command in ("detect", "dump"):
        assert "one connection only" in " ".join((await run(command, "--help")).output.split())

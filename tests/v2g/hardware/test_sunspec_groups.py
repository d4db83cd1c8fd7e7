"""Whole models: open-ended groups, and reads that a change tears."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.sunspec_devices import Chain
from v2g.hardware.sunspec.codec import ModelImage, SunSpecError, load_repeated
from v2g.hardware.sunspec.discovery import discover
from v2g.hardware.sunspec.groups import read_model


async def test_the_curves_of_an_older_device_are_read_as_its_file_says(shared_data: Path, memory_link: Any) -> None:
    path = shared_data / "grid" / "sunspec" / "pysunspec2_inverter_123.json"
    if not path.is_file():
        pytest.skip(f"absent: {path}")
    stated = next(model for model in json.loads(path.read_text())["models"] if model["ID"] == 129)
    image = ModelImage.blank(load_repeated(129, (), len(stated["curve"])))
    assert image.model.length == stated["L"] + 2
    values = {name: value for name, value in stated.items() if name != "curve"}
    for number, curve in enumerate(stated["curve"], 1):
        values |= {f"curve[{number}].{name}": value for name, value in curve.items()}
    for name in sorted(values, key=lambda name: not name.endswith("_SF")):
        scale = image.model.point(name).scale
        factor = 10.0 ** (image.integer(scale) or 0) if isinstance(scale, str) else 1
        image.set(name, None if values[name] is None else values[name] * factor)
    link = memory_link(Chain([image]))
    got = await read_model(link, (await discover(link))[129])
    assert {name: got.raw(name) for name in values} == values


@pytest.mark.parametrize("changes", [1, 9])
async def test_a_model_that_changes_between_requests_is_read_again(memory_link: Any, changes: int) -> None:
    image = ModelImage.blank(load_repeated(705, (10, 8)))
    for name, value in (("NCrv", 10), ("NPt", 8), ("V_SF", -2)):
        image.set(name, value)
    device = Chain([image])
    link = memory_link(device)
    location = (await discover(link))[705]
    at = location.address + image.model.point("V_SF").offset
    left = changes

    def change(number: int) -> None:
        nonlocal left
        if left and device.requests[-1][0] != location.address:
            left -= 1
            device.registers[at] = 0xFFFE if device.registers[at] == 0xFFFF else 0xFFFF

    device.after_read = change
    if changes == 1:
        assert (await read_model(link, location)).integer("V_SF") == -1
    else:
        device.after_read = lambda number: device.registers.update({at: number})
        with pytest.raises(SunSpecError, match="changes faster than it can be read"):
            await read_model(link, location)

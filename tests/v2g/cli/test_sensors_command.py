"""``v2g-tool sensors``: the channels, a calibration, and the map read again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from v2g.control.messages_sensors import (
    SensorLine,
    SensorsCalibrateParams,
    SensorsCalibrateResult,
    SensorsListResult,
    SensorsReloadResult,
)
from v2g.control.server import Refused

LISTED = SensorsListResult(
    file="/etc/v2g/sensor_map.conf",
    sensors=(
        SensorLine(
            name="v_bus_a",
            kind="buffer",
            source="waveform buffer v_bus_a",
            value=277.04,
            unit="V",
            quality="good",
            age_s=0.01,
            scale=1.02,
            offset=0.0,
            scale_from="/etc/v2g/sensor_map.conf:44",
            factor=1.0309,
            factor_from="/etc/v2g/conf.d/80-calibration.yaml",
            calibrated_at="2026-03-01T08:00:00+00:00",
            calibrated_by="alice, Bob answers for it",
        ),
        SensorLine(
            name="door",
            kind="contact",
            source="contact /run/v2g-io/door",
            value=None,
            unit="",
            quality="good",
            position="healthy",
        ),
        SensorLine(
            name="ambient_c",
            kind="quantity",
            source="/sys/ambient",
            value=None,
            unit="°C",
            quality="lost",
            words="not read yet",
            factor=1.0,
        ),
    ),
    remarks=("the files say something else",),
)
DONE = SensorsCalibrateResult(
    name="v_bus_a",
    unit="V",
    changed=True,
    reference=277.0,
    before=268.7,
    after=277.01,
    factor_before=1.0,
    factor_after=1.0309,
    file="/etc/v2g/conf.d/80-calibration.yaml",
    by="alice, Bob answers for it",
    at="2026-03-01T08:00:00+00:00",
)


async def test_every_channel_is_shown_with_quality_and_where_its_factors_come_from(site_daemon: Any) -> None:
    site_daemon.answers["sensors.list"] = LISTED
    result = await site_daemon.run("sensors", tool_too=True)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[1].split() == ["v_bus_a", "277", "V", "0.0", "s", "good", "1.0309", "waveform", "buffer", "v_bus_a"]
    assert lines[2].split()[:3] == ["door", "healthy", "-"]
    assert "ambient_c: not read yet" in lines
    assert "v_bus_a: scale 1.02, offset 0 from /etc/v2g/sensor_map.conf:44" in lines
    assert any("factor 1.0309 from /etc/v2g/conf.d/80-calibration.yaml" in line for line in lines)
    assert lines[-1] == "the files say something else"
    shown = json.loads((await site_daemon.run("sensors --json", tool_too=True)).output)
    assert [line["name"] for line in shown["sensors"]] == ["v_bus_a", "door", "ambient_c"]


async def test_the_map_is_read_again(site_daemon: Any) -> None:
    site_daemon.answers["sensors.reload"] = SensorsReloadResult(message="3 channels are in force", digest="01234567")
    result = await site_daemon.run("sensors reload", tool_too=True)
    assert result.output == "3 channels are in force; guard settings 01234567\n"
    site_daemon.answers["sensors.reload"] = Refused("sensor_map.conf:3: wrong", code="CONFIG")
    refused = await site_daemon.run("sensors reload", tool_too=True)
    assert (refused.exit_code, "sensor_map.conf:3: wrong" in refused.output) == (1, True)


@pytest.mark.parametrize(
    ("reference", "value", "unit"),
    [("231.4V", 231.4, "V"), ("12.5A", 12.5, "A"), ("65.2°C", 65.2, "°C"), ("65.2C", 65.2, "°C"), ("-9MPa", -9, "MPa")],
)
async def test_a_reference_is_given_with_its_unit(site_daemon: Any, reference: str, value: float, unit: str) -> None:
    site_daemon.answers["sensors.calibrate"] = DONE
    words = f"sensors calibrate v_bus_a --reference {reference} --acknowledge Bob"
    result = await site_daemon.run(words, tool_too=True)
    assert result.exit_code == 0, result.output
    assert site_daemon.received == [
        SensorsCalibrateParams(name="v_bus_a", reference=value, unit=unit, acknowledge="Bob")
    ]
    assert result.output.splitlines()[1].split() == ["v_bus_a", "277", "V", "268.7", "V", "277.01", "V", "1", "1.0309"]
    assert "2026-03-01T08:00:00+00:00 by alice, Bob answers for it" in result.output


@pytest.mark.parametrize("words", ["--reference 231.4", "--reference much", "", "--reference 231V"])
async def test_without_unit_reference_or_name_nothing_is_asked(site_daemon: Any, words: str) -> None:
    acknowledge = "" if "231V" in words else "--acknowledge Bob"
    result = await site_daemon.run(f"sensors calibrate v_bus_a {words} {acknowledge}", tool_too=True)
    assert result.exit_code == 2
    assert site_daemon.received == []


async def test_no_change_is_said_and_is_no_failure(site_daemon: Any) -> None:
    site_daemon.answers["sensors.calibrate"] = SensorsCalibrateResult(
        name="v_bus_a",
        unit="V",
        changed=False,
        reference=277.0,
        before=277.04,
        after=277.04,
        factor_before=1.0,
        factor_after=1.0,
        words="no change: it is within 0.277 V of the reference",
    )
    words = "sensors calibrate v_bus_a --reference 277V --acknowledge Bob"
    result = await site_daemon.run(words, tool_too=True)
    assert result.exit_code == 0
    assert "no change" in result.output

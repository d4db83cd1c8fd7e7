from __future__ import annotations

import msgspec
import pytest

from v2g.config.schema import ModbusAddress


@pytest.mark.parametrize("unit", [1, 247, 255])
def test_an_actuator_has_a_unit_of_its_own(unit: int) -> None:
    assert msgspec.convert({"host": "10.0.0.2", "unit": unit}, ModbusAddress).unit == unit


@pytest.mark.parametrize("unit", [0, 256])
def test_the_broadcast_unit_is_no_actuator(unit: int) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"`int` [<>]= .* at `\$\.unit`"):
        msgspec.convert({"host": "10.0.0.2", "unit": unit}, ModbusAddress)

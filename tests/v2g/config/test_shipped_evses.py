"""The shipped v2g.yaml shows every setting of an EVSE, of its devices and of the interlocks, as the schema has it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from v2g.config.schema import Interlocks
from v2g.config.schema_evse import (
    AcEvse,
    AcOutput,
    DcEvse,
    DcOutput,
    Evse,
    HarmonicFilter,
    Inverter,
    ModbusAddress,
    ModbusTls,
)
from v2g.config.schema_plc import EvsePlc, Plc

SHIPPED = Path(__file__).resolve().parents[3] / "etc" / "v2g" / "v2g.yaml"
OPTIONAL = re.compile(r"(?m)^( *)# (?= *(?:- )?[a-z_]+:(?: |$))")
"""A setting that is a comment."""
EXAMPLES = {
    "id",
    "interface",
    "inverter",
    "dc",
    "ac",
    "modbus",
    "map",
    "ramp_w_s",
    "harmonic_filter",
    "min_soc_pct",
    "plc",
}
RATINGS = {"max_charge_w", "max_discharge_w", "max_current_a", "max_voltage_v", "min_voltage_v"}


@pytest.fixture(scope="module")
def evses() -> list[dict[str, Any]]:
    """With every comment that is a setting taken in."""
    text = SHIPPED.read_text(encoding="utf-8")
    part = text[text.index("\nevses:") : text.index("# ---", text.index("\nevses:"))]
    found: list[dict[str, Any]] = yaml.safe_load(OPTIONAL.sub(r"\1", part))["evses"]
    return found


def test_all_of_them_are_valid(evses: list[dict[str, Any]]) -> None:
    made = msgspec.convert(evses, list[Evse])
    assert [type(evse) for evse in made] == [DcEvse, DcEvse, DcEvse, AcEvse]
    assert [evse.connector for evse in made if isinstance(evse, DcEvse)] == ["ccs", "ccs", "mcs"]


def test_every_setting_is_there(evses: list[dict[str, Any]]) -> None:
    dc, _, _, ac = evses
    sections: list[tuple[dict[str, Any], type[msgspec.Struct]]] = [
        (dc["inverter"], Inverter),
        (dc["inverter"]["harmonic_filter"], HarmonicFilter),
        (dc["inverter"]["modbus"], ModbusAddress),
        (dc["inverter"]["modbus"]["tls"], ModbusTls),
        (dc["dc"], DcOutput),
        (ac["ac"], AcOutput),
        (dc["plc"], EvsePlc),
    ]
    for shown, section in sections:
        assert set(shown) == set(section.__struct_fields__), section.__name__
    assert set(dc) == {*DcEvse.__struct_fields__, "kind"}
    shared = set(AcEvse.__struct_fields__) & set(DcEvse.__struct_fields__)
    assert set(AcEvse.__struct_fields__) - set(ac) <= shared - {"id", "interface"}


def test_what_is_shown_as_optional_is_the_default(evses: list[dict[str, Any]]) -> None:
    dc, _, _, ac = msgspec.convert(evses, list[Evse])
    assert isinstance(dc, DcEvse)
    assert isinstance(ac, AcEvse)
    pairs: list[tuple[msgspec.Struct, msgspec.Struct]] = [
        (dc, DcEvse(id=dc.id, interface=dc.interface, inverter=dc.inverter, dc=dc.dc)),
        (dc.inverter, Inverter(modbus=dc.inverter.modbus)),
        (dc.dc, DcOutput(modbus=dc.dc.modbus)),
        (ac, AcEvse(id=ac.id, interface=ac.interface, ac=ac.ac)),
        (ac.ac, AcOutput(modbus=ac.ac.modbus)),
    ]
    assert dc.plc == EvsePlc()
    for shown, default in pairs:
        for name in set(default.__struct_fields__) - EXAMPLES - RATINGS - {"voltage_channels", "plc"}:
            assert getattr(shown, name) == getattr(default, name), name


def test_interlocks_are_shown_with_their_defaults() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    part = text[text.index("# interlocks:") :]
    shown = yaml.safe_load(re.sub(r"(?m)^# ", "", part[: part.index("\n\n")]))["interlocks"]
    assert set(shown) == set(Interlocks.__struct_fields__)
    made = msgspec.convert(shown, Interlocks)
    assert made.winding_stress_s == Interlocks().winding_stress_s


def test_powerline_links_are_shown_with_their_defaults() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    part = text[text.index("\n# plc:") :]
    shown = yaml.safe_load(re.sub(r"(?m)^# ?", "", part[: part.index("\n\n")]))["plc"]
    assert set(shown) == set(Plc.__struct_fields__)
    assert msgspec.convert(shown, Plc) == Plc()

"""What EVSEs of both kinds are rated for, and the phases that they load."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from v2g.config.crosscheck import suspicions
from v2g.config.protection import discharge_rated_kva, feeder_rated_a
from v2g.config.ratings import charge_rated_w, discharge_rated_w, phase_rated_a
from v2g.config.schema import Config


def config_of(*evses: dict[str, Any]) -> Config:
    common = {"interface": "lo", "ac": {"modbus": {"host": "192.0.2.1"}}}
    dc = {"inverter": {"modbus": {"host": "192.0.2.2"}}, "dc": {"modbus": {"host": "192.0.2.3"}}, "interface": "lo"}
    return msgspec.convert(
        {
            "site": {"id": "test"},
            "transformer": {"id": "T1", "rated_kva": 250.0},
            "grid": {"nominal_voltage_v": 230.0},
            "evses": [
                {"id": f"US*V2G*E{n}", **(dc if evse["kind"] == "DC" else common), **evse}
                for n, evse in enumerate(evses, start=1)
            ],
        },
        type=Config,
    )


SINGLE = {"kind": "AC", "phases": 1, "rotation": "b", "max_charge_w": 7_360.0, "allow_discharge": True}


def test_a_single_phase_evse_loads_its_phase_with_all_of_its_power() -> None:
    config = config_of({"kind": "DC", "max_charge_w": 6_900.0, "max_discharge_w": 6_900.0}, SINGLE)
    assert phase_rated_a(config) == pytest.approx((10.0, 42.0, 10.0))
    assert feeder_rated_a(config) == pytest.approx(42.0)


def test_an_ac_evse_gives_no_more_than_its_current_and_nothing_back_where_it_may_not() -> None:
    allowed, forbidden = config_of(SINGLE, {**SINGLE, "allow_discharge": False, "max_charge_w": 22_000.0}).evses
    assert discharge_rated_w(allowed, 230.0) == pytest.approx(7_360.0)
    assert discharge_rated_w(forbidden, 230.0) == 0.0
    assert charge_rated_w(forbidden, 230.0) == pytest.approx(7_360.0)
    assert discharge_rated_kva(config_of(SINGLE)) == pytest.approx(7.36)


def test_more_power_than_current_and_phases_carry_is_suspicious_in_the_directions_that_are_used() -> None:
    config = config_of({**SINGLE, "max_charge_w": 22_000.0, "max_discharge_w": 22_000.0, "allow_discharge": False})
    told = [text for text in suspicions(config) if "carry" in text]
    assert told == ["evses[0].max_charge_w is 22000 W, but 32 A on 1 phase at 230 V carry 7360 W: no more is offered"]


def test_an_evse_of_mcs_beyond_its_connector_and_megawatts_that_its_current_cannot_carry_are_suspicious() -> None:
    lorry: dict[str, Any] = {"kind": "DC", "connector": "mcs", "max_charge_w": 3.75e6, "max_discharge_w": 1e6}
    fitting = {**lorry, "max_voltage_v": 1_250.0, "max_current_a": 3_000.0}
    assert not [text for text in suspicions(config_of(fitting)) if text.startswith("evses[0].max_")]
    assert any("MCS EVSE with a powerline modem" in text for text in suspicions(config_of({**fitting, "plc": {}})))
    told = list(suspicions(config_of({**lorry, "max_voltage_v": 1_500.0, "max_current_a": 1_500.0})))
    assert [text for text in told if text.startswith("evses[0].max_")] == [
        "evses[0].max_voltage_v is 1500 V; connectors of MCS are rated for 1250 V at most",
        "evses[0].max_charge_w is 3750000 W, but 1500 A at 1500 V carry 2250000 W",
    ]
    beside = config_of({"kind": "DC", "max_voltage_v": 1_500.0, "max_current_a": 3_000.0, "max_charge_w": 9e6})
    assert not [text for text in suspicions(beside) if text.startswith("evses[0].max_")], "of MCS only"

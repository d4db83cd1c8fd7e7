"""The section ``evses[].der``: what contradicts itself is refused, and what means little is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from v2g.config.crosscheck import suspicions
from v2g.config.crosscheck_der import check_der
from v2g.config.der import vehicle_settings
from v2g.config.problems import Report
from v2g.config.schema import AcEvse, Config
from v2g.config.schema_der import Der
from v2g.orchestrator.der_codes import grid_codes, handed_over
from v2g.orchestrator.endpoints import build_endpoints


def config_of(der: dict[str, Any], *, allow_discharge: bool = True, **grid: Any) -> Config:
    return msgspec.convert(
        {
            "site": {"id": "test"},
            "pki": {"allow_plain": True},
            "transformer": {"id": "T1", "rated_kva": 250.0},
            "grid": {"nominal_voltage_v": 277.0, "nominal_frequency_hz": 60.0, **grid},
            "evses": [
                {
                    "id": "US*V2G*E1",
                    "kind": "AC",
                    "interface": "lo",
                    "tls": "plain",
                    "ac": {"modbus": {"host": "192.0.2.1"}},
                    "allow_discharge": allow_discharge,
                    "der": der,
                }
            ],
        },
        type=Config,
    )


def problems(config: Config) -> list[str]:
    report = Report(lambda path: ("v2g.yaml", None))
    check_der(config, report)
    return [problem.path for problem in report.problems]


def evse_of(config: Config) -> AcEvse:
    (evse,) = config.ac_evses
    return evse


@pytest.mark.parametrize("protocol", ["sae", "iec", "both"])
def test_a_protocol_at_an_evse_that_does_not_discharge_is_refused(protocol: str) -> None:
    assert problems(config_of({"protocol": protocol})) == []
    assert problems(config_of({"protocol": protocol}, allow_discharge=False)) == ["evses[0].der.protocol"]
    assert problems(config_of({"protocol": "none"}, allow_discharge=False)) == []


def test_a_value_outside_its_profile_is_refused_at_the_evse() -> None:
    outside = {"protocol": "sae", "trips": {"OF2": {"threshold": 70.0}}, "enter_service": {"delay_s": 3_000.0}}
    assert problems(config_of(outside)) == [
        "evses[0].der.trips.OF2.threshold",
        "evses[0].der.enter_service.delay_s",
    ]


def test_a_value_of_the_grids_own_that_is_refused_is_not_told_twice() -> None:
    assert problems(config_of({"protocol": "sae"}, trips={"OF2": {"threshold": 70.0}})) == []


def test_what_the_evse_changes_goes_over_what_the_grid_says() -> None:
    config = config_of(
        {"protocol": "sae", "trips": {"UV1": {"time_s": 3.0}}, "enter_service": {"delay_s": 60.0}},
        trips={"UV1": {"threshold": 0.75}},
        enter_service={"delay_s": 120.0},
    )
    settings = vehicle_settings(config, evse_of(config))
    assert settings.trips.element("UV1").threshold == 0.75
    assert settings.trips.element("UV1").time_s == 3.0
    assert settings.enter_service.delay_s == 60.0


def test_a_vehicle_that_may_stay_for_longer_than_the_guard_is_told() -> None:
    def told(**trips: Any) -> list[str]:
        config = config_of({"protocol": "sae", "trips": trips}, trips={"UV1": {"time_s": 3.0}})
        return [text for text in suspicions(config) if ".der." in text]

    assert told(UV1={"time_s": 2.5}) == []
    (text,) = told(UV1={"time_s": 10.0})
    assert text.startswith("evses[0].der.trips.UV1 lets the vehicle stay for longer")


def test_what_iec_cannot_carry_and_what_changes_nothing_are_told() -> None:
    def told(der: dict[str, Any]) -> list[str]:
        return [text for text in suspicions(config_of(der)) if ".der." in text]

    assert told({"protocol": "sae"}) == []
    assert "no words for trips" in told({"protocol": "iec"})[0]
    assert "changes nothing" in told({"protocol": "none", "trips": {"UV1": {"time_s": 3.0}}})[0]


# ---- what the SECC offers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "offered"),
    [
        ("sae", ["AC_DER_SAE", "AC_BPT", "AC"]),
        ("iec", ["AC_DER_IEC", "AC_BPT", "AC"]),
        ("both", ["AC_DER_SAE", "AC_DER_IEC", "AC_BPT", "AC"]),
        ("none", ["AC_BPT", "AC"]),
    ],
)
def test_the_services_of_der_come_first(protocol: str, offered: list[str]) -> None:
    config = config_of({"protocol": protocol})
    (endpoint,) = build_endpoints(config).usable
    secc = endpoint.config
    assert [offer.service.name for offer in secc.services] == offered
    assert (secc.grid_code is None) == (protocol == "none")
    assert grid_codes(config) == {"US*V2G*E1": secc.grid_code}


def test_without_discharge_or_a_profile_there_is_no_code() -> None:
    config = config_of({"protocol": "sae"})
    assert handed_over(evse_of(config), config) is not None
    for without in (
        config_of({"protocol": "sae"}, allow_discharge=False),
        config_of({"protocol": "sae"}, nominal_frequency_hz=50.0),
    ):
        assert handed_over(evse_of(without), without) is None


def test_the_words_for_nothing_are_the_default() -> None:
    assert Der().protocol == "none"

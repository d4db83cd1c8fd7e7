"""The line that ``systemctl status`` shows."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from support.status_example import example_status
from v2g.control.messages import StatusResult
from v2g.orchestrator.status_line import Bound, bound_words, status_line

WHERE = "eth1 eth2 [fe80::…]:15118"


def status(*powers_w: float | None, transformer: dict[str, Any] | None = None, **changes: Any) -> StatusResult:
    example = example_status()
    evse = example.evses[0]
    return msgspec.structs.replace(
        example,
        evses=tuple(msgspec.structs.replace(evse, power_w=power_w) for power_w in powers_w),
        transformer=msgspec.structs.replace(
            example.transformer, **{"discharge_limit_w": -38_200.0, "charge_limit_w": 52_400.0, **(transformer or {})}
        ),
        **{"problems": (), **changes},
    )


def test_vehicles_power_hot_spot_headroom_and_grid_are_in_it() -> None:
    assert status_line(status(-10_000.0, -5_200.0, 1_000.0), "", WHERE) == (
        "3 vehicles, −14.2 kW, hot-spot 71 °C, headroom −38/+52 kW, grid ok, "
        "ISO 15118 ready on eth1 eth2 [fe80::…]:15118"
    )


@pytest.mark.parametrize(
    ("powers_w", "words"),
    [
        ((7_040.0,), "1 vehicle, +7.0 kW,"),
        ((3.0, -20.0), "2 vehicles, 0.0 kW,"),
        ((None,), "1 vehicle, power unknown,"),
        ((None, 2_000.0), "2 vehicles, +2.0 kW,"),
        ((), "0 vehicles, power unknown,"),
    ],
)
def test_power_has_its_sign_and_is_unknown_where_nothing_tells_it(powers_w: tuple[Any, ...], words: str) -> None:
    assert status_line(status(*powers_w), "", WHERE).startswith(words)


def test_what_is_not_known_or_not_permitted_is_said() -> None:
    line = status_line(
        status(0.0, transformer={"hot_spot_c": None, "discharge_limit_w": 5.0, "charge_limit_w": -1.0}),
        "tripped by OV2",
        WHERE,
    )
    assert "hot-spot unknown, headroom −0/+0 kW, no energy: tripped by OV2, ISO 15118" in line


def test_other_problems_are_counted_beside_the_one_that_is_named() -> None:
    problems = ("no energy: tripped by OV2", "E2 is offline", "history is not kept")
    assert "no energy: tripped by OV2, 2 problems: see" in status_line(status(problems=problems), "tripped by OV2", "")
    assert "grid ok, 1 problem: see v2g-control status" in status_line(status(problems=problems[1:2]), "", "")


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        ([("eth1", "fe80::1", 15118)], "eth1 [fe80::1]:15118"),
        ([("eth1", "fe80::1", 15118), ("eth2", "fe80::2", 15118)], "eth1 eth2 [fe80::…]:15118"),
        ([("lo", "::1", 15118), ("lo", "::1", 15119)], "lo [::1]:15118, lo [::1]:15119"),
        ([("eth1", "fe80::1", 15118), ("eth2", "2001:db8::2", 15118)], "eth1 eth2 […]:15118"),
        ([], "no interface"),
    ],
)
def test_where_vehicles_connect(bound: list[tuple[str, str, int]], words: str) -> None:
    assert bound_words([Bound(*each) for each in bound], []) == words


def test_hundreds_of_evses_make_no_long_line() -> None:
    bound = [Bound(f"eth{number}", f"fe80::{number:x}", 15118) for number in range(200)]
    assert bound_words(bound, []) == "eth0 eth1 eth2 eth3 eth4 eth5 and 194 more [fe80::…]:15118"
    on_ports = [Bound("lo", "::1", 15118 + number) for number in range(64)]
    assert bound_words(on_ports, []).endswith("lo [::1]:15121 and 60 more")
    lost = [f"US*V2G*E{number}" for number in range(9)]
    assert bound_words(bound[:1], lost).endswith(
        "(not on US*V2G*E0, US*V2G*E1, US*V2G*E2, US*V2G*E3 and 5 more: see status)"
    )

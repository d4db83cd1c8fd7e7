"""Scenario files: order, and errors that name file, entry and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from v2g.simulation import faults
from v2g.simulation.faults import FaultError, load_scenario, parse_fault


def test_a_scenario_is_played_in_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "- {at: 12.5, fault: frequency, hz: 62.5, for_s: 2}\n"
        "- {at: 1, fault: stall, device: inverter US*V2G*E1}\n"
        "- {at: 20, fault: voltage, pu: [1.0, 0.4, 1.0]}\n"
    )
    steps = load_scenario(path)
    assert [step.at_s for step in steps] == [1.0, 12.5, 20.0]
    assert steps[0].fault == faults.Stall(device="inverter US*V2G*E1")
    assert steps[1].fault == faults.Frequency(hz=62.5, for_s=2)
    assert steps[2].fault == faults.Voltage(pu=[1.0, 0.4, 1.0])


def test_an_empty_scenario_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("# nothing happens\n")
    assert load_scenario(path) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{at: 1}", "must be a list"),
        ("- {fault: clear}", "entry 1: needs 'at'"),
        ("- {at: soon, fault: clear}", "'at' must be a number"),
        ("- {at: true, fault: clear}", "'at' must be a number"),
        ("- {at: 1, fault: clear}\n- {at: 2, fault: stall}", "entry 2: .*device"),
        ("- {at: 1, fault: voltage, pu: 1, volts: 3}", "volts"),
        ("- [1, 2", "s.yaml"),
    ],
)
def test_a_bad_scenario_says_where_and_why(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(FaultError, match=words) as caught:
        load_scenario(path)
    assert "s.yaml" in str(caught.value)


def test_a_missing_scenario_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match=r"nowhere\.yaml"):
        load_scenario(tmp_path / "nowhere.yaml")


def test_every_fault_says_what_it_is() -> None:
    assert parse_fault({"fault": "contactor", "evse_id": "E1", "state": "closed"}) == faults.ContactorStuck(
        evse_id="E1", state=faults.Stuck.CLOSED
    )
    with pytest.raises(FaultError, match="ajar"):
        parse_fault({"fault": "contactor", "evse_id": "E1", "state": "ajar"})

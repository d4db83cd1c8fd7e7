"""Whose min-SoC counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.dispatch.min_soc import MinSocSettings, vehicle_id_problem

E1, E2 = "US*V2G*E1", "US*V2G*E2"
CN, EVCCID = "CN=WMIV2G0001,O=Maker", "WMIV2G0001"


@pytest.mark.parametrize(
    ("evse_id", "identity", "evccid", "own_pct", "words"),
    [
        (E2, None, "", None, "min-SoC 30 % (site)"),
        (E1, None, "", None, "min-SoC 50 % (EVSE US*V2G*E1)"),
        (E1, CN, "", None, f"min-SoC 40 % (vehicle {CN}, authenticated)"),
        (E1, CN, "W", None, f"min-SoC 40 % (vehicle {CN}, authenticated)"),
        (E1, None, EVCCID, None, "min-SoC 50 % (EVSE US*V2G*E1)"),
        (E2, None, EVCCID, None, f"min-SoC 45 % (vehicle {EVCCID}, not authenticated)"),
        (E2, CN, EVCCID, None, f"min-SoC 45 % (vehicle {EVCCID}, not authenticated)"),
        (E2, None, CN, None, f"min-SoC 40 % (vehicle {CN}, not authenticated)"),
        (E1, None, CN, None, "min-SoC 50 % (EVSE US*V2G*E1)"),
        (E2, None, "", 35.0, "min-SoC 35 % (the vehicle's own)"),
        (E2, None, "", 30.0, "min-SoC 30 % (site)"),
        (E2, None, "", 130.0, "min-SoC 30 % (site)"),
        (E2, None, "", float("nan"), "min-SoC 30 % (site)"),
        (E1, CN, "", 60.0, "min-SoC 60 % (the vehicle's own)"),
    ],
)
def test_an_identity_that_is_proven_replaces_one_that_is_claimed_only_raises(
    evse_id: str, identity: str | None, evccid: str, own_pct: float | None, words: str
) -> None:
    settings = MinSocSettings(site_pct=30.0, by_evse={E1: 50.0}, by_vehicle={CN: 40.0, EVCCID: 45.0})
    assert str(settings.of(evse_id, identity, evccid, own_pct)) == words


percent = st.floats(0.0, 100.0)


@given(
    percent, st.dictionaries(st.sampled_from([E1]), percent), st.dictionaries(st.text(max_size=8), percent), st.data()
)
def test_nobody_lowers_a_floor_by_a_claim(
    site_pct: float, by_evse: dict[str, float], by_vehicle: dict[str, float], data: st.DataObject
) -> None:
    settings = MinSocSettings(site_pct=site_pct, by_evse=by_evse, by_vehicle=by_vehicle)
    evccid = data.draw(st.sampled_from(sorted(by_vehicle)) if by_vehicle else st.text(max_size=8))
    own_pct = data.draw(st.one_of(st.none(), st.floats()))
    assert settings.of(E1, None, evccid, own_pct).pct >= by_evse.get(E1, site_pct)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("CN=WMIV2G0001", ""),
        ("Müller 7", ""),
        ("x" * 256, ""),
        ("x" * 257, "has 257 characters, more than 256"),
        ("", "is empty"),
        ("  ", "is empty"),
        (" x", "begins or ends with a blank"),
        ("a\nb", "has control characters"),
        ("a\x1b[31m", "has control characters"),
        ("a\u202eb", "has control characters"),
        ("a\x00", "has control characters"),
    ],
)
def test_names_that_would_break_a_line_are_no_vehicles(name: str, problem: str) -> None:
    assert vehicle_id_problem(name) == problem

from __future__ import annotations

from pathlib import Path

import pytest

from v2g.replay.stimulus import ReplayError
from v2g.replay.thermal_transformer import ReplayedTransformer, read_transformer
from v2g.thermal.limits import Regime, SizeClass, limits_of
from v2g.thermal.model import ThermalState
from v2g.thermal.parameters import COOLING

PLAIN = "mode: DIST_ONAN\ndor_K: 55\ndhr_K: 23\nR: 5\nS_rated_kVA: 400\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tr.yaml"


def read(path: Path, text: str) -> ReplayedTransformer:
    path.write_text(text, encoding="utf-8")
    return read_transformer(path)


def refusal(path: Path, text: str) -> str:
    with pytest.raises(ReplayError) as caught:
        read(path, text)
    return str(caught.value)


def test_a_mode_gives_the_constants_and_the_limits_of_the_size(path: Path) -> None:
    transformer = read(path, PLAIN)
    onan = COOLING["DIST_ONAN"]
    assert (transformer.params.tau_o_s, transformer.params.y) == (onan.tau_o_min * 60.0, onan.y)
    assert (transformer.params.rated_va, transformer.params.dtheta_or_k) == (400e3, 55.0)
    assert transformer.limits == limits_of(Regime.NORMAL_CYCLIC, SizeClass.DISTRIBUTION)


def test_own_constants_need_no_mode_and_correct_one_that_is_there(path: Path) -> None:
    own = "x: 0.9\ny: 1.5\nk11: 0.6\nk21: 1.5\nk22: 1.8\ntau_o_min: 100\ntau_w_min: 6\ndor_K: 50\ndhr_K: 20\nR: 6\n"
    transformer = read(path, own)
    assert (transformer.params.k21, transformer.params.tau_o_s, transformer.params.tau_w_s) == (1.5, 6000.0, 360.0)
    assert transformer.rated_kva is None
    assert "stay empty" in transformer.remarks[0]
    assert read(path, PLAIN + "tau_o_min: 150\n").params.tau_o_s == 9000.0


def test_the_description_beside_the_reference_profile_is_a_transformer_file(shared_data: Path) -> None:
    transformer = read_transformer(shared_data / "thermal" / "dynamic_dist_400kVA.json")
    assert transformer.rated_kva == 400.0
    assert transformer.top_oil_c is None


def test_a_stated_initial_state_may_leave_the_winding_to_the_steady_state(path: Path) -> None:
    steady = ThermalState(50.0, 12.0, 3.0)
    assert read(path, PLAIN).initial_state(steady) is steady
    assert read(path, PLAIN + "initial: {top_oil_C: 41}\n").initial_state(steady) == ThermalState(41.0, 12.0, 3.0)
    whole = read(path, PLAIN + "initial: {top_oil_C: 41, h1_K: 20, h2_K: 1}\n")
    assert whole.initial_state(steady) == ThermalState(41.0, 20.0, 1.0)


def test_regime_limits_tap_and_cold_oil_are_taken(path: Path) -> None:
    transformer = read(
        path,
        PLAIN + "regime: long_time_emergency\nlimits: {top_oil_C: 100}\ncold_oil: {K: 0}\n"
        "tap: {position: 9, principal: 5, end: 9, R_at_end: 7}\n",
    )
    assert (transformer.limits.hot_spot_c, transformer.limits.top_oil_c, transformer.limits.k_pu) == (140.0, 100.0, 1.8)
    assert transformer.params.r == 7.0
    assert transformer.cold_oil.k_limit_pu(-35.0, 1.5) == 0.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PLAIN.replace("55", "500"), ["tr.yaml:2: dor_K: 500", "outside 5..120", "usually 40..65"]),
        (PLAIN.replace("dhr_K: 23", "dhr_K: -3"), ["tr.yaml:3: dhr_K: -3", "outside 2..80"]),
        (PLAIN.replace("400", "0.4"), ["tr.yaml:5: S_rated_kVA: 0.4", "400 if this is MVA"]),
        (PLAIN.replace("400", "9000000000"), ["S_rated_kVA", "outside 1..2000000 kVA"]),
        (PLAIN.replace("DIST_ONAN", "DIST_ONAM"), ["tr.yaml:1: mode: DIST_ONAM", "OF_RESTRICTED"]),
        (PLAIN.replace("mode: DIST_ONAN\n", "x: 0.8\n"), ["mode", "is missing, and so are y, k11"]),
        (PLAIN.replace("R: 5\n", ""), ["R: is missing"]),
        (PLAIN.replace("R: 5", "R: five"), ["tr.yaml:4: R: 'five'", "a number"]),
        (PLAIN.replace("R: 5", "R: .nan"), ["R", "is no finite number"]),
        (PLAIN + "tau_o_min: 3\n", ["tr.yaml:6: tau_o_min: 3", "outside 600..86400"]),
        (PLAIN + "top_oil_C: 40\n", ["tr.yaml:6: top_oil_C", "is no known key", "initial"]),
        (PLAIN + "initial: {top_oil_C: 318}\n", ["initial.top_oil_C", "at most 200"]),
        (PLAIN + "initial: warm\n", ["initial", "is no section"]),
        (PLAIN + "limits: {K: 150}\n", ["tr.yaml:6: limits", "per unit of rated power, not %"]),
        (PLAIN + "regime: normal\n", ["regime", "did you mean normal_cyclic"]),
        (PLAIN + "tap: {position: 9, principal: 5, end: 7, R_at_end: 7}\n", ["tr.yaml:6: tap", "tap 9 is not between"]),
        (PLAIN + "R: 6\n", ["R: is written twice (first on line 4)"]),
        (PLAIN + "power_factor: 95\n", ["power_factor", "at most 1"]),
        ("- a\n- b\n", ["is no map"]),
        ("a: [", ["is not YAML"]),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_line_key_value_and_remedy(path: Path, text: str, said: list[str]) -> None:
    told = refusal(path, text)
    assert all(part in told for part in ["tr.yaml", *said]), told


def test_every_mistake_is_told_at_once(path: Path) -> None:
    told = refusal(path, PLAIN.replace("55", "500").replace("23", "99"))
    assert "dor_K" in told
    assert "dhr_K" in told


def test_what_is_no_text_or_not_there_is_told(path: Path) -> None:
    with pytest.raises(ReplayError, match="check the path"):
        read_transformer(path)
    path.write_bytes(b"\xff\xfe\x00x")
    with pytest.raises(ReplayError, match="not UTF-8"):
        read_transformer(path)

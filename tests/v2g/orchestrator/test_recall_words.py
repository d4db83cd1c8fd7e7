from __future__ import annotations

import pytest

from v2g.orchestrator.local_time import SiteZone
from v2g.orchestrator.recall_words import recall_words, regime_name
from v2g.orchestrator.transformer import Moment
from v2g.thermal.account import AgeingTotals
from v2g.thermal.authorisation import Authorisation
from v2g.thermal.engine import EngineMemory
from v2g.thermal.kept import Kept
from v2g.thermal.limits import Regime

NOW = Moment(thermal_s=100.0, unix_s=1.8e9, local=SiteZone("UTC").local(1.8e9))


def kept(age_s: float, theta_o_c: float = 84.6) -> Kept:
    return Kept(
        unix_s=NOW.unix_s - age_s,
        theta_o_c=theta_o_c,
        h1_k=20.0,
        h2_k=0.5,
        bias_k=0.0,
        gradient_factor=1.0,
        k_pu=0.8,
        ambient_c=30.0,
    )


def test_what_goes_on_is_told_with_its_age() -> None:
    leave = Authorisation()
    leave.authorise(Regime.LONG_TIME_EMERGENCY, "anna", 3 * 3600.0 + 300.0, NOW.thermal_s)
    words = recall_words(EngineMemory(estimator=kept(12.0), ageing=AgeingTotals(day=1, total_h=1840.04)), leave, NOW)
    assert words == (
        "temperatures go on from those of 12 s ago (top-oil 84.6 °C, hot-spot 104.1 °C), or from the steady state "
        "of the first measured load where that is hotter; "
        "loss of life goes on from 1840.0 h; base load and ambient are learned anew; long-time emergency loading, "
        "authorised by anna, goes on for 3 h 5 min"
    )


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        (
            EngineMemory(),
            "no temperatures are kept of an earlier run: no V2G power before top-oil is measured; loss of",
        ),
        (EngineMemory(estimator=kept(7_500.0)), "are 2 h 5 min old: no V2G power before top-oil is measured"),
        (EngineMemory(estimator=kept(-600.0)), "dated 10 min ahead, the clock went back: no V2G power before"),
        (EngineMemory(estimator=kept(60.0, 900.0)), "none that a transformer has: no V2G power before top-oil"),
    ],
)
def test_what_does_not_go_on_is_told_with_what_it_costs(memory: EngineMemory, words: str) -> None:
    assert words in recall_words(memory, Authorisation(), NOW)


def test_regimes_have_names_for_people() -> None:
    assert [regime_name(regime) for regime in Regime] == [
        "normal cyclic loading",
        "long-time emergency loading",
        "short-time emergency loading",
    ]

"""What the thermal engine is configured by: constants, tap, limits, cold oil, ageing, time zone, history."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from v2g.config.loader import ConfigError, Problem, load
from v2g.config.schema import Config, Site, Transformer
from v2g.config.schema import History as HistorySection
from v2g.config.thermal import thermal_limits, thermal_parameters
from v2g.thermal.limits import Regime
from v2g.thermal.parameters import COOLING

Configure = Callable[..., Path]
SHIPPED = Path(__file__).resolve().parents[3] / "etc" / "v2g" / "v2g.yaml"


@pytest.fixture
def config(configure: Configure) -> Callable[..., Config]:
    def read(text: str = "") -> Config:
        return load(configure(**{"50-x": text})).config

    return read


def problems(config_dir: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(config_dir)
    return caught.value.problems


def test_a_nameplate_alone_is_enough(config: Callable[..., Config]) -> None:
    transformer = config().transformer
    params, limits = thermal_parameters(transformer), thermal_limits(transformer)
    assert (params.rated_va, params.k11, params.tau_o_s, params.r) == (250e3, 1.0, 10_800.0, 5.0)
    assert (limits.hot_spot_c, limits.top_oil_c, limits.k_pu) == (120.0, 105.0, 1.5)
    assert (transformer.cold_oil.k_pu, transformer.ageing.budget_h_per_day, transformer.eddy_share) == (0.5, None, 0.1)


def test_own_constants_take_the_place_of_the_cooling_mode_s(config: Callable[..., Config]) -> None:
    text = "transformer: {cooling: ONAN, constants: {k11: 0.6, x: 0.9, tau_o_min: 200, tau_w_min: 8}}"
    params, onan = thermal_parameters(config(text).transformer), COOLING["ONAN"]
    assert (params.k11, params.x, params.tau_o_s, params.tau_w_s) == (0.6, 0.9, 12_000.0, 480.0)
    assert (params.y, params.k21, params.k22) == (onan.y, onan.k21, onan.k22)


def test_the_loss_ratio_is_that_of_the_present_tap(config: Callable[..., Config]) -> None:
    text = "transformer: {tap: {position: 3, principal: 5, end: 1, r_at_end: 6.0}}"
    assert thermal_parameters(config(text).transformer).r == pytest.approx(5.5)


def test_a_site_s_own_limits_are_those_of_normal_loading(config: Callable[..., Config]) -> None:
    transformer = config("transformer: {hot_spot_limit_c: 110, k_limit_pu: 1.9}").transformer
    normal, emergency = thermal_limits(transformer), thermal_limits(transformer, Regime.LONG_TIME_EMERGENCY)
    assert (normal.hot_spot_c, normal.top_oil_c, normal.k_pu) == (110.0, 105.0, 1.9)
    assert (emergency.hot_spot_c, emergency.top_oil_c, emergency.k_pu) == (140.0, 115.0, 1.9)


def test_cold_oil_ageing_history_and_time_zone_are_read(config: Callable[..., Config]) -> None:
    read = config(
        "site: {timezone: Europe/Berlin}\n"
        "transformer: {cold_oil: {full_load_above_c: -10, k_pu: 0}, ageing: {budget_h_per_day: 48}}\n"
        "history: {keep_days: 30, max_mb: 64}\n"
    )
    assert read.site.timezone == "Europe/Berlin"
    assert (read.transformer.cold_oil.full_load_above_c, read.transformer.cold_oil.k_pu) == (-10.0, 0.0)
    assert (read.transformer.ageing.budget_h_per_day, read.transformer.ageing.upgraded_paper) == (48.0, False)
    assert (read.history.keep_days, read.history.max_mb, read.history.path) == (30, 64, "")


VALUES = [
    ("transformer: {constants: {tau_o_min: 3h}}", "transformer.constants.tau_o_min", "in minutes", "in minutes: 180"),
    ("transformer: {constants: {tau: 180}}", "transformer.constants.tau", "is no known key", "tau_o_min, tau_w_min"),
    ("transformer: {constants: {x: 0}}", "transformer.constants.x", "above 0", ""),
    ("transformer: {tap: {position: 3, principal: 5, end: 1}}", "transformer.tap.r_at_end", "is missing", "r_at_end"),
    (
        "transformer: {tap: {position: 1.5, principal: 5, end: 1, r_at_end: 6}}",
        "transformer.tap.position",
        "whole number",
        "whole number",
    ),
    ("transformer: {eddy_share: 10}", "transformer.eddy_share", "at most 1", "from 0 to 1"),
    ("transformer: {cold_oil: {full_load_above_c: 253}}", "transformer.cold_oil.full_load_above_c", "at most 40", "°C"),
    ("transformer: {cold_oil: {ramp_k: 0}}", "transformer.cold_oil.ramp_k", "at least 0.1 K", ""),
    ("transformer: {cold_oil: {k_pu: 50%}}", "transformer.cold_oil.k_pu", "in per unit", "in per unit: 0.5"),
    ("transformer: {ageing: {budget_h_per_day: 0}}", "transformer.ageing.budget_h_per_day", "above 0", ""),
    ("transformer: {ageing: {upgraded_paper: kraft}}", "transformer.ageing.upgraded_paper", "true or false", ""),
    ("transformer: {ageing: {insulation_life_h: 20}}", "transformer.ageing.insulation_life_h", "at least 1000", ""),
    ("transformer: {ambient_fallback_c: 313.15}", "transformer.ambient_fallback_c", "at most 85 °C", "from -40 to 85"),
    ("history: {keep_days: 0}", "history.keep_days", "at least 1", "from 1 to 3660"),
    ("history: {max_mb: 1}", "history.max_mb", "at least 8", "from 8 to 100000"),
    ("history: {keep: 30}", "history.keep", "is no known key", "did you mean keep_days?"),
]


@pytest.mark.parametrize(("text", "path", "reason", "remedy"), VALUES)
def test_a_value_out_of_range_is_told_with_path_reason_and_remedy(
    configure: Configure, text: str, path: str, reason: str, remedy: str
) -> None:
    found = {problem.path: problem for problem in problems(configure(**{"50-x": text}))}
    assert path in found
    assert reason in found[path].reason
    assert remedy in found[path].remedy


CONTRADICTIONS = [
    ("transformer: {rated_kva: 3000000}", "transformer", "give kVA, as printed on the nameplate"),
    ("transformer: {top_oil_rise_k: 328}", "transformer", "dtheta_or_k = 328 is outside 5..120"),
    ("transformer: {constants: {k21: 9}}", "transformer", "k21 = 9 is outside 1..5"),
    ("transformer: {hot_spot_limit_c: 393}", "transformer", "hot-spot limit of 393 °C is outside 40..200 °C"),
    ("transformer: {k_limit_pu: 150}", "transformer", "K is per unit of rated power, not %"),
    (
        "transformer: {tap: {position: 9, principal: 5, end: 1, r_at_end: 6}}",
        "transformer",
        "tap 9 is not between the principal tap 5 and the end 1",
    ),
    (
        "transformer: {tap: {position: 5, principal: 5, end: 5, r_at_end: 6}}",
        "transformer",
        "tap range from 5 to 5 has one tap",
    ),
    ("site: {timezone: ../../etc/passwd}", "site.timezone", "is no known time zone"),
    (
        "transformer: {cooling: ONAN, constants: {k21: 3, k22: 2, tau_o_min: 20, tau_w_min: 1}}",
        "dispatch.thermal_horizon_s",
        "that can be solved for with transformer.constants",
    ),
]


@pytest.mark.parametrize(("text", "path", "reason"), CONTRADICTIONS)
def test_what_no_transformer_has_is_refused_at_the_start(
    configure: Configure, text: str, path: str, reason: str
) -> None:
    (found,) = problems(configure(**{"50-x": text}))
    assert found.path == path
    assert reason in found.reason
    assert found.remedy


def test_a_shorter_horizon_is_the_remedy(config: Callable[..., Config]) -> None:
    constants = "{k21: 3, k22: 2, tau_o_min: 20, tau_w_min: 1}"
    text = f"transformer: {{cooling: ONAN, constants: {constants}}}\ndispatch: {{thermal_horizon_s: 300}}\n"
    assert config(text).dispatch.thermal_horizon_s == 300.0


def test_the_shipped_file_shows_the_defaults() -> None:
    """Every commented line of the three sections, taken in, is the schema's default or an example that is valid."""
    text = SHIPPED.read_text(encoding="utf-8")
    part = text[text.index("\ntransformer:") : text.index("# ---", text.index("\ntransformer:"))]
    shown: dict[str, Any] = yaml.safe_load(re.sub(r"(?m)^  # (?=\S+:|  \S+:)", "  ", part))["transformer"]
    examples = {"constants", "tap", "ageing"}
    transformer = msgspec.convert(shown, Transformer)
    fields = set(Transformer.__struct_fields__)
    assert set(shown) == fields
    default = Transformer(id="TR-0412", rated_kva=250.0)
    for name in fields - examples - {"hot_spot_limit_c", "top_oil_limit_c", "k_limit_pu"}:
        assert getattr(transformer, name) == getattr(default, name), name
    assert thermal_limits(transformer) == thermal_limits(default)
    assert thermal_parameters(msgspec.structs.replace(transformer, tap=None)) == thermal_parameters(default)
    assert transformer.ageing == msgspec.structs.replace(default.ageing, budget_h_per_day=24.0)

    section = text[text.index("# history:") : text.index("# secc:")]
    history = yaml.safe_load(re.sub(r"(?m)^# ", "", section))["history"]
    assert set(history) == set(HistorySection.__struct_fields__)
    assert msgspec.convert(history, HistorySection) == HistorySection()
    assert re.search(r"(?m)^  # timezone: \S+", text)
    assert Site(id="s").timezone == ""

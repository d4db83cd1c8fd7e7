"""Two configurations, setting by setting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from v2g.config.comparison import differences, places_of, settings_of
from v2g.config.loader import load
from v2g.config.writer import write_dropin

Configure = Callable[..., Path]
MAIN = Path(__file__).resolve().parents[3] / "etc" / "v2g"


def test_equal_ones_differ_in_nothing(configure: Configure) -> None:
    config = load(configure()).config
    assert differences(settings_of(config), settings_of(config)) == ()


def test_each_change_is_named_by_id_with_what_it_takes(configure: Configure) -> None:
    config_dir = configure()
    before = settings_of(load(config_dir).config)
    loaded = write_dropin(
        config_dir,
        {
            "dispatch.dwell_s": 300,
            "evses[US*V2G*E2].max_charge_w": 9000,
            "dispatch.min_soc_by_vehicle": {"CN=a": 40, "CN=b": 50},
            "grid.trips.OV1.time_s": 12.5,
        },
    )
    found = differences(before, settings_of(loaded.config))
    assert [(each.path, each.before, each.after, each.rule.words) for each in found] == [
        ("grid.trips.OV1.time_s", None, 12.5, "reload"),
        (
            "evses[US*V2G*E2].max_charge_w", 11000.0, 9000.0,
            "restart of v2g-guard-tick, v2g-guard-wires, kplc-driver and v2g-orchestrator",
        ),
        ("dispatch.min_soc_by_vehicle.CN=a", None, 40.0, "reload"),
        ("dispatch.min_soc_by_vehicle.CN=b", None, 50.0, "reload"),
        ("dispatch.dwell_s", 240.0, 300.0, "reload"),
    ]  # fmt: skip
    places = places_of(loaded)
    assert places["dispatch.dwell_s"] == f"{config_dir}/conf.d/90-operator.yaml:4"
    assert "dispatch.max_soc_pct" not in places


def test_what_is_gone_is_told_too(configure: Configure) -> None:
    config_dir = configure(site="dispatch: {min_soc_by_vehicle: {CN=a: 40}}")
    before = settings_of(load(config_dir).config)
    (config_dir / "conf.d" / "site.yaml").unlink()
    found = differences(before, settings_of(load(config_dir).config))
    assert [(each.path, each.before, each.after) for each in found] == [
        ("dispatch.min_soc_by_vehicle.CN=a", 40.0, None)
    ]


def test_the_order_of_evses_makes_no_difference(configure: Configure) -> None:
    one = settings_of(load(MAIN).config)
    assert "evses[US*V2G*E1].inverter.modbus.host" in one
    assert "evses[US*V2G*E2].tls" in one

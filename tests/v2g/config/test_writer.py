from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from v2g.config import writer
from v2g.config.loader import ConfigError, load
from v2g.config.writer import UNSET, write_dropin

Configure = Callable[..., Path]


def written(config_dir: Path, name: str = "90-operator.yaml") -> Any:
    return yaml.safe_load((config_dir / "conf.d" / name).read_text())


def test_values_are_set_and_win(configure: Configure) -> None:
    config_dir = configure(**{"50-x": "dispatch: {min_soc_pct: 20}"})
    loaded = write_dropin(config_dir, {"dispatch.min_soc_pct": 45, "evses[US*V2G*E2].inverter.max_charge_w": 9000})
    assert loaded.config.dispatch.min_soc_pct == 45
    assert load(config_dir).config == loaded.config
    assert written(config_dir) == {
        "dispatch": {"min_soc_pct": 45},
        "evses": [{"id": "US*V2G*E2", "inverter": {"max_charge_w": 9000}}],
    }
    assert (config_dir / "conf.d" / "90-operator.yaml").read_text().startswith("# Written by")
    assert (config_dir / "conf.d" / "90-operator.yaml").stat().st_mode & 0o777 == 0o644


def test_an_entry_by_position_becomes_one_by_id(configure: Configure) -> None:
    config_dir = configure()
    write_dropin(config_dir, {"evses[1].max_charge_w": 9000})
    assert written(config_dir) == {"evses": [{"id": "US*V2G*E2", "max_charge_w": 9000}]}


def test_earlier_values_stay_and_unset_ones_go(configure: Configure) -> None:
    config_dir = configure()
    write_dropin(config_dir, {"dispatch.min_soc_pct": 45, "evses[US*V2G*E1].max_charge_w": 9000})
    write_dropin(config_dir, {"site.name": "X"})
    assert written(config_dir)["dispatch"] == {"min_soc_pct": 45}
    loaded = write_dropin(config_dir, {"dispatch.min_soc_pct": UNSET, "evses[US*V2G*E1].max_charge_w": UNSET})
    assert written(config_dir) == {"site": {"name": "X"}}
    assert loaded.config.dispatch.min_soc_pct == 30
    write_dropin(config_dir, {"site.name": UNSET})
    assert written(config_dir) == {}


def test_a_result_that_does_not_hold_changes_nothing(configure: Configure) -> None:
    config_dir = configure()
    write_dropin(config_dir, {"dispatch.min_soc_pct": 45})
    before = (config_dir / "conf.d" / "90-operator.yaml").read_bytes()
    with pytest.raises(ConfigError) as caught:
        write_dropin(config_dir, {"dispatch.min_soc_pct": 145})
    assert caught.value.problems[0].path == "dispatch.min_soc_pct"
    assert (config_dir / "conf.d" / "90-operator.yaml").read_bytes() == before
    assert sorted(entry.name for entry in (config_dir / "conf.d").iterdir()) == [".lock", "90-operator.yaml"]


@pytest.mark.parametrize("path", ["", "evses[US*V2G*E1]", "evses[7].max_charge_w", "[0].x", "a[", "a..b!"])
def test_a_path_that_leads_nowhere_is_refused(configure: Configure, path: str) -> None:
    config_dir = configure()
    with pytest.raises(ConfigError):
        write_dropin(config_dir, {path: 1})
    assert not (config_dir / "conf.d" / "90-operator.yaml").exists()


def test_a_name_that_is_no_drop_in_is_refused(configure: Configure) -> None:
    with pytest.raises(ValueError, match="no name of a drop-in"):
        write_dropin(configure(), {"site.name": "X"}, name="../v2g.yaml")


def test_a_file_that_cannot_be_replaced_leaves_the_old_one(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_dir = configure()
    write_dropin(config_dir, {"site.name": "old"})

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_dropin(config_dir, {"site.name": "new"})
    assert written(config_dir) == {"site": {"name": "old"}}
    assert not list((config_dir / "conf.d").glob(".90-*"))


def test_a_trip_element_is_adjusted_inside_its_range_and_taken_back(configure: Configure) -> None:
    config_dir = configure()
    loaded = write_dropin(config_dir, {"grid.trips.OV1.time_s": 12.5, "grid.enter_service.delay_s": 60})
    assert loaded.config.grid.trips["OV1"].time_s == 12.5
    assert loaded.origin["grid.trips.OV1.time_s"].endswith("90-operator.yaml")
    before = written(config_dir)
    with pytest.raises(ConfigError, match=r"1 to 13 s \(IEEE 1547-2018 6\.4\.1, Table 13\)"):
        write_dropin(config_dir, {"grid.trips.OV1.time_s": 13.5})
    assert written(config_dir) == before
    taken_back = write_dropin(config_dir, {"grid.trips.OV1.time_s": UNSET})
    assert "grid.trips.OV1.time_s" not in taken_back.origin


def test_writers_wait_for_each_other(configure: Configure) -> None:
    config_dir = configure()
    paths = [
        "dispatch.min_soc_pct",
        "dispatch.setpoint_lease_s",
        "secc.charge_loop_timeout_s",
        "grid.enter_service.delay_s",
    ]
    threads = [threading.Thread(target=write_dropin, args=(config_dir, {path: 2})) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = written(config_dir)
    assert (len(found["dispatch"]), len(found["secc"])) == (2, 1)
    assert found["grid"] == {"enter_service": {"delay_s": 2}}

"""Settings by path, each with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from v2g.config.loader import load
from v2g.config.values import Value, suggestions, values

Configure = Callable[..., Path]
OPERATOR = {"90-operator": "evses:\n  - id: US*V2G*E2\n    min_soc_pct: 40\n"}


@pytest.mark.parametrize("path", ["evses[1].min_soc_pct", "evses[US*V2G*E2].min_soc_pct", " evses[1].min_soc_pct"])
def test_a_value_says_which_file_and_line_it_is_from(configure: Configure, path: str) -> None:
    loaded = load(configure(**OPERATOR))
    file = loaded.config_dir / "conf.d" / "90-operator.yaml"
    assert values(loaded, path) == (Value("evses[1].min_soc_pct", 40.0, f"{file}:3", exact=True),)


def test_a_default_has_no_place(configure: Configure) -> None:
    assert values(load(configure()), "dispatch.dwell_s") == (Value("dispatch.dwell_s", 240.0, "", exact=True),)


def test_a_section_gives_what_is_below_it_and_nothing_beside_it(configure: Configure) -> None:
    loaded = load(configure())
    paths = [each.path for each in values(loaded, "evses[US*V2G*E1].inverter.modbus")]
    assert paths == [f"evses[0].inverter.modbus.{name}" for name in ("host", "port", "unit", "tls")]
    assert values(loaded, "dispatch.min_soc") == ()
    assert not any(each.exact for each in values(loaded, "dispatch"))


def test_everything_that_is_written_is_listed_with_its_file(configure: Configure) -> None:
    loaded = load(configure(**OPERATOR))
    listed = {each.path: each for each in values(loaded)}
    assert set(loaded.origin) <= set(listed)
    assert all(listed[path].place.startswith(file) for path, file in loaded.origin.items())


def test_a_row_that_is_written_whole_stands_where_it_begins(configure: Configure) -> None:
    row = "evses:\n  - id: US*V2G*E1\n    inverter:\n      phase_offset_deg: [1, 2, 3]\n"
    found = values(load(configure(site=row)), "evses[0].inverter.phase_offset_deg")
    assert [(each.value, each.place.endswith("site.yaml:4")) for each in found] == [((1.0, 2.0, 3.0), True)]


def test_names_of_vehicles_may_have_dots(configure: Configure) -> None:
    loaded = load(configure(site="dispatch: {min_soc_by_vehicle: {'CN=a.b,O=c': 40}}"))
    found = values(loaded, "dispatch.min_soc_by_vehicle.CN=a.b,O=c")
    assert [(each.value, each.exact) for each in found] == [(40.0, True)]


def test_a_path_that_is_not_there_is_answered_with_one_that_is(configure: Configure) -> None:
    loaded = load(configure())
    assert suggestions(loaded, "min_soc_pct")[0] == "dispatch.min_soc_pct"
    assert suggestions(loaded, "dispatch.min_socpct")[0] == "dispatch.min_soc_pct"
    assert suggestions(loaded, "zzzz") == ()

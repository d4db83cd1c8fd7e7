"""Contradictions within utility.meters and utility.meter_feed, and with the EVSEs; values that look like a slip."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from v2g.config.crosscheck import suspicions
from v2g.config.loader import load
from v2g.config.paths import meter_feed_path
from v2g.config.problems import ConfigError
from v2g.config.schema_meters import Meter, MeterFeed

from .conftest import Configure

SHIPPED = Path(__file__).resolve().parents[3] / "etc" / "v2g"
METERS = """\
utility:
  meters:
    - {id: m1, modbus: {host: 10.0.9.1}}
    - {id: m2, modbus: {host: 10.0.9.2}, rotation: b, rated_w: 15000}
  meter_feed: {meters: [c1, c2]}
"""


def problems(configure: Configure, utility: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load(configure(utility=utility))
    return [f"{problem.path}: {problem.reason}; {problem.remedy}" for problem in error.value.problems]


def test_meters_and_feed_are_read_and_the_feed_has_its_place(configure: Configure) -> None:
    config = load(configure(utility=METERS)).config
    assert [meter.id for meter in config.utility.meters] == ["m1", "m2"]
    assert str(meter_feed_path(config)) == f"{config.paths.run_dir}/meters.sock"
    assert list(suspicions(config)) == list(suspicions(load(configure(utility="{}")).config))


def test_the_shipped_file_shows_every_setting_and_the_example_is_valid(configure: Configure) -> None:
    text = (SHIPPED / "v2g.yaml").read_text(encoding="utf-8")
    (block,) = re.findall(r"^# utility:\n(?:#   .*\n)+", text, re.MULTILINE)
    shown = re.sub(r"^# ", "", block, flags=re.MULTILINE)
    parsed = yaml.safe_load(shown)["utility"]
    assert set(parsed["meters"][0]) == {field.name for field in msgspec.structs.fields(Meter)}
    assert set(parsed["meter_feed"]) == {field.name for field in msgspec.structs.fields(MeterFeed)}
    assert load(configure(utility=shown)).config.utility.meters[0].id == "shop"


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        (("[c1, c2]", "[c1, m1]"), "utility.meter_feed.meters[1]", "is the id of utility.meters[0].id too"),
        (("[c1, c2]", "[c1, c1]"), "utility.meter_feed.meters[1]", "is the id of utility.meter_feed.meters[0] too"),
        (("[c1, c2]", "[c1, '']"), "utility.meter_feed.meters[1]", "is no id"),
        (("10.0.9.2", "10.0.9.1"), "utility.meters[1].modbus", "is utility.meters[0] already"),
        (("10.0.9.2", "10.0.0.2"), "utility.meters[1].modbus", "is inverter of EVSE US*V2G*E2 (evses[1]) already"),
        (("rotation: b", "poll_s: 20"), "utility.meters[1].max_age_s", "is less than two polls (40 s)"),
        (("{meters:", "{path: run/m.sock, meters:"), "utility.meter_feed.path", "is no absolute path"),
        (("{meters:", f"{{path: /{'x' * 107}, meters:"), "utility.meter_feed.path", "is longer than the 107 bytes"),
        (("{meters:", "{path: /run/v2g/control.sock, meters:"), "utility.meter_feed.path", "is another socket"),
    ],
)
def test_each_contradiction_has_its_place_and_remedy(
    configure: Configure, change: tuple[str, str], path: str, words: str
) -> None:
    (problem,) = problems(configure, METERS.replace(*change))
    assert problem.startswith(f"{path}: {words}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("rated_w: 15000", "rated_w: 15"), "utility.meters[1].rated_w is 15 W; for 15 kW write 15000"),
        (("rated_w: 15000", "rated_w: 1000000"), "is 1e+06 W, more than the transformer's 250000 VA"),
        (("{meters:", "{rated_w: 15, meters:"), "utility.meter_feed.rated_w is 15 W; for 15 kW write 15000"),
        (("[c1, c2]", "[]"), "utility.meter_feed has no meters: every reading is refused"),
        (
            ("10.0.9.2}", "10.0.9.2, tls: {ca: ca.pem, certificate: c.pem, key: k.pem}}"),
            "utility.meters[1].modbus has tls with port 502",
        ),
    ],
)
def test_what_looks_like_a_slip_is_said(configure: Configure, change: tuple[str, str], words: str) -> None:
    config = load(configure(utility=METERS.replace(*change))).config
    assert any(words in said for said in suspicions(config))

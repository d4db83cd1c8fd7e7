"""What is shipped for Prometheus and Grafana speaks of metrics that exist and of codes that are explained."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from v2g.config.loader import load
from v2g.orchestrator.metrics_labels import bounds_of
from v2g.telemetry import catalogue
from v2g.telemetry.metrics import OTHER
from v2g.telemetry.metrics_table import METRICS

ETC = Path(__file__).resolve().parents[3] / "etc"
SERIES = {name: metric for metric in METRICS.values() for name in metric.series}
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_WORDS = {
    *("sum", "by", "on", "and", "or", "rate", "increase", "changes", "count", "absent", "time", "histogram_quantile"),
    *("le", "instance", "job"),
}
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}")
_MATCHER = re.compile(r"([a-z_]+)(=~|!~|!=|=)\"([^\"]*)\"")
_OF_PROMETHEUS = {"up": {"job"}}
SCRAPED = {"instance", "job"}
"""Labels that every scraped sample gets."""


def problems(expression: str, bounds: dict[str, frozenset[str]]) -> Iterator[str]:
    """Names that are no metric, labels that a metric does not have, values that a label cannot have."""
    for name, inner in _SELECTOR.findall(expression):
        if name in _OF_PROMETHEUS:
            continue
        if name not in SERIES:
            yield f"no metric {name}"
            continue
        for label, operator, value in _MATCHER.findall(inner):
            if label in SCRAPED:
                continue
            if label not in SERIES[name].labels:
                yield f"{name} has no label {label}"
            else:
                values = value.split("|") if "~" in operator else [value]
                yield from (f"{label} is never {each}" for each in values if each not in bounds[label] | {OTHER})
    labels = {label for metric in METRICS.values() for label in metric.labels}
    bare = re.sub(r"\"[^\"]*\"|\{[^}]*\}|\[[^\]]*\]", " ", expression)
    for word in _NAME.findall(bare):
        if word not in SERIES and word not in _WORDS | labels | set(_OF_PROMETHEUS):
            yield f"{word} is nothing that is known"


@pytest.fixture(scope="module")
def bounds() -> dict[str, frozenset[str]]:
    return dict(bounds_of(load(ETC / "v2g").config))


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ETC / "grafana/v2g.json").read_text(encoding="utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def rules() -> list[dict[str, Any]]:
    content = yaml.safe_load((ETC / "prometheus/v2g-alerts.yaml").read_text(encoding="utf-8"))
    return [rule for group in content["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [*found, *(rule["expr"] for rule in rules())]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("v2g_nothing == 1", ["v2g_nothing is nothing that is known"]),
        ('v2g_site_power_watts{evse="x"}', ["v2g_site_power_watts has no label evse"]),
        ('v2g_guard_permit{reason="grnated"}', ["reason is never grnated"]),
        ("rate(v2g_turnaround_seconds[5m])", ["v2g_turnaround_seconds is nothing that is known"]),
        ('sum by (le) (rate(v2g_turnaround_seconds_bucket{stage="charge_loop"}[5m]))', []),
    ],
)
def test_the_search_for_mistakes_finds_them(
    expression: str, found: list[str], bounds: dict[str, frozenset[str]]
) -> None:
    assert list(problems(expression, bounds)) == found


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_every_expression_asks_for_what_there_is(expression: str, bounds: dict[str, frozenset[str]]) -> None:
    assert list(problems(expression.replace('=~"$instance"', '="x"'), bounds)) == []


def test_the_dashboard_has_what_grafana_needs_to_load_it() -> None:
    board = dashboard()
    assert board["title"]
    assert board["uid"] == "v2g-orchestrator"
    assert board["schemaVersion"] >= 36
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    variables = {entry["name"]: entry["type"] for entry in board["templating"]["list"]}
    assert variables == {"datasource": "datasource", "instance": "query"}
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] <= 24 - place["w"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["type"] in ("stat", "timeseries")
        assert panel["title"]
        assert panel["targets"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters))
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_no_metric_is_left_out_of_the_dashboard_without_being_in_an_alert() -> None:
    shown = set(_NAME.findall(" ".join(expressions())))
    hidden = {metric.name for metric in METRICS.values() if not shown & set(metric.series)}
    assert hidden <= {
        *("v2g_ready", "v2g_guard_ticks_total", "v2g_relay_closed", "v2g_mains_present", "v2g_guard_block"),
        *("v2g_breaker_commanded_closed", "v2g_guard_curtailment_ratio", "v2g_guard_service_ratio"),
        *("v2g_grid_rocof_hertz_per_second", "v2g_quality_flicker", "v2g_wires_image_age_seconds"),
        *("v2g_modbus_reconnects_total", "v2g_transformer_rated_voltamperes", "v2g_evse_setpoint_watts"),
        *("v2g_evse_granted_watts", "v2g_evse_occupied", "v2g_sessions_begun_total", "v2g_history_rows_written_total"),
        *("v2g_heartbeat_state", "v2g_backhaul_probes_total", "v2g_backhaul_probes_lost_total", "v2g_plc_driver_alive"),
        *("v2g_mesh_member_present", "v2g_mesh_messages_total", "v2g_mesh_bytes_total"),
    }


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_says_what_it_is_about_and_which_code_explains_it(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"V2G[A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    summary, remedy = rule["annotations"]["summary"], rule["annotations"]["remedy"]
    assert len(summary) > 30
    codes = re.findall(r"v2g-tool explain ([A-Za-z0-9_]+)", remedy)
    assert codes, remedy
    assert all(catalogue.find(code) is not None for code in codes), codes


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) >= 20


def test_the_example_of_a_scrape_is_valid_and_names_the_rules() -> None:
    content = yaml.safe_load((ETC / "prometheus/scrape.yaml").read_text(encoding="utf-8"))
    assert [(ETC / "prometheus" / name).is_file() for name in content["rule_files"]] == [True]
    (job,) = content["scrape_configs"]
    assert job["job_name"] == "v2g"
    assert job["static_configs"][0]["targets"] == ["127.0.0.1:9464"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_prometheus_itself_takes_rules_expressions_and_the_example(tmp_path: Path) -> None:
    every = {
        "groups": [
            {
                "name": "dashboard",
                "rules": [
                    {"record": f"x:{number}", "expr": expression.replace("$__rate_interval", "5m")}
                    for number, expression in enumerate(expressions())
                ],
            }
        ]
    }
    file = tmp_path / "dashboard.yaml"
    file.write_text(yaml.safe_dump(every))
    for arguments in (
        ["check", "rules", ETC / "prometheus/v2g-alerts.yaml"],
        ["check", "config", ETC / "prometheus/scrape.yaml"],
        ["check", "rules", file],
    ):
        run = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr

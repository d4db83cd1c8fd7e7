"""Metrics as plain values and as text: names, bounds, buckets; and how many lines the logs were given."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from v2g.telemetry import line_counts, logs
from v2g.telemetry import metrics_table as m
from v2g.telemetry.metrics import OTHER, Kind, Page
from v2g.telemetry.metrics_text import render

BOUNDS = {"evse": frozenset({"", "US*V2G*E1"}), "kind": frozenset({"inverter"}), "state": frozenset({"off", "steady"})}
BASE_UNITS = (
    *("seconds", "watts", "celsius", "ratio", "volts", "amperes", "hertz", "bytes", "decibels", "voltamperes"),
    "bytes_per_second",
)
WITHOUT_UNIT = re.compile(
    r"v2g_(build_info|ready|problems|sessions|orders|energy_permitted|trip_latched|breaker_.*|relay_closed|mains_present"
    r"|guard_(permit|alive|realtime|block)|interlock_healthy|heartbeat_state|history_(fails|queue_rows)"
    r"|modbus_device_online|evse_(occupied|fault|retransmitted_segments)|plc_(driver_alive|link_up)"
    r"|mesh_(members|member_present|islands|links)|quality_flicker|grid_rocof_hertz_per_second)"
)
"""Counts and states; a rate of change has the unit of what changes."""


def families(page: Page) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(render(page).decode())}


def samples(page: Page, name: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families(page).values()
        for sample in family.samples
        if sample.name.startswith(name)
    }


def test_every_metric_has_our_prefix_a_base_unit_and_a_sentence() -> None:
    for metric in m.METRICS.values():
        assert re.fullmatch(r"v2g_[a-z0-9_]+", metric.name)
        assert metric.help.endswith("."), metric.name
        assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total"), metric.name
        plain = metric.name.removesuffix("_total")
        if metric.kind is not Kind.COUNTER and not WITHOUT_UNIT.fullmatch(metric.name):
            assert plain.endswith(BASE_UNITS), metric.name


def test_a_page_is_read_by_prometheus_as_it_was_meant() -> None:
    page = Page(BOUNDS)
    page.put(m.EVSE_POWER, -4800.5, "US*V2G*E1")
    page.put(m.MODBUS_TIMEOUTS, 3.0, "inverter")
    page.put_state(m.HEARTBEAT, "steady", ("off", "steady"))
    page.put_histogram(m.MODBUS_LATENCY, (0.01, 0.1), (5, 2, 1), 0.4, "inverter")
    found = families(page)
    assert {name: family.type for name, family in found.items()} == {
        "v2g_evse_power_watts": "gauge",
        "v2g_modbus_timeouts": "counter",
        "v2g_heartbeat_state": "gauge",
        "v2g_modbus_latency_seconds": "histogram",
    }
    assert samples(page, "v2g_evse_power_watts") == {("v2g_evse_power_watts", "US*V2G*E1"): -4800.5}
    assert samples(page, "v2g_modbus_timeouts") == {("v2g_modbus_timeouts_total", "inverter"): 3.0}
    assert samples(page, "v2g_heartbeat") == {
        ("v2g_heartbeat_state", "off"): 0.0,
        ("v2g_heartbeat_state", "steady"): 1.0,
    }
    assert {key[0] + "/" + key[-1]: value for key, value in samples(page, "v2g_modbus_latency").items()} == {
        "v2g_modbus_latency_seconds_bucket/0.01": 5.0,
        "v2g_modbus_latency_seconds_bucket/0.1": 7.0,
        "v2g_modbus_latency_seconds_bucket/+Inf": 8.0,
        "v2g_modbus_latency_seconds_count/inverter": 8.0,
        "v2g_modbus_latency_seconds_sum/inverter": 0.4,
    }


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
def test_what_is_not_known_has_no_sample(value: float | None) -> None:
    page = Page(BOUNDS)
    page.put(m.EVSE_POWER, value, "US*V2G*E1")
    assert b"v2g_evse_power_watts{" not in render(page)


def test_labels_that_are_not_the_metrics_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        Page(BOUNDS).put(m.EVSE_POWER, 1.0)
    with pytest.raises(KeyError):
        Page({}).put(m.EVSE_POWER, 1.0, "US*V2G*E1")


def test_counts_of_another_number_of_buckets_are_not_told() -> None:
    page = Page(BOUNDS)
    page.put_histogram(m.MODBUS_LATENCY, (0.01, 0.1), (), 0.0, "inverter")
    assert render(page) == b""


@given(st.lists(st.tuples(st.text(), st.floats(0, 1e9)), max_size=200))
def test_whatever_stands_in_a_label_a_metric_has_no_more_series_than_its_bounds(words: list[tuple[str, float]]) -> None:
    page = Page(BOUNDS)
    for evse_id, value in words:
        page.put(m.EVSE_POWER, value, evse_id)
    keys = set(page.values.get(m.EVSE_POWER, {}))
    assert keys <= {("",), ("US*V2G*E1",), (OTHER,)}
    assert sum(page.values.get(m.EVSE_POWER, {}).values()) == pytest.approx(sum(value for _, value in words))


def test_the_library_is_not_loaded_before_the_first_scrape() -> None:
    code = (
        "import sys, v2g.orchestrator.metrics_part, v2g.orchestrator.metrics_site; "
        "sys.exit(any(name.startswith('prometheus_client') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def counted() -> Iterator[None]:
    line_counts.reset()
    yield
    line_counts.reset()


@pytest.mark.usefixtures("counted")
def test_every_event_is_counted_written_or_not() -> None:
    logs.configure(None, stderr=False)
    try:
        for _ in range(300):
            logs.comms_log().error("SECC_TIMEOUT", "silent")
        logs.daemon_log().info("READY")
    finally:
        logs.close()
    assert line_counts.counts() == {("comms", "error", "SECC_TIMEOUT"): 300, ("daemon", "info", "READY"): 1}


@pytest.mark.usefixtures("counted")
def test_codes_without_end_are_counted_as_others() -> None:
    for number in range(3 * line_counts.MOST_CODES):
        line_counts.count("comms", "info", f"CODE_{number}")
    counts = line_counts.counts()
    assert len(counts) == line_counts.MOST_CODES + 1
    assert counts["comms", "info", line_counts.OTHER] == 2 * line_counts.MOST_CODES

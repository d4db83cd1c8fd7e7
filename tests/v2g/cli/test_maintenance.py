"""``v2g-tool maintenance``: what is sent, what people read, and the exit code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from v2g.control.messages_maintenance import MaintenanceParams, MaintenanceResult, MaintenanceSession

RUNNING = MaintenanceSession(evse_id="US*V2G*E1", vehicle="WMIV1", identity="CN=WMIV1", power_w=-9_800.0)
LASTS = MaintenanceResult(active=True, reason="new cable", by="eva", remaining_s=900.0, drained=True)


def paused(**changes: Any) -> MaintenanceSession:
    return MaintenanceSession(**{"evse_id": "US*V2G*E1", "vehicle": "WMIV1", "became": "paused", **changes})


@pytest.mark.parametrize(
    ("words", "method", "params"),
    [
        ("maintenance", "maintenance.show", None),
        ("maintenance end", "maintenance.end", None),
        ("maintenance begin cable", "maintenance.begin", MaintenanceParams(reason="cable")),
        (
            "maintenance begin cable --drain --yes --for 30min",
            "maintenance.begin",
            MaintenanceParams(reason="cable", drain=True, lease_s=1800.0),
        ),
    ],
)
async def test_each_word_asks_for_what_it_says(
    site_daemon: Any, words: str, method: str, params: MaintenanceParams | None
) -> None:
    site_daemon.answers[method] = LASTS
    result = await site_daemon.run(words, tool_too=True)
    assert result.exit_code == 0, result.output
    assert params is None or site_daemon.received == [params]
    assert "no new sessions: new cable (eva), for another 15 min; no session is left" in result.output


async def test_sessions_that_run_are_named_and_the_exit_code_is_1(site_daemon: Any) -> None:
    words = "a session is active: US*V2G*E1 / WMIV1 / CN=WMIV1; drain ends them in order, power first"
    site_daemon.answers["maintenance.begin"] = MaintenanceResult(active=False, refused=words, sessions=(RUNNING,))
    result = await site_daemon.run("maintenance begin cable", tool_too=True)
    assert result.exit_code == 1
    assert "US*V2G*E1 / WMIV1 / CN=WMIV1; --drain ends them" in result.output
    told = await site_daemon.run("maintenance begin cable --json", tool_too=True)
    assert told.exit_code == 1
    assert json.loads(told.output)["sessions"][0]["became"] == "active"


async def test_what_became_of_each_is_a_table(site_daemon: Any) -> None:
    site_daemon.answers["maintenance.begin"] = MaintenanceResult(
        active=True,
        reason="cable",
        by="eva",
        remaining_s=600.0,
        drained=True,
        sessions=(
            paused(identity="CN=WMIV1", power_w=-9_800.0),
            paused(evse_id="US*V2G*E2", vehicle="", became="terminated", words="it did not follow in time"),
        ),
    )
    output = (await site_daemon.run("maintenance begin cable --drain --yes", tool_too=True)).output
    first, second = output.splitlines()[-2:]
    assert first.split() == ["US*V2G*E1", "WMIV1", "CN=WMIV1", "-9.80", "kW", "paused"]
    assert "not known yet" in second
    assert second.endswith("terminated: it did not follow in time")


async def test_a_drain_that_nobody_at_a_terminal_has_confirmed_is_not_begun(site_daemon: Any) -> None:
    result = await site_daemon.run("maintenance begin cable --drain", tool_too=True)
    assert result.exit_code == 2
    assert "--yes" in result.output
    assert site_daemon.received == []


async def test_none_is_said(site_daemon: Any) -> None:
    site_daemon.answers["maintenance.show"] = MaintenanceResult(active=False)
    assert "vehicles are admitted" in (await site_daemon.run("maintenance", tool_too=True)).output


async def test_a_time_that_is_none_is_a_mistake_of_usage(site_daemon: Any) -> None:
    assert (await site_daemon.run("maintenance begin cable --for soon", tool_too=True)).exit_code == 2

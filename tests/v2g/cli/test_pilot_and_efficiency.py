"""``v2g-tool pilot check`` and ``v2g-tool inverter efficiency`` as a person reads them."""

from __future__ import annotations

import json
from typing import Any

from v2g.control.messages_devices import (
    EfficiencyBand,
    EfficiencyLine,
    EfficiencyResult,
    PilotCheckResult,
    PilotLine,
)

PASS = PilotLine(
    evse_id="US*V2G*E1", verdict="pass", state="C", age_s=0.1, high_v=6.02, low_v=-12.0, duty_pct=5.0,
    expected_duty_pct=5.0, frequency_hz=1000.0, proximity_a=32.0, earth_ohm=1.5,
)  # fmt: skip
FAIL = PilotLine(
    evse_id="US*V2G*E2", verdict="fail", state="B", high_v=9.0, earth_ok=False, findings=("protective earth broken",)
)


async def test_passing_pilots_end_with_0_and_show_what_was_measured(site_daemon: Any) -> None:
    site_daemon.answers["pilot.check"] = PilotCheckResult(evses=(PASS,))
    result = await site_daemon.run("pilot check", tool_too=True)
    assert result.exit_code == 0
    head, row = result.output.splitlines()
    assert head.split() == ["EVSE", "STATE", "VERDICT", "HIGH", "LOW", "DUTY", "FREQUENCY", "CABLE", "EARTH"]
    assert " ".join(row.split()) == "US*V2G*E1 C pass 6.02 V -12 V 5 % of 5 % 1000 Hz 32 A 1.5 Ω"


async def test_one_that_fails_ends_with_1_and_names_the_limit(site_daemon: Any) -> None:
    site_daemon.answers["pilot.check"] = PilotCheckResult(evses=(PASS, FAIL))
    result = await site_daemon.run("pilot check --evse US*V2G*E2", tool_too=True)
    assert result.exit_code == 1
    assert "US*V2G*E2: protective earth broken" in result.output
    assert "broken" in result.output.splitlines()[2]
    assert site_daemon.received[-1].evse_id == "US*V2G*E2"


async def test_the_pilots_as_json(site_daemon: Any) -> None:
    site_daemon.answers["pilot.check"] = PilotCheckResult(evses=(PASS,))
    result = await site_daemon.run("pilot check --json", tool_too=True)
    assert json.loads(result.output)["evses"][0]["high_v"] == 6.02


async def test_bands_below_97_percent_are_marked(site_daemon: Any) -> None:
    bands = (
        EfficiencyBand(direction="charge", low_w=5_000.0, high_w=10_000.0, efficiency=0.981, readings=90),
        EfficiencyBand(direction="discharge", low_w=5_000.0, high_w=10_000.0, efficiency=0.962, readings=70),
    )
    lines = (
        EfficiencyLine(evse_id="US*V2G*E1", rated_w=20_000.0, bands=bands),
        EfficiencyLine(evse_id="US*V2G*E2", rated_w=0.0, bands=(), problem="nothing measured yet"),
    )
    site_daemon.answers["inverter.efficiency"] = EfficiencyResult(inverters=lines)
    result = await site_daemon.run("inverter efficiency", tool_too=True)
    assert result.exit_code == 0
    _, charge, discharge, remark = result.output.splitlines()
    assert "98.1 %" in charge
    assert "below" not in charge
    assert "96.2 %  below 97 %" in discharge
    assert remark == "US*V2G*E2: nothing measured yet"

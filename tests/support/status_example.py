"""What a controller says of itself, as one that works does."""

from __future__ import annotations

from v2g.control.messages import (
    DeviceLine,
    EvseLine,
    GuardLine,
    OrderLine,
    SessionLine,
    StatusResult,
    TransformerLine,
)


def example_status() -> StatusResult:
    """One vehicle discharging at E1, nothing at E2, whose inverter is lost."""
    session = SessionLine(
        state="charge loop",
        vehicle="WMIV2G0001",
        identity=None,
        service="DC_BPT",
        soc_pct=64,
        max_charge_w=50_000.0,
        max_discharge_w=22_000.0,
        since_s=754.0,
    )
    common = {"tcp_port": 15118, "tls": "strict", "bound_by": None}
    evses = (
        EvseLine(
            evse_id="US*V2G*E1", interface="evse1", session=session, power_w=-9980.0, setpoint_w=-10_000.0,
            granted_w=-10_000.0, voltage_v=402.1, current_a=-24.9, contactors_closed=True, fault=None, **common,
        ),
        EvseLine(
            evse_id="US*V2G*E2", interface="evse2", session=None, power_w=None, setpoint_w=0.0, granted_w=0.0,
            voltage_v=None, current_a=None, contactors_closed=None, fault="inverter lost", **common,
        ),
    )  # fmt: skip
    return StatusResult(
        site="maple-street-12",
        version="0.1.0",
        ready=True,
        uptime_s=7384.0,
        simulation=True,
        guard=GuardLine(
            permit="granted", tick_alive=True, wires_alive=True, breaker_closed=True, v_pu=(1.001, 0.999, 1.0),
            frequency_hz=60.002, trip="", trip_value=0.0, enter_service_remaining_s=0.0, realtime=False,
        ),
        transformer=TransformerLine(
            top_oil_c=54.2, hot_spot_c=71.3, ambient_c=None, k_pu=0.281, load_w=70_200.0, base_load_w=80_180.0,
            discharge_limit_w=-120_000.0, charge_limit_w=90_000.0, limit_source="thermal hot-spot",
            notes=("ambient sensor lost: 40 °C assumed",),
        ),
        evses=evses,
        orders=(
            OrderLine(order_id=3, mode="discharge", power_w=10_000.0, granted_w=-10_000.0, evse_id=None,
                      remaining_s=871.0, by="alice"),
        ),
        devices=(
            DeviceLine(name="inverter US*V2G*E1", address="192.0.2.1:502", online=True, age_s=0.08, error=None),
            DeviceLine(name="inverter US*V2G*E2", address="192.0.2.2:502", online=False, age_s=None, error="refused"),
        ),
        problems=("inverter US*V2G*E2 does not answer",),
    )  # fmt: skip

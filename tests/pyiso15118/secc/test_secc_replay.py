"""A vehicle that was recorded at another station charges at ours, request by request."""

import json
from pathlib import Path
from typing import Any

from pyiso15118.events import (
    CableCheckRequested,
    DcChargeLoopReceived,
    EndReason,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
)
from pyiso15118.secc import SeccMachine
from pyiso15118.v2gtp import encode_frame


def test_a_recorded_dc_vehicle_completes_its_session(secc_bench: Any, shared_data: Path) -> None:
    lines = (shared_data / "iso15118" / "captures" / "ISO-20_TLS13_DC_DS5366_Josev.jsonl").read_text().splitlines()
    rows = [r for r in map(json.loads, lines) if int(r["payload_type"], 16) < 0x9000]
    session_id = next(r for r in rows if r["message"] == "SessionSetupRes")["decoded"]["SessionSetupRes"]
    bench = secc_bench()
    recorded = bytes.fromhex(session_id["Header"]["SessionID"])
    bench.machine = SeccMachine(bench.config, random=lambda n: recorded, unix_offset_s=0.0)
    del bench.answers[CableCheckRequested]
    requests = [r for r in rows if r["dir"] == "ev->evse"]
    last_cable_check = [r for r in requests if r["message"] == "DC_CableCheckReq"][-1]
    for row in requests:
        bench.update()
        if row is last_cable_check:
            bench.finish_cable_check()
        responses = bench.feed(encode_frame(int(row["payload_type"], 16), bytes.fromhex(row["hex"])))
        responses = responses or bench.advance(1.0)
        assert [str(r.ResponseCode)[:2] for r in responses] == ["OK"], row["message"]
    assert bench.end.reason is EndReason.STOPPED
    kinds = [type(e) for e in bench.told]
    assert kinds.count(PowerDeliveryStarted) == kinds.count(PowerDeliveryStopped) == 1
    assert kinds.count(DcChargeLoopReceived) == sum(r["message"] == "DC_ChargeLoopReq" for r in rows)

"""A BL and a VEN by python-oa3-client, for a VTN at argv[1]: writes events, then reads them back; prints JSON."""

from __future__ import annotations

import json
import sys

from openadr3_client import BlClient, VenClient

PERIOD = {"start": "2023-11-14T22:13:20Z", "duration": "PT1H"}


def event(program: str, kind: str, value: float, units: str, **more: object) -> dict[str, object]:
    return {
        "objectType": "EVENT_REQUEST",
        "programID": program,
        "eventName": kind,
        "payloadDescriptors": [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": kind, "units": units}],
        "intervalPeriod": PERIOD,
        "intervals": [{"id": 0, "payloads": [{"type": kind, "values": [value]}]}],
        **more,
    }


def main() -> None:
    url, ven_name = sys.argv[1:]
    with BlClient(url=url, client_id="bl", client_secret="bl-secret") as bl:
        made = bl.create_program({"programName": "evening", "objectType": "PROGRAM"})
        made.raise_for_status()
        program = made.json()["id"]
        for one in (
            event(program, "IMPORT_CAPACITY_LIMIT", 20, "KW", priority=2),
            event(program, "EXPORT_CAPACITY_LIMIT", 8, "KW"),
            event(program, "DISPATCH_SETPOINT", -5, "KW"),
        ):
            bl.create_event(one).raise_for_status()
    with VenClient(url=url, client_id="ven", client_secret="ven-secret") as ven:
        ven.register(ven_name)
        events = [
            {
                "id": each.id,
                "name": each.event_name,
                "priority": each.priority,
                "start": each.interval_period.start.timestamp(),
                "length_s": each.interval_period.duration.total_seconds(),
                "value": float(each.intervals[0].payloads[0].values[0]),
            }
            for each in ven.events()
        ]
        print(json.dumps({"ven_id": ven.ven_id, "program": ven.resolve_program_id("evening"), "events": events}))


if __name__ == "__main__":
    main()

from __future__ import annotations

import msgspec

from support.status_example import example_status
from v2g.cli.render import tool_status_text
from v2g.cli.render_der import der_parts
from v2g.control.messages import EvseLine
from v2g.control.messages_ac import DerLine


def evse(line: DerLine | None) -> EvseLine:
    found = next(evse for evse in example_status().evses if evse.session is not None)
    return msgspec.structs.replace(found, session=msgspec.structs.replace(found.session, der=line))


def test_without_such_a_vehicle_nothing_is_told() -> None:
    assert der_parts(()) == []
    assert der_parts((evse(None),)) == []
    assert "INVERTERS" not in tool_status_text(example_status())


def test_a_tripped_inverter_and_what_it_does_not_do_are_shown() -> None:
    line = DerLine(
        inverter="Acme I1", certified=True, in_service=False, connected=False, alarms="over voltage", grid_event=False,
        not_enabled=("volt-var", "frequency droop"), code_sent=True, left_out=("over-voltage trip",),
        waits=("watt-var",),
    )  # fmt: skip
    shown = evse(line)
    text = tool_status_text(msgspec.structs.replace(example_status(), evses=(shown,)))
    rows = text[text.index("VEHICLES' INVERTERS") :].splitlines()
    assert rows[2].split("  ")[0] == shown.evse_id
    assert [cell.strip() for cell in rows[2].split("  ") if cell.strip()][1:] == [
        "Acme I1", "certified", "NO", "open", "over voltage", "handed over",
    ]  # fmt: skip
    assert rows[3:6] == [
        f"  {shown.evse_id}: does not carry out: volt-var, frequency droop",
        f"  {shown.evse_id}: hears of it with its next session: watt-var",
        f"  {shown.evse_id}: no words for it in its protocol, the guard alone sees to it: over-voltage trip",
    ]


def test_what_is_not_known_is_no_statement() -> None:
    line = DerLine(
        inverter="", certified=None, in_service=None, connected=None, alarms="", grid_event=True, not_enabled=(),
        code_sent=False, left_out=(), waits=(),
    )  # fmt: skip
    last = der_parts((evse(line),))[-1].splitlines()[-1]
    assert [cell.strip() for cell in last.split("  ") if cell.strip()][1:] == [
        "?", "?", "?", "?", "held back by the grid", "not yet",
    ]  # fmt: skip

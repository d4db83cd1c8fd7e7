"""Each line of a session says whose it is."""

from __future__ import annotations

from support.kept_log import KeptLog
from v2g.sessions.session_log import SessionLog


def test_lines_have_the_evse_and_from_session_setup_on_the_session() -> None:
    kept = KeptLog()
    log = SessionLog(kept, "US*V2G*E1")
    log.info("CONNECTED", "here", mac="02:00:00:00:00:01")
    assert log.session == ""
    log.session = "0A0B"
    log.warning("TURNAROUND_SLOW", "slow")
    log.error("SECC_TIMEOUT", "silent", evse="US*V2G*E2")
    assert [fields for _, _, _, fields in kept.lines] == [
        {"evse": "US*V2G*E1", "mac": "02:00:00:00:00:01"},
        {"evse": "US*V2G*E1", "session": "0A0B"},
        {"evse": "US*V2G*E2", "session": "0A0B"},
    ]
    assert [level for level, *_ in kept.lines] == ["INFO", "WARNING", "ERROR"]

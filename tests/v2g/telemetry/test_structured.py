"""What libraries say, in our logs."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from v2g.clock import ManualClock
from v2g.orchestrator.library_logs import bridge_library_logs
from v2g.telemetry import logs, structured


@pytest.fixture(autouse=True)
def _bridged(tmp_path: Path) -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    logs.configure(tmp_path, stderr=False, clock=ManualClock())
    bridge_library_logs()
    yield
    root.handlers = before
    root.setLevel(level)
    structlog.reset_defaults()
    logs.close()


def lines(path: Path) -> list[str]:
    return [line[25:] for line in path.read_text().splitlines()] if path.exists() else []


def test_the_protocol_package_speaks_in_comms_log_with_its_codes(tmp_path: Path) -> None:
    log = logging.getLogger("pyiso15118")
    log.info("%s: listening", "US*V2G*E1")
    log.warning("a stranger", extra={"code": "SPOOFING_SUSPECTED", "evse": "US*V2G*E1"})
    log.debug("not told")
    assert lines(tmp_path / "comms.log") == [
        "INFO: PYISO15118 US*V2G*E1: listening",
        "WARNING: SPOOFING_SUSPECTED a stranger evse=US*V2G*E1",
    ]


def test_other_libraries_speak_in_daemon_log_under_their_name(tmp_path: Path) -> None:
    logging.getLogger("asyncio").warning("slow callback")
    logging.getLogger("pymodbus.client").info("not told")
    try:
        raise OSError(5, "Input/output error")
    except OSError:
        logging.getLogger("pymodbus").exception("read failed")
    assert lines(tmp_path / "daemon.log") == [
        "WARNING: LIBRARY slow callback library=asyncio",
        "ERROR: LIBRARY read failed: OSError: [Errno 5] Input/output error library=pymodbus",
    ]


def test_loggers_of_structlog_end_in_the_same_files(tmp_path: Path) -> None:
    structlog.get_logger("v2g.plugin").bind(evse="US*V2G*E1").warning("odd", code="ODD", volts=3)
    structlog.get_logger().error("nameless")
    structlog.get_logger("pyiso15118.slac").info("matched", code="PLC_MATCHED")
    assert lines(tmp_path / "daemon.log") == [
        "WARNING: ODD odd evse=US*V2G*E1 volts=3",
        "ERROR: LIBRARY nameless library=unnamed",
    ]
    assert lines(tmp_path / "comms.log") == ["INFO: PLC_MATCHED matched"]


def test_a_text_that_a_library_cannot_put_together_is_told_in_parts(tmp_path: Path) -> None:
    record = logging.LogRecord("asyncio", logging.WARNING, "", 0, "%d volts", ("many",), None)
    structured.LibraryHandler().handle(record)
    assert lines(tmp_path / "daemon.log") == ["WARNING: LIBRARY %d volts ('many',) library=asyncio"]


def test_the_daemon_does_not_load_what_draws_on_terminals_and_others_still_may() -> None:
    script = (
        "import sys, v2g.orchestrator.library_logs\n"
        "assert 'structlog' in sys.modules and 'rich' not in sys.modules\n"
        "assert not [f for f in sys.meta_path if type(f).__module__ == 'v2g.telemetry.structured']\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)

"""Our VEN beside a BL and a VEN that nobody here wrote (the PyPI package python-oa3-client), all at one VTN.

The VTN is the one of the tests: an independent one cannot be installed from a package registry. So what is compared is
what two VENs of different authors make of the events that a third party wrote.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support.kept_log import KeptLog
from support.vtn import running
from v2g.clock import ManualClock
from v2g.config.schema_openadr import OpenAdr
from v2g.utility.openadr_ven import VenLink
from v2g.utility.signal_book import SignalBook

pytestmark = pytest.mark.interop

PACKAGE = "python-oa3-client==0.5.0"
STRANGER = Path(__file__).parent / "openadr" / "stranger.py"
VEN = "transformer-12"


def stranger_python() -> Path:
    base = Path(os.environ.get("TMPDIR", tempfile.gettempdir())) / "v2g-interop-openadr"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    python, ready = base / "venv" / "bin" / "python", base / PACKAGE
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            for command in (
                [sys.executable, "-m", "venv", str(base / "venv")],
                [str(python), "-m", "pip", "install", "-q", PACKAGE],
            ):
                made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
                if made.returncode != 0:
                    pytest.skip(f"{PACKAGE} cannot be installed: {made.stderr.strip().splitlines()[-1:]}")
            ready.touch()
    return python


async def test_our_ven_and_a_strangers_read_the_same_out_of_a_strangers_events(tmp_path: Path) -> None:
    python = await asyncio.to_thread(stranger_python)
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("ven-secret")
    with running("3.1.1") as vtn:
        config = OpenAdr(url=vtn.url, client_id="ven", client_secret_file=str(secret), ven_name=VEN, poll_s=5.0)
        clock, book = ManualClock(unix_s=1_700_000_000.0), SignalBook(172_800.0)
        ran = await asyncio.to_thread(
            subprocess.run, [str(python), str(STRANGER), vtn.url, VEN], capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        theirs = json.loads(ran.stdout)
        link = VenLink(config, book, clock, KeptLog(), lambda: 0.5)
        link.start()
        try:
            async with asyncio.timeout(10.0):
                while link.status.last_answer_unix_s is None:
                    assert not link.status.error
                    await asyncio.sleep(0.02)
        finally:
            await link.close()
    assert link.status.ven_id == theirs["ven_id"], "each finds the record that the other made"
    assert link.status.notes == ()
    entries = book.standing(clock.unix_s())
    assert {entry.signal.id.split(":")[1] for entry in entries} == {event["id"] for event in theirs["events"]}
    ours = {entry.signal.source.split("'")[1]: entry for entry in entries}
    factor = {"IMPORT_CAPACITY_LIMIT": 1e3, "EXPORT_CAPACITY_LIMIT": -1e3, "DISPATCH_SETPOINT": 1e3}
    for event in theirs["events"]:
        entry = ours[event["name"]]
        assert entry.signal.value == event["value"] * factor[event["name"]]
        assert entry.signal.starts_unix_s == event["start"]
        assert entry.signal.ends_unix_s - entry.signal.starts_unix_s == event["length_s"]
        if event["priority"] is not None:
            assert entry.priority == event["priority"]
    view = book.view(clock.monotonic_s(), clock.unix_s())
    assert [(bound.lo_w, bound.hi_w) for bound in view.bounds] == [(float("-inf"), 20e3), (-8e3, float("inf"))]
    assert view.target_w == -5e3

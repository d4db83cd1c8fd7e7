"""EcoG's vehicle or station on a codec of choice, in a Python that has EcoG's stack: what it did and what it took.

``josev_peer.py SCRIPT CODEC REPORT [ARGUMENT ...]`` runs one of the peer's scripts, which ask for EcoG's own codec,
with that codec (``theirs``) or ours. The report is written at the end, or on SIGTERM.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

STARTING = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.system")
"""Audit events of whatever starts another program."""

started: list[str] = []
sys.addaudithook(lambda event, given: started.append(f"{event} {given[:1]}") if event in STARTING else None)

from iso15118.shared import exificient_exi_codec as peer_codec  # noqa: E402

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Measured:
    """A codec, what was encoded and decoded with it, and how long each call of the charge loop took."""

    def __init__(self, codec: Any) -> None:
        self.codec = codec
        self.calls: list[tuple[str, int, int]] = []
        """Call, its start and its end in ns."""
        self.first: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.elements: Counter[str] = Counter()
        """``encode SessionSetupReq`` and how often."""

    def encode(self, message: str, namespace: str) -> bytes:
        began = time.perf_counter_ns()
        data: bytes = self.codec.encode(message, namespace)
        self._note("encode", began, message)
        return data

    def decode(self, stream: bytes, namespace: str) -> str:
        began = time.perf_counter_ns()
        message: str = self.codec.decode(stream, namespace)
        self._note("decode", began, message)
        return message

    def get_version(self) -> str:
        return str(self.codec.get_version())

    def _note(self, call: str, began: int, message: str) -> None:
        ended = time.perf_counter_ns()
        element = message.split('"', 2)[1]
        self.elements[f"{call} {element}"] += 1
        if "_ChargeLoopRe" not in element:
            if self.calls and not self.last:
                self.last = self._used()
            return
        self.calls.append((call, began, ended))
        if not self.first:
            self.first = self._used()

    def _used(self) -> dict[str, float]:
        """CPU seconds of this process, and of the Java that the codec may have."""
        java = 0.0
        process = getattr(getattr(self.codec, "gateway", None), "java_process", None)
        if process is not None:
            words = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            java = (int(words[11]) + int(words[12])) * TICK_S
        return {"own_s": time.process_time(), "java_s": java}


def main() -> None:
    script, which, report, *arguments = sys.argv[1:]
    theirs = peer_codec.ExificientEXICodec
    made: list[Measured] = []

    def codec() -> Measured:
        if which == "theirs":
            made.append(Measured(theirs()))
        else:
            from pyiso15118.josev import Codec

            made.append(Measured(Codec()))
        return made[-1]

    def write(*_: Any) -> None:
        (measured,) = made
        told = {
            "version": measured.get_version(),
            "java": shutil.which("java"),
            "gateway": "py4j.java_gateway" in sys.modules,
            "started": started,
            "elements": measured.elements,
            "calls": measured.calls,
            "first": measured.first,
            "last": measured.last,
        }
        Path(report).write_text(json.dumps(told))

    def stop(*_: Any) -> None:
        write()
        os.killpg(0, signal.SIGKILL)

    peer_codec.ExificientEXICodec = codec
    signal.signal(signal.SIGTERM, stop)
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        write()


if __name__ == "__main__":
    main()

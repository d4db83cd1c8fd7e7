"""``audit.log`` as a file whose lines are chained: over rotation, restart, a full disk and a line that was cut off.

One process writes it. The head of the chain is kept in ``audit.head`` by a thread of its own, after the lines that it
stands for are on the disk, at most every :data:`HEAD_EVERY_S`: no command waits for it, and a loss of power leaves a
head that is older than the log, never one that is newer.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from v2g.clock import Clock
from v2g.host.files import replace_file
from v2g.telemetry.audit_chain import (
    BEGINNING,
    CONTINUED,
    NEW_KEY,
    NO_HEAD,
    NO_LOG,
    RESUMED,
    STARTED,
    ChainKey,
    Head,
    Link,
    sealed,
)
from v2g.telemetry.audit_key import AuditKeyError, find_or_make_key, read_head
from v2g.telemetry.audit_tail import Tail, read_tail
from v2g.telemetry.files import LogFile
from v2g.telemetry.lines import text_line

HEAD_EVERY_S = 2.0
_HEAD_MODE = 0o640
_JOIN_S = 5.0


@dataclass(frozen=True, slots=True)
class AuditState:
    """``end``: the last line of the log. ``kept``: that of ``audit.head``. ``problem``: why the head cannot be kept."""

    path: Path
    end: Link
    kept: Link | None
    key_id: str
    problem: str = ""


class AuditFile(LogFile):
    """Goes on with the chain that it finds. ``findings`` says what was not as it should be, for people.

    ``random_bytes(n)`` makes a key where there is none.
    """

    # Whoever else writes logs of ours has no business here: the guard runs as another user of the same group.
    _mode = 0o640

    def __init__(
        self,
        path: Path,
        alarm: Callable[[str], None],
        clock: Clock,
        key_file: Path,
        head_file: Path,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        super().__init__(path, alarm)
        self._clock = clock
        self._head_file = head_file
        self._lock, self._keeping = threading.Lock(), threading.Lock()
        self._whole: list[tuple[int, Link]] = []
        self._torn_bytes = 0
        self._newline = False
        self._fresh = False
        self._reopened = False
        self._started = self._resumed = ""
        self._earlier_bytes = 0
        self._kept: Link | None = None
        self._head_problem = ""
        self._left: list[int] = []
        self._dirty, self._ended = threading.Event(), threading.Event()
        self._keeper: threading.Thread | None = None
        had_key = os.path.lexists(key_file)
        found = find_or_make_key(key_file, random_bytes)
        self._key: ChainKey = found.key
        findings = [found.problem] if found.problem else []
        head, head_problem = self._read_head()
        tail = read_tail(path, None if found.problem or not had_key else self._key)
        self._end = tail.end or BEGINNING
        nothing_yet = head is not None and head.link == BEGINNING and head.is_sealed_with(self._key)
        if (head is None or nothing_yet) and not head_problem and tail.end is None and not found.problem:
            self._started = NO_LOG if had_key and not nothing_yet else "first start"
            if not had_key:
                # A key alone, after a crash before the first line, would look as if a log was removed.
                self._write_head(BEGINNING)
            elif not nothing_yet:
                findings.append(f"there is a key ({key_file}), and neither {path} nor its head: a new chain begins")
        elif found.problem or not had_key:
            self._started = NEW_KEY
            self._end = max((tail.end, head.link if head is not None else None), key=_seq) or BEGINNING
            if not found.problem:
                findings.append(f"{key_file} was gone: a new key is made, and the log before it needs the old one")
        else:
            findings += self._compare(head, head_problem, tail)
        self._torn_bytes = tail.torn_bytes
        self.findings = tuple(findings)

    @property
    def state(self) -> AuditState:
        with self._lock:
            return AuditState(self.path, self._end, self._kept, self._key.id, self._head_problem)

    def write(self, line: str, now_s: float) -> bool:
        with self._lock:
            written = super().write(line, now_s)
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="audit head", daemon=True)
            self._keeper.start()
        self._dirty.set()
        return written

    def reopen(self) -> None:
        with self._lock:
            super().reopen()

    def close(self) -> None:
        """Keep the head, and end."""
        self._ended.set()
        self._dirty.set()
        if self._keeper is not None:
            self._keeper.join(_JOIN_S)
        with self._lock:
            super().close()
        self.keep_head()

    def keep_head(self) -> None:
        """Put the lines on the disk, then the head. May take long; never raises."""
        with self._keeping:
            self._keep_now()

    def _keep_now(self) -> None:
        files: list[int] = []
        try:
            with self._lock:
                end, files, self._left = self._end, self._left, []
                if self._fd >= 0:
                    files.append(os.dup(self._fd))
            if files and end != self._kept:
                for fd in files:
                    os.fdatasync(fd)
                self._write_head(end)
        except OSError as error:
            self._head_unkept(error)
        finally:
            for fd in files:
                os.close(fd)

    def _write_head(self, end: Link) -> None:
        head = Head(seq=end.seq, chain=end.value, key=self._key.id, unix_s=self._clock.unix_s())
        try:
            replace_file(
                self._head_file, msgspec.json.encode(head.sealed_with(self._key)) + b"\n", _HEAD_MODE, on_disk=True
            )
        except OSError as error:
            self._head_unkept(error)
        else:
            self._kept, self._head_problem = end, ""

    def _head_unkept(self, error: OSError) -> None:
        self._head_problem = (
            f"{self._head_file} cannot be written ({error.strerror}): lines removed at the end of the audit log "
            "cannot be noticed"
        )

    def _keep(self) -> None:
        while not self._ended.is_set():
            self._dirty.wait()
            self._dirty.clear()
            self.keep_head()
            self._ended.wait(HEAD_EVERY_S)

    def _read_head(self) -> tuple[Head | None, str]:
        try:
            return read_head(self._head_file), ""
        except AuditKeyError as error:
            return None, str(error)

    def _compare(self, head: Head | None, head_problem: str, tail: Tail) -> list[str]:
        """Set where the chain goes on, with the key that it had; what is wrong, in words."""
        if head is not None and not head.is_sealed_with(self._key):
            head, head_problem = None, f"{self._head_file} was changed by somebody, or is of another key"
        if head is None:
            self._resumed = NO_HEAD
            gone = head_problem or f"{self._head_file} is gone"
            return [f"{gone}: lines removed at the end of the audit log before this start cannot be noticed"]
        if tail.end is not None and tail.end.seq > head.seq:
            return []
        self._end = head.link
        if tail.end == head.link:
            return []
        if tail.end is None:
            # Rotated away and compressed, or removed: the check of the whole log tells.
            self._resumed = "no line was found"
            return []
        if tail.end.seq == head.seq:
            self._resumed = "the last line was changed"
            return [f"the last line of {self.path} (seq {head.seq}) was changed since it was written"]
        self._resumed = "lines are gone"
        return [
            f"{self.path} was cut: it ends with seq {tail.end.seq}, and lines up to seq {head.seq} were written; see "
            "v2g-tool audit verify"
        ]

    def _shut(self) -> None:
        # Its last lines may not be on the disk yet, and no command waits for that.
        if self._fd >= 0:
            self._left.append(self._fd)
            self._fd = -1
        super()._shut()

    def _opened(self, size: int) -> None:
        super()._opened(size)
        self._newline, self._fresh = False, size == 0
        if size == 0:
            self._reopened = True
            return
        tail = read_tail(self.path, self._key, older=False)
        self._newline = tail.unended
        if self._started and self._end == BEGINNING:
            self._earlier_bytes = size
        if self._reopened and (tail.end != self._end or tail.unended):
            self._resumed = "another file was found"
        self._reopened = True

    def _framed(self, line: str) -> bytes:
        data = b"\n" if self._newline else b""
        end = self._end
        self._whole = []
        for each in (*self._chain_line(), line):
            text, end = sealed(each, end, self._key)
            data += text + b"\n"
            self._whole.append((len(data), end))
        return data

    def _chain_line(self) -> tuple[str, ...]:
        """What has to be told of the chain before the next line."""
        told: dict[str, object] = {}
        if self._earlier_bytes:
            told["earlier_bytes"] = self._earlier_bytes
        if self._torn_bytes:
            told["torn_bytes"] = self._torn_bytes
        if self._failing and self._lost:
            told["lost_lines"] = self._lost
        code = STARTED if self._started else CONTINUED if self._fresh else RESUMED
        if code == RESUMED and not (told or self._resumed):
            return ()
        if reason := self._started or self._resumed:
            told["reason"] = reason
        fields = {"key": self._key.id, "previous_seq": self._end.seq, "previous_chain": self._end.value, **told}
        return (text_line(self._clock.unix_s(), "info", code, "", fields),)

    def _note(self, data: bytes, written: int) -> None:
        super()._note(data, written)
        # A line that lacks nothing but its end is there.
        whole = [(end, link) for end, link in self._whole if end <= written + 1]
        if whole:
            self._end = whole[-1][1]
            self._fresh = False
            self._started = self._resumed = ""
            self._torn_bytes = self._earlier_bytes = 0
        left = data[whole[-1][0] if whole else 0 : written]
        self._torn_bytes += len(left.strip(b"\n"))
        if written:
            self._newline = not data[:written].endswith(b"\n")


def _seq(link: Link | None) -> int:
    return -1 if link is None else link.seq

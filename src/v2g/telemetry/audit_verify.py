"""Whether the lines of ``audit.log`` are those that were written: line by line, in bounded memory. Pure.

A line that does not fit is named by file, line, seq and what became of it. After it the check goes on with the value
that the line states, so that one change is one finding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec

from v2g.telemetry.audit_chain import (
    BEGINNING,
    NEW_KEY,
    NO_HEAD,
    STARTED,
    ChainEvent,
    ChainKey,
    Head,
    Link,
    SealedLine,
    chain_event,
    parse_line,
)

MOST_FINDINGS = 100
MOST_REMARKS = 20
_MOST_GAPS = 1000
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]{8,12}Z")
_WITHIN = re.compile(rb" seq=([0-9]{1,18}) chain=[0-9a-f]{32}")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """``kind``: altered, removed, inserted, reordered, truncated, torn, other_key or unreadable. ``seq`` None: it has
    none that could be read."""

    file: str
    line: int
    seq: int | None
    kind: str
    words: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """``lines``: those that were checked and fit. ``findings``: the first :data:`MOST_FINDINGS` of ``broken``.
    ``remarks``: what is no break, and should be known."""

    intact: bool
    lines: int
    broken: int
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]
    files: tuple[str, ...]
    first_seq: int | None
    first_time: str
    last_seq: int | None
    last_time: str
    last_chain: str


@dataclass(slots=True)
class _Open:
    """What is not decided before the next line. ``computed``: what the line's value should have been."""

    file: str
    number: int
    line: SealedLine | None
    before: Link
    computed: str
    size: int
    ended: bool = True


@dataclass(slots=True)
class _Gap:
    """Lines that were missing where ``at`` (of ``findings``) says so."""

    first: int
    last: int
    at: int


@dataclass(slots=True)
class Verifier:
    """``keys`` by id. Give every line of every file, oldest first, then ask for the :meth:`verdict`."""

    keys: dict[str, ChainKey]
    noted: tuple[Link, ...] = ()
    """Heads that somebody wrote down: the lines with their seq must have their value."""
    alone: bool = False
    """One rotated file is looked at, and not what comes before and after it."""
    head: Head | None = None
    head_wanted: bool = True
    """``head`` is the one that is kept beside the key; without it, being wanted, the end cannot be told: a break."""
    _key: ChainKey | None = None
    _end: Link | None = None
    _open: list[_Open] = field(default_factory=list)
    _gaps: list[_Gap] = field(default_factory=list)
    _findings: list[Finding] = field(default_factory=list)
    _broken: int = 0
    _remarks: list[str] = field(default_factory=list)
    _files: list[str] = field(default_factory=list)
    _lines: int = 0
    _first: tuple[int, str] | None = None
    _last_time: str = ""
    _plain_lines: int = 0
    _plain_bytes: int = 0
    _strange: set[str] = field(default_factory=set)
    _wanted: dict[int, str] = field(default_factory=dict)
    _begins_later: str = ""
    _true_head: Head | None = None

    def __post_init__(self) -> None:
        if self.head is not None and (key := self.keys.get(self.head.key)) and self.head.is_sealed_with(key):
            self._true_head = self.head
        self._key = next(iter(self.keys.values()), None)
        self._wanted = {link.seq: link.value for link in self.noted}

    def begin(self, file: str) -> None:
        """The lines of ``file`` follow."""
        self._files.append(file)
        self._plain_bytes = 0

    def feed(self, number: int, data: bytes, *, ended: bool = True) -> None:
        """Line ``number`` of the file, without its end. ``ended`` False: it had none, being the last."""
        line = parse_line(data)
        file = self._files[-1]
        if line is None:
            if self._end is None and not self._open:
                self._plain_lines += 1
                self._plain_bytes += len(data) + 1
            else:
                self._open.append(_Open(file, number, None, self._end or BEGINNING, "", len(data), ended))
                if len(self._open) > MOST_FINDINGS:
                    self._settle(self._open.pop(0), "inserted")
            return
        event = chain_event(line)
        if event is not None:
            self._feed_event(file, number, line, event)
        else:
            self._feed_line(file, number, line)

    def unreadable(self, file: str, number: int, words: str) -> None:
        """The file cannot be read from line ``number`` on."""
        self._find(file, number, None, "unreadable", words)

    def verdict(self) -> Verdict:
        """Of all that was fed."""
        if self._open and not self._open[-1].ended:
            torn = self._open.pop()
            self._remark(
                f"{torn.file}:{torn.number}: the last line was cut off ({torn.size} bytes): it was being written"
            )
        self._finish_open()
        end = self._end
        file = self._files[-1] if self._files else ""
        if self._plain_lines and end is None:
            self._find(file, 1, None, "inserted", f"{self._plain_lines} lines, and none of them belongs to a chain")
        if self._begins_later and len(self._files) == 1 and not self.alone:
            self._find(file, 1, None, "removed", "the file before it is gone: this one goes on with its chain")
        self._judge_head(file)
        for seq, value in self._wanted.items():
            if end is None or seq > end.seq:
                self._find(
                    file, 0, seq, "truncated", f"a head was noted at seq {seq} ({value}), and the log ends before"
                )
            elif self._first is not None and seq < self._first[0]:
                self._remark(f"the noted head of seq {seq} is older than what is kept")
        if self._begins_later:
            self._remark(self._begins_later)
        return Verdict(
            intact=self._broken == 0,
            lines=self._lines,
            broken=self._broken,
            findings=tuple(self._findings),
            remarks=tuple(self._remarks),
            files=tuple(self._files),
            first_seq=self._first[0] if self._first else None,
            first_time=self._first[1] if self._first else "",
            last_seq=end.seq if end else None,
            last_time=self._last_time,
            last_chain=end.value if end else "",
        )

    def _feed_line(self, file: str, number: int, line: SealedLine) -> None:
        if self._end is None:
            self._find(file, number, line.seq, "removed", "the beginning is gone: no line says what the chain follows")
            self._accept(line, checked=False)
            return
        if self._key is None:
            self._follow_blindly(file, number, line)
            return
        end = self._end
        expected = end.seq + 1
        if not self._open:
            if line.seq == expected and self._key.seal(end.value, line.body) == line.value:
                self._accept(line, checked=True)
                return
        elif self._resolve(line):
            return
        if line.seq == expected:
            self._finish_open()
            computed = self._key.seal(end.value, line.body)
            self._open.append(_Open(file, number, line, end, computed, 0))
            self._accept(line, checked=False)
        elif line.seq > expected:
            self._feed_later(file, number, line, expected, end)
        else:
            self._feed_earlier(file, number, line, expected, end)

    def _resolve(self, line: SealedLine) -> bool:
        """Whether the line fits what is there; if so, it is accepted, and what was open before it settled."""
        assert self._key is not None  # noqa: S101 (asked before)
        assert self._end is not None  # noqa: S101
        end = self._end
        altered = next((each for each in self._open if each.line is not None), None)
        if line.seq == end.seq + 1 and self._key.seal(end.value, line.body) == line.value:
            for each in self._open:
                self._settle(each, "inserted" if each.line is None else "text")
            self._open.clear()
            self._accept(line, checked=True)
            return True
        if altered is None or altered.line is None:
            return self._resolve_after_unread(line)
        if line.seq == end.seq + 1 and self._key.seal(altered.computed, line.body) == line.value:
            kind = "value"
        elif line.seq == altered.line.seq and self._key.seal(altered.before.value, line.body) == line.value:
            kind = "inserted"
        else:
            return False
        for each in self._open:
            self._settle(each, kind if each is altered else "inserted")
        self._open.clear()
        self._accept(line, checked=True)
        return True

    def _resolve_after_unread(self, line: SealedLine) -> bool:
        """A line that cannot be read stands in the place of one that is missing: it was altered at its end."""
        assert self._end is not None  # noqa: S101
        if len(self._open) == 1 and line.seq == self._end.seq + 2:
            self._settle(self._open.pop(), "end", self._end.seq + 1)
            self._accept(line, checked=False)
            return True
        return False

    def _feed_later(self, file: str, number: int, line: SealedLine, expected: int, end: Link) -> None:
        assert self._key is not None  # noqa: S101
        self._finish_open()
        within = _WITHIN.search(line.text)
        if self._seq_altered(file, number, line, expected, end):
            return
        if within is not None and int(within[1]) == expected:
            self._find(
                file, number, expected, "altered", f"the end of seq {expected} was altered: the next runs into it"
            )
        else:
            at = self._find(file, number, line.seq, "removed", _missing(expected, line.seq - 1))
            if at is not None and len(self._gaps) < _MOST_GAPS:
                self._gaps.append(_Gap(expected, line.seq - 1, at))
        self._accept(line, checked=False)

    def _seq_altered(self, file: str, number: int, line: SealedLine, expected: int, end: Link) -> bool:
        assert self._key is not None  # noqa: S101
        if self._key.seal(end.value, line.text + b" seq=" + str(expected).encode()) != line.value:
            return False
        self._find(file, number, expected, "altered", f"its seq was altered, to {line.seq}")
        self._accept(line, checked=False, link=Link(expected, line.value))
        return True

    def _feed_earlier(self, file: str, number: int, line: SealedLine, expected: int, end: Link) -> None:
        self._finish_open()
        if self._seq_altered(file, number, line, expected, end):
            return
        for gap in self._gaps:
            if gap.first <= line.seq <= gap.last:
                found = self._findings[gap.at]
                words = f"the order was changed: seq {line.seq} stands after seq {end.seq}"
                if gap.first < gap.last:
                    words += f", others of {gap.first} to {gap.last} are missing or moved"
                self._findings[gap.at] = msgspec.structs.replace(found, kind="reordered", words=words)
                return
        words = f"a line with seq {line.seq} stands where seq {expected} belongs"
        self._find(file, number, line.seq, "inserted", words)

    def _feed_event(self, file: str, number: int, line: SealedLine, event: ChainEvent) -> None:
        key = self.keys.get(event.key_id)
        if key is None and self._is_ours(line, event):
            self._feed_line(file, number, line)
            return
        if key is None:
            if event.key_id not in self._strange:
                self._strange.add(event.key_id)
                words = f"from here on the lines are sealed with another key ({event.key_id or 'not named'})"
                self._finish_open()
                self._find(file, number, line.seq, "other_key", words)
            self._key = None
            self._accept(line, checked=False)
            return
        if key.seal(event.previous.value, line.body) != line.value or line.seq != event.previous.seq + 1:
            if self._end is not None:
                self._feed_line(file, number, line)
            else:
                self._find(
                    file, number, line.seq, "altered", "the line that the file begins with was altered, or forged"
                )
                self._accept(line, checked=False)
            return
        self._judge_torn(event)
        self._judge_previous(file, number, line, event)
        if event.doubt:
            self._judge_doubt(file, number, line, event)
        self._key = key
        self._accept(line, checked=True)

    def _judge_doubt(self, file: str, number: int, line: SealedLine, event: ChainEvent) -> None:
        """The daemon could not tell itself."""
        if event.doubt == NEW_KEY:
            kind, what = "other_key", f"the key was gone or could not be used: a new one ({event.key_id}) from here on"
        elif event.doubt == NO_HEAD:
            kind, what = "truncated", "the head was gone or changed when the daemon started"
        else:
            kind, what = "removed", "there was a key, and neither log nor head, when the daemon started"
        self._find(file, number, line.seq, kind, f"{what}: whether lines before it were removed cannot be told")

    def _is_ours(self, line: SealedLine, event: ChainEvent) -> bool:
        """Whether only the name of the key was altered in it."""
        if self._key is None or self._end is None:
            return False
        text = line.body.replace(f" key={event.key_id} ".encode(), f" key={self._key.id} ".encode(), 1)
        return self._key.seal(self._end.value, text) == line.value

    def _judge_torn(self, event: ChainEvent) -> None:
        if not event.torn_bytes:
            return
        torn: list[_Open] = []
        while self._open and self._open[-1].line is None and sum(each.size for each in torn) < event.torn_bytes:
            torn.append(self._open.pop())
        if sum(each.size for each in torn) == event.torn_bytes:
            for each in torn:
                self._remark(
                    f"{each.file}:{each.number}: a line was cut off here ({each.size} bytes), and never entered"
                )
        else:
            self._open += reversed(torn)

    def _judge_previous(self, file: str, number: int, line: SealedLine, event: ChainEvent) -> None:
        previous, end = event.previous, self._end
        if end is None:
            self._judge_beginning(file, number, line, event)
            return
        altered = next((each for each in self._open if each.line is not None), None)
        if altered is not None and altered.line is not None and altered.before == previous:
            for each in self._open:
                self._settle(each, "inserted")
            self._open.clear()
            return
        if previous == end:
            for each in self._open:
                self._settle(each, "inserted" if each.line is None else "text")
            self._open.clear()
        elif previous.seq == end.seq:
            if altered is not None and altered.computed == previous.value:
                for each in self._open:
                    self._settle(each, "value" if each is altered else "inserted")
                self._open.clear()
            else:
                self._finish_open()
                self._find(
                    file, number, line.seq, "altered", f"seq {end.seq} before it is not the line that was written"
                )
        elif previous.seq > end.seq:
            if len(self._open) == 1 and self._open[0].line is None and previous.seq == end.seq + 1:
                self._settle(self._open.pop(), "end", previous.seq)
                return
            self._finish_open()
            self._find(file, number, line.seq, "removed", _missing(end.seq + 1, previous.seq))
        elif event.code == STARTED:
            self._finish_open()
            self._find(
                file, number, line.seq, "removed", f"a new chain begins here: what followed seq {end.seq} is gone"
            )
        else:
            self._finish_open()
            words = f"the chain goes on after seq {previous.seq} here: the lines before this one are not all genuine"
            self._find(file, number, line.seq, "inserted", words)

    def _judge_beginning(self, file: str, number: int, line: SealedLine, event: ChainEvent) -> None:
        previous = event.previous
        if previous.seq:
            self._begins_later = f"it begins with seq {line.seq}: older files are no longer kept"
        if not self._plain_lines:
            return
        whole = {event.earlier_bytes, event.earlier_bytes + bool(event.earlier_bytes)}
        if event.code == STARTED and self._plain_bytes in whole:
            self._remark(f"{self._plain_lines} lines are from before the chain and not covered by it")
        else:
            words = f"{self._plain_lines} lines before it do not belong to the chain"
            self._find(file, number, line.seq, "inserted", words)
        self._plain_lines = 0

    def _follow_blindly(self, file: str, number: int, line: SealedLine) -> None:
        """No key for these lines: their order alone can be looked at."""
        assert self._end is not None  # noqa: S101
        if line.seq != self._end.seq + 1:
            self._find(file, number, line.seq, "removed", f"seq {line.seq} stands where {self._end.seq + 1} belongs")
        self._accept(line, checked=False)

    def _judge_head(self, file: str) -> None:
        if self.head is None:
            if self.head_wanted:
                self._find(file, 0, None, "truncated", "the head is gone: whether lines at the end are cannot be told")
            else:
                self._remark("no head was given: lines removed at the end would not be noticed")
            return
        if self._true_head is None:
            self._find(file, 0, self.head.seq, "altered", "the head was changed, or is of another key")
        elif self._end is None or self.head.seq > self._end.seq:
            there = self._end.seq if self._end else 0
            self._find(file, 0, self.head.seq, "truncated", "at the end " + _missing(there + 1, self.head.seq))

    def _accept(self, line: SealedLine, *, checked: bool, link: Link | None = None) -> None:
        self._end = link or Link(line.seq, line.value)
        self._lines += checked
        time = _TIME.match(line.text)
        self._last_time = time[0].decode() if time is not None else self._last_time
        if self._first is None:
            self._first = self._end.seq, self._last_time
        head = self._true_head
        if head is not None and head.seq == self._end.seq and head.chain != self._end.value:
            words = f"the head of seq {head.seq} has another value: this is not the log that was written"
            self._find(self._files[-1], 0, head.seq, "altered", words)
        if self._wanted and (value := self._wanted.pop(self._end.seq, None)) not in (None, self._end.value):
            words = f"a head was noted here with another value ({value})"
            self._find(self._files[-1], 0, line.seq, "altered", words)

    def _finish_open(self) -> None:
        for each in self._open:
            self._settle(each, "inserted" if each.line is None else "last")
        self._open.clear()

    def _settle(self, found: _Open, how: str, seq: int | None = None) -> None:
        """``how``: what the next line told of it."""
        kind, words = {
            "text": ("altered", "its text was altered"),
            "value": ("altered", "its chain value was altered"),
            "end": ("altered", "its seq or chain was altered: it cannot be read"),
            "last": ("altered", "it was altered, or forged"),
            "inserted": ("inserted", "it was put in: it does not belong to the chain"),
        }[how]
        if not found.ended:
            kind, words = "torn", f"a line was cut off ({found.size} bytes), and nothing in the log says why"
        self._find(found.file, found.number, found.line.seq if found.line is not None else seq, kind, words)

    def _find(self, file: str, line: int, seq: int | None, kind: str, words: str) -> int | None:
        """The finding's place among those that are kept."""
        self._broken += 1
        if len(self._findings) >= MOST_FINDINGS:
            return None
        self._findings.append(Finding(file=file, line=line, seq=seq, kind=kind, words=words))
        return len(self._findings) - 1

    def _remark(self, words: str) -> None:
        if len(self._remarks) < MOST_REMARKS:
            self._remarks.append(words)


def _missing(first: int, last: int) -> str:
    return f"seq {first} is missing" if first == last else f"seq {first} to {last} are missing"

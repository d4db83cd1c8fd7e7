"""What becomes of a log that somebody changed who has no key: found, named, and said in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from v2g.clock import ManualClock
from v2g.telemetry.audit_chain import BEGINNING, ChainKey, Head, Link, sealed
from v2g.telemetry.audit_file import AuditFile
from v2g.telemetry.audit_verify import MOST_FINDINGS, Verdict, Verifier

SECRET = bytes(range(32))
KEY = ChainKey(SECRET)
OTHER = ChainKey(bytes(32))
COUNT = 12


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], Head]:
    """A log as the daemon writes it, and its head: line 1 begins the chain, the others are calls."""
    return write(tmp_path_factory.mktemp("log"), COUNT - 1)


def write(folder: Path, calls: int, secret: bytes = SECRET, user: str = "alice") -> tuple[list[bytes], Head]:
    clock = ManualClock(unix_s=1767323045.678)
    file = AuditFile(folder / "audit.log", print, clock, folder / "key", folder / "head", lambda count: secret)
    for number in range(calls):
        clock.advance(1.0)
        file.write(f"2026-01-02T03:04:05.{number:03d}Z INFO: CALL uid=1000 user={user} method=dispatch", 1.0)
    file.close()
    lines = (folder / "audit.log").read_bytes().splitlines()
    assert len(lines) == calls + 1
    end = file.state.end
    return lines, Head(seq=end.seq, chain=end.value, key=file.state.key_id, unix_s=1.0).sealed_with(ChainKey(secret))


def judge(*files: list[bytes], head: Head | None, keys: tuple[ChainKey, ...] = (KEY,)) -> Verdict:
    verifier = Verifier({key.id: key for key in keys}, head=head)
    for number, lines in enumerate(files):
        verifier.begin(f"audit.log{f'.{len(files) - 1 - number}' if number < len(files) - 1 else ''}")
        for at, line in enumerate(lines, 1):
            verifier.feed(at, line)
    return verifier.verdict()


def test_what_nobody_touched_is_intact(written: tuple[list[bytes], Head]) -> None:
    lines, head = written
    found = judge(lines, head=head)
    assert found.intact
    assert (found.lines, found.broken, found.findings, found.remarks) == (COUNT, 0, (), ())
    assert (found.first_seq, found.last_seq, found.last_chain) == (1, COUNT, head.chain)
    assert (found.first_time, found.last_time) == ("2026-01-02T03:04:06.678Z", "2026-01-02T03:04:05.010Z")


Tampering = Callable[[list[bytes]], None]


def put(at: int, *lines: bytes) -> Tampering:
    def tamper(log: list[bytes]) -> None:
        log[at:at] = lines

    return tamper


def cut(first: int, last: int) -> Tampering:
    def tamper(log: list[bytes]) -> None:
        del log[first:last]

    return tamper


def change(at: int, old: bytes, new: bytes) -> Tampering:
    def tamper(log: list[bytes]) -> None:
        assert old in log[at]
        log[at] = log[at].replace(old, new)

    return tamper


def value(at: int) -> Tampering:
    def tamper(log: list[bytes]) -> None:
        last = log[at][-1:]
        log[at] = log[at][:-1] + (b"0" if last != b"0" else b"1")

    return tamper


def swap(one: int, other: int) -> Tampering:
    def tamper(log: list[bytes]) -> None:
        log[one], log[other] = log[other], log[one]

    return tamper


def copy(at: int, to: int) -> Tampering:
    def tamper(log: list[bytes]) -> None:
        log.insert(to, log[at])

    return tamper


def forge(at: int, key: ChainKey, *, replace: bool) -> Tampering:
    """A line that is written as the daemon writes it, with a key that somebody made up."""

    def tamper(log: list[bytes]) -> None:
        before = Link(at, log[at - 1][-32:].decode())
        line, _ = sealed("2026-01-02T03:04:05.000Z INFO: CALL uid=0 user=root method=cancel", before, key)
        log[at : at + replace] = [line]

    return tamper


def run_together(at: int) -> Tampering:
    def tamper(log: list[bytes]) -> None:
        log[at : at + 2] = [log[at] + b"x" + log[at + 1]]

    return tamper


@pytest.mark.parametrize(
    ("tamper", "line", "seq", "kind", "words"),
    [
        pytest.param(change(4, b"alice", b"alicf"), 5, 5, "altered", "its text was altered", id="a byte of the text"),
        pytest.param(change(4, b"2026", b"2025"), 5, 5, "altered", "its text was altered", id="a byte of the time"),
        pytest.param(change(4, b" seq=5 ", b" seq=7 "), 5, 5, "altered", "its seq was altered, to 7", id="seq later"),
        pytest.param(change(4, b" seq=5 ", b" seq=3 "), 5, 5, "altered", "its seq was altered, to 3", id="seq earlier"),
        pytest.param(
            change(4, b" seq=5 ", b" seq=x "), 5, 5, "altered", "its seq or chain was altered: it cannot be read",
            id="seq no number",
        ),
        pytest.param(value(4), 5, 5, "altered", "its chain value was altered", id="a digit of the chain value"),
        pytest.param(
            change(4, b" chain=", b" chaim="), 5, 5, "altered", "its seq or chain was altered: it cannot be read",
            id="the word chain",
        ),
        pytest.param(
            run_together(4), 5, 5, "altered", "the end of seq 5 was altered: the next runs into it", id="a line end",
        ),
        pytest.param(cut(4, 5), 5, 6, "removed", "seq 5 is missing", id="one removed"),
        pytest.param(cut(4, 8), 5, 9, "removed", "seq 5 to 8 are missing", id="four removed"),
        pytest.param(cut(0, 3), 1, 4, "removed", "the beginning is gone: no line says what the chain follows",
                     id="beginning removed"),
        pytest.param(put(4, b"2026-01-02T03:04:05.000Z INFO: CALL uid=0 user=root"), 5, None, "inserted",
                     "it was put in: it does not belong to the chain", id="a line without a seal put in"),
        pytest.param(forge(4, OTHER, replace=False), 5, 5, "inserted",
                     "it was put in: it does not belong to the chain", id="a forged line put in"),
        pytest.param(forge(4, OTHER, replace=True), 5, 5, "altered", "it was altered, or forged",
                     id="a forged line in place of one"),
        pytest.param(copy(3, 6), 7, 4, "inserted", "a line with seq 4 stands where seq 7 belongs", id="a copy put in"),
        pytest.param(swap(4, 5), 5, 6, "reordered", "the order was changed: seq 5 stands after seq 6",
                     id="two swapped"),
        pytest.param(cut(9, 12), 0, 12, "truncated", "at the end seq 10 to 12 are missing", id="tail cut"),
        pytest.param(cut(11, 12), 0, 12, "truncated", "at the end seq 12 is missing", id="last line cut"),
        pytest.param(change(11, b"alice", b"alicf"), 12, 12, "altered", "it was altered, or forged", id="last line"),
        pytest.param(change(0, b"first", b"forst"), 1, 1, "altered",
                     "the line that the file begins with was altered, or forged", id="first line"),
    ],
)  # fmt: skip
def test_each_tampering_is_found_and_named(
    written: tuple[list[bytes], Head], tamper: Tampering, line: int, seq: int | None, kind: str, words: str
) -> None:
    lines, head = list(written[0]), written[1]
    tamper(lines)
    found = judge(lines, head=head)
    assert not found.intact
    first = found.findings[0]
    assert (first.file, first.line, first.seq, first.kind, first.words) == ("audit.log", line, seq, kind, words)


@pytest.mark.parametrize(
    "tamper",
    [
        change(4, b"alice", b"alicf"), value(4), cut(4, 5), swap(4, 5), copy(3, 6), change(4, b" seq=5 ", b" seq=7 "),
        put(4, b"forged"), change(4, b" chain=", b" chaim="), forge(4, OTHER, replace=False), cut(9, 12),
    ],
)  # fmt: skip
def test_one_tampering_is_one_finding(written: tuple[list[bytes], Head], tamper: Tampering) -> None:
    lines = list(written[0])
    tamper(lines)
    assert judge(lines, head=written[1]).broken == 1


@settings(max_examples=400, deadline=None)
@given(at=st.integers(min_value=0), byte=st.integers(0, 255))
@example(at=0, byte=0)
def test_no_single_byte_can_be_changed(written: tuple[list[bytes], Head], at: int, byte: int) -> None:
    log = bytearray(b"\n".join(written[0]) + b"\n")
    at %= len(log)
    if log[at] == byte:
        byte ^= 1
    log[at] = byte
    *lines, left = bytes(log).split(b"\n")
    verifier = Verifier({KEY.id: KEY}, head=written[1])
    verifier.begin("audit.log")
    for number, line in enumerate(lines, 1):
        verifier.feed(number, line)
    if left:
        verifier.feed(len(lines) + 1, left, ended=False)
    assert not verifier.verdict().intact


@settings(max_examples=200, deadline=None)
@given(
    kept=st.lists(st.integers(0, COUNT - 1), max_size=COUNT + 3).filter(lambda kept: kept != list(range(COUNT))),
)
def test_lines_in_any_other_choice_or_order_are_not_the_log(written: tuple[list[bytes], Head], kept: list[int]) -> None:
    assert not judge([written[0][at] for at in kept], head=written[1]).intact


def test_a_log_of_another_time_in_place_of_it_is_found(written: tuple[list[bytes], Head], tmp_path: Path) -> None:
    other, _ = write(tmp_path, COUNT - 1, user="mallory")
    found = judge(other, head=written[1])
    assert [finding.kind for finding in found.findings] == ["altered"]
    assert found.findings[0].words == f"the head of seq {COUNT} has another value: this is not the log that was written"


def test_a_log_with_a_key_of_his_own_is_told_as_that(written: tuple[list[bytes], Head], tmp_path: Path) -> None:
    forged, head = write(tmp_path, COUNT + 5, bytes(32))
    found = judge(forged, head=head)
    assert [finding.kind for finding in found.findings] == ["other_key", "altered"]
    assert OTHER.id in found.findings[0].words
    assert found.lines == 0


def test_the_key_field_of_a_chain_line_is_covered_too(written: tuple[list[bytes], Head]) -> None:
    lines = list(written[0])
    lines[0] = lines[0].replace(f"key={KEY.id}".encode(), b"key=00000000")
    assert not judge(lines, head=written[1]).intact


def test_a_log_may_be_longer_than_its_head_and_never_shorter(written: tuple[list[bytes], Head]) -> None:
    lines, head = written
    earlier = Head(seq=9, chain=lines[8][-32:].decode(), key=KEY.id, unix_s=1.0).sealed_with(KEY)
    assert judge(lines, head=earlier).intact
    assert judge(lines[:9], head=earlier).intact
    assert not judge(lines[:8], head=earlier).intact
    assert not judge(lines[:11], head=head).intact


@pytest.mark.parametrize("change", [{"seq": 3}, {"chain": "0" * 32}, {"unix_s": 2.0}, {"seal": ""}, {"key": OTHER.id}])
def test_a_head_that_was_changed_is_found(written: tuple[list[bytes], Head], change: dict[str, object]) -> None:
    import msgspec

    found = judge(written[0], head=msgspec.structs.replace(written[1], **change))
    assert [finding.words for finding in found.findings] == ["the head was changed, or is of another key"]


def test_a_head_that_is_gone_is_a_break_unless_none_is_wanted(written: tuple[list[bytes], Head]) -> None:
    assert [finding.kind for finding in judge(written[0], head=None).findings] == ["truncated"]
    verifier = Verifier({KEY.id: KEY}, head_wanted=False)
    verifier.begin("audit.log")
    for number, line in enumerate(written[0], 1):
        verifier.feed(number, line)
    found = verifier.verdict()
    assert found.intact
    assert "no head was given" in found.remarks[0]


def test_a_head_that_somebody_wrote_down_finds_what_was_rewritten_with_the_key(
    written: tuple[list[bytes], Head], tmp_path: Path
) -> None:
    noted = Link(7, written[0][6][-32:].decode())
    rewritten, head = write(tmp_path, COUNT - 1, user="mallory")
    for lines, given_head, intact in ((written[0], written[1], True), (rewritten, head, False)):
        heads = (noted,) if intact else (noted, Link(99, "0" * 32))
        verifier = Verifier({KEY.id: KEY}, heads, head=given_head)
        verifier.begin("audit.log")
        for number, line in enumerate(lines, 1):
            verifier.feed(number, line)
        found = verifier.verdict()
        assert found.intact is intact
    assert [(finding.seq, finding.kind) for finding in found.findings] == [(7, "altered"), (99, "truncated")]


def test_findings_are_counted_and_their_number_is_bounded(written: tuple[list[bytes], Head]) -> None:
    verifier = Verifier({KEY.id: KEY})
    verifier.begin("audit.log")
    verifier.feed(1, written[0][0])
    for number in range(2, 5002):
        verifier.feed(number, b"garbage")
    found = verifier.verdict()
    assert found.broken == 5001
    assert len(found.findings) == MOST_FINDINGS


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=200), st.integers(0, COUNT - 1)), max_size=20))
def test_nothing_that_is_in_a_file_makes_the_check_fail(
    written: tuple[list[bytes], Head], parts: list[bytes | int]
) -> None:
    lines = [written[0][part] if isinstance(part, int) else part.replace(b"\n", b"") for part in parts]
    judge(lines, head=written[1])


def test_the_seal_is_hmac_sha_256() -> None:
    import hashlib
    import hmac

    line, link = sealed("time INFO: CALL ä", BEGINNING, KEY)
    body = "time INFO: CALL ä seq=1".encode()
    wanted = hmac.new(SECRET, b"line " + b"0" * 32 + b" " + body, hashlib.sha256).hexdigest()[:32]
    assert line == body + b" chain=" + wanted.encode()
    assert link == Link(1, wanted)

"""What is kept of sessions' messages."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pyiso15118.aio import Address
from v2g.orchestrator.trace_book import MAX_DISCOVERIES, PIECE_COST_BYTES, SessionTrace, TraceBook

STATION = Address("fe80::1", 50000, 3)
KEEP = 16 * 1024


def vehicle(number: int = 1) -> Address:
    return Address(f"fe80::a:{number:x}", 40000 + number % 1000, 3)


def opened(book: TraceBook, evse: str = "E1", number: int = 1) -> SessionTrace:
    return book.opened(evse, vehicle(number), STATION, secured=True)


def talk(trace: SessionTrace, count: int, size: int = 100, begin_s: float = 0.0) -> None:
    for number in range(count):
        trace.bytes_seen(bytes([number % 256]) * size, begin_s + number, sent=number % 2 == 1)


def test_a_short_session_is_kept_whole() -> None:
    trace = opened(TraceBook(8, KEEP))
    talk(trace, 20)
    assert [piece.number for piece in trace.pieces] == list(range(20))
    assert [piece.offset for piece in trace.pieces if piece.sent] == [100 * number for number in range(10)]
    assert trace.complete


def test_of_a_long_one_the_first_and_the_last_messages_are_kept_within_the_bound() -> None:
    trace = opened(TraceBook(8, KEEP))
    talk(trace, 10_000)
    numbers = [piece.number for piece in trace.pieces]
    gaps = [number for number, after in pairwise(numbers) if after != number + 1]
    assert (numbers[0], numbers[-1], len(gaps)) == (0, 9_999, 1)
    assert sum(piece.cost for piece in trace.pieces) <= KEEP
    assert sum(piece.cost for piece in trace.pieces) > KEEP - 3 * (100 + PIECE_COST_BYTES)
    assert not trace.complete


@given(st.lists(st.tuples(st.integers(1, 20_000), st.booleans()), max_size=200))
def test_memory_is_bounded_whatever_comes(pieces: list[tuple[int, bool]]) -> None:
    trace = opened(TraceBook(8, KEEP))
    for number, (size, sent) in enumerate(pieces):
        trace.bytes_seen(bytes(size), float(number), sent=sent)
    assert sum(piece.cost for piece in trace.pieces) <= KEEP
    numbers = [piece.number for piece in trace.pieces]
    assert numbers == sorted(set(numbers))


def test_the_newest_sessions_that_are_over_are_kept_with_those_that_run() -> None:
    book = TraceBook(2, KEEP)
    running = opened(book, "E9")
    talk(running, 2)
    for number in range(5):
        trace = opened(book, number=number)
        talk(trace, 2)
        trace.ended(bytes([number + 1]) * 8)
    silent = opened(book, number=7)
    silent.ended(bytes(8))
    assert [trace.session_id for trace in book.traces] == ["", "04" * 8, "05" * 8]
    assert book.traces[0] is running


def test_a_recording_keeps_everything_of_its_evse_for_its_time() -> None:
    book = TraceBook(2, KEEP)
    ours, other = opened(book, "E1"), opened(book, "E2", 2)
    talk(ours, 200)
    book.record("E1", until_s=1500.0)
    talk(ours, 1000, begin_s=1000.0)
    talk(other, 1000, begin_s=1000.0)
    kept = {piece.number for piece in ours.pieces}
    assert set(range(200, 200 + 500)) <= kept
    assert len(other.pieces) < 100
    book.stop()
    talk(ours, 100, begin_s=1100.0)
    assert set(range(200, 700)) <= {piece.number for piece in ours.pieces}
    book.record("", until_s=9e9)
    assert len(ours.pieces) < 100


def test_a_recording_ends_when_its_room_is_used_up() -> None:
    book = TraceBook(2, KEEP)
    trace = opened(book)
    recording = book.record("", until_s=9e9)
    for number in range(200):
        trace.bytes_seen(bytes(60_000), float(number), sent=False)
    assert recording.full
    assert sum(piece.cost for piece in trace.pieces) < (8 << 20) + KEEP


def test_discovery_goes_with_the_connection_that_follows_it() -> None:
    book = TraceBook(2, KEEP)
    book.discovered("E1", vehicle(1), b"asks", b"answer", 1.0)
    trace = opened(book, "E1", 1)
    assert trace.discovery is not None
    assert trace.discovery.response == b"answer"
    assert opened(book, "E2", 1).discovery is None


def test_who_asks_from_ever_new_addresses_fills_no_memory() -> None:
    book = TraceBook(2, KEEP)
    for number in range(1000):
        book.discovered("E1", vehicle(number), b"", b"", 0.0)
    assert len(book._discoveries) == MAX_DISCOVERIES

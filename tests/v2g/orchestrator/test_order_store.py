from __future__ import annotations

from pathlib import Path

import pytest

from v2g.clock import ManualClock
from v2g.dispatch.book import OrderBook
from v2g.dispatch.orders import Mode
from v2g.orchestrator.order_store import RETRY_S, OrderStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.json"


def book_with_two_orders(now_s: float) -> OrderBook:
    book = OrderBook()
    book.add(mode=Mode.DISCHARGE, power_w=10_000, evse_id=None, duration_s=900, by="alice", now_s=now_s)
    book.add(mode=Mode.CHARGE, power_w=3_000, evse_id="US*V2G*E1", duration_s=60, by="bob", now_s=now_s)
    return book


def test_orders_stand_after_a_restart_for_the_rest_of_their_time_even_in_another_boot(path: Path) -> None:
    before = ManualClock(monotonic_s=5000.0, unix_s=1_700_000_000.0)
    book = book_with_two_orders(before.monotonic_s())
    OrderStore(path, before).save(book.standing(before.monotonic_s()), book.next_id)
    after = ManualClock(monotonic_s=12.0, unix_s=1_700_000_100.0)

    restored = OrderStore(path, after).load()

    assert [(o.id, o.mode, o.power_w, o.evse_id, o.by) for o in restored.orders] == [
        (1, Mode.DISCHARGE, 10_000, None, "alice")
    ]
    assert restored.orders[0].expires_at_s == pytest.approx(12.0 + 800.0)
    assert (restored.next_id, restored.problem) == (3, "")


def test_a_clock_that_went_back_drops_orders_and_says_so(path: Path) -> None:
    before = ManualClock(unix_s=1_700_000_000.0)
    book = book_with_two_orders(before.monotonic_s())
    OrderStore(path, before).save(book.standing(before.monotonic_s()), book.next_id)
    restored = OrderStore(path, ManualClock(unix_s=1_699_990_000.0)).load()
    assert restored.orders == ()
    assert "[1, 2]" in restored.problem


@pytest.mark.parametrize("text", ["", "{", "[]", '{"next_id": 1}', '{"next_id":1,"orders":[{"id":1}]}', "\x00" * 50])
def test_an_unreadable_file_gives_no_order_and_names_itself(path: Path, text: str) -> None:
    path.write_text(text)
    restored = OrderStore(path, ManualClock()).load()
    assert restored.orders == ()
    assert str(path) in restored.problem


def test_no_file_is_no_problem(path: Path) -> None:
    assert OrderStore(path, ManualClock()).load().problem == ""


def test_a_restored_book_goes_on_counting_and_replaces_by_target(path: Path) -> None:
    clock = ManualClock()
    book = book_with_two_orders(clock.monotonic_s())
    store = OrderStore(path, clock)
    store.save(book.standing(clock.monotonic_s()), book.next_id)
    restored = store.load()
    again = OrderBook()
    again.restore(restored.orders, restored.next_id, clock.monotonic_s())
    assert again.standing(clock.monotonic_s()) == book.standing(clock.monotonic_s())
    added = again.add(mode=Mode.IDLE, power_w=0, evse_id=None, duration_s=60, by="carol", now_s=clock.monotonic_s())
    assert added.order.id == 3
    assert [order.by for order in added.replaced] == ["alice"]


def test_saving_what_is_kept_already_touches_no_file(path: Path) -> None:
    clock = ManualClock()
    book = book_with_two_orders(clock.monotonic_s())
    store = OrderStore(path, clock)
    store.save(book.standing(clock.monotonic_s()), book.next_id)
    path.unlink()
    store.save(book.standing(clock.monotonic_s()), book.next_id)
    assert not path.exists()
    book.cancel(1)
    store.save(book.standing(clock.monotonic_s()), book.next_id)
    assert path.exists()


def test_a_clock_that_is_put_right_moves_the_kept_times_with_it(path: Path) -> None:
    clock = ManualClock(monotonic_s=20.0, unix_s=1_700_000_000.0)
    book = book_with_two_orders(clock.monotonic_s())
    store = OrderStore(path, clock)
    store.save(book.standing(clock.monotonic_s()), book.next_id)
    clock._unix_s += 7200.0
    store.save(book.standing(clock.monotonic_s()), book.next_id)
    restored = OrderStore(path, ManualClock(monotonic_s=5.0, unix_s=1_700_007_210.0)).load()
    assert [order.expires_at_s for order in restored.orders] == [pytest.approx(5.0 + 890.0), pytest.approx(5.0 + 50.0)]


def test_orders_that_cannot_be_written_are_a_problem_until_they_are_and_are_tried_again_now_and_then(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    now_s = clock.monotonic_s
    book = book_with_two_orders(now_s())
    directory = tmp_path / "state"
    store = OrderStore(directory / "orders.json", clock)
    store.save(book.all(now_s()), book.next_id)
    assert "orders cannot be kept" in store.problem
    assert str(directory) in store.problem
    directory.mkdir()
    clock.advance(0.1)
    store.save(book.all(now_s()), book.next_id)
    assert not list(directory.iterdir()), "a full disk is not tried again in every cycle"
    clock.advance(RETRY_S)
    store.save(book.all(now_s()), book.next_id)
    assert store.problem == ""
    assert len(store.load().orders) == 2

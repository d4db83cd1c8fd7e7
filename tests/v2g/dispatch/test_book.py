from __future__ import annotations

import pytest

from v2g.dispatch.book import Added, OrderBook, OrderError
from v2g.dispatch.orders import Mode


def add(
    book: OrderBook,
    *,
    mode: Mode = Mode.DISCHARGE,
    power_w: float = 10e3,
    evse_id: str | None = None,
    duration_s: float = 900.0,
    now_s: float = 100.0,
    begins_in_s: float = 0.0,
) -> Added:
    return book.add(
        mode=mode,
        power_w=power_w,
        evse_id=evse_id,
        duration_s=duration_s,
        by="ann",
        now_s=now_s,
        begins_in_s=begins_in_s,
    )


def test_an_order_stands_until_its_time_is_over() -> None:
    book = OrderBook()
    order = add(book, duration_s=900.0, now_s=100.0).order
    assert order.signed_w == -10e3
    assert book.standing(999.9) == (order,)
    assert book.standing(1000.0) == ()
    assert book.expire(999.9) == ()
    assert book.expire(1000.0) == (order,)
    assert len(book) == 0


def test_a_newer_order_of_the_site_replaces_the_older_for_good() -> None:
    book = OrderBook()
    first = add(book, duration_s=3600.0).order
    second = add(book, mode=Mode.CHARGE, duration_s=60.0, now_s=110.0)
    assert second.replaced == (first,)
    assert book.standing(111.0) == (second.order,)
    assert book.standing(500.0) == ()


def test_orders_of_the_site_and_of_each_evse_stand_beside_each_other() -> None:
    book = OrderBook()
    orders = (add(book).order, add(book, evse_id="A").order, add(book, evse_id="B").order)
    assert book.standing(100.0) == orders
    assert add(book, evse_id="A").replaced == (orders[1],)
    assert [order.id for order in book.standing(100.0)] == [1, 3, 4]


def test_ids_are_never_used_twice() -> None:
    book = OrderBook(first_id=7)
    assert add(book).order.id == 7
    book.cancel(None)
    assert add(book).order.id == 8


def test_cancelling_one_or_all() -> None:
    book = OrderBook()
    one, two, three = add(book).order, add(book, evse_id="A").order, add(book, evse_id="B").order
    assert book.cancel(99) == ()
    assert book.cancel(two.id) == (two,)
    assert book.cancel(two.id) == ()
    assert book.cancel(None) == (one, three)
    assert len(book) == 0


def test_idle_is_an_order_of_no_power() -> None:
    assert add(OrderBook(), mode=Mode.IDLE, power_w=5e3).order.signed_w == 0.0


def test_a_full_book_refuses_new_targets_and_still_replaces() -> None:
    book = OrderBook(capacity=2)
    add(book, evse_id="A")
    add(book, evse_id="B", duration_s=10.0)
    with pytest.raises(OrderError, match="2 orders stand already"):
        add(book, evse_id="C")
    add(book, evse_id="A")
    assert add(book, evse_id="C", now_s=110.0).order.evse_id == "C"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"power_w": 0.0}, "mode idle means 0 W"),
        ({"power_w": -10e3}, "give a magnitude"),
        ({"power_w": float("nan")}, "give a magnitude"),
        ({"power_w": float("inf")}, "give a magnitude"),
        ({"power_w": 1e12}, "up to 100 MW"),
        ({"duration_s": 0.0}, "more than 0"),
        ({"duration_s": float("nan")}, "more than 0"),
        ({"duration_s": 1e9}, "at most 24 h"),
        ({"now_s": float("nan")}, "not a time"),
    ],
)
def test_an_order_that_cannot_be_meant_is_refused_and_leaves_the_book_as_it_was(
    change: dict[str, float], text: str
) -> None:
    book = OrderBook()
    standing = add(book).order
    with pytest.raises(OrderError, match=text):
        add(book, **change)  # type: ignore[arg-type]
    assert book.standing(100.0) == (standing,)


def test_a_long_name_is_cut() -> None:
    by = OrderBook().add(mode=Mode.IDLE, power_w=0.0, evse_id=None, duration_s=1.0, by="x" * 5000, now_s=0.0).order.by
    assert len(by) == 200


class TestScheduled:
    def test_an_order_begins_at_its_time_and_ends_after_its_duration(self) -> None:
        book = OrderBook()
        order = add(book, begins_in_s=3600.0, duration_s=900.0).order
        assert book.standing(3699.9) == ()
        assert book.all(3699.9) == (order,)
        assert book.standing(3700.0) == (order,)
        assert book.standing(4600.0) == ()

    def test_it_stands_beside_one_that_holds_now_and_takes_its_place_for_good(self) -> None:
        book = OrderBook()
        now = add(book, duration_s=7200.0).order
        later = add(book, mode=Mode.CHARGE, begins_in_s=3600.0, duration_s=900.0).order
        assert book.standing(200.0) == (now,)
        assert book.expire(3700.0) == (now,)
        assert book.standing(3700.0) == (later,)
        assert book.standing(4600.0) == ()

    def test_it_replaces_what_is_scheduled_for_a_part_of_its_time(self) -> None:
        book = OrderBook()
        first = add(book, begins_in_s=3600.0, duration_s=900.0).order
        other = add(book, begins_in_s=3600.0, duration_s=900.0, evse_id="A").order
        after = add(book, begins_in_s=4500.0, duration_s=900.0).order
        assert add(book, begins_in_s=4000.0, duration_s=400.0).replaced == (first,)
        assert {other.id, after.id} <= {order.id for order in book.all(100.0)}

    @pytest.mark.parametrize("begins_in_s", [-1.0, 8 * 86_400.0, float("nan")])
    def test_a_begin_in_the_past_or_too_far_ahead_is_refused(self, begins_in_s: float) -> None:
        with pytest.raises(OrderError, match="from now on"):
            add(OrderBook(), begins_in_s=begins_in_s)

    def test_it_survives_being_restored(self) -> None:
        book = OrderBook()
        orders = (add(book, duration_s=7200.0).order, add(book, begins_in_s=3600.0).order)
        again = OrderBook()
        again.restore(orders, 3, 100.0)
        assert again.all(100.0) == orders

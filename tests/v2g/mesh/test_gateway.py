"""Of a region's gateways one speaks at a time: the first that is alive."""

from __future__ import annotations

import pytest

from v2g.mesh.gateway import TAKE_OVER_S, Gatekeeper, Role

ORDER = ("g1", "g2", "g3")
ALL = frozenset(ORDER)


def roles(keeper: Gatekeeper, alive: dict[float, set[str]], until_s: float) -> dict[float, Role]:
    """Roles when they change, by tenths of a second. ``alive``: from when on who."""
    found: dict[float, Role] = {}
    now: frozenset[str] = frozenset()
    for tenth in range(round(until_s * 10)):
        now = frozenset(alive.get(tenth / 10, now))
        role = keeper.step(tenth / 10, now)
        if not found or list(found.values())[-1] is not role:
            found[tenth / 10] = role
    return found


def test_the_first_speaks_at_once_whoever_else_is_alive() -> None:
    assert Gatekeeper("g1", ORDER).step(0.0, ALL) is Role.LIVE
    assert Gatekeeper("g1", ORDER).step(0.0, frozenset()) is Role.LIVE


def test_who_is_no_gateway_never_speaks() -> None:
    keeper = Gatekeeper("tr-9", ORDER)
    assert roles(keeper, {}, 10.0) == {0.0: Role.NONE}


def test_a_standby_waits_for_as_long_as_it_sees_the_one_before_it() -> None:
    assert roles(Gatekeeper("g2", ORDER), {0.0: {"g1", "g2"}}, 60.0) == {0.0: Role.STANDBY}


def test_a_standby_takes_over_when_the_one_before_it_has_been_gone_for_two_leases() -> None:
    found = roles(Gatekeeper("g2", ORDER), {0.0: {"g1"}, 5.0: set()}, 20.0)
    assert found == {0.0: Role.STANDBY, 5.0 + TAKE_OVER_S: Role.LIVE}


def test_one_that_starts_alone_waits_as_long_before_it_speaks() -> None:
    assert roles(Gatekeeper("g2", ORDER), {}, 5.0) == {0.0: Role.STANDBY, TAKE_OVER_S: Role.LIVE}


def test_the_third_waits_while_the_second_is_alive() -> None:
    assert roles(Gatekeeper("g3", ORDER), {0.0: {"g2"}}, 20.0) == {0.0: Role.STANDBY}
    assert roles(Gatekeeper("g3", ORDER), {0.0: {"g2"}, 4.0: {"g1"}, 8.0: set()}, 20.0)[10.0] is Role.LIVE


def test_of_two_that_are_live_the_later_in_the_order_yields_at_once() -> None:
    first, second = Gatekeeper("g1", ORDER), Gatekeeper("g2", ORDER)
    for tenth in range(50):
        first.step(tenth / 10, frozenset())
        second.step(tenth / 10, frozenset())
    assert (first.step(5.0, frozenset()), second.step(5.0, frozenset())) == (Role.LIVE, Role.LIVE)
    both = frozenset({"g1", "g2"})
    assert (first.step(5.1, both), second.step(5.1, both)) == (Role.LIVE, Role.STANDBY)


def test_one_before_it_that_comes_and_goes_faster_than_that_keeps_a_standby_from_speaking() -> None:
    """Each time it is there it speaks itself, so the region is never without a voice for longer than a take-over."""
    flapping = {each * 1.0: ({"g1"} if each % 2 else set()) for each in range(60)}
    assert roles(Gatekeeper("g2", ORDER), flapping, 60.0) == {0.0: Role.STANDBY}


def test_one_that_flaps_slowly_is_followed_each_time() -> None:
    slow = {0.0: {"g1"}, 10.0: set(), 20.0: {"g1"}, 30.0: set()}
    assert roles(Gatekeeper("g2", ORDER), slow, 40.0) == {
        0.0: Role.STANDBY,
        10.0 + TAKE_OVER_S: Role.LIVE,
        20.0: Role.STANDBY,
        30.0 + TAKE_OVER_S: Role.LIVE,
    }


def test_others_that_are_alive_and_no_gateways_make_no_difference() -> None:
    assert roles(Gatekeeper("g2", ORDER), {0.0: {"tr-1", "g3"}}, 5.0)[TAKE_OVER_S] is Role.LIVE


@pytest.mark.parametrize("take_over_s", [0.5, 10.0])
def test_how_long_it_waits_is_a_setting(take_over_s: float) -> None:
    found = roles(Gatekeeper("g2", ORDER, take_over_s), {}, 20.0)
    assert found == {0.0: Role.STANDBY, take_over_s: Role.LIVE}


def heard(
    keeper: Gatekeeper, alive: set[str], at_s: dict[str, float], from_s: float, until_s: float
) -> dict[float, Role]:
    """Roles when they change. ``at_s``: when the last fresh state of each came; a negative time: so long ago always."""
    found: dict[float, Role] = {}
    for tenth in range(round(from_s * 10), round(until_s * 10)):
        now_s = tenth / 10
        heard_at_s = {voice: now_s + at if at < 0.0 else at for voice, at in at_s.items()}
        role = keeper.step(now_s, frozenset(alive), heard_at_s)
        if not found or list(found.values())[-1] is not role:
            found[now_s] = role
    return found


def test_a_token_without_states_does_not_keep_a_standby_from_speaking() -> None:
    """A program that hangs, or somebody who declares another's token."""
    assert heard(Gatekeeper("g2", ORDER), {"g1"}, {"a": -0.5}, 0.0, 9.0) == {0.0: Role.STANDBY, TAKE_OVER_S: Role.LIVE}


def test_one_that_speaks_on_after_its_token_was_lost_is_there() -> None:
    keeper = Gatekeeper("g2", ORDER)
    assert heard(keeper, {"g1"}, {"g1": -0.9}, 0.0, 5.0) == {0.0: Role.STANDBY}
    assert heard(keeper, set(), {"g1": -0.9}, 5.0, 60.0) == {5.0: Role.STANDBY}


def test_what_was_heard_before_its_token_went_does_not_put_off_the_take_over() -> None:
    keeper = Gatekeeper("g2", ORDER)
    heard(keeper, {"g1"}, {"g1": -0.1}, 0.0, 5.0)
    assert heard(keeper, set(), {"g1": 4.9}, 5.0, 9.0) == {5.0: Role.STANDBY, 5.0 + TAKE_OVER_S: Role.LIVE}


def test_one_whose_token_comes_back_is_there_again_at_once() -> None:
    keeper = Gatekeeper("g2", ORDER)
    heard(keeper, {"g1"}, {"g1": -0.1}, 0.0, 5.0)
    assert heard(keeper, set(), {}, 5.0, 9.0)[7.0] is Role.LIVE
    assert heard(keeper, {"g1"}, {"g1": -0.1}, 9.0, 12.0) == {9.0: Role.STANDBY}

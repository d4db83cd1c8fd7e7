from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from v2g.clock import ManualClock
from v2g.config.schema import Roles
from v2g.config.schema_utility import Utility
from v2g.control.client import CallRefused, ControlClient
from v2g.control.messages_utility import SignalParams, SignalsParams, WithdrawParams
from v2g.control.server import Caller, ControlServer, Refused, Role
from v2g.dispatch.constraints import Bound
from v2g.orchestrator.utility_api import KEEP_AGAIN_S, UtilityApi
from v2g.utility.signal_book import VTN, Entry
from v2g.utility.signals import Signal, SignalKind

ALICE = Caller(uid=1000, gid=1000, pid=1, user="alice", role=Role.UTILITY)
BOB = Caller(uid=1001, gid=1001, pid=2, user="bob", role=Role.UTILITY)


@pytest.fixture
def api(tmp_path: Path, clock: ManualClock, log_of: Any) -> UtilityApi:
    made = UtilityApi(Utility(), tmp_path / "signals.json", clock, log_of(), lambda: 0.5)
    made.start()
    return made


def cap(value: float = 20e3, **more: Any) -> SignalParams:
    return SignalParams(kind="cap", value=value, **{"duration_s": 900.0, **more})


async def test_a_signal_binds_until_its_end_and_says_what_it_asks_for(api: UtilityApi, clock: ManualClock) -> None:
    result = await api.signal(cap(), ALICE)
    assert (result.signal.id, result.signal.words, result.signal.remaining_s) == ("s1", "charge at most 20.00 kW", 900)
    assert api.view().bounds == (Bound(-math.inf, 20e3, "utility by alice", clock.monotonic_s() + 900.0),)
    clock.advance(900.0)
    assert api.view().bounds == ()
    assert len(api.book) == 0
    assert api._log.codes() == ["SIGNAL", "SIGNAL_EXPIRED"]


async def test_of_two_operators_with_one_id_the_last_one_wins_and_is_told_what_was_there(api: UtilityApi) -> None:
    await api.signal(cap(20e3, id="evening"), ALICE)
    result = await api.signal(cap(5e3, id="evening"), BOB)
    assert result.replaced is not None
    assert (result.replaced.value, result.replaced.source) == (20e3, "utility by alice")
    assert result.remarks == ("in place of: cap of utility by alice: charge at most 20.00 kW",)
    assert [bound.source for bound in api.view().bounds] == ["utility by bob"]


async def test_a_contradiction_is_taken_and_said_at_once(api: UtilityApi) -> None:
    await api.signal(cap(5e3), ALICE)
    result = await api.signal(SignalParams(kind="floor", value=9e3, duration_s=60.0), BOB)
    assert result.remarks == ("contradiction: utility by bob / utility by alice: no power until one of them ends",)
    assert (await api.signals(SignalsParams(), ALICE)).bounds[0].lo_w == 0.0


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (SignalParams(kind="cap", value=1.0), "give one of duration_s and ends_unix_s"),
        (cap(ends_unix_s=1_700_000_900.0), "give one of duration_s and ends_unix_s"),
        (cap(duration_s=200_000.0), "utility.longest_signal_s"),
        (cap(starts_unix_s=1_600_000_000.0), "was over"),
        (cap(1e9), "another unit"),
        (cap(currency="EUR"), "a cap has no currency"),
    ],
)
async def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    api: UtilityApi, params: SignalParams, words: str
) -> None:
    with pytest.raises(Refused, match=words):
        await api.signal(params, ALICE)
    assert len(api.book) == 0


async def test_withdrawn_is_gone_and_what_a_vtn_gave_is_its_own(api: UtilityApi, clock: ManualClock) -> None:
    await api.signal(cap(id="mine"), ALICE)
    unix_s = clock.unix_s()
    signal = Signal(
        id="openadr:e1:0:GHG:1", kind=SignalKind.CARBON, value=1.0, starts_unix_s=unix_s, ends_unix_s=unix_s + 9,
        source="OpenADR event 'x'",
    )  # fmt: skip
    api.book.add(Entry(signal=signal, origin=VTN), unix_s)
    assert (await api.withdraw(WithdrawParams(id="mine"), BOB)).signal.source == "utility by alice"
    with pytest.raises(Refused, match="no signal 'mine'; see v2g-control signal list"):
        await api.withdraw(WithdrawParams(id="mine"), BOB)
    with pytest.raises(Refused, match="have the event deleted there"):
        await api.withdraw(WithdrawParams(id=signal.id), BOB)


async def test_a_restart_takes_up_operators_signals_and_new_ids_avoid_them(
    api: UtilityApi, tmp_path: Path, clock: ManualClock, log_of: Any
) -> None:
    await api.signal(cap(), ALICE)
    clock.advance(100.0)
    again = UtilityApi(Utility(), tmp_path / "signals.json", clock, log_of())
    again.start()
    assert again.view().bounds == (Bound(-math.inf, 20e3, "utility by alice", clock.monotonic_s() + 800.0),)
    assert (await again.signal(cap(), ALICE)).signal.id == "s2"
    await again.withdraw(WithdrawParams(id="s1"), ALICE)
    third = UtilityApi(Utility(), tmp_path / "signals.json", clock, log_of())
    third.start()
    assert [e.signal.id for e in third.book.standing(clock.unix_s())] == ["s2"]


async def test_what_cannot_be_kept_is_taken_and_said(tmp_path: Path, clock: ManualClock, log_of: Any) -> None:
    api = UtilityApi(Utility(), tmp_path / "nothing" / "signals.json", clock, log_of())
    api.start()
    result = await api.signal(cap(), ALICE)
    assert "cannot be kept across a restart" in result.remarks[0]
    assert api.problems() == result.remarks
    assert api.view().bounds


async def test_a_list_has_what_ends_first_in_front_and_is_bounded(api: UtilityApi) -> None:
    for n in range(3):
        await api.signal(cap(id=f"n{n}", duration_s=900.0 - n), ALICE)
    result = await api.signals(SignalsParams(limit=2), ALICE)
    assert ([line.id for line in result.signals], result.total) == (["n2", "n1"], 3)
    assert result.vtn is None
    assert len(result.notes) == 2


async def test_price_signals_make_a_series(api: UtilityApi, clock: ManualClock) -> None:
    await api.signal(SignalParams(kind="price", value=0.3, duration_s=900.0, currency="EUR"), ALICE)
    series = api.prices(clock.unix_s(), 900.0, 2)
    assert series is not None
    assert (series.values, series.unit) == ((0.3, None), "EUR/kWh")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "cap", "value": 1.0, "duration_s": 0.0},
        {"kind": "cap", "value": 1.0, "duration_s": 60.0, "id": "openadr:e1"},
        {"kind": "cap", "value": 1.0, "duration_s": 60.0, "id": "x" * 65},
        {"kind": "limit", "value": 1.0, "duration_s": 60.0},
        {"kind": "cap", "value": "20kW", "duration_s": 60.0},
        {"kind": "price", "value": 1.0, "duration_s": 60.0, "currency": "euro"},
        {"kind": "cap", "value": 1.0, "duration_s": 60.0, "extra": 1},
    ],
)
def test_parameters_out_of_form_do_not_reach_the_handler(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, SignalParams)


async def test_over_the_socket_both_operators_are_in_the_audit_log_and_a_viewer_only_looks(
    api: UtilityApi, tmp_path: Path, clock: ManualClock
) -> None:
    import asyncio

    lines: list[tuple[str, dict[str, object]]] = []
    group = "utility-people"
    members = {0: ("root", frozenset[str]())}
    path = tmp_path / "control.sock"
    server = ControlServer(
        path, api.methods(), Roles(), lambda code, _="", **fields: lines.append((code, fields)), clock,
        lookup=lambda uid: members.get(uid, (f"uid {uid}", frozenset({group}))),
    )  # fmt: skip
    await server.start()

    def talk() -> str:
        with ControlClient(path) as client:
            client.call("utility.signal", {"kind": "cap", "value": 1e3, "duration_s": 60, "id": "a"})
        with ControlClient(path) as client:
            client.call("utility.signal", {"kind": "cap", "value": 2e3, "duration_s": 60, "id": "a"})
            with pytest.raises(CallRefused) as caught:
                client.call("utility.withdraw", {"id": "b"})
        return str(caught.value)

    try:
        assert "v2g-control signal list" in await asyncio.to_thread(talk)
    finally:
        await server.close()
    told = [(code, fields["method"]) for code, fields in lines if str(fields["method"]).startswith("utility")]
    assert told == [("CALL", "utility.signal"), ("CALL", "utility.signal"), ("REFUSED", "utility.withdraw")]
    assert api.book.view(0.0, clock.unix_s()).bounds[0].hi_w == 2e3
    roles = {method.name: method.role for method in api.methods()}
    assert roles == {
        "utility.signal": Role.UTILITY,
        "utility.withdraw": Role.UTILITY,
        "utility.signals": Role.VIEWER,
    }


async def test_signals_that_could_not_be_kept_are_kept_once_the_disk_is_free(
    tmp_path: Path, clock: ManualClock, log_of: Any
) -> None:
    folder = tmp_path / "state"
    api = UtilityApi(Utility(), folder / "signals.json", clock, log_of(), lambda: 0.5)
    result = await api.signal(cap(), ALICE)
    assert "cannot be kept" in result.remarks[0]
    assert api.problems() == result.remarks
    folder.mkdir()
    api.view()
    assert api.problems()
    clock.advance(KEEP_AGAIN_S)
    api.view()
    assert api.problems() == ()
    assert (folder / "signals.json").exists()

"""A vehicle that is bound to the name in its certificate and calls itself something."""

from __future__ import annotations

from typing import Any

import pytest

from pyiso15118.events import EndReason, SessionEnded, SessionStarted
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import State

Code = ct.responseCodeType
NAME = "WMIV1234567890ABCDEX"


def setup(secc_bench: Any, evccid: str, certified_name: str | None) -> Any:
    bench = secc_bench(certified_name=certified_name).reach(State.SESSION_SETUP)
    return bench, bench.ask(bench.request(State.SESSION_SETUP, EVCCID=evccid))


@pytest.mark.parametrize("certified", [NAME, None])
def test_the_certified_name_is_taken_and_without_one_any(secc_bench: Any, certified: str | None) -> None:
    bench, response = setup(secc_bench, NAME, certified)
    assert response.ResponseCode is Code.OK_NewSessionEstablished
    assert any(isinstance(event, SessionStarted) for event in bench.events)


@pytest.mark.parametrize("evccid", ["WMIV1234567890ABCDEY", NAME.lower(), NAME + " ", ""])
def test_any_other_name_fails_the_session_and_both_names_are_told(secc_bench: Any, evccid: str) -> None:
    bench, response = setup(secc_bench, evccid, NAME)
    assert response.ResponseCode is Code.FAILED
    assert not any(isinstance(event, SessionStarted) for event in bench.events)
    end = next(event for event in bench.events if isinstance(event, SessionEnded))
    assert end.reason is not EndReason.STOPPED
    assert end.response_code == Code.FAILED
    assert f"EVCCID {evccid} is not the name in the vehicle's certificate, {NAME}" in end.detail
    assert bench.machine.closed

"""Plain values survive the way into messages, EXI and back; of any message comes a value or RemoteProtocolError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from pyiso15118 import exi
from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.exi.declarations import Struct
from pyiso15118.messages import Namespace
from pyiso15118.messages import common_messages as cm
from pyiso15118.schedules import (
    AbsolutePrices,
    DynamicSchedule,
    PowerProfile,
    PriceLevels,
    ScheduleNeeds,
    ScheduleTuple,
)
from support.examples import examples

WIRE: dict[type[Any], type[Struct]] = {
    AbsolutePrices: cm.AbsolutePriceScheduleType,
    DynamicSchedule: cm.Dynamic_SEResControlModeType,
    PowerProfile: cm.EVPowerProfileType,
    PriceLevels: cm.PriceLevelScheduleType,
    ScheduleNeeds: cm.Scheduled_SEReqControlModeType,
    ScheduleTuple: cm.ScheduleTupleType,
}
SETTINGS = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("kind", [PowerProfile, ScheduleTuple, DynamicSchedule, ScheduleNeeds])
@SETTINGS
@given(data=st.data())
def test_every_value_that_can_be_sent_comes_back_as_it_was(
    kind: type[Any], values: dict[type[Any], st.SearchStrategy[Any]], data: st.DataObject
) -> None:
    value = data.draw(values[kind])
    message = value.to_message()
    assert kind.from_message(message) == value
    entries = exi.encode_fragment(message, Namespace.COMMON_MESSAGES)
    assert exi.decode_fragment(Namespace.COMMON_MESSAGES, entries) == message


@pytest.mark.parametrize("kind", list(WIRE))
@SETTINGS
@given(data=st.data())
def test_any_message_gives_a_value_or_a_remote_protocol_error(
    kind: type[Any], wire: Callable[[type[Struct]], st.SearchStrategy[Struct]], data: st.DataObject
) -> None:
    message = data.draw(wire(WIRE[kind]))
    try:
        value = kind.from_message(message)
    except RemoteProtocolError:
        event("refused")
        return
    event("read")
    try:
        again = value.to_message()
    except LocalProtocolError:
        return
    assert kind.from_message(again) == value

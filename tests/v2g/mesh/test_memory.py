from __future__ import annotations

from random import Random

import pytest

from v2g.mesh.memory import MemoryEngine, MemoryNet, Wire
from v2g.mesh.ports import Engine, EngineError

Heard = list[tuple[float, str, bytes]]


def net_of(*links: tuple[str, str], seed: int = 1, **wire: float) -> MemoryNet:
    net = MemoryNet(Random(seed))
    for one, other in links:
        net.link(one, other, Wire(**wire), Wire(**wire))  # type: ignore[arg-type]
    return net


def listen(net: MemoryNet, *names: str, keys: tuple[str, ...] = ("v2g/**",)) -> dict[str, Heard]:
    heard: dict[str, Heard] = {name: [] for name in names}
    for name in names:
        net.node(name).join(keys, lambda key, data, name=name: heard[name].append((net.now_s, key, data)))
    return heard


async def test_it_is_an_engine_that_starts_once_and_says_so() -> None:
    net = net_of(("A", "B"))
    engine: Engine = net.node("A")
    await engine.start(("v2g/**",), lambda key, data: None)
    with pytest.raises(EngineError, match="A is started already"):
        await engine.start(("v2g/**",), lambda key, data: None)
    await engine.close()
    await engine.start(("v2g/**",), lambda key, data: None)


def test_a_message_goes_hop_by_hop_once_over_each_link_and_not_back_to_its_sender() -> None:
    net = net_of(("A", "B"), ("B", "C"), ("B", "D"), delay_s=0.1)
    heard = listen(net, "A", "B", "C", "D")
    net.node("A").publish("v2g/x", b"1")
    net.advance(0.15)
    assert [len(each) for each in heard.values()] == [0, 1, 0, 0]
    net.advance(1.0)
    assert heard["C"] == heard["D"] == [(pytest.approx(0.2), "v2g/x", b"1")]
    assert heard["A"] == []
    assert net.crossings == 3
    assert net.node("C").counts.received == 1


def test_a_key_is_heard_by_those_who_asked_for_it() -> None:
    net = net_of(("A", "B"))
    heard = listen(net, "A", "B", keys=("v2g/one", "v2g/more/**"))
    for key in ("v2g/one", "v2g/one/more", "v2g/more/x/y", "v2g/morex", "v2g/two"):
        net.node("A").publish(key, b"")
    net.advance(1.0)
    assert [key for _, key, _ in heard["B"]] == ["v2g/one", "v2g/more/x/y"]


def test_a_ring_goes_the_other_way_round_when_a_link_is_down_and_islands_do_not_hear_each_other() -> None:
    net = net_of(("A", "B"), ("B", "C"), ("C", "D"), ("D", "A"), delay_s=0.1)
    heard = listen(net, "A", "B", "C", "D")
    net.set_up("A", "B", up=False)
    net.node("A").publish("v2g/x", b"1")
    net.advance(1.0)
    assert heard["B"] == [(pytest.approx(0.3), "v2g/x", b"1")]
    net.split(["A", "D"], ["B", "C"])
    net.node("A").publish("v2g/x", b"2")
    net.advance(2.0)
    assert [len(heard["B"]), len(heard["D"])] == [1, 2]
    assert net.node("A").alive() == {"D"}
    net.heal()
    assert net.node("A").alive() == {"B", "C", "D"}


def test_links_tell_whether_and_since_when_they_are_up() -> None:
    net = net_of(("A", "B"))
    listen(net, "A")
    assert [(link.node, link.up) for link in net.node("A").links()] == [("B", False)]
    net.advance(3.0)
    listen(net, "B")
    assert [(link.node, link.up, link.since_s) for link in net.node("A").links()] == [("B", True, 3.0)]
    net.advance(4.0)
    net.set_up("A", "B", up=False)
    assert [(link.up, link.since_s) for link in net.node("A").links()] == [(False, 4.0)]


def test_who_has_left_neither_hears_nor_sends_nor_carries() -> None:
    net = net_of(("A", "B"), ("B", "C"), delay_s=0.1)
    heard = listen(net, "A", "B", "C")
    net.node("A").publish("v2g/x", b"1")
    net.node("B").leave()
    net.advance(1.0)
    net.node("B").publish("v2g/x", b"2")
    net.node("A").publish("v2g/x", b"3")
    net.advance(2.0)
    assert heard == {"A": [], "B": [], "C": []}
    assert net.node("B").counts.unsent == 1


def test_what_is_on_the_way_is_lost_with_the_link_even_if_it_comes_back() -> None:
    net = net_of(("A", "B"), delay_s=1.0)
    heard = listen(net, "A", "B")
    net.node("A").publish("v2g/x", b"1")
    net.advance(0.4)
    net.set_up("A", "B", up=False)
    net.advance(0.5)
    net.set_up("A", "B", up=True)
    net.advance(3.0)
    assert heard["B"] == []


def test_a_wire_loses_doubles_and_reorders_as_it_is_told_to_and_the_same_for_the_same_seed() -> None:
    def run(seed: int, **wire: float) -> list[bytes]:
        net = net_of(("A", "B"), seed=seed, **wire)
        heard = listen(net, "A", "B")
        for number in range(1000):
            net.advance(number * 0.01)
            net.node("A").publish("v2g/x", number.to_bytes(2, "big"))
        net.advance(100.0)
        return [data for _, _, data in heard["B"]]

    assert len(run(1)) == 1000
    assert 650 < len(run(1, loss=0.3)) < 750
    assert 1150 < len(run(1, doubled=0.2)) < 1250
    assert run(1, loss=0.3) == run(1, loss=0.3) != run(2, loss=0.3)
    waiting, overtaking = run(1, jitter_s=0.5), run(1, jitter_s=0.5, reorders=True)
    assert waiting == sorted(waiting)
    assert overtaking != sorted(overtaking)
    assert len(overtaking) == 1000


def test_one_direction_may_be_deaf() -> None:
    net = net_of(("A", "B"))
    heard = listen(net, "A", "B")
    net.wire("A", "B").loss = 1.0
    for name in ("A", "B"):
        net.node(name).publish("v2g/x", b"")
    net.advance(1.0)
    assert (len(heard["A"]), len(heard["B"])) == (1, 0)


def test_an_answer_at_once_is_under_way_from_the_time_of_the_question() -> None:
    net = net_of(("A", "B"), delay_s=0.2)
    answers: Heard = []
    net.node("A").join(("v2g/pong",), lambda key, data: answers.append((net.now_s, key, data)))
    engine: MemoryEngine = net.node("B")
    engine.join(("v2g/ping",), lambda key, data: engine.publish("v2g/pong", data))
    net.node("A").publish("v2g/ping", b"7")
    net.advance(5.0)
    assert answers == [(pytest.approx(0.4), "v2g/pong", b"7")]


def test_mistakes_are_named() -> None:
    net = net_of(("A", "B"))
    with pytest.raises(ValueError, match="B and A"):
        net.link("B", "A")
    with pytest.raises(KeyError):
        net.set_up("A", "C", up=False)
    net.advance(2.0)
    with pytest.raises(ValueError, match="backwards"):
        net.advance(1.0)

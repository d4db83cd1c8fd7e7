"""Zenoh's wire: real sessions on loopback, mutual TLS, links to configured neighbours alone."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from support.mesh_pki import MeshFiles, MeshPki
from v2g.clock import SystemClock
from v2g.mesh.engine_zenoh import MOST_WAITING_BYTES, PER_KEY, ZenohEngine
from v2g.mesh.ports import EngineError
from v2g.mesh.zenoh_config import LARGEST_BYTES, Neighbour, ZenohSettings, configuration
from v2g.simulation.layout import free_tcp_ports

PREFIX = "v2g/test/flat"
ALL = f"{PREFIX}/**"
HOST = "127.0.0.1"


class Site:
    """Authority, ports and settings of the nodes ``a``, ``b``, ``c`` and ``x``, who is no member."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pki = MeshPki(folder / "pki", time.time())
        self.names = ("a", "b", "c", "x")
        self.ports = dict(zip(self.names, free_tcp_ports(len(self.names)), strict=True))
        self._files = {name: self.pki.node(name, (HOST,)) for name in self.names}

    def settings(
        self, node: str, *, dials: tuple[str, ...] = (), waits_for: tuple[str, ...] = (), files: MeshFiles | None = None
    ) -> ZenohSettings:
        found = files or self._files[node]
        dialled = tuple(Neighbour(node=each, address=self.locator(each)) for each in dials)
        return ZenohSettings(
            node=node,
            prefix=PREFIX,
            listen=(self.locator(node),),
            neighbours=dialled + tuple(Neighbour(node=each) for each in waits_for),
            certificate=found.chain,
            key=found.key,
            ca=found.ca,
            members=frozenset("abc"),
        )

    def locator(self, node: str) -> str:
        return f"tls/{HOST}:{self.ports[node]}"


class Heard:
    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []

    def __call__(self, key: str, payload: bytes) -> None:
        self.messages.append((key.removeprefix(f"{PREFIX}/"), payload))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("zenoh"))


@pytest.fixture(autouse=True)
def other_ports(site: Site) -> None:
    site.ports.update(zip(site.names, free_tcp_ports(len(site.names)), strict=True))


@asynccontextmanager
async def running(settings: ZenohSettings) -> AsyncIterator[tuple[ZenohEngine, Heard]]:
    engine, heard = ZenohEngine(settings, SystemClock()), Heard()
    await engine.start((ALL,), heard)
    try:
        yield engine, heard
    finally:
        await engine.close()


async def until(holds: Callable[[], bool], limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not holds():
            await asyncio.sleep(0.01)


def up(engine: ZenohEngine) -> dict[str, bool]:
    return {link.node: link.up for link in engine.links()}


async def refused(settings: ZenohSettings) -> str:
    engine = ZenohEngine(settings, SystemClock())
    with pytest.raises(EngineError) as error:
        await engine.start((ALL,), Heard())
    await engine.close()
    assert "\n" not in str(error.value)
    return str(error.value)


async def test_what_one_publishes_the_other_hears_and_both_see_link_and_life(site: Site) -> None:
    async with (
        running(site.settings("a", waits_for=("b",))) as (one, by_one),
        running(site.settings("b", dials=("a",))) as (other, by_other),
    ):
        await until(lambda: up(one) == {"b": True} and up(other) == {"a": True})
        await until(lambda: one.alive() == other.alive() == {"a", "b"})
        [link] = other.links()
        assert link.address == site.locator("a")
        assert link.since_s is not None
        assert link.since_s == pytest.approx(SystemClock().monotonic_s(), abs=10.0)
        one.publish(f"{PREFIX}/state/a", b"of a")
        other.publish(f"{PREFIX}/state/b", b"of b")
        expected = [("state/a", b"of a"), ("state/b", b"of b")]
        # Its own comes back too: a wire that brings not even that is dead.
        await until(lambda: sorted(by_one.messages) == sorted(by_other.messages) == expected)
        assert (one.counts.sent, one.counts.sent_bytes, one.counts.received, one.counts.received_bytes) == (1, 4, 2, 8)


async def test_a_third_is_reached_over_the_one_between_and_a_death_is_seen(site: Site) -> None:
    async with AsyncExitStack() as stack:
        one, by_one = await stack.enter_async_context(running(site.settings("a", waits_for=("b",))))
        between, _ = await stack.enter_async_context(running(site.settings("b", dials=("a",), waits_for=("c",))))
        third, by_third = await stack.enter_async_context(running(site.settings("c", dials=("b",))))
        await until(lambda: one.alive() == third.alive() == {"a", "b", "c"})
        assert set(up(one)) == {"b"}
        await until(lambda: _said(third, "state/c", by_one))
        await until(lambda: _said(one, "state/a", by_third))
        await third.close()
        assert up(third) == {"b": False}
        assert third.alive() == frozenset()
        await until(lambda: "c" not in one.alive() and not up(between)["c"])
        assert up(between)["a"]


def _said(engine: ZenohEngine, key: str, heard: Heard) -> bool:
    engine.publish(f"{PREFIX}/{key}", b"")
    return any(each == key for each, _ in heard.messages)


async def test_neighbours_that_are_down_neither_fail_a_start_nor_hold_the_loop(site: Site) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    before, began_s = ticks, time.monotonic()
    async with running(site.settings("a", dials=("b",), waits_for=("c",))) as (engine, _):
        took_s = time.monotonic() - began_s
        assert ticks > before
        assert took_s < 2.0
        assert up(engine) == {"b": False, "c": False}
        assert [link.since_s for link in engine.links()] == [None, None]
    ticking.cancel()


async def test_a_late_loop_takes_the_last_messages_of_each_key(site: Site) -> None:
    async with running(site.settings("a")) as (engine, heard):
        for number in range(10):
            engine.publish(f"{PREFIX}/state/a", b"%d" % number)
        engine.publish(f"{PREFIX}/state/b", b"other")
        await _threads_have_run(engine, 11)
        await until(lambda: len(heard.messages) == PER_KEY + 1)
        assert heard.messages == [*[("state/a", b"%d" % number) for number in range(6, 10)], ("state/b", b"other")]
        assert engine.counts.dropped == 6


async def _threads_have_run(engine: ZenohEngine, messages: int) -> None:
    """The loop is held meanwhile."""
    until_s = time.monotonic() + 5.0
    while sum(map(len, engine._waiting.values())) + engine.counts.dropped < messages and time.monotonic() < until_s:
        time.sleep(0.001)


async def test_what_waits_is_bounded_in_bytes(site: Site) -> None:
    async with running(site.settings("a")) as (engine, heard):
        many = MOST_WAITING_BYTES // LARGEST_BYTES // PER_KEY + 10
        for number in range(many * PER_KEY):
            engine.publish(f"{PREFIX}/state/{number % many}/a", bytes(LARGEST_BYTES))
        await _threads_have_run(engine, many * PER_KEY)
        assert engine.counts.dropped >= 10 * PER_KEY
        await until(lambda: len(heard.messages) + engine.counts.dropped >= many * PER_KEY)
        assert sum(len(payload) for _, payload in heard.messages) <= MOST_WAITING_BYTES
        heard.messages.clear()
        engine.publish(f"{PREFIX}/state/a", b"after")
        await until(lambda: ("state/a", b"after") in heard.messages)


async def test_what_is_under_no_members_name_is_not_handed_over(site: Site) -> None:
    async with running(site.settings("a")) as (engine, heard):
        engine.publish(f"{PREFIX}/state/x", b"?")
        engine.publish(f"{PREFIX}/state/b", b"!")
        await until(lambda: bool(heard.messages))
        assert heard.messages == [("state/b", b"!")]
        assert engine.counts.dropped == 1


async def test_a_message_that_breaks_its_taker_takes_no_other_with_it(site: Site) -> None:
    told: list[str] = []
    taken: list[bytes] = []

    def take(key: str, payload: bytes) -> None:
        taken.append(payload)
        if payload == b"bad":
            raise ValueError(payload)

    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    engine = ZenohEngine(site.settings("a"), SystemClock())
    await engine.start((ALL,), take)
    try:
        for payload in (b"one", b"bad", b"two"):
            engine.publish(f"{PREFIX}/state/a", payload)
        await until(lambda: len(taken) == 3)
        assert told == [f"mesh: {PREFIX}/state/a"]
    finally:
        await engine.close()


async def test_what_cannot_be_sent_is_counted(site: Site) -> None:
    engine = ZenohEngine(site.settings("a"), SystemClock())
    engine.publish(f"{PREFIX}/state/a", b"before the start")
    await engine.start((ALL,), Heard())
    engine.publish(f"{PREFIX}/state/a", bytes(LARGEST_BYTES + 1))
    engine.publish(f"{PREFIX}//a", b"no key")
    await engine.close()
    engine.publish(f"{PREFIX}/state/a", b"after the end")
    assert (engine.counts.unsent, engine.counts.sent) == (4, 0)


class Panic(BaseException):
    """As what a panic inside Zenoh is in Python."""


async def test_a_panic_inside_zenoh_goes_no_further(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(*_: object, **__: object) -> None:
        raise Panic("called unwrap on None")

    async with running(site.settings("a", dials=("b",))) as (engine, _):
        monkeypatch.setattr(engine, "_put", panic)
        engine.publish(f"{PREFIX}/state/a", b"lost")
        assert (engine.counts.unsent, engine.counts.sent) == (1, 0)
        monkeypatch.setattr(engine, "_declare", panic)
        monkeypatch.setattr(engine, "_tokens", panic)
        await engine.renew()
        monkeypatch.setattr("v2g.mesh.engine_zenoh.configuration", panic)
        other = ZenohEngine(site.settings("c"), SystemClock())
        with pytest.raises(EngineError, match="called unwrap on None"):
            await other.start((ALL,), Heard())


async def test_many_of_one_process_that_close_at_once_all_close(site: Site) -> None:
    engines = [ZenohEngine(site.settings(name, dials=("a",) if name != "a" else ()), SystemClock()) for name in "abc"]
    for engine in engines:
        await engine.start((ALL,), Heard())
    await until(lambda: all(up(engine)["a"] for engine in engines[1:]))
    await asyncio.gather(*(engine.close() for engine in engines))
    async with AsyncExitStack() as stack:
        for name in "abc":
            await stack.enter_async_context(running(site.settings(name)))


async def test_to_subscribe_anew_neither_loses_nor_doubles_what_comes_after(site: Site) -> None:
    async with running(site.settings("a")) as (engine, heard):
        await until(lambda: engine.alive() == {"a"})
        for _ in range(3):
            await engine.renew()
        await until(lambda: engine.alive() == {"a"})
        engine.publish(f"{PREFIX}/state/a", b"once")
        await until(lambda: bool(heard.messages))
        await asyncio.sleep(0.05)
        assert heard.messages == [("state/a", b"once")]


async def test_whoever_is_said_to_live_and_does_not_is_forgotten_when_it_subscribes_anew(site: Site) -> None:
    async with running(site.settings("a")) as (engine, _):
        engine._alive.add("b")
        await engine.renew()
        await until(lambda: engine.alive() == {"a"})


async def test_closing_is_quick_and_frees_the_port(site: Site) -> None:
    for _ in range(3):
        async with running(site.settings("a", dials=("b",))):
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 2.0


async def test_a_start_that_is_given_up_leaves_no_session_behind(site: Site) -> None:
    engine = ZenohEngine(site.settings("a"), SystemClock())
    task = asyncio.create_task(engine.start((ALL,), Heard()))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await engine.close()
    await until(lambda: not any(thread.name == "mesh" for thread in threading.enumerate()))
    async with running(site.settings("a")):
        pass


async def test_a_wire_is_started_once(site: Site) -> None:
    async with running(site.settings("a")) as (engine, _):
        with pytest.raises(EngineError, match="already"):
            await engine.start((ALL,), Heard())


async def test_a_port_that_is_taken_is_named_with_a_remedy(site: Site) -> None:
    with socket.create_server((HOST, site.ports["a"])):
        words = await refused(site.settings("a"))
    assert site.locator("a") in words
    assert "another process listens there" in words
    async with running(site.settings("a")):
        pass


async def test_a_key_of_another_certificate_is_told_of(site: Site) -> None:
    settings = replace(site.settings("a"), key=site.settings("b").key)
    words = await refused(settings)
    assert f"certificate {settings.certificate} and key {settings.key} do not belong together" in words


@pytest.mark.parametrize("which", ["certificate", "key", "ca"])
@pytest.mark.parametrize("content", [None, b"", b"junk", b"\xff\x00\xfe"])
async def test_a_file_that_cannot_be_used_is_named(site: Site, which: str, content: bytes | None) -> None:
    path = site.folder / "bad"
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    words = await refused(replace(site.settings("a"), **{which: path}))
    assert str(path) in words
    assert "install" in words


async def test_a_key_with_a_password_does_not_ask_for_it(site: Site) -> None:
    from cryptography.hazmat.primitives import serialization as form

    settings = site.settings("a")
    key = form.load_pem_private_key(settings.key.read_bytes(), None)
    path = site.folder / "locked"
    locked = form.BestAvailableEncryption(b"secret")
    path.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked))
    assert "without a password" in await refused(replace(settings, key=path))


@pytest.mark.parametrize(
    "locator",
    ["tls/127.0.0.1:99999", "tls/127.0.0.1:0", "tls/127.0.0.1", "tcp/127.0.0.1:7447", "127.0.0.1:7447", "tls/"],
)
async def test_an_address_that_is_none_is_named(site: Site, locator: str) -> None:
    settings = site.settings("a")
    assert f"listen on {locator!r}" in await refused(replace(settings, listen=(locator,)))
    neighbour = Neighbour(node="b", address=locator)
    assert f"dial b at {locator!r}" in await refused(replace(settings, neighbours=(neighbour,)))


async def test_an_address_that_the_host_has_not_is_told_of(site: Site) -> None:
    settings = replace(site.settings("a"), listen=(f"tls/192.0.2.1:{site.ports['a']}",))
    assert "the host has no such address" in await refused(settings)


async def test_a_neighbour_at_an_ipv6_literal_is_refused_since_its_name_cannot_be_checked(site: Site) -> None:
    settings = replace(site.settings("a"), neighbours=(Neighbour(node="b", address="tls/[::1]:7447"),))
    assert "IPv6 literal" in await refused(settings)


def test_only_members_pass_and_only_below_the_prefix(site: Site) -> None:
    told = configuration(site.settings("a", dials=("b",), waits_for=("c",)))
    control = told["access_control"]
    assert (control["enabled"], control["default_permission"]) == (True, "deny")
    assert [subject["cert_common_names"] for subject in control["subjects"]] == [["b", "c"]]
    assert [rule["key_exprs"] for rule in control["rules"]] == [[ALL]]
    assert told["connect"]["endpoints"] == [site.locator("b")]
    assert not told["scouting"]["multicast"]["enabled"]
    assert not told["scouting"]["gossip"]["enabled"]
    assert told["transport"]["link"]["tls"]["enable_mtls"]
    assert configuration(replace(site.settings("a"), members=frozenset("a")))["access_control"]["subjects"][0][
        "cert_common_names"
    ] == ["a"]


class TestStrangers:
    """``b`` is a member and waits for ``x``, who takes itself for one."""

    pytestmark = pytest.mark.soak

    async def meet(self, site: Site, settings: ZenohSettings, linked: bool) -> None:
        believing = replace(settings, members=frozenset("abcx"))
        async with AsyncExitStack() as stack:
            enter: Callable[..., Awaitable[tuple[ZenohEngine, Heard]]] = stack.enter_async_context
            member, by_member = await enter(running(site.settings("b", waits_for=("a",))))
            other, by_other = await enter(running(site.settings("a", dials=("b",))))
            stranger, by_stranger = await enter(running(believing))
            await until(lambda: up(other)["b"])
            if linked:
                await until(lambda: up(stranger)["b"])
            await asyncio.sleep(2.0)
            for engine, name in ((member, "b"), (other, "a"), (stranger, "x"), (stranger, "a")):
                engine.publish(f"{PREFIX}/state/{name}", engine._settings.node.encode())
            await asyncio.sleep(0.5)
            assert up(stranger)["b"] is linked
            assert [link.node for link in member.links() if link.up] == ["a"] + [""] * linked
            # Neither what it says, not even in a member's name, nor its life comes through, nor does it hear any.
            expected = {("state/a", b"a"), ("state/b", b"b")}
            assert set(by_member.messages) == set(by_other.messages) == expected
            assert member.alive() == other.alive() == {"a", "b"}
            assert {payload for _, payload in by_stranger.messages} == {b"x"}
            assert stranger.alive() == {"x"}

    async def test_one_of_the_right_authority_that_is_no_member_gets_a_link_and_nothing_through_it(
        self, site: Site
    ) -> None:
        await self.meet(site, site.settings("x", dials=("b",)), linked=True)

    async def test_one_of_another_authority_gets_no_link(self, site: Site, tmp_path: Path) -> None:
        files = MeshPki(tmp_path / "other", time.time(), name="Other CA").node("b", (HOST,))
        await self.meet(site, site.settings("x", dials=("b",), files=files), linked=False)

    async def test_one_whose_certificate_is_over_gets_no_link(self, site: Site) -> None:
        files = site.pki.node("c", (HOST,), days=1.0, begins_s=-2 * 86_400.0, folder="over")
        await self.meet(site, site.settings("x", dials=("b",), files=files), linked=False)

    async def test_a_certificate_for_another_address_is_not_dialled(self, site: Site) -> None:
        files = site.pki.node("b", ("192.0.2.9",), folder="elsewhere")
        async with (
            running(site.settings("b", files=files)) as (there, _),
            running(site.settings("a", dials=("b",))) as (one, _),
        ):
            await asyncio.sleep(2.5)
            assert up(one) == {"b": False}
            assert not any(link.up for link in there.links())

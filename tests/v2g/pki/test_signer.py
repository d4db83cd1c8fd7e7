"""Signing by another process: when it is started, restarted, given up, and what is said. The processes are real."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

import pytest

from pyiso15118.security.tls_token import KeyUnavailable
from v2g.clock import ManualClock
from v2g.config.schema_pki import Token
from v2g.pki import signer as signer_module
from v2g.pki.signer import AGAIN_S, TokenSigner

URI = "pkcs11:token=v2g;id=%01;type=private"
PLAYER = """
    import json, os, socket, sys, time
    folder = sys.argv[1]
    link = socket.socket(fileno=int(sys.argv[2]))
    lines = link.makefile("rb")
    open(folder + "/starts", "ab").write(lines.readline())
    for line in lines:
        word = open(folder + "/word").read()
        if word == "hang": time.sleep(60)
        if word == "crash": os.abort()
        if word == "leave": sys.exit(3)
        if word == "babble": link.sendall(b"x" * 30000)
        if word == "nonsense": link.sendall(b"{}}" + b"\\n")
        if word == "sign": link.sendall(b'{"signature": "c2lnbmVk"}' + b"\\n")
        if word.startswith("{"):
            link.sendall(word.encode() + b"\\n")
            sys.exit(0)
"""
"""Answers as the file ``word`` says; keeps the first line that each process was told."""


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.said: list[tuple[str, str]] = []
        settings = Token(uri="pkcs11:token=v2g", module="/usr/lib/module.so", pin_file="/etc/v2g/pin")
        command = (sys.executable, "-S", "-c", textwrap.dedent(PLAYER), str(folder))
        self.signer = TokenSigner(settings, lambda code, words: self.said.append((code, words)), self.clock, command)
        self.play("sign")

    def play(self, word: str) -> None:
        (self.folder / "word").write_text(word)

    def fail(self, problem: str, words: str, refusal: str = "null") -> None:
        self.play(f'{{"problem": "{problem}", "words": "{words}", "refusal": {refusal}}}')

    def starts(self) -> list[str]:
        kept = self.folder / "starts"
        return kept.read_text().splitlines() if kept.exists() else []

    def sign(self) -> bytes:
        return self.signer.sign(URI, bytes(64))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_one_process_makes_all_signatures(world: World) -> None:
    assert [world.sign() for _ in range(3)] == [b"signed"] * 3
    assert len(world.starts()) == 1
    assert world.said == []


def test_the_process_is_told_module_and_source_of_the_pin_only(world: World) -> None:
    world.sign()
    assert world.starts() == ['{"module":"/usr/lib/module.so","pin_file":"/etc/v2g/pin","refusal":null}']


def test_handles_that_a_pulled_token_left_behind_are_overcome_within_the_signature(world: World) -> None:
    world.sign()
    world.fail("failed", "SessionHandleInvalid")
    (world.folder / "starts").unlink()

    original, asked = world.signer._ask, []

    def ask(request: signer_module.SignRequest) -> bytes:
        if asked:
            world.play("sign")
        asked.append(request)
        return original(request)

    world.signer._ask = ask  # type: ignore[method-assign]
    assert world.sign() == b"signed"
    assert len(asked) == 2
    assert world.said == []


def test_a_failure_is_told_once_with_its_words_and_the_return_too(world: World) -> None:
    world.sign()
    world.fail("absent", "no token v2g: plug it in")
    for _ in range(3):
        with pytest.raises(KeyUnavailable, match="our private key cannot be used: no token v2g: plug it in"):
            world.sign()
        world.clock.advance(AGAIN_S)
    world.play("sign")
    assert world.sign() == b"signed"
    assert [code for code, _ in world.said] == ["TOKEN_LOST", "TOKEN_BACK"]
    assert world.signer.problem == ""


def test_another_reason_is_told_as_well(world: World) -> None:
    for words in ("no token", "the PIN is wrong"):
        world.fail("absent", words)
        with pytest.raises(KeyUnavailable, match=words):
            world.sign()
        world.clock.advance(AGAIN_S)
    assert [words for _, words in world.said] == [
        "our private key cannot be used: no token",
        "our private key cannot be used: the PIN is wrong",
    ]


def test_many_vehicles_at_once_do_not_start_a_process_each(world: World) -> None:
    world.fail("absent", "no token")
    for _ in range(20):
        with pytest.raises(KeyUnavailable, match="no token"):
            world.sign()
    assert len(world.starts()) == 1
    world.clock.advance(AGAIN_S)
    with pytest.raises(KeyUnavailable, match="no token"):
        world.sign()
    assert len(world.starts()) == 2


def test_a_refused_pin_is_handed_to_the_next_process_and_not_tried_in_the_same_signature(world: World) -> None:
    world.sign()
    world.fail("pin", "the PIN is wrong", '{"serial": "01", "source": [1, 2], "words": "the PIN is wrong"}')
    with pytest.raises(KeyUnavailable, match="the PIN is wrong"):
        world.sign()
    assert len(world.starts()) == 1
    world.clock.advance(AGAIN_S)
    with pytest.raises(KeyUnavailable, match="the PIN is wrong"):
        world.sign()
    assert '"refusal":{"serial":"01","source":[1,2],"words":"the PIN is wrong"}' in world.starts()[1]


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("crash", r"ended \(signal 6\) in the PKCS#11 module /usr/lib/module\.so"),
        ("leave", r"ended \(exit code 3\) in the PKCS#11 module"),
        ("babble", "the signing process cannot be spoken to"),
        ("nonsense", "the signing process cannot be spoken to"),
    ],
)
def test_a_module_that_goes_wrong_takes_one_process_with_it_and_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch, word: str, words: str
) -> None:
    monkeypatch.setattr(signer_module, "_END_S", 0.3)
    world.play(word)
    with pytest.raises(KeyUnavailable, match=words):
        world.sign()
    world.play("sign")
    world.clock.advance(AGAIN_S)
    assert world.sign() == b"signed"


def test_a_token_that_does_not_answer_is_given_up_and_its_process_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signer_module, "START_S", 0.3)
    world.play("hang")
    with pytest.raises(KeyUnavailable, match="does not answer within"):
        world.sign()
    assert world.signer.pid is None


def test_a_process_that_cannot_be_started_is_told(world: World) -> None:
    world.signer._command = ("/nowhere/python",)
    with pytest.raises(KeyUnavailable, match="cannot be started"):
        world.sign()


def test_a_process_that_was_killed_is_replaced_within_the_signature(world: World) -> None:
    world.sign()
    pid = world.signer.pid
    assert pid is not None
    os.kill(pid, 9)
    assert world.sign() == b"signed"
    assert world.said == []


def test_closing_ends_the_process(world: World) -> None:
    world.sign()
    pid = world.signer.pid
    assert pid is not None
    world.signer.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)

"""Tokens that are away, doubled, locked, full or broken, by a module made up here: what is said and not tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from v2g.pki.pin import PinSource
from v2g.pki.pkcs11_uri import Pkcs11Uri, parse
from v2g.pki.token_access import (
    SECP521R1_PARAMETERS,
    PinMemory,
    Refusal,
    TokenError,
    TokenProblem,
    destroy,
    find_key,
    find_token,
    generate,
    load_module,
    open_session,
    public_key_of,
    sign_digest,
)

pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed: pip install 'v2g-orchestrator[hsm]'")
FLAG = pkcs11.TokenFlag
USABLE = FLAG.TOKEN_INITIALIZED | FLAG.LOGIN_REQUIRED | FLAG.USER_PIN_INITIALIZED
EC_MECHANISMS = frozenset({pkcs11.Mechanism.EC_KEY_PAIR_GEN, pkcs11.Mechanism.ECDSA})
URI = parse("pkcs11:token=v2g;id=%01")


@dataclass
class Slot:
    slot_id: int = 1
    token: Any = None
    mechanisms: frozenset[Any] = EC_MECHANISMS
    error: Exception | None = None

    def get_token(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.token

    def get_mechanisms(self) -> frozenset[Any]:
        return self.mechanisms


@dataclass
class Key:
    attributes: dict[Any, Any] = field(default_factory=dict)
    made: bytes = b""
    error: Exception | None = None
    destroyed: bool = False

    def __getitem__(self, attribute: Any) -> Any:
        return self.attributes[attribute]

    def sign(self, data: bytes, mechanism: Any) -> bytes:
        assert mechanism is pkcs11.Mechanism.ECDSA
        if self.error is not None:
            raise self.error
        return self.made

    def destroy(self) -> None:
        self.destroyed = True


@dataclass
class Session:
    token: Any
    found: list[Key] = field(default_factory=list)
    pair: tuple[Key, Key] | None = None
    error: Exception | None = None
    asked: list[dict[Any, Any]] = field(default_factory=list)

    def get_objects(self, wanted: dict[Any, Any]) -> list[Key]:
        self.asked.append(wanted)
        return self.found

    def create_domain_parameters(self, kind: Any, parameters: dict[Any, Any], local: bool) -> Session:
        assert parameters == {pkcs11.Attribute.EC_PARAMS: SECP521R1_PARAMETERS}
        assert local
        return self

    def generate_keypair(self, **what: Any) -> tuple[Key, Key]:
        self.asked.append(what)
        if self.error is not None:
            raise self.error
        assert self.pair is not None
        return self.pair


@dataclass
class Token:
    label: str = "v2g"
    serial: bytes = b"01"
    manufacturer_id: str = "maker"
    model: str = "model"
    flags: int = USABLE
    refuses: Exception | None = None
    flags_then: int = 0
    slot: Slot = field(default_factory=Slot)
    pins: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slot.token = self

    def open(self, rw: bool = False, user_pin: str | None = None) -> Session:
        if user_pin is not None:
            self.pins.append(user_pin)
        if self.refuses is not None:
            self.flags |= self.flags_then
            raise self.refuses
        return Session(self)


@dataclass
class Module:
    tokens: list[Token]
    so: str = "/usr/lib/module.so"

    def get_slots(self, token_present: bool) -> list[Slot]:
        return [token.slot for token in self.tokens]


@pytest.fixture
def source(tmp_path: Path) -> PinSource:
    path = tmp_path / "pin"
    path.touch(mode=0o600)
    path.write_text("271828\n")
    return PinSource(path, credential=False)


def refused(problem: TokenProblem, words: str) -> Any:
    return pytest.raises(TokenError, match=words, check=lambda error: error.problem is problem)


# ---- the module ----


def test_a_module_that_is_not_there_is_named() -> None:
    with refused(TokenProblem.MODULE, r"/nowhere/module\.so is not there: install its package"):
        load_module("/nowhere/module.so")


def test_a_module_needs_an_absolute_path() -> None:
    with refused(TokenProblem.MODULE, "absolute path"):
        load_module("libsofthsm2.so")


def test_a_file_that_is_no_module_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "module.so"
    path.write_bytes(b"no library")
    with refused(TokenProblem.MODULE, f"{path} cannot be loaded: .*the PKCS#11 library of the token's maker"):
        load_module(str(path))


# ---- the token ----


def test_a_token_that_is_away_is_told_with_those_that_are_present() -> None:
    module = Module([Token(label="other", serial=b"07"), Token(label="third", serial=b"08")])
    with refused(
        TokenProblem.ABSENT, r"no token pkcs11:token=v2g: present: 'other' \(serial 07\), 'third' \(serial 08\)"
    ):
        find_token(module, URI)


def test_no_token_at_all_is_told_so() -> None:
    with refused(TokenProblem.ABSENT, "no token is present; plug it in"):
        find_token(Module([]), URI)


def test_two_tokens_of_one_label_are_told_apart_by_their_serials() -> None:
    module = Module([Token(serial=b"07"), Token(serial=b"08")])
    with refused(TokenProblem.AMBIGUOUS, r"2 tokens match pkcs11:token=v2g: add serial= .*07.*08"):
        find_token(module, URI)
    assert find_token(module, parse("pkcs11:token=v2g;serial=08")) is module.tokens[1]


def test_slots_whose_token_cannot_be_read_do_not_hide_the_others() -> None:
    broken, right = Token(), Token()
    broken.slot.error = pkcs11.TokenNotRecognised()
    assert find_token(Module([broken, right]), URI) is right


def test_a_token_without_a_life_of_its_own_is_none() -> None:
    with refused(TokenProblem.ABSENT, "no token is present"):
        find_token(Module([Token(flags=0)]), URI)


# ---- the PIN ----


def test_the_right_pin_opens_a_session(source: PinSource) -> None:
    token = Token()
    assert open_session(token, source, PinMemory()).token is token
    assert token.pins == ["271828"]


@pytest.mark.parametrize(
    ("flags_then", "left"),
    [(0, ""), (FLAG.USER_PIN_COUNT_LOW, "fewer tries left"), (FLAG.USER_PIN_FINAL_TRY, "one try left")],
)
def test_a_wrong_pin_is_told_with_the_tries_left_and_without_the_pin(
    source: PinSource, flags_then: int, left: str
) -> None:
    token = Token(refuses=pkcs11.PinIncorrect(), flags_then=flags_then)
    with refused(TokenProblem.PIN, f"wrong for token 'v2g'.*{left}.*not tried again") as said:
        open_session(token, source, PinMemory())
    assert "271828" not in str(said.value)
    assert said.value.__cause__ is None


def test_a_refused_pin_is_not_tried_again(source: PinSource) -> None:
    token, memory = Token(refuses=pkcs11.PinIncorrect()), PinMemory()
    for _ in range(3):
        with refused(TokenProblem.PIN, "not tried again"):
            open_session(token, source, memory)
    assert len(token.pins) == 1


def test_a_process_that_takes_over_does_not_try_what_the_last_one_learned(source: PinSource) -> None:
    token, memory = Token(refuses=pkcs11.PinIncorrect()), PinMemory()
    with refused(TokenProblem.PIN, "wrong"):
        open_session(token, source, memory)
    with refused(TokenProblem.PIN, "wrong"):
        open_session(token, source, PinMemory(memory.refusal))
    assert len(token.pins) == 1


def test_another_pin_in_the_source_is_tried_once(source: PinSource) -> None:
    token, memory = Token(refuses=pkcs11.PinIncorrect()), PinMemory()
    with refused(TokenProblem.PIN, "wrong"):
        open_session(token, source, memory)
    replacement = source.path.with_name("new")
    replacement.touch(mode=0o600)
    replacement.write_text("31415\n")
    replacement.replace(source.path)
    token.refuses = None
    open_session(token, source, memory)
    assert token.pins == ["271828", "31415"]


def test_another_token_gets_its_own_try(source: PinSource) -> None:
    memory = PinMemory(Refusal("01", source.stamp(), "wrong"))
    other = Token(serial=b"02")
    open_session(other, source, memory)
    assert other.pins == ["271828"]


def test_the_last_try_is_not_spent(source: PinSource) -> None:
    token = Token(flags=USABLE | FLAG.USER_PIN_FINAL_TRY)
    with refused(TokenProblem.PIN, "one try left before its PIN is locked.*log in once by hand"):
        open_session(token, source, PinMemory())
    assert token.pins == []


def test_a_locked_pin_is_not_tried(source: PinSource) -> None:
    token = Token(flags=USABLE | FLAG.USER_PIN_LOCKED)
    with refused(TokenProblem.PIN, "PIN of token 'v2g' .* is locked: its security officer"):
        open_session(token, source, PinMemory())
    assert token.pins == []


def test_a_pin_that_locks_at_this_try_is_said_to_be_locked(source: PinSource) -> None:
    token, memory = Token(refuses=pkcs11.PinLocked()), PinMemory()
    for _ in range(2):
        with refused(TokenProblem.PIN, "is locked"):
            open_session(token, source, memory)
    assert len(token.pins) == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (FLAG.TOKEN_INITIALIZED | FLAG.LOGIN_REQUIRED, "no user PIN yet"),
        (USABLE | FLAG.PROTECTED_AUTHENTICATION_PATH, "reader of its own"),
    ],
)
def test_a_token_that_takes_no_pin_from_us_says_so(source: PinSource, flags: int, words: str) -> None:
    token = Token(flags=flags)
    with refused(TokenProblem.PIN, words):
        open_session(token, source, PinMemory())
    assert token.pins == []


def test_a_token_without_login_is_opened_without_a_pin(source: PinSource) -> None:
    token = Token(flags=FLAG.TOKEN_INITIALIZED)
    open_session(token, source, PinMemory())
    assert token.pins == []


# ---- keys ----


def test_a_key_that_is_not_there_is_told() -> None:
    with refused(TokenProblem.KEY, "no private EC key for pkcs11:token=v2g;id=%01"):
        find_key(Session(Token()), URI)


def test_several_keys_that_match_are_told() -> None:
    with refused(TokenProblem.KEY, "2 private keys that match"):
        find_key(Session(Token(), found=[Key(), Key()]), parse("pkcs11:object=secc"))


def test_a_uri_without_id_and_label_finds_no_key() -> None:
    with refused(TokenProblem.KEY, "neither id nor object"):
        find_key(Session(Token(), found=[Key()]), parse("pkcs11:token=v2g"))


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_public_key_is_read_with_and_without_its_wrapping(wrapped: bool) -> None:
    public = ec.generate_private_key(ec.SECP521R1()).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    key = Key(
        {
            pkcs11.Attribute.EC_PARAMS: SECP521R1_PARAMETERS,
            pkcs11.Attribute.EC_POINT: b"\x04\x81\x85" + point if wrapped else point,
        }
    )
    assert public_key_of(Session(Token(), found=[key]), URI) == public


def test_a_key_of_another_curve_is_refused() -> None:
    key = Key({pkcs11.Attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107"), pkcs11.Attribute.EC_POINT: b""})
    with refused(TokenProblem.KEY, "not of secp521r1"):
        public_key_of(Session(Token(), found=[key]), URI)


def test_a_public_key_that_is_none_is_refused() -> None:
    key = Key({pkcs11.Attribute.EC_PARAMS: SECP521R1_PARAMETERS, pkcs11.Attribute.EC_POINT: b"\x04" * 133})
    with refused(TokenProblem.FAILED, "that is none"):
        public_key_of(Session(Token(), found=[key]), URI)


def secret(sensitive: bool = True, extractable: bool = False) -> Key:
    return Key({pkcs11.Attribute.SENSITIVE: sensitive, pkcs11.Attribute.EXTRACTABLE: extractable})


def test_a_key_is_made_that_never_leaves_the_token() -> None:
    opened = Session(Token(), pair=(Key(), secret()))
    generate(opened, "secc", b"\x01")
    template = opened.asked[0]["private_template"]
    assert template == {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False}
    assert opened.asked[0]["store"] is True


@pytest.mark.parametrize("private", [secret(sensitive=False), secret(extractable=True)])
def test_a_key_that_could_be_read_out_all_the_same_is_removed_at_once(private: Key) -> None:
    public = Key()
    with refused(TokenProblem.KEY, "could be read out"):
        generate(Session(Token(), pair=(public, private)), "secc", b"\x01")
    assert private.destroyed
    assert public.destroyed


@pytest.mark.parametrize(
    ("error", "problem", "words"),
    [
        (pkcs11.DeviceMemory(), TokenProblem.FULL, "is full: remove keys"),
        (pkcs11.TokenWriteProtected(), TokenProblem.FULL, "write protected"),
        (pkcs11.DeviceRemoved(), TokenProblem.ABSENT, "is gone"),
        (pkcs11.GeneralError("0x5"), TokenProblem.FAILED, r"failed \(GeneralError: 0x5\)"),
    ],
)
def test_what_the_token_cannot_do_is_told(error: Exception, problem: TokenProblem, words: str) -> None:
    with refused(problem, words):
        generate(Session(Token(), error=error), "secc", b"\x01")


def test_a_token_without_elliptic_curves_is_told_so() -> None:
    token = Token(slot=Slot(mechanisms=frozenset({pkcs11.Mechanism.RSA_PKCS})))
    with refused(TokenProblem.KEY, "makes no EC keys"):
        generate(Session(token), "secc", b"\x01")


def test_both_halves_are_removed_and_none_by_label_alone() -> None:
    halves = [Key(), Key()]
    opened = Session(Token(), found=halves)
    destroy(opened, URI)
    assert all(key.destroyed for key in halves)
    assert {wanted[pkcs11.Attribute.ID] for wanted in opened.asked} == {b"\x01"}
    with refused(TokenProblem.KEY, "by a label alone"):
        destroy(opened, Pkcs11Uri(object="secc"))


# ---- signatures ----


def test_the_two_numbers_of_a_signature_become_der() -> None:
    private = ec.generate_private_key(ec.SECP521R1())
    digest = bytes(64)
    r, s = decode_dss_signature(private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA512()))))
    der = sign_digest(Key(made=r.to_bytes(66) + s.to_bytes(66)), "token", digest)
    private.public_key().verify(der, digest, ec.ECDSA(Prehashed(hashes.SHA512())))


@pytest.mark.parametrize("made", [b"", b"123"])
def test_what_is_no_signature_is_refused(made: bytes) -> None:
    with refused(TokenProblem.FAILED, "which is none"):
        sign_digest(Key(made=made), "token", bytes(64))


def test_a_token_that_is_pulled_while_it_signs_is_said_to_be_gone() -> None:
    with refused(TokenProblem.ABSENT, "token v2g is gone"):
        sign_digest(Key(error=pkcs11.DeviceRemoved()), "token v2g", bytes(64))

"""A PKCS#11 module and its tokens by ``python-pkcs11``: find, log in, make, sign; and errors in words for people.

Works in the process that calls it, by one thread at a time.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from v2g.pki.model import PkiError
from v2g.pki.pin import PinSource
from v2g.pki.pkcs11_uri import Pkcs11Uri

if TYPE_CHECKING:
    from types import ModuleType

CURVE: Final = ec.SECP521R1()
SECP521R1_PARAMETERS: Final = bytes.fromhex("06052b81040023")
"""CKA_EC_PARAMS: the curve's object identifier, in DER."""
POINT_BYTES: Final = 133
ID_BYTES: Final = 16


class TokenProblem(enum.StrEnum):
    """What kind of trouble it is, where the words are not enough."""

    MODULE = "module"
    ABSENT = "absent"
    AMBIGUOUS = "ambiguous"
    PIN = "pin"
    """Refused, or not to be tried: nothing is tried again before the PIN's source or the token has changed."""
    KEY = "key"
    FULL = "full"
    FAILED = "failed"
    """The token or its module failed at something that it should be able to do."""


class TokenError(PkiError):
    def __init__(self, problem: TokenProblem, words: str) -> None:
        super().__init__(words)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Refusal:
    """A PIN that a token refused: it is not tried again on this token while its source is as it was."""

    serial: str
    source: tuple[int, ...]
    words: str


class PinMemory:
    """What was refused in the life of a process, and of the one that it took over from."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        self.refusal = refusal

    def check(self, serial: str, source: tuple[int, ...]) -> None:
        """Raises :class:`TokenError` for what would be refused again."""
        if self.refusal is not None and (self.refusal.serial, self.refusal.source) == (serial, source):
            raise TokenError(TokenProblem.PIN, self.refusal.words)


def load_module(path: str) -> Any:
    """The PKCS#11 library. Raises :class:`TokenError`."""
    library = _pkcs11()
    if not Path(path).is_absolute():
        raise TokenError(TokenProblem.MODULE, f"PKCS#11 module {path}: pki.token.module needs an absolute path")
    if not Path(path).is_file():
        raise TokenError(
            TokenProblem.MODULE, f"PKCS#11 module {path} is not there: install its package, or mend pki.token.module"
        )
    try:
        return library.lib(path)
    except library.PKCS11Error as error:
        raise TokenError(
            TokenProblem.MODULE,
            f"PKCS#11 module {path} cannot be loaded: {_reason(error)}: it must be the PKCS#11 library of the token's "
            "maker for this machine, and its own configuration be readable to this user",
        ) from error


def find_token(module: Any, uri: Pkcs11Uri) -> Any:
    """The one token that the URI names. Raises :class:`TokenError` that lists those present otherwise."""
    with in_words(f"tokens of {module.so}"):
        present = list(_tokens(module))
    found = [token for token in present if _matches(uri, token)]
    if len(found) == 1:
        return found[0]
    if found:
        raise TokenError(
            TokenProblem.AMBIGUOUS,
            f"{len(found)} tokens match {uri.of_token()}: add serial= of one of them to pki.token.uri: {_list(found)}",
        )
    raise TokenError(
        TokenProblem.ABSENT,
        f"no token {uri.of_token()}: {'present: ' + _list(present) if present else 'no token is present'}; plug it in, "
        "or mend pki.token.uri",
    )


@contextmanager
def session(token: Any, source: PinSource | None, memory: PinMemory, *, writing: bool = False) -> Iterator[Any]:
    """Logged in. ``source`` None: only to look. Raises :class:`TokenError`."""
    opened = open_session(token, source, memory, writing=writing)
    try:
        yield opened
    finally:
        try:
            opened.close()
        except _pkcs11().PKCS11Error:
            # It went with its token.
            pass


def open_session(token: Any, source: PinSource | None, memory: PinMemory, *, writing: bool = False) -> Any:
    """As :func:`session`; for whoever keeps it open. A PIN is tried once, and not where it could lock the token."""
    library = _pkcs11()
    name = describe_token(token)
    flags = int(token.flags)
    flag = library.TokenFlag
    if source is None or not flags & flag.LOGIN_REQUIRED:
        with in_words(name):
            return token.open(rw=writing)
    if flags & flag.PROTECTED_AUTHENTICATION_PATH:
        raise TokenError(
            TokenProblem.PIN, f"{name} asks for the PIN at a reader of its own, which nobody would answer here"
        )
    if not flags & flag.USER_PIN_INITIALIZED:
        raise TokenError(TokenProblem.PIN, f"{name} has no user PIN yet: set one with pkcs11-tool --init-pin")
    if flags & flag.USER_PIN_LOCKED:
        raise TokenError(TokenProblem.PIN, _locked(name))
    serial, stamp = serial_of(token), source.stamp()
    memory.check(serial, stamp)
    if flags & flag.USER_PIN_FINAL_TRY:
        raise TokenError(
            TokenProblem.PIN,
            f"{name} has one try left before its PIN is locked, and it is not spent here: log in once by hand with the "
            f"right PIN (pkcs11-tool --module … --login --list-objects), which gives it all tries back, and put that "
            f"PIN into the {source.description}",
        )
    pin = source.read()
    try:
        return token.open(rw=writing, user_pin=pin.reveal())
    except (library.PinIncorrect, library.PinInvalid, library.PinLenRange, library.PinExpired) as error:
        words = _refused(name, source, error, _flags_now(token))
        memory.refusal = Refusal(serial, stamp, words)
        raise TokenError(TokenProblem.PIN, words) from None
    except library.PinLocked:
        memory.refusal = Refusal(serial, stamp, _locked(name))
        raise TokenError(TokenProblem.PIN, _locked(name)) from None
    except library.PKCS11Error as error:
        raise _failed(name, error) from error


def find_key(opened: Any, uri: Pkcs11Uri, *, public: bool = False) -> Any:
    """The one EC key that the URI names by id or label. Raises :class:`TokenError`."""
    library = _pkcs11()
    if uri.id is None and uri.object is None:
        raise TokenError(TokenProblem.KEY, f"{uri} names no key: it has neither id nor object")
    kind = library.ObjectClass.PUBLIC_KEY if public else library.ObjectClass.PRIVATE_KEY
    wanted: dict[Any, Any] = {library.Attribute.CLASS: kind, library.Attribute.KEY_TYPE: library.KeyType.EC}
    if uri.id is not None:
        wanted[library.Attribute.ID] = uri.id
    if uri.object is not None:
        wanted[library.Attribute.LABEL] = uri.object
    name = describe_token(opened.token)
    with in_words(name):
        found = list(opened.get_objects(wanted))
    word = "public" if public else "private"
    if len(found) == 1:
        return found[0]
    if found:
        raise TokenError(TokenProblem.KEY, f"{name} has {len(found)} {word} keys that match {uri}: name one by its id")
    raise TokenError(
        TokenProblem.KEY,
        f"{name} has no {word} EC key for {uri}: is it the right token? v2g-cert-manager provision makes a new key",
    )


def public_key_of(opened: Any, uri: Pkcs11Uri) -> ec.EllipticCurvePublicKey:
    """Of a key of secp521r1. Raises :class:`TokenError`."""
    library = _pkcs11()
    found = find_key(opened, uri, public=True)
    name = describe_token(opened.token)
    with in_words(name):
        parameters, point = found[library.Attribute.EC_PARAMS], bytes(found[library.Attribute.EC_POINT])
    if bytes(parameters) != SECP521R1_PARAMETERS:
        raise TokenError(TokenProblem.KEY, f"the key {uri} in {name} is not of secp521r1, as the profile strict wants")
    # Some tokens give the point as it is, most in an OCTET STRING, as the standard has it.
    raw = point if len(point) == POINT_BYTES else point[-POINT_BYTES:]
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, raw)
    except ValueError:
        raise TokenError(TokenProblem.FAILED, f"{name} gives a public key for {uri} that is none") from None


def generate(opened: Any, label: str, key_id: bytes) -> None:
    """A pair of secp521r1 that never leaves the token. Raises :class:`TokenError`."""
    library = _pkcs11()
    name = describe_token(opened.token)
    attribute = library.Attribute
    with in_words(name):
        offered = opened.token.slot.get_mechanisms()
    if library.Mechanism.EC_KEY_PAIR_GEN not in offered or library.Mechanism.ECDSA not in offered:
        raise TokenError(TokenProblem.KEY, f"{name} makes no EC keys: a token for P-521 is needed")
    with in_words(name):
        parameters = opened.create_domain_parameters(
            library.KeyType.EC, {attribute.EC_PARAMS: SECP521R1_PARAMETERS}, local=True
        )
        public, private = parameters.generate_keypair(
            id=key_id,
            label=label,
            store=True,
            capabilities=library.MechanismFlag.SIGN | library.MechanismFlag.VERIFY,
            private_template={attribute.SENSITIVE: True, attribute.EXTRACTABLE: False},
        )
        kept = private[attribute.SENSITIVE] and not private[attribute.EXTRACTABLE]
        if not kept:
            private.destroy()
            public.destroy()
    if not kept:
        raise TokenError(TokenProblem.KEY, f"{name} made a key that could be read out of it: it is no place for a key")


def destroy(opened: Any, uri: Pkcs11Uri) -> None:
    """Both halves of what the URI names; nothing where they are gone already. Raises :class:`TokenError`."""
    library = _pkcs11()
    if uri.id is None:
        raise TokenError(TokenProblem.KEY, f"{uri} names no key by its id: nothing is removed by a label alone")
    with in_words(describe_token(opened.token)):
        for kind in (library.ObjectClass.PRIVATE_KEY, library.ObjectClass.PUBLIC_KEY):
            wanted = {library.Attribute.CLASS: kind, library.Attribute.ID: uri.id}
            for found in list(opened.get_objects(wanted)):
                found.destroy()


def sign_digest(private: Any, name: str, digest: bytes) -> bytes:
    """ECDSA of a digest, in DER. Raises :class:`TokenError`."""
    with in_words(name):
        raw = bytes(private.sign(digest, mechanism=_pkcs11().Mechanism.ECDSA))
    half, odd = divmod(len(raw), 2)
    if odd or not half:
        raise TokenError(TokenProblem.FAILED, f"{name} gives a signature of {len(raw)} bytes, which is none")
    return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))


@contextmanager
def in_words(name: str) -> Iterator[None]:
    """Errors of the module as :class:`TokenError` about ``name``."""
    library = _pkcs11()
    try:
        yield
    except library.PKCS11Error as error:
        raise _failed(name, error) from error


def describe_token(token: Any) -> str:
    return f"token {token.label!r} (serial {serial_of(token)})"


def serial_of(token: Any) -> str:
    serial = token.serial
    return serial.decode("utf-8", "replace").strip() if isinstance(serial, bytes) else str(serial).strip()


# ---- within ----


def _pkcs11() -> ModuleType:
    try:
        import pkcs11
    except ImportError as error:
        raise TokenError(
            TokenProblem.MODULE,
            f"keys in a token need python-pkcs11 ({error}): pip install 'v2g-orchestrator[hsm]'",
        ) from None
    return pkcs11


def _tokens(module: Any) -> Iterator[Any]:
    library = _pkcs11()
    for slot in module.get_slots(token_present=True):
        try:
            token = slot.get_token()
        except (library.TokenNotPresent, library.TokenNotRecognised, library.DeviceRemoved):
            continue
        if _initialised(token):
            yield token


def _initialised(token: Any) -> bool:
    return bool(int(token.flags) & _pkcs11().TokenFlag.TOKEN_INITIALIZED)


def _matches(uri: Pkcs11Uri, token: Any) -> bool:
    return uri.matches_token(
        token=token.label,
        manufacturer=token.manufacturer_id,
        serial=serial_of(token),
        model=token.model,
        slot_id=token.slot.slot_id,
    )


def _list(tokens: Sequence[Any]) -> str:
    return ", ".join(f"{token.label!r} (serial {serial_of(token)})" for token in tokens)


def _flags_now(token: Any) -> int:
    try:
        return int(token.slot.get_token().flags)
    except _pkcs11().PKCS11Error:
        return 0


def _locked(name: str) -> str:
    return (
        f"the PIN of {name} is locked: its security officer sets a new one (pkcs11-tool --module … --login "
        "--login-type so --init-pin), then put that into the PIN's source"
    )


def _refused(name: str, source: PinSource, error: Exception, flags: int) -> str:
    flag = _pkcs11().TokenFlag
    if flags & flag.USER_PIN_LOCKED:
        return _locked(name)
    left = ""
    if flags & flag.USER_PIN_FINAL_TRY:
        left = ", which has one try left"
    elif flags & flag.USER_PIN_COUNT_LOW:
        left = ", which has fewer tries left now"
    why = "expired: it must be changed" if type(error).__name__ == "PinExpired" else "wrong"
    return (
        f"the PIN in the {source.description} is {why} for {name}{left}: it is not tried again; put the right one there"
    )


def _failed(name: str, error: Exception) -> TokenError:
    kind = type(error).__name__
    if kind == "DeviceMemory":
        return TokenError(
            TokenProblem.FULL, f"{name} is full: remove keys that nothing uses (pkcs11-tool --list-objects)"
        )
    if kind in ("DeviceRemoved", "TokenNotPresent", "TokenNotRecognised", "SlotIDInvalid"):
        return TokenError(TokenProblem.ABSENT, f"{name} is gone ({_reason(error)}): plug it in again")
    if kind == "TokenWriteProtected":
        return TokenError(TokenProblem.FULL, f"{name} is write protected: no key can be made or removed in it")
    return TokenError(
        TokenProblem.FAILED,
        f"{name} failed ({_reason(error)}): look at the token, its reader and its daemon (pcscd)",
    )


def _reason(error: Exception) -> str:
    words = str(error).strip()
    return f"{type(error).__name__}: {words}" if words else type(error).__name__

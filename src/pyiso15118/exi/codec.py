"""Documents and fragments: the header byte, the event code of the root element, and what surrounds generated code."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from pyiso15118.errors import ExiError
from pyiso15118.exi.compiler import Decoder, Encoder, compile_with_parts, decoder_of, encoder_of, locate
from pyiso15118.exi.declarations import Struct
from pyiso15118.exi.grammar import Datatype, element_terminals
from pyiso15118.exi.runtime import Malformed, wrong_code
from pyiso15118.exi.schema import (
    abstract_types,
    element_namespace,
    element_namespaces,
    find,
    is_element,
    replaced_by,
    type_namespace,
)
from pyiso15118.exi.source import is_type

HEADER = 0x80
"""Distinguishing bits, no options, EXI version 1."""
MAX_LENGTH = 65536
"""Bytes of the longest input decoded unless the caller says otherwise."""


class Grammar:
    """The productions of a document or a fragment: qualified names, sorted, each with the type it starts."""

    def __init__(self, elements: dict[tuple[str, str], set[Datatype]], others: int) -> None:
        self.elements = sorted(elements.items())
        self.width = (len(elements) + others - 1).bit_length()
        self.codes = {name: code for code, (name, _) in enumerate(self.elements)}

    def start(self, code: int) -> tuple[str, type[Struct]]:
        """The element that an event code starts."""
        if code >= len(self.elements):
            raise wrong_code()
        (name, _), datatypes = self.elements[code]
        return name, only_type(name, datatypes)


def only_type(name: str, datatypes: set[Datatype]) -> type[Struct]:
    """The complex type of an element; elements of several types or a simple one cannot be a root here."""
    (datatype, *more) = datatypes
    if more or not is_type(datatype) or datatype in abstract_types:
        raise Malformed(f"element {name} has no complex type of its own and cannot stand alone")
    found: type[Struct] = datatype
    return found


@cache
def document_grammar(namespace: str) -> Grammar:
    """Global elements of a schema and of all it imports, as one set (EXI 1.0 section 8.5.1)."""
    elements: dict[tuple[str, str], set[Datatype]] = {}
    for schema in find(namespace).closure:
        for name, cls in schema.elements.items():
            # A schema comes before those it imports, and so does an element that it widens.
            elements.setdefault((name, element_namespace(cls)), {cls})
    return Grammar(elements, others=1)


@cache
def fragment_grammar(namespace: str) -> Grammar:
    """All elements that a schema and its imports declare, local ones too (EXI 1.0 section 8.5.2)."""
    elements: dict[tuple[str, str], set[Datatype]] = {}
    own = find(namespace)
    replaced = {replaced_by(cls) for cls in own.types if cls in element_namespaces}
    for schema in own.closure:
        for name, cls in schema.elements.items():
            if cls not in replaced:
                elements.setdefault((name, element_namespace(cls)), set()).add(cls)
        for cls in schema.types:
            for terminal in element_terminals(cls):
                if terminal.datatype is not None:
                    elements.setdefault((terminal.name, terminal.namespace), set()).add(terminal.datatype)
    return Grammar(elements, others=2)


def element_type(namespace: str, name: str, *, fragment: bool = False) -> type[Struct]:
    """The type of a global element, or with ``fragment`` of any element, of a schema or those it imports.

    The schema's own elements come before imported ones of the same name. Raises :class:`ExiError` where there is none.
    """
    grammar = fragment_grammar(str(namespace)) if fragment else document_grammar(str(namespace))
    found = sorted((item for item in grammar.elements if item[0][0] == name), key=lambda item: item[0][1] != namespace)
    if not found:
        raise ExiError(f"{namespace} has no {'' if fragment else 'global '}element of this name", name)
    try:
        return only_type(name, found[0][1])
    except Malformed as error:
        raise ExiError(str(error), name) from None


@cache
def element_name(cls: type[Struct]) -> str:
    """The element a struct stands for: its own name if global, else the one element declared with its type."""
    if is_element(cls):
        return cls.__name__
    namespace = type_namespace.get(cls)
    if namespace is None:
        raise ExiError(f"{cls.__name__} is no registered message type")
    names = {name for (name, _), types in fragment_grammar(namespace).elements if types == {cls}}
    if len(names) != 1:
        raise ExiError(f"{cls.__name__} is the type of {len(names)} elements; say which is meant")
    return names.pop()


@cache
def _document_encoder(cls: type[Struct], namespace: str | None) -> tuple[Encoder, int]:
    own = type_namespace.get(cls)
    if own is None or not is_element(cls) or cls in abstract_types:
        raise ExiError(f"{cls.__name__} is no element that can be a message")
    grammar = document_grammar(own if namespace is None else str(namespace))
    code = grammar.codes.get((cls.__name__, element_namespace(cls)))
    if code is None:
        raise ExiError(f"{namespace} has no global element {cls.__name__}")
    if cls not in grammar.elements[code][1]:
        raise ExiError(f"{namespace} has its own {cls.__name__}, with more members; use that class")
    return encoder_of(cls), HEADER << grammar.width | code


def encode(message: Struct, namespace: str | None = None) -> bytes:
    """A message as an EXI document, by the schema of ``namespace`` where that is not the one that declares the message.

    Raises :class:`ExiError` naming the element whose value the schema forbids.
    """
    cls = message.__class__
    encoder, start = _document_encoder(cls, namespace)
    try:
        acc = encoder(start, message)
    except (Malformed, ValueError, TypeError, AttributeError) as error:
        raise locate(error, cls.__name__, None) from None
    return _aligned(acc)


def encode_fragment(message: Struct, namespace: str, element: str | None = None) -> bytes:
    """A struct as an EXI fragment by the schema of ``namespace``, as signatures need it.

    ``element`` names the element where the type alone does not say. Raises :class:`ExiError`.
    """
    cls = message.__class__
    name = element or element_name(cls)
    grammar = fragment_grammar(namespace)
    code = next((grammar.codes[key] for key, types in grammar.elements if key[0] == name and cls in types), None)
    if code is None:
        raise ExiError(f"{namespace} has no element {name} of type {cls.__name__}")
    try:
        only_type(name, dict(grammar.elements)[grammar.elements[code][0]])
        acc = encoder_of(cls)(HEADER << grammar.width | code, message)
    except (Malformed, ValueError, TypeError, AttributeError) as error:
        raise locate(error, name, None) from None
    return _aligned(acc << grammar.width | len(grammar.elements) + 1)


def decode(namespace: str, data: bytes, *, max_length: int = MAX_LENGTH) -> Struct:
    """The message an EXI document holds, by the schema of ``namespace``.

    Bits after the end are accepted as padding up to the byte. Raises :class:`ExiError` for anything else that the
    schema does not permit, and nothing but that.
    """
    message, _ = _decode(document_grammar(str(namespace)), data, max_length, fragment=False)
    return message


def decode_fragment(namespace: str, data: bytes, *, max_length: int = MAX_LENGTH) -> Struct:
    """The struct an EXI fragment holds; errors as for :func:`decode`."""
    message, _ = _decode(fragment_grammar(str(namespace)), data, max_length, fragment=True)
    return message


def _decode(grammar: Grammar, data: bytes, max_length: int, *, fragment: bool) -> tuple[Struct, int]:
    total = 8 * len(data)
    if len(data) > max_length:
        raise ExiError(f"{len(data)} bytes, where at most {max_length} are accepted", bit=8 * max_length)
    if not data or data[0] != HEADER:
        raise ExiError("no EXI header byte 0x80" + (f" but {data[0]:#04x}" if data else ""), bit=0)
    x = int.from_bytes(data)
    p = total - 8
    name = ""
    try:
        p -= grammar.width
        name, cls = grammar.start(x >> p & (1 << grammar.width) - 1)
        decoder: Decoder = decoder_of(cls)
        message, p = decoder(x, p)
        if fragment:
            p -= grammar.width
            if x >> p & (1 << grammar.width) - 1 != len(grammar.elements) + 1:
                raise Malformed("the fragment does not end after its one element")
    except (Malformed, ValueError) as error:
        raise locate(error, name, total) from None
    if p > 7:
        raise ExiError(f"{p // 8} bytes follow the end of the message", name, total - p)
    return message, p


def _aligned(acc: int) -> bytes:
    padding = -acc.bit_length() % 8
    return (acc << padding).to_bytes((acc.bit_length() + padding) // 8)


_ANSWERS = {"Req": "Res", "Res": "Req"}


def preparing(*namespaces: str, sends: str = "") -> Iterator[None]:
    """Generate the code of every message of these namespaces, one message a step, so that no first one waits for it.

    ``sends``: ``Req`` for a vehicle, ``Res`` for a station: requests are encoded by the one and decoded by the other.
    Empty: both ways for all. What is needed before its step is generated then. All in one thread.
    """
    encoded: set[type[Struct]] = set()
    decoded: set[type[Struct]] = set()
    for namespace in namespaces:
        for name, cls in find(namespace).elements.items():
            if cls in abstract_types:
                continue
            # What is neither request nor response is part of them, or of a signature that may never come.
            if not sends or name.endswith(sends):
                compile_with_parts(cls, encoder_of, encoded)
            if not sends or name.endswith(_ANSWERS.get(sends, ())):
                compile_with_parts(cls, decoder_of, decoded)
            yield


def prepare(*namespaces: str, sends: str = "") -> None:
    """:func:`preparing`, all of it now: some tenths of a second."""
    for _ in preparing(*namespaces, sends=sends):
        pass

"""The vocabulary in which message types are declared: what an XSD says and a Python annotation cannot.

A complex type is a ``msgspec.Struct`` whose fields are its elements and attributes, in the schema's order. Facets ride
on ``typing.Annotated``::

    percentValueType = Annotated[int, Integer(0, 100)]

    class EVSEStatusType(Struct):
        NotificationMaxDelay: unsignedShort
        EVSENotification: evseNotificationType

A field that may be ``None`` has minOccurs 0; a ``list`` needs :class:`Occurs`; a union of structs is a substitution
group whose head has the field's name.
"""

from typing import Annotated, Any, ClassVar, dataclass_transform

import msgspec


class StructMeta(msgspec.StructMeta):
    """Gives every message type the same options, which msgspec itself does not pass on to subclasses."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **_: Any) -> Any:
        # No reference cycle can pass through a message, so the garbage collector need not look at any.
        return super().__new__(mcls, name, bases, namespace, kw_only=True, frozen=True, gc=False)


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Struct(msgspec.Struct, metaclass=StructMeta, frozen=True):
    """Base of every message type. Immutable; change one with ``msgspec.structs.replace``."""

    __content__: ClassVar["Group | None"] = None
    """Content model of a type that is no plain sequence of its fields."""


class Integer(msgspec.Struct, frozen=True):
    """Inclusive bounds; ``None`` is unbounded."""

    minimum: int | None = None
    maximum: int | None = None


class String(msgspec.Struct, frozen=True):
    """Longest permitted length in characters; ``None`` is unbounded."""

    max_length: int | None = None


class Binary(msgspec.Struct, frozen=True):
    """Length in bytes. ``hexadecimal`` matters to the JSON form only.

    ``shorter`` accepts less than ``min_length`` in both directions: peers in the field do that.
    """

    min_length: int = 0
    max_length: int | None = None
    hexadecimal: bool = False
    shorter: bool = False


class Occurs(msgspec.Struct, frozen=True):
    """How often a repeated element may stand; ``maximum`` ``None`` is unbounded.

    ``open_grammar`` keeps the event codes of an unbounded list up to the last item: EXIficient-based peers were built
    from a schema without these bounds.
    """

    minimum: int
    maximum: int | None
    open_grammar: bool = False


class Marker(msgspec.Struct, frozen=True):
    """A role that a field plays beyond being an element of the sequence."""

    name: str


ATTRIBUTE = Marker("attribute")
CONTENT = Marker("content")
"""The character content of a type with simple content, or of a global element with a simple type."""
ONE_OF = Marker("choice")
"""Neighbouring fields so marked form a choice: exactly one is set."""
AT_MOST_ONE_OF = Marker("optional choice")
"""As ``ONE_OF``, with minOccurs 0."""


class Group(msgspec.Struct, frozen=True):
    """A model group for content that is no plain sequence: ``kind`` is ``sequence`` or ``choice``.

    A particle is the name of a field, ``ANY``, or a group. ``mixed`` is read on the outermost group.
    """

    kind: str
    particles: "tuple[Group | str, ...]"
    minimum: int = 1
    maximum: int | None = 1
    mixed: bool = False


ANY = "*"
"""An element wildcard. Counted in event codes; its content has no declared type and is refused."""


def sequence(*particles: Group | str, minimum: int = 1, maximum: int | None = 1, mixed: bool = False) -> Group:
    """A sequence of particles."""
    return Group("sequence", particles, minimum, maximum, mixed)


def choice(*particles: Group | str, minimum: int = 1, maximum: int | None = 1, mixed: bool = False) -> Group:
    """A choice between particles."""
    return Group("choice", particles, minimum, maximum, mixed)


def optional(*particles: Group | str) -> Group:
    """A sequence that may be left out."""
    return Group("sequence", particles, 0, 1)


def repeated(particle: Group | str, minimum: int = 0) -> Group:
    """A particle that may stand any number of times from ``minimum`` up."""
    return Group("sequence", (particle,), minimum, None)


boolean = bool
byte = Annotated[int, Integer(-(2**7), 2**7 - 1)]
short = Annotated[int, Integer(-(2**15), 2**15 - 1)]
int_ = Annotated[int, Integer(-(2**31), 2**31 - 1)]
integer = Annotated[int, Integer()]
unsignedByte = Annotated[int, Integer(0, 2**8 - 1)]
unsignedShort = Annotated[int, Integer(0, 2**16 - 1)]
unsignedInt = Annotated[int, Integer(0, 2**32 - 1)]
unsignedLong = Annotated[int, Integer(0, 2**64 - 1)]
string = Annotated[str, String()]
anyURI = Annotated[str, String()]
ID = Annotated[str, String()]
base64Binary = Annotated[bytes, Binary()]

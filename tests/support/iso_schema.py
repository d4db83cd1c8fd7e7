"""A schema of Amendment 1 written from our declarations in the layout of ISO's file, so that the files' hashes compare.

A layout is what a declaration does not say: which headings and types follow one another. Everything else of the text
(names, types, order, occurrences, bounds, bases, substitution groups) comes from the declarations alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from enum import EnumType
from types import ModuleType
from typing import Any

from pyiso15118.exi.declarations import Integer, String, Struct
from pyiso15118.exi.grammar import Field, fields_of
from pyiso15118.exi.schema import find, type_namespace
from pyiso15118.messages import Namespace

PREFIXES = {Namespace.COMMON_TYPES: "v2gci_ct:", Namespace.AC: "v2gci_ac:"}
INTEGERS = {
    (-(2**15), 2**15 - 1): "xs:short",
    (0, 2**8 - 1): "xs:unsignedByte",
    (0, 2**16 - 1): "xs:unsignedShort",
    (0, 2**32 - 1): "xs:unsignedInt",
    (0, 2**64 - 1): "xs:unsignedLong",
}
Part = str | type[Struct] | EnumType | tuple[str, int]
"""A heading, or a line as it stands where it begins with a blank; a type; an enumeration; a string's longest length."""


class Writer:
    """Writes the schema of ``namespace``, whose simple types are those of ``module``."""

    def __init__(self, namespace: Namespace, module: ModuleType) -> None:
        self.namespace = namespace
        self.module = module

    def text(self, parts: Sequence[Part]) -> str:
        """The whole file, without an end of line at its end."""
        return "\n".join([*self.head(), *(line for part in parts for line in self.part(part)), "</xs:schema>"])

    def head(self) -> Iterator[str]:
        """The root element and the imports."""
        spaces = {"": self.namespace, "v2gci_ct": Namespace.COMMON_TYPES, "v2gci_ac": Namespace.AC}
        declared = " ".join(f'xmlns{":" * bool(prefix)}{prefix}="{name}"' for prefix, name in spaces.items())
        yield (
            f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" {declared} targetNamespace="{self.namespace}" '
            'elementFormDefault="qualified" attributeFormDefault="qualified" version="15118:-20:Amd1">'
        )
        for imported in find(self.namespace).imports:
            file = f"V2G_CI_{imported.rpartition(':')[2]}.xsd"
            yield f'\t<xs:import namespace="{imported}" schemaLocation="{file}"/>'

    def part(self, part: Part) -> Iterator[str]:
        """The lines of one part."""
        if isinstance(part, str):
            yield part if part[:1] in ("\t", " ") else f"\t<!-- {part} -->"
        elif isinstance(part, tuple):
            yield from self.simple_type(part[0], [f'<xs:maxLength value="{part[1]}"/>'])
        elif isinstance(part, EnumType):
            yield from self.simple_type(part.__name__, [f'<xs:enumeration value="{item.value}"/>' for item in part])
        else:
            yield from self.complex_type(part)

    def simple_type(self, name: str, facets: list[str]) -> Iterator[str]:
        """A restriction of a string."""
        yield f'\t<xs:simpleType name="{name}">'
        yield '\t\t<xs:restriction base="xs:string">'
        yield from (f"\t\t\t{facet}" for facet in facets)
        yield "\t\t</xs:restriction>"
        yield "\t</xs:simpleType>"

    def complex_type(self, cls: type[Struct]) -> Iterator[str]:
        """A type, after the element that stands for it where there is one."""
        base, name = cls.__bases__[0], type_name(cls)
        derived = base is not Struct
        if name != cls.__name__:
            group = f' substitutionGroup="{self.prefix(base)}{base.__name__}"' if derived else ""
            yield f'\t<xs:element name="{cls.__name__}" type="{name}"{group}/>'
        yield f'\t<xs:complexType name="{name}">'
        if derived:
            yield "\t\t<xs:complexContent>"
            yield f'\t\t\t<xs:extension base="{self.prefix(base)}{type_name(base)}">'
        tabs = "\t" * (4 if derived else 2)
        yield f"{tabs}<xs:sequence>"
        own = inspect.get_annotations(cls)
        choosing = False
        for field in fields_of(cls):
            if field.name not in own:
                continue
            if choosing != (field.choice is not None):
                choosing = not choosing
                yield f"{tabs}\t<{'/' * (not choosing)}xs:choice>"
            indent = f"{tabs}\t\t" if choosing else f"{tabs}\t"
            yield f"{indent}{self.element(field, own[field.name])}"
        if choosing:
            yield f"{tabs}\t</xs:choice>"
        yield f"{tabs}</xs:sequence>"
        if derived:
            yield "\t\t\t</xs:extension>"
            yield "\t\t</xs:complexContent>"
        yield "\t</xs:complexType>"

    def element(self, field: Field, annotation: str) -> str:
        """A local element."""
        minimum = f' minOccurs="{field.minimum}"' if field.minimum != 1 and field.choice is None else ""
        maximum = f' maxOccurs="{field.maximum}"' if field.maximum != 1 else ""
        return f'<xs:element name="{field.name}" type="{self.type_of(field, annotation)}"{minimum}{maximum}/>'

    def type_of(self, field: Field, annotation: str) -> str:
        """The type of an element; a string's name is that of its annotation."""
        datatype: Any = field.datatypes[0]
        if datatype is bool:
            return "xs:boolean"
        if isinstance(datatype, Integer):
            return INTEGERS[datatype.minimum, datatype.maximum]  # type: ignore[index]
        if isinstance(datatype, String):
            return annotation.partition(" ")[0]
        if isinstance(datatype, EnumType):
            own = hasattr(self.module, datatype.__name__)
            return datatype.__name__ if own else f"{PREFIXES[Namespace.COMMON_TYPES]}{datatype.__name__}"
        return f"{self.prefix(datatype)}{type_name(datatype)}"

    def prefix(self, cls: type[Struct]) -> str:
        """The prefix of what declares a type."""
        namespace = Namespace(type_namespace[cls])
        return "" if namespace == self.namespace else PREFIXES[namespace]


def type_name(cls: type[Struct]) -> str:
    """The schema's name of a type, which for the class of a global element is longer than the class's."""
    return cls.__name__ if cls.__name__.endswith("Type") else f"{cls.__name__}Type"

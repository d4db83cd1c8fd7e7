"""The registry of namespaces: which types a schema declares and which schemas it imports."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyiso15118.errors import ExiError
from pyiso15118.exi.declarations import Struct

type_namespace: dict[type[Struct], str] = {}
"""Every registered type to the namespace that declares it."""
abstract_types: set[type[Struct]] = set()
schemas: dict[str, "Schema"] = {}


@dataclass(frozen=True)
class Schema:
    """One namespace: its complex types and global elements, and the namespaces its XSD imports."""

    namespace: str
    types: tuple[type[Struct], ...]
    imports: tuple[str, ...]

    @cached_property
    def closure(self) -> tuple["Schema", ...]:
        """This schema and all it imports, directly or not."""
        found = {self.namespace: self}
        for name in self.imports:
            found.update((schema.namespace, schema) for schema in find(name).closure)
        return tuple(found.values())

    @cached_property
    def elements(self) -> dict[str, type[Struct]]:
        """Global elements of this namespace, by local name."""
        return {cls.__name__: cls for cls in self.types if is_element(cls)}


def is_element(cls: type[Struct]) -> bool:
    """Whether a class stands for a global element: XSD types, and they alone, have names that end in ``Type``."""
    return not cls.__name__.endswith("Type")


def register(
    namespace: str,
    members: Mapping[str, Any],
    imports: Iterable[str] = (),
    abstract: Iterable[type[Struct]] = (),
) -> None:
    """Declare a namespace: ``members`` (a module's ``vars()``) holds its types, imported schemas are registered before.

    Types of another namespace among the members are left alone; ``abstract`` ones never stand in a message.
    """
    found = {
        value: None
        for value in members.values()
        if isinstance(value, type) and issubclass(value, Struct) and value is not Struct and value not in type_namespace
    }
    for cls in found:
        type_namespace[cls] = str(namespace)
    abstract_types.update(abstract)
    schemas[str(namespace)] = Schema(str(namespace), tuple(found), tuple(str(name) for name in imports))


def find(namespace: str) -> Schema:
    """The registered schema of ``namespace``; raises :class:`ExiError` where there is none."""
    schema = schemas.get(namespace)
    if schema is None:
        known = ", ".join(schemas) or "none; import pyiso15118.messages first"
        raise ExiError(f"no messages are registered for namespace {namespace!r} (known: {known})")
    return schema

"""The registry of namespaces: which types a schema declares and which schemas it imports.

A namespace is registered by its module when that is imported, or announced with the module's name and imported when
:func:`find` is first asked for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from pyiso15118.errors import ExiError
from pyiso15118.exi.declarations import Struct

type_namespace: dict[type[Struct], str] = {}
"""Every registered type to the namespace that declares it."""
element_namespaces: dict[type[Struct], str] = {}
"""Of classes whose element another namespace declares than the one they are registered for; see :func:`register`."""
abstract_types: set[type[Struct]] = set()
schemas: dict[str, "Schema"] = {}
"""What is registered by now; :func:`known_namespaces` names those announced as well."""
_announced: dict[str, str] = {}


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


def element_namespace(cls: type[Struct]) -> str:
    """The namespace of the element a registered class stands for."""
    return element_namespaces.get(cls) or type_namespace[cls]


def replaced_by(cls: type[Struct]) -> type[Struct]:
    """The imported element's class that a widened one takes the place of; the class itself where it is not widened."""
    base: type[Struct] = cls.__bases__[0]
    return base if base.__name__ == cls.__name__ and base in type_namespace else cls


def is_element(cls: type[Struct]) -> bool:
    """Whether a class stands for a global element: XSD types, and they alone, have names that end in ``Type``."""
    return not cls.__name__.endswith("Type")


def register(
    namespace: str,
    members: Mapping[str, Any],
    imports: Iterable[str] = (),
    abstract: Iterable[type[Struct]] = (),
    widened: Iterable[type[Struct]] = (),
) -> None:
    """Declare a namespace: ``members`` (a module's ``vars()``) holds its types, imported schemas are registered before.

    Types of another namespace among the members are left alone; ``abstract`` ones never stand in a message.
    ``widened``: elements of an imported namespace that this one adds members of substitution groups to. Each such class
    derives from the imported element's own and takes its place, qualified name and all, in the grammars of this schema.
    """
    found = {
        value: None
        for value in members.values()
        if isinstance(value, type) and issubclass(value, Struct) and value is not Struct and value not in type_namespace
    }
    for cls in found:
        type_namespace[cls] = str(namespace)
    abstract_types.update(abstract)
    for cls in widened:
        element_namespaces[cls] = element_namespace(replaced_by(cls))
    schemas[str(namespace)] = Schema(str(namespace), tuple(found), tuple(str(name) for name in imports))


def register_later(namespace: str, module: str) -> None:
    """Announce a namespace: importing ``module`` (its full name) registers it, and nothing is paid for it before."""
    _announced[str(namespace)] = module


def is_announced(namespace: str) -> bool:
    """Whether a namespace is one of those that are imported when first asked for, be it before or after that."""
    return namespace in _announced


def known_namespaces() -> tuple[str, ...]:
    """Every namespace that :func:`find` has an answer for, registered or announced."""
    return tuple(dict.fromkeys((*schemas, *_announced)))


def find(namespace: str) -> Schema:
    """The schema of ``namespace``, imported now if it was announced; raises :class:`ExiError` where there is none."""
    if namespace not in schemas and namespace in _announced:
        import_module(_announced[namespace])
    schema = schemas.get(namespace)
    if schema is None:
        known = ", ".join(known_namespaces()) or "none; import pyiso15118.messages first"
        raise ExiError(f"no messages are registered for namespace {namespace!r} (known: {known})")
    return schema

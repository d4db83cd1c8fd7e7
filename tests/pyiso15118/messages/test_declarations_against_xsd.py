"""The declarations say what the XSDs say, type by type. The XSDs come from the wheel ``iso15118``, at test time."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from pyiso15118.exi.declarations import ANY, AT_MOST_ONE_OF, Binary, Group, Integer, String, Struct
from pyiso15118.exi.grammar import fields_of
from pyiso15118.exi.schema import abstract_types, schemas, type_namespace
from pyiso15118.messages import Namespace, ac, acdp, app_protocol, common_messages, common_types, dc, wpt, xmldsig

WHEEL = "iso15118==0.31.2"
XS = "{http://www.w3.org/2001/XMLSchema}"
FILES: dict[Namespace, tuple[str, ModuleType]] = {
    Namespace.APP_PROTOCOL: ("V2G_CI_AppProtocol.xsd", app_protocol),
    Namespace.COMMON_TYPES: ("iso15118_20/V2G_CI_CommonTypes.xsd", common_types),
    Namespace.COMMON_MESSAGES: ("iso15118_20/V2G_CI_CommonMessages.xsd", common_messages),
    Namespace.AC: ("iso15118_20/V2G_CI_AC.xsd", ac),
    Namespace.DC: ("iso15118_20/V2G_CI_DC.xsd", dc),
    Namespace.WPT: ("iso15118_20/V2G_CI_WPT.xsd", wpt),
    Namespace.ACDP: ("iso15118_20/V2G_CI_ACDP.xsd", acdp),
    Namespace.XMLDSIG: ("xmldsig-core-schema.xsd", xmldsig),
}
RANGES = {
    "byte": (-128, 127),
    "short": (-32768, 32767),
    "int": (-2147483648, 2147483647),
    "unsignedByte": (0, 255),
    "unsignedShort": (0, 65535),
    "unsignedInt": (0, 4294967295),
    "unsignedLong": (0, 18446744073709551615),
    "integer": (None, None),
}

Name = tuple[str, str]


class Leaf(NamedTuple):
    """An element, or a wildcard, and how often it stands."""

    name: str
    minimum: int
    maximum: int | None


class Node(NamedTuple):
    """A model group."""

    kind: str
    minimum: int
    maximum: int | None
    children: tuple[Any, ...]


class Xsd:
    """All schemas: their declarations by qualified name, and what QNames in them resolve to."""

    def __init__(self, folder: Path) -> None:
        self.types: dict[Name, ElementTree.Element] = {}
        self.simple_types: dict[Name, ElementTree.Element] = {}
        self.elements: dict[Name, ElementTree.Element] = {}
        self.prefixes: dict[str, dict[str, str]] = {}
        self.imports: dict[str, list[str]] = {}
        for namespace, (file, _) in FILES.items():
            path = folder / file
            events = ElementTree.iterparse(path, events=("start-ns",))  # noqa: S314
            self.prefixes[namespace] = dict(pair for _, pair in events)  # type: ignore[misc]
            root = ElementTree.parse(path).getroot()  # noqa: S314
            self.imports[namespace] = [node.attrib["namespace"] for node in root.findall(f"{XS}import")]
            for node in root:
                table = {"complexType": self.types, "simpleType": self.simple_types, "element": self.elements}
                kind = str(node.tag).removeprefix(XS)
                if kind in table:
                    table[kind][namespace, node.attrib["name"]] = node
        # Anonymous types of global elements are named as if they had been declared.
        for (namespace, name), element in list(self.elements.items()):
            anonymous = element.find(f"{XS}complexType")
            if anonymous is not None:
                self.types[namespace, f"{name}Type"] = anonymous
                element.set("type", f"{name}Type")
                self.prefixes[namespace].setdefault("", namespace)

    def resolve(self, namespace: str, qname: str) -> Name:
        prefix, _, local = qname.rpartition(":")
        return self.prefixes[namespace][prefix], local

    def content(self, namespace: str, node: ElementTree.Element) -> Node:
        """The content model of a complex type, that of its bases first."""
        children: list[Any] = []
        extension = node.find(f"{XS}complexContent/{XS}extension")
        if extension is not None:
            base = self.resolve(namespace, extension.attrib["base"])
            children += self.content(base[0], self.types[base]).children
            node = extension
        for child in node:
            if child.tag in (f"{XS}sequence", f"{XS}choice"):
                group = self.particle(child)
                if isinstance(group, Node) and (group.kind, group.minimum, group.maximum) == ("sequence", 1, 1):
                    children += group.children
                else:
                    children.append(group)
        return Node("sequence", 1, 1, tuple(children))

    def particle(self, node: ElementTree.Element) -> Any:
        minimum, limit = int(node.get("minOccurs", "1")), node.get("maxOccurs", "1")
        maximum = None if limit == "unbounded" else int(limit)
        kind = str(node.tag).removeprefix(XS)
        if kind == "any":
            return Leaf(ANY, minimum, maximum)
        if kind == "element":
            return Leaf(node.get("name") or node.attrib["ref"].rpartition(":")[2], minimum, maximum)
        return normal(Node(kind, minimum, maximum, tuple(self.particle(child) for child in node)))

    def members(self, namespace: str, node: ElementTree.Element) -> Iterator[tuple[str, str, str, bool]]:
        """Name, role, QName of the type and presence of every element and attribute, bases first."""
        extension = node.find(f"{XS}complexContent/{XS}extension")
        simple = node.find(f"{XS}simpleContent/{XS}extension")
        if extension is not None:
            base = self.resolve(namespace, extension.attrib["base"])
            yield from self.members(base[0], self.types[base])
            node = extension
        if simple is not None:
            yield "value", "content", "|".join(self.resolve(namespace, simple.attrib["base"])), True
            node = simple
        seen = set()
        for child in node.iter():
            name = child.get("name") or child.get("ref", "").rpartition(":")[2]
            if child.tag == f"{XS}attribute":
                required = child.get("use") == "required"
                yield name, "attribute", "|".join(self.resolve(namespace, child.attrib["type"])), required
            elif child.tag == f"{XS}element" and name not in seen:
                seen.add(name)
                declaration, owner = child, namespace
                if "ref" in child.attrib:
                    owner, name = self.resolve(namespace, child.attrib["ref"])
                    declaration = self.elements[owner, name]
                yield name, "element", "|".join(self.resolve(owner, declaration.attrib["type"])), False

    def visible(self, namespace: str) -> set[str]:
        """A namespace and all it imports, directly or not."""
        return {namespace}.union(*(self.visible(imported) for imported in self.imports[namespace]))

    def group_of(self, head: Name, visible: set[str]) -> set[str]:
        """Members of a substitution group that may stand for its head, which is one where its type is not abstract."""
        found = set()
        for (namespace, name), node in self.elements.items():
            target = node.get("substitutionGroup")
            if namespace in visible and target and self.resolve(namespace, target) == head:
                found |= {name} | self.group_of((namespace, name), visible)
        kind = self.types.get(self.resolve(head[0], self.elements[head].attrib["type"]))
        if found and kind is not None and kind.get("abstract") != "true":
            found.add(head[1])
        return found

    def facets(self, name: Name) -> Any:
        """A simple type as the declarations put it; an enumeration as its name and values."""
        namespace, local = name
        if namespace == XS[1:-1]:
            if local in RANGES:
                return Integer(*RANGES[local])
            if local in ("string", "anyURI", "ID"):
                return String()
            return {"boolean": bool, "base64Binary": Binary(), "hexBinary": Binary(hexadecimal=True)}[local]
        restriction = self.simple_types[name].find(f"{XS}restriction")
        assert restriction is not None
        values = [node.attrib["value"] for node in restriction.findall(f"{XS}enumeration")]
        if values:
            return local, values
        base = self.facets(self.resolve(namespace, restriction.attrib["base"]))
        facet = {str(node.tag).removeprefix(XS): int(node.attrib["value"]) for node in restriction}
        if isinstance(base, Integer):
            return Integer(facet.get("minInclusive", base.minimum), facet.get("maxInclusive", base.maximum))
        if isinstance(base, String):
            return String(facet.get("maxLength"))
        length = facet.get("length")
        return Binary(length or 0, facet.get("maxLength", length), base.hexadecimal)


def normal(node: Any) -> Any:
    """A group of one particle is that particle, where one of the two stands exactly once."""
    if isinstance(node, Node) and len(node.children) == 1:
        (child,) = node.children
        if (child.minimum, child.maximum) == (1, 1):
            return child._replace(minimum=node.minimum, maximum=node.maximum)
        if (node.minimum, node.maximum) == (1, 1):
            return child
    return node


def declared_content(cls: type[Struct]) -> Node:
    """The content model that a class declares."""
    if cls.__content__ is not None:
        group = normal_group(cls.__content__)
        plain = isinstance(group, Node) and (group.kind, group.minimum, group.maximum) == ("sequence", 1, 1)
        return group if plain else Node("sequence", 1, 1, (group,))
    children: list[Any] = []
    choosing = None
    for field in fields_of(cls):
        if field.role != "element":
            continue
        if field.choice is None:
            unbounded = field.open_grammar and type_namespace[cls] == Namespace.XMLDSIG
            children.append(Leaf(field.name, field.minimum, None if unbounded else field.maximum))
        elif field.choice == choosing:
            children[-1] = children[-1]._replace(children=(*children[-1].children, Leaf(field.name, 1, 1)))
        else:
            minimum = 0 if field.choice == AT_MOST_ONE_OF.name else 1
            children.append(Node("choice", minimum, 1, (Leaf(field.name, 1, 1),)))
        choosing = field.choice
    if len(children) == 1 and isinstance(children[0], Node):
        return Node("sequence", 1, 1, (children[0],))
    return Node("sequence", 1, 1, tuple(children))


def normal_group(group: Group | str) -> Any:
    if isinstance(group, str):
        return Leaf(group, 1, 1)
    children = tuple(normal_group(particle) for particle in group.particles)
    return normal(Node(group.kind, group.minimum, group.maximum, children))


@pytest.fixture(scope="module")
def xsd(pytestconfig: pytest.Config) -> Xsd:
    cache = pytestconfig.cache
    assert cache is not None
    folder = cache.mkdir("iso15118-wheel")
    wheels = list(folder.glob("iso15118-*.whl"))
    if not wheels:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
        command += ["--retries", "0", "--timeout", "10", "--dest", str(folder), WHEEL]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"the XSDs are unreachable: pip download {WHEEL} failed ({error})")
        wheels = list(folder.glob("iso15118-*.whl"))
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder, [name for name in wheel.namelist() if name.endswith(".xsd")])
    return Xsd(folder / "iso15118" / "shared" / "schemas")


def class_name(xsd: Xsd, name: Name) -> str:
    """The class of a complex type: named by its global element, if it has one."""
    for (namespace, local), node in xsd.elements.items():
        if "type" in node.attrib and xsd.resolve(namespace, node.attrib["type"]) == name:
            return local
    return name[1]


def classes(namespace: Namespace) -> dict[str, type[Struct]]:
    return {cls.__name__: cls for cls in schemas[namespace].types}


@pytest.fixture(params=list(FILES), ids=[namespace.name for namespace in FILES])
def namespace(request: pytest.FixtureRequest) -> Namespace:
    found: Namespace = request.param
    return found


def test_every_global_element_and_complex_type_is_declared_and_nothing_else(xsd: Xsd, namespace: Namespace) -> None:
    expected = {class_name(xsd, name) for name in xsd.types if name[0] == namespace}
    expected |= {local for owner, local in xsd.elements if owner == namespace}
    assert set(classes(namespace)) == expected
    assert set(schemas[namespace].elements) == {local for owner, local in xsd.elements if owner == namespace}


def declared(xsd: Xsd, namespace: Namespace) -> Iterator[tuple[ElementTree.Element, type[Struct]]]:
    """Every complex type of a schema with each class that stands for it: two elements may share a type."""
    found = classes(namespace)
    for name, node in xsd.types.items():
        if name[0] != namespace:
            continue
        names = {class_name(xsd, name)}
        for (owner, local), element in xsd.elements.items():
            if owner == namespace and "type" in element.attrib and xsd.resolve(owner, element.attrib["type"]) == name:
                names.add(local)
        for each in sorted(names):
            yield node, found[each]


def test_content_has_the_order_cardinality_and_choices_of_the_schema(xsd: Xsd, namespace: Namespace) -> None:
    compared = set()
    for node, cls in declared(xsd, namespace):
        assert declared_content(cls) == xsd.content(namespace, node), cls
        assert (cls.__content__ is not None and cls.__content__.mixed) == (node.get("mixed") == "true"), cls
        assert (cls in abstract_types) == (node.get("abstract") == "true"), cls
        compared.add(cls)
    assert len(compared) >= sum(name[0] == namespace for name in xsd.types) > 0


def test_every_field_has_the_name_role_presence_and_type_of_the_schema(xsd: Xsd, namespace: Namespace) -> None:
    for node, cls in declared(xsd, namespace):
        members = list(xsd.members(namespace, node))
        fields = fields_of(cls)
        assert [(field.name, field.role) for field in fields] == [(n, role) for n, role, _, _ in members], cls
        for field, (_, role, qname, required) in zip(fields, members, strict=True):
            if role == "attribute":
                assert field.minimum == int(required), (cls, field.name)
            owner, _, local = qname.partition("|")
            check_datatype(xsd, cls, field.name, field.datatypes, (owner, local))


def check_datatype(xsd: Xsd, cls: type[Struct], name: str, datatypes: tuple[Any, ...], expected: Name) -> None:
    datatype = datatypes[0]
    if isinstance(datatype, type) and issubclass(datatype, Struct):
        visible = xsd.visible(type_namespace[cls])
        heads = [head for head in xsd.elements if head[1] == name and xsd.group_of(head, visible)]
        if len(datatypes) > 1 or heads:
            members = xsd.group_of(heads[0], visible)
            assert {member.__name__ for member in datatypes} == members, (cls, name)
        else:
            assert (type_namespace[datatype], datatype.__name__) == (expected[0], class_name(xsd, expected)), (
                cls,
                name,
            )
        return
    facets = xsd.facets(expected)
    if isinstance(datatype, type) and issubclass(datatype, Enum):
        assert (datatype.__name__, [member.value for member in datatype]) == facets, (cls, name)
        assert [member.name for member in datatype] == [re.sub(r"\W", "_", text) for text in facets[1]], (cls, name)
    elif isinstance(datatype, Binary):
        assert Binary(datatype.min_length, datatype.max_length, datatype.hexadecimal) == facets, (cls, name)
    else:
        assert datatype == facets, (cls, name)


def test_every_simple_type_is_declared_with_its_facets(xsd: Xsd, namespace: Namespace) -> None:
    module = FILES[namespace][1]
    for owner, local in xsd.simple_types:
        if owner != namespace:
            continue
        declared, facets = getattr(module, local), xsd.facets((owner, local))
        if isinstance(facets, tuple):
            assert [member.value for member in declared] == facets[1], local
            continue
        found = next(item for item in declared.__metadata__ if isinstance(item, (Integer, String, Binary)))
        if isinstance(found, Binary):
            found = Binary(found.min_length, found.max_length, found.hexadecimal)
        assert found == facets, local


def test_lists_of_irregular_types_hold_what_the_content_model_repeats() -> None:
    checked = 0
    for cls in schemas[Namespace.XMLDSIG].types:
        if cls.__content__ is None:
            continue
        limits = dict(occurrences(normal_group(cls.__content__), 1, 1))
        for field in fields_of(cls):
            if field.role == "element":
                minimum, maximum = limits[field.name]
                assert (field.minimum, field.repeated) == (minimum, maximum is None), (cls, field.name)
                checked += 1
    assert checked > 20


def occurrences(node: Any, low: int, high: int | None) -> Iterator[tuple[str, tuple[int, int | None]]]:
    low = min(low, node.minimum)
    high = None if high is None or node.maximum is None else 1
    if isinstance(node, Leaf):
        yield node.name, (low, high)
        return
    found: dict[str, tuple[int, int | None]] = {}
    for child in node.children:
        inner = 0 if node.kind == "choice" and len(node.children) > 1 else low
        for name, limits in occurrences(child, inner, high):
            found.setdefault(name, limits)
    yield from found.items()


def test_open_grammars_are_exactly_the_lists_of_a_thousand_and_more_and_those_of_signatures() -> None:
    found = {
        (cls.__name__, field.name): field.maximum
        for namespace, schema in schemas.items()
        for cls in schema.types
        for field in fields_of(cls)
        if field.open_grammar and namespace != Namespace.XMLDSIG
    }
    assert set(found.values()) == {1024, 2048}
    assert len(found) == 6


def test_no_list_of_any_message_is_unbounded() -> None:
    lists = [field for schema in schemas.values() for cls in schema.types for field in fields_of(cls) if field.repeated]
    assert len(lists) > 40
    assert all(field.maximum is not None for field in lists)

"""Writes the source of a decoder: ``decode(x, p) -> (message, p)``, ``p`` being the number of bits of ``x`` unread."""

from __future__ import annotations

from pyiso15118.exi.declarations import Binary, Integer, String, Struct
from pyiso15118.exi.grammar import Datatype, Field, Slot, Terminal, fields_of, slots_of, states_of
from pyiso15118.exi.runtime import LONGEST_INTEGER, READ_BITS
from pyiso15118.exi.source import (
    Layout,
    Names,
    Selection,
    Source,
    describe,
    is_enum,
    is_inlined,
    is_type,
    narrow_bounds,
)


class DecoderSource(Source):
    """Bits that must be zero (the only permitted event code always is) are read together with the next value."""

    def __init__(self, cls: type[Struct], name: str, names: Names, callee: dict[type[Struct], str]) -> None:
        super().__init__(names)
        self.callee = callee
        self.zeros = 0
        with self.block(f"def {name}(x, p):"):
            construction = self.sequence(cls, "f") if cls.__content__ is None else self.automaton(cls)
            self.flush()
            self.put(f"return {construction}, p")

    def read(self, variable: str, width: int, add: int = 0) -> None:
        """Read ``width`` bits, and those that must be zero before them, into a variable; ``add`` is added."""
        total = self.zeros + width
        self.put(f"p -= {total}")
        value = f"x >> p & {(1 << total) - 1:#x}"
        if add:
            value = f"(x >> p & {(1 << total) - 1:#x}) {'+' if add > 0 else '-'} {abs(add)}"
        self.put(f"{variable} = {value}")
        if self.zeros:
            with self.block(f"if {variable} > {(1 << width) - 1 + add}:"):
                self.put("raise wrong_code()")
        self.zeros = 0

    def flush(self) -> None:
        """Read the bits that must be zero now."""
        if self.zeros:
            self.put(f"p -= {self.zeros}")
            with self.block(f"if x >> p & {(1 << self.zeros) - 1:#x}:"):
                self.put("raise wrong_code()")
            self.zeros = 0

    # Plain sequences.

    def sequence(self, cls: type[Struct], prefix: str) -> str:
        """The slots of a type, one after the other; returns the expression that constructs it."""
        layout = Layout(slots_of(cls))
        state: Selection | str = layout.entering(0)
        for index, slot in enumerate(layout.slots):
            if layout.is_content(index):
                self.characters(layout.position[index], slot.terminals[0], state, prefix)
                state = "ended"
                continue
            if not slot.minimum or len(slot.terminals) > 1:
                state = self.branches(layout, index, slot, state, prefix)
                continue
            terminal = slot.terminals[0]
            with self.at(terminal.name):
                self.arrive(state, layout.position[index])
                local = f"{prefix}_{terminal.field}"
                if slot.repeated:
                    state = self.repeat(layout, index, terminal, local)
                else:
                    self.value_of(terminal, local)
                    state = layout.entering(index + 1)
        self.arrive(state, layout.position[-1])
        return self.construction(cls, {field.name: f"{prefix}_{field.name}" for field in fields_of(cls)})

    def construction(self, cls: type[Struct], values: dict[str, str]) -> str:
        """The expression that makes the struct."""
        arguments = ", ".join(f"{field}={value}" for field, value in values.items())
        return f"{self.names.of(cls, cls.__name__)}({arguments})"

    def arrive(self, state: Selection | str, position: int) -> None:
        """Make sure that ``position`` is what comes next. ``k`` holds what does, where ``state`` is ``"in k"``."""
        if isinstance(state, Selection):
            self.zeros += state.width
        elif state == "in k":
            with self.block(f"if k != {position}:"):
                self.put("raise wrong_code()")

    def characters(self, position: int, terminal: Terminal, state: Selection | str, prefix: str) -> None:
        """Simple content and the end of the element; where empty, the end alone by its second-level code."""
        local = f"{prefix}_{terminal.field}"
        if isinstance(state, Selection):
            self.read("k", state.width, state.base)
        with self.block(f"if k == {position}:"):
            self.simple(terminal.datatype, local)
            self.zeros += 1
            self.flush()
        with self.block(f"elif k == {position + 1}:"):
            self.zeros = 3
            self.flush()
            self.put(f"{local} = {self.empty(terminal.datatype)}")
        with self.block("else:"):
            self.put("raise wrong_code()")

    def empty(self, datatype: Datatype) -> str:
        """The literal of an empty value."""
        return repr("" if isinstance(datatype, String) else b"")

    def branches(self, layout: Layout, index: int, slot: Slot, state: Selection | str, prefix: str) -> Selection | str:
        """A slot that is optional or has alternatives."""
        single = layout.is_single(index + 1)
        following = layout.entering(index + 1)
        if isinstance(state, Selection):
            with self.at(describe(slot.terminals)):
                self.read("k", state.width, state.base)
        for field in dict.fromkeys(terminal.field for terminal in slot.terminals):
            self.put(f"{prefix}_{field} = None")
        for number, terminal in enumerate(slot.terminals):
            position = layout.position[index] + number
            with self.block(f"{'el' if number else ''}if k == {position}:"), self.at(terminal.name):
                local = f"{prefix}_{terminal.field}"
                if terminal.datatype is None:
                    self.put(f"raise Malformed({f'{terminal.name} is abstract'!r})")
                    continue
                if slot.repeated:
                    self.repeat(layout, index, terminal, local)
                    continue
                self.value_of(terminal, local)
                if single:
                    self.zeros += following.width
                elif not slot.minimum:
                    self.read("k", following.width, following.base)
                self.flush()
        if slot.minimum:
            with self.at(describe(slot.terminals)), self.block("else:"):
                self.put("raise wrong_code()")
            return "selected" if single else following
        if single:
            with self.at(describe(slot.terminals)), self.block(f"elif k != {layout.position[index + 1]}:"):
                self.put("raise wrong_code()")
            return "selected"
        return "in k"

    def repeat(self, layout: Layout, index: int, terminal: Terminal, local: str) -> str:
        """The items of a list whose first event code has been read."""
        slot = layout.slots[index]
        single = layout.is_single(index + 1)
        again, full = layout.repeating(index), layout.entering(index + 1)
        start = layout.position[index]
        self.flush()
        self.put(f"{local} = []")
        with self.block("while True:"):
            self.trim()
            self.value_of(terminal, "v")
            self.put(f"{local}.append(v)")
            if slot.minimum > 1:
                zeros = self.zeros
                with self.block(f"if len({local}) < {slot.minimum}:"):
                    self.zeros += layout.owing(index).width
                    self.flush()
                    self.put("continue")
                self.zeros = zeros
            if slot.open_grammar:
                self.bound(local, slot)
            elif slot.maximum is not None:
                zeros = self.zeros
                with self.block(f"if len({local}) == {slot.maximum}:"):
                    if single:
                        self.zeros += full.width
                        self.flush()
                    else:
                        self.read("k", full.width, full.base)
                    self.put("break")
                self.zeros = zeros
            self.read("k", again.width)
            with self.block("if k:"):
                if single:
                    with self.block(f"if k != {layout.position[index + 1] - start}:"):
                        self.put("raise wrong_code()")
                elif start:
                    self.put(f"k += {start}")
                self.put("break")
        return "selected" if single else "in k"

    def bound(self, local: str, limits: Slot | Field) -> None:
        """Refuse a list that its event codes let grow and its bounds do not."""
        with self.block(f"if len({local}) > {limits.maximum}:"):
            self.put(f"raise wrong_length(len({local}), {limits.minimum}, {limits.maximum}, 'items')")

    def trim(self) -> None:
        """Drop bits already read, since each shift costs time in proportion to them.

        Only when they are many: dropping costs time in proportion to all that is left.
        """
        with self.block(f"if x.bit_length() - p > {READ_BITS}:"):
            self.put("x &= (1 << p) - 1")

    # Irregular content.

    def automaton(self, cls: type[Struct]) -> str:
        """States of a type that is no plain sequence; returns the expression that constructs it."""
        names = {field.name: f"f_{field.name}" for field in fields_of(cls)}
        repeated = {field.name: field for field in fields_of(cls) if field.repeated}
        for name in names.values():
            self.put(f"{name} = None")
        self.put("s = 0")
        with self.block("while True:"):
            self.trim()
            for number, state in enumerate(states_of(cls)):
                with self.block(f"{'el' if number else ''}if s == {number}:"):
                    self.read("k", state.width)
                    for code, (terminal, target) in enumerate(state.productions):
                        with self.block(f"{'el' if code else ''}if k == {code}:"), self.at(terminal.name):
                            if terminal.kind == "any":
                                self.put("raise Malformed('elements of an undeclared type are not accepted here')")
                                continue
                            local = names[terminal.field]
                            self.value_of(terminal, "v")
                            self.flush()
                            if terminal.field in repeated:
                                with self.block(f"if {local} is None:"):
                                    self.put(f"{local} = []")
                                self.put(f"{local}.append(v)")
                                if repeated[terminal.field].maximum is not None:
                                    self.bound(local, repeated[terminal.field])
                            else:
                                self.put(f"{local} = v")
                            self.put(f"s = {target}")
                    code = len(state.productions)
                    keyword = "elif" if code else "if"
                    if state.ends:
                        with self.block(f"{keyword} k == {code}:"):
                            self.put("break")
                        keyword, code = "elif", code + 1
                    if state.mixed:
                        with self.block(f"{keyword} k == {code}:"):
                            self.put("raise Malformed('text is not accepted here')")
                    with self.block("else:"):
                        self.put("raise wrong_code()")
        return self.construction(cls, names)

    # Values.

    def value_of(self, terminal: Terminal, local: str) -> None:
        """One event's value; simple elements are framed by the codes of their characters and their end."""
        if is_type(terminal.datatype):
            self.struct(terminal.datatype, local)
            return
        framed = terminal.kind == "element"
        if framed and isinstance(terminal.datatype, (String, Binary)):
            self.text(terminal.datatype, local)
            return
        if framed:
            self.zeros += 1
        self.simple(terminal.datatype, local)
        if framed:
            self.zeros += 1

    def text(self, datatype: String | Binary, local: str) -> None:
        """An element's string or binary. Encoders leave an empty one out: the element ends by its second-level code."""
        self.zeros += 1
        total = self.zeros + 8
        self.put(f"p -= {total}")
        self.put(f"w = x >> p & {(1 << total) - 1:#x} if p >= 0 else get_tail(x, p, {self.zeros})")
        with self.block("if w > 255:"):
            with self.block("if w >> 5 != 8:"):
                self.put("raise wrong_code()")
            self.put(f"{local} = {self.empty(datatype)}")
            # The last bit of the second-level code doubles as the end code that all other values have.
            self.put("p += 6")
            if isinstance(datatype, Binary) and datatype.min_length and not datatype.shorter:
                self.put(f"raise wrong_length(0, {datatype.min_length}, {datatype.max_length}, 'bytes')")
        with self.block("else:"):
            with self.block("if w > 127:"):
                self.put("w, p = get_more(x, p, w & 127, 32)")
            self.zeros = 0
            self.literal(datatype, local)
        self.zeros = 1

    def literal(self, datatype: String | Binary, local: str) -> None:
        """A string or binary whose length field is in ``w``."""
        if isinstance(datatype, String):
            self.put(f"{local}, p = get_string(x, p, w, {datatype.max_length})")
        else:
            low = 0 if datatype.shorter else datatype.min_length
            self.put(f"{local}, p = get_bytes(x, p, w, {low}, {datatype.max_length})")

    def struct(self, cls: type[Struct], local: str) -> None:
        """A complex value, written out where it is small."""
        if is_inlined(cls):
            self.put(f"{local} = {self.sequence(cls, local)}")
            return
        self.flush()
        self.put(f"{local}, p = {self.callee[cls]}(x, p)")

    def simple(self, datatype: Datatype, local: str) -> None:
        """A value of a simple type, checked against its facets."""
        if datatype is bool:
            self.read("w", 1)
            self.put(f"{local} = w == 1")
        elif is_enum(datatype):
            members = tuple(datatype)
            table = f"{self.names.of(datatype, datatype.__name__)}_members"
            self.names.namespace[table] = members
            width = (len(members) - 1).bit_length()
            self.read("w", width)
            if len(members) < 1 << width:
                with self.block(f"if w >= {len(members)}:"):
                    self.put(f"raise Malformed(f'value {{w}} of {datatype.__name__}, which has {len(members)}')")
            self.put(f"{local} = {table}[w]")
        elif isinstance(datatype, Integer):
            self.integer(datatype, local)
        else:
            self.octets(32)
            self.literal(datatype, local)

    def octets(self, bits: int) -> None:
        """An Unsigned Integer into ``w``."""
        self.read("w", 8)
        with self.block("if w > 127:"):
            self.put(f"w, p = get_more(x, p, w & 127, {bits})")

    def integer(self, facets: Integer, local: str) -> None:
        """An integer in the representation its range asks for."""
        if bounds := narrow_bounds(facets):
            first, last, width = bounds
            self.read(local, width, first)
            if last - first < (1 << width) - 1:
                with self.block(f"if {local} > {last}:"):
                    self.out_of_range(local, facets)
            return
        low, high = facets.minimum, facets.maximum
        bits = LONGEST_INTEGER if high is None else high.bit_length()
        if low is not None and low >= 0:
            self.octets(bits)
            self.put(f"{local} = w")
        else:
            self.read("w", 9)
            self.put(f"{local} = w & 127")
            with self.block("if w & 128:"):
                self.put(f"{local}, p = get_more(x, p, {local}, {bits})")
            with self.block("if w > 255:"):
                self.put(f"{local} = ~{local}")
        limit = " or ".join([f"{local} < {low}"] * (low not in (None, 0)) + [f"{local} > {high}"] * (high is not None))
        if limit:
            with self.block(f"if {limit}:"):
                self.out_of_range(local, facets)

    def out_of_range(self, local: str, facets: Integer) -> None:
        """Refuse a number that the representation lets through and the schema does not."""
        self.put(f"raise Malformed(f'{{{local}}} is outside {facets.minimum} to {facets.maximum}')")

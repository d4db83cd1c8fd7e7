"""Writes the source of an encoder: ``encode(acc, m) -> acc``, the message's bits appended to ``acc``."""

from __future__ import annotations

from pyiso15118.exi.declarations import Binary, Integer, String, Struct
from pyiso15118.exi.grammar import Datatype, Slot, Terminal, fields_of, slots_of, states_of
from pyiso15118.exi.source import (
    Layout,
    Names,
    Selection,
    Source,
    describe,
    is_enum,
    is_inlined,
    is_long,
    is_type,
    narrow_bounds,
)

CHUNK_BITS = 4096


class EncoderSource(Source):
    """Constant bits are held back until they can be appended together with the next value."""

    def __init__(self, cls: type[Struct], name: str, names: Names, callee: dict[type[Struct], str]) -> None:
        super().__init__(names)
        self.callee = callee
        self.held = 0
        self.held_width = 0
        self.state: Selection | str = "selected"
        with self.block(f"def {name}(acc, m):"):
            self.check_class(cls, "m")
            if cls.__content__ is None:
                self.sequence(cls, "m")
            else:
                self.automaton(cls)
            self.put(f"return {self.accumulator()}")

    def hold(self, value: int, width: int) -> None:
        """Append constant bits, later."""
        self.held = self.held << width | value
        self.held_width += width

    def bits(self, expression: str, width: int) -> None:
        """Append the held bits and ``width`` bits of a Python expression that binds tighter than ``|``."""
        held = f" | {self.held << width}" if self.held else ""
        self.put(f"acc = acc << {self.held_width + width}{held} | {expression}")
        self.held = self.held_width = 0

    def accumulator(self) -> str:
        """An expression for ``acc`` with the held bits; they are no longer held."""
        held = f" | {self.held}" if self.held else ""
        expression = f"acc << {self.held_width}{held}" if self.held_width else "acc"
        self.held = self.held_width = 0
        return expression

    def flush(self) -> None:
        """Append the held bits now."""
        if self.held_width:
            self.put(f"acc = {self.accumulator()}")

    def check_class(self, cls: type[Struct], variable: str) -> None:
        """Refuse a value of another class."""
        with self.block(f"if {variable}.__class__ is not {self.names.of(cls, cls.__name__)}:"):
            self.put(f"raise wrong_type({variable}, {cls.__name__!r})")

    # Plain sequences.

    def sequence(self, cls: type[Struct], variable: str) -> None:
        """The slots of a type, one after the other. Inlined types come here too, and never need ``o`` and ``w``."""
        layout = Layout(slots_of(cls))
        self.state = layout.entering(0)
        for index, slot in enumerate(layout.slots):
            if layout.is_content(index):
                self.characters(layout.position[index], slot.terminals[0], variable)
                return
            with self.at(describe(slot.terminals)):
                if slot.minimum and not slot.repeated and len(slot.terminals) == 1:
                    self.select(layout.position[index])
                    terminal = slot.terminals[0]
                    self.value_of(terminal, f"{variable}.{terminal.field}")
                    self.state = layout.entering(index + 1)
                else:
                    self.branches(layout, index, slot, variable)
        self.select(layout.position[-1])

    def characters(self, position: int, terminal: Terminal, variable: str) -> None:
        """Simple content and the end of the element; where empty, the end alone by its second-level code."""
        self.put(f"v = {variable}.{terminal.field}")
        before, held = self.state, (self.held, self.held_width)
        with self.block("if v or v is None:"):
            self.select(position)
            self.text(terminal.datatype, "v", framed=False)
            self.hold(0, 1)
            self.flush()
        self.state = before
        self.held, self.held_width = held
        with self.block("else:"):
            self.select(position + 1)
            self.hold(0, 3)
            self.flush()

    def select(self, position: int) -> None:
        """Append the event code of a position, unless it has been already."""
        if self.state == "selected":
            return
        if isinstance(self.state, Selection):
            self.hold(position - self.state.base, self.state.width)
        else:
            self.flush()
            self.put(f"acc = acc << w | {position} - o")

    def remember(self, state: Selection) -> None:
        """Leave a state that is known only at run time in ``o`` and ``w``."""
        self.put(f"o = {state.base}")
        self.put(f"w = {state.width}")

    def branches(self, layout: Layout, index: int, slot: Slot, variable: str) -> None:
        """A slot that is optional, has alternatives or is a list."""
        single = layout.is_single(index + 1)
        fields = list(dict.fromkeys(terminal.field for terminal in slot.terminals))
        local = {field: f"v{number}" for number, field in enumerate(fields)}
        for field, name in local.items():
            self.put(f"{name} = {variable}.{field}")
        before = self.state
        if not single and not slot.minimum and isinstance(before, Selection):
            self.flush()
            self.remember(before)
        held = self.held, self.held_width
        keyword = "if"
        for number, terminal in enumerate(slot.terminals):
            if terminal.datatype is None:
                continue
            name = local[terminal.field]
            if len(fields) < len(slot.terminals):
                condition = f"{name}.__class__ is {self.names.of(terminal.datatype, terminal.name)}"
            elif slot.repeated and not slot.minimum:
                condition = name
            else:
                condition = f"{name} is not None"
            with self.block(f"{keyword} {condition}:"):
                self.held, self.held_width = held
                self.state = before
                self.exclude(local, terminal)
                self.select(layout.position[index] + number)
                if slot.repeated:
                    self.repeat(layout, index, terminal, name)
                else:
                    self.value_of(terminal, name)
                    self.state = layout.entering(index + 1)
                self.leave(layout, index, slot, single)
            keyword = "elif"
        self.held, self.held_width = held
        self.state = before
        self.absent(layout, index, slot, local, single)
        self.held = self.held_width = 0
        if single:
            self.state = "selected"
        elif slot.minimum and not slot.repeated:
            self.state = layout.entering(index + 1)
        else:
            self.state = "unknown"

    def exclude(self, local: dict[str, str], terminal: Terminal) -> None:
        """A choice permits one of its fields only."""
        others = list(local.values())[list(local).index(terminal.field) + 1 :]
        if others:
            with self.block(f"if {' or '.join(f'{name} is not None' for name in others)}:"):
                self.put(f"raise Malformed('more than one of {', '.join(local)} is set')")

    def leave(self, layout: Layout, index: int, slot: Slot, single: bool) -> None:
        """End a branch in the state in which all branches end."""
        if single:
            self.select(layout.position[index + 1])
            self.flush()
            return
        self.flush()
        if isinstance(self.state, Selection) and not (slot.minimum and not slot.repeated):
            self.remember(self.state)

    def absent(self, layout: Layout, index: int, slot: Slot, local: dict[str, str], single: bool) -> None:
        """The branch in which no alternative is present."""
        if slot.minimum:
            with self.block("else:"):
                names = describe(slot.terminals)
                if len(local) > 1:
                    self.put(f"raise Malformed('one of {', '.join(local)} is required')")
                else:
                    self.put(f"raise wrong_type({next(iter(local.values()))}, {names!r})")
            return
        if len(slot.terminals) > len(local):
            with self.block(f"elif {next(iter(local.values()))} is not None:"):
                self.put(f"raise wrong_type({next(iter(local.values()))}, {describe(slot.terminals)!r})")
        if single:
            with self.block("else:"):
                self.select(layout.position[index + 1])
                self.flush()

    def repeat(self, layout: Layout, index: int, terminal: Terminal, name: str) -> None:
        """The items of a list whose first event code is selected already."""
        slot = layout.slots[index]
        following = layout.repeating(index)
        self.flush()
        self.check_list(slot, name)
        long = is_long(slot.maximum)
        if long:
            self.put("head = acc")
            self.put("acc = 1")
        if slot.minimum > 1:
            self.items(terminal, f"{name}[:{slot.minimum - 1}]", layout.owing(index).width, long)
            self.items(terminal, f"{name}[{slot.minimum - 1}:]", following.width, long)
        else:
            self.items(terminal, name, following.width, long)
        if long:
            self.join()
            self.put("acc = head")
        # The event code after the last item was that of one more; what really follows is selected next.
        self.put(f"acc >>= {following.width}")
        self.state = following
        if slot.maximum is not None and not slot.open_grammar:
            full = layout.entering(index + 1)
            with self.block(f"if len({name}) == {slot.maximum}:"):
                self.remember(full)
            with self.block("else:"):
                self.remember(following)
            self.state = "unknown"

    def items(self, terminal: Terminal, items: str, width: int, long: bool) -> None:
        """The values of a list, each with the event code of one more, which is 0 in ``width`` bits."""
        with self.block(f"for v in {items}:"):
            if long:
                with self.block(f"if acc.bit_length() > {CHUNK_BITS}:"):
                    self.join()
                    self.put("acc = 1")
            self.value_of(terminal, "v")
            self.hold(0, width)
            self.flush()

    def join(self) -> None:
        """Append a chunk, which begins with a one bit of its own, to ``head``."""
        self.put("head = join(head, acc)")

    def check_list(self, slot: Slot, name: str) -> None:
        """Refuse what is no list, or of a length that is not permitted."""
        with self.block(f"if not isinstance({name}, (list, tuple)):"):
            self.put(f"raise wrong_type({name}, 'a list')")
        low = max(slot.minimum, 1)
        limit = f"{low} <= len({name})" + (f" <= {slot.maximum}" if slot.maximum is not None else "")
        with self.block(f"if not {limit}:"):
            self.put(f"raise wrong_length(len({name}), {slot.minimum}, {slot.maximum}, 'items')")

    # Irregular content.

    def automaton(self, cls: type[Struct]) -> None:
        """States of a type that is no plain sequence. Values pending are taken in the order of the productions."""
        names = {field.name: f"l{number}" for number, field in enumerate(fields_of(cls))}
        for field in fields_of(cls):
            name = names[field.name]
            self.put(f"v = m.{field.name}")
            self.put(f"{name} = {'v or ()' if field.repeated else '() if v is None else (v,)'}")
            if field.repeated:
                with self.at(field.name):
                    with self.block(f"if not isinstance({name}, (list, tuple)):"):
                        self.put(f"raise wrong_type({name}, 'a list')")
                    if field.maximum is not None:
                        with self.block(f"if len({name}) > {field.maximum}:"):
                            self.put(f"raise wrong_length(len({name}), {field.minimum}, {field.maximum}, 'items')")
            self.put(f"{name}_i = 0")
        self.put("s = 0")
        with self.block("while True:"):
            for number, state in enumerate(states_of(cls)):
                with self.block(f"{'el' if number else ''}if s == {number}:"):
                    keyword = "if"
                    for code, (terminal, target) in enumerate(state.productions):
                        if terminal.kind == "any":
                            continue
                        name = names[terminal.field]
                        with self.block(f"{keyword} {name}_i < len({name}):"), self.at(terminal.name):
                            self.hold(code, state.width)
                            self.value_of(terminal, f"{name}[{name}_i]")
                            self.flush()
                            self.put(f"{name}_i += 1")
                            self.put(f"s = {target}")
                        keyword = "elif"
                    with self.block("else:" if keyword == "elif" else "if True:"):
                        if state.ends:
                            self.hold(len(state.productions), state.width)
                            self.flush()
                            self.put("break")
                        else:
                            missing = describe(tuple(terminal for terminal, _ in state.productions))
                            self.put(f"raise Malformed({f'needs {missing}'!r})")
        for element, name in names.items():
            with self.at(element), self.block(f"if {name}_i < len({name}):"):
                self.put("raise Malformed('not permitted beside the other elements')")

    # Values.

    def value_of(self, terminal: Terminal, expression: str) -> None:
        """One event's value; simple elements are framed by the codes of their characters and their end."""
        if is_type(terminal.datatype):
            self.struct(terminal.datatype, expression)
            return
        framed = terminal.kind == "element"
        if not expression.isidentifier():
            self.put(f"v = {expression}")
            expression = "v"
        if isinstance(terminal.datatype, (String, Binary)):
            self.text(terminal.datatype, expression, framed)
            return
        if framed:
            self.hold(0, 1)
        self.simple(terminal.datatype, expression)
        if framed:
            self.hold(0, 1)

    def text(self, datatype: String | Binary, v: str, framed: bool) -> None:
        """A string or binary."""
        if isinstance(datatype, String):
            kind, low, high, unit = "str", 0, datatype.max_length, "characters"
            put = "put_text" if framed else "put_string"
        else:
            kind, low, high, unit = "bytes", datatype.min_length, datatype.max_length, "bytes"
            low = 0 if datatype.shorter else low
            put = "put_binary" if framed else "put_bytes"
        with self.block(f"if not isinstance({v}, {kind}):"):
            self.put(f"raise wrong_type({v}, {kind!r})")
        if low or high is not None:
            limit = f"{low} <= len({v})" if low else f"len({v})"
            with self.block(f"if not {limit} <= {high}:" if high is not None else f"if not {limit}:"):
                self.put(f"raise wrong_length(len({v}), {low}, {high}, {unit!r})")
        self.put(f"acc = {put}({self.accumulator()}, {v})")

    def struct(self, cls: type[Struct], expression: str) -> None:
        """A complex value, written out where it is small."""
        if not is_inlined(cls):
            self.put(f"acc = {self.callee[cls]}({self.accumulator()}, {expression})")
            return
        variable = f"m{len(self.path)}"
        self.put(f"{variable} = {expression}")
        self.check_class(cls, variable)
        outer = self.state
        self.sequence(cls, variable)
        self.state = outer

    def simple(self, datatype: Datatype, v: str) -> None:
        """A value of a simple type, checked against its facets."""
        if datatype is bool:
            with self.block(f"if {v}.__class__ is not bool:"):
                self.put(f"raise wrong_type({v}, 'bool')")
            self.bits(v, 1)
        elif is_enum(datatype):
            name = self.names.of(datatype, datatype.__name__)
            codes = {member.value: code for code, member in enumerate(datatype)}
            self.names.namespace[f"{name}_codes"] = codes
            with self.block(f"if {v}.__class__ is not {name}:"):
                self.put(f"{v} = as_enum({v}, {name})")
            self.bits(f"{name}_codes[{v}._value_]", (len(codes) - 1).bit_length())
        elif isinstance(datatype, Integer):
            self.integer(datatype, v)

    def integer(self, facets: Integer, v: str) -> None:
        """An integer in the representation its range asks for."""
        low, high = facets.minimum, facets.maximum
        limit = "" if low is None else f"{low} <= {v}" + ("" if high is None else f" <= {high}")
        with self.block(f"if {v}.__class__ is not int" + (f" or not {limit}:" if limit else ":")):
            self.put(f"{v} = as_int({v}, {low}, {high})")
        if bounds := narrow_bounds(facets):
            first, _, width = bounds
            self.bits(f"{v} - {first}" if first > 0 else f"{v} + {-first}" if first else v, width)
        elif low is not None and low >= 0:
            if high is None or high > 0xFFFFFFFF:
                self.put(f"acc = put_ulong({self.accumulator()}, {v})")
            else:
                self.octets(v)
        else:
            held = self.held, self.held_width
            with self.block(f"if {v} < 0:"):
                self.put(f"{v} = ~{v}")
                self.hold(1, 1)
                self.octets(v)
            self.held, self.held_width = held
            with self.block("else:"):
                self.hold(0, 1)
                self.octets(v)

    def octets(self, v: str) -> None:
        """An Unsigned Integer, the one- and two-octet forms at once."""
        held = self.held, self.held_width
        with self.block(f"if {v} < 128:"):
            self.bits(v, 8)
        self.held, self.held_width = held
        with self.block(f"elif {v} < 16384:"):
            self.bits(f"({v} & 127 | 128) << 8 | {v} >> 7", 16)
        self.held, self.held_width = held
        with self.block("else:"):
            self.put(f"acc = put_uint({self.accumulator()}, {v})")

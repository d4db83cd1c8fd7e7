"""Compiles the encoder and decoder of a type on first use, and turns their failures into errors that name the place."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from pyiso15118.errors import ExiError
from pyiso15118.exi import runtime
from pyiso15118.exi.declarations import Struct
from pyiso15118.exi.decoder import DecoderSource
from pyiso15118.exi.encoder import EncoderSource
from pyiso15118.exi.grammar import fields_of
from pyiso15118.exi.source import Names, Source, is_type

Encoder = Callable[[int, Struct], int]
Decoder = Callable[[int, int], tuple[Struct, int]]

_globals: dict[str, Any] = {name: getattr(runtime, name) for name in dir(runtime) if not name.startswith("_")}
_names = Names(_globals)
_places: dict[str, list[str]] = {}


class _Callees(dict[type[Struct], str]):
    """Names under which generated functions call those of other types; first bound to a function that compiles."""

    def __init__(self, kind: str, source: Callable[[type[Struct], str, Names, Any], Source]) -> None:
        super().__init__()
        self.kind = kind
        self.source = source

    def __missing__(self, cls: type[Struct]) -> str:
        name = self[cls] = f"{self.kind}_{_names.of(cls, cls.__name__)}"

        def compile_first(*arguments: Any) -> Any:
            return self.build(cls)(*arguments)

        _globals[name] = compile_first
        _pending.add(name)
        return name

    def build(self, cls: type[Struct]) -> Callable[..., Any]:
        """The generated function of a type."""
        name = self[cls]
        if name in _pending:
            source = self.source(cls, name, _names, self)
            filename = f"<exi {name}>"
            _places[filename] = source.places
            exec(compile("\n".join(source.lines), filename, "exec"), _globals)  # noqa: S102
            _pending.discard(name)
        function: Callable[..., Any] = _globals[name]
        return function


_pending: set[str] = set()
_encoders = _Callees("encode", EncoderSource)
_decoders = _Callees("decode", DecoderSource)


def encoder_of(cls: type[Struct]) -> Encoder:
    """The encoder of a type."""
    return _encoders.build(cls)


def decoder_of(cls: type[Struct]) -> Decoder:
    """The decoder of a type."""
    return _decoders.build(cls)


def compile_with_parts(
    cls: type[Struct], function_of: Callable[[type[Struct]], object], done: set[type[Struct]]
) -> None:
    """Compile a type and all its content may hold. ``function_of``: :func:`encoder_of` or :func:`decoder_of`."""
    if cls in done:
        return
    done.add(cls)
    function_of(cls)
    for field in fields_of(cls):
        for datatype in field.datatypes:
            if is_type(datatype):
                compile_with_parts(datatype, function_of, done)


def source_of(cls: type[Struct], kind: str) -> str:
    """The generated source, for the curious: ``kind`` is ``encode`` or ``decode``."""
    table = _encoders if kind == "encode" else _decoders
    return "\n".join(table.source(cls, table[cls], _names, table).lines)


def locate(error: Exception, root: str, total: int | None) -> ExiError:
    """The :class:`ExiError` for a failure in generated code.

    Generated lines know their element, so the traceback spells the element's path at no cost to messages that are well;
    the innermost ``p`` says how far decoding got. ``total`` is the number of bits decoded from, ``None`` on encoding.
    """
    path = [root] if root else []
    unread: int | None = None
    step: TracebackType | None = error.__traceback__
    while step is not None:
        frame = step.tb_frame
        places = _places.get(frame.f_code.co_filename)
        if places is not None and step.tb_lineno and places[step.tb_lineno - 1]:
            path.append(places[step.tb_lineno - 1])
        if isinstance(frame.f_locals.get("p"), int):
            unread = frame.f_locals["p"]
        step = step.tb_next
    element = "/".join(path)
    if total is None:
        return ExiError(str(error), element)
    if unread is None or unread < 0:
        return ExiError("the input ends within the element", element, total)
    return ExiError(str(error), element, total - unread)

"""Errors of the standard's implementation: what went wrong, where, and what to answer."""


class Iso15118Error(Exception):
    """Any error this package raises on purpose."""


class ExiError(Iso15118Error, ValueError):
    """A message that EXI, or the schema it is bound to, does not permit.

    ``element`` is the path of the element concerned (``DC_ChargeLoopReq/Header/TimeStamp``), empty where none is known
    yet. ``bit`` is the offset in the encoded data, header byte included, at which decoding stopped; ``None`` when
    encoding.
    """

    def __init__(self, reason: str, element: str = "", bit: int | None = None) -> None:
        self.reason = reason
        self.element = element
        self.bit = bit
        where = element or "document"
        if bit is not None:
            where += f" at bit {bit}"
        super().__init__(f"{where}: {reason}")


class LocalProtocolError(Iso15118Error):
    """The owner asked a machine for something it cannot do: a command out of place, or values that make no sense."""


class RemoteProtocolError(Iso15118Error):
    """The peer broke the protocol. ``response_code`` is the FAILED_* code of the standard that says so, if one does."""

    def __init__(self, reason: str, response_code: str | None = None) -> None:
        super().__init__(reason)
        self.response_code = response_code

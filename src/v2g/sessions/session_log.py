"""The log of one connection: each of its lines says at which EVSE, and in which session."""

from __future__ import annotations

from typing import Any, Protocol


class Log(Protocol):
    """A log of events: a code for grep, a message for people, fields."""

    def info(self, code: str, message: str = "", /, **fields: object) -> None: ...

    def warning(self, code: str, message: str = "", /, **fields: object) -> None: ...

    def error(self, code: str, message: str = "", /, **fields: object) -> None: ...


class SessionLog:
    """``log`` with ``evse=``, and with ``session=`` once SessionSetup has given one; a line's own fields win."""

    def __init__(self, log: Log, evse_id: str) -> None:
        self._log = log
        self._fields: dict[str, Any] = {"evse": evse_id}

    @property
    def session(self) -> str:
        """The session's identifier in upper-case hexadecimal; empty before SessionSetup."""
        return str(self._fields.get("session", ""))

    @session.setter
    def session(self, session: str) -> None:
        self._fields["session"] = session

    def info(self, code: str, message: str = "", /, **fields: object) -> None:
        self._log.info(code, message, **{**self._fields, **fields})

    def warning(self, code: str, message: str = "", /, **fields: object) -> None:
        self._log.warning(code, message, **{**self._fields, **fields})

    def error(self, code: str, message: str = "", /, **fields: object) -> None:
        self._log.error(code, message, **{**self._fields, **fields})

"""What takes the place of a log where a test looks at what was said, or wants nobody to hear it."""

from __future__ import annotations


class KeptLog:
    """Keeps what it is told: level, code, message and fields."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str, dict[str, object]]] = []

    def info(self, code: str, message: str = "", /, **fields: object) -> None:
        self.lines.append(("INFO", code, message, fields))

    def warning(self, code: str, message: str = "", /, **fields: object) -> None:
        self.lines.append(("WARNING", code, message, fields))

    def error(self, code: str, message: str = "", /, **fields: object) -> None:
        self.lines.append(("ERROR", code, message, fields))

    @property
    def said(self) -> list[tuple[str, str]]:
        """Code and message of each."""
        return [(code, message) for _, code, message, _ in self.lines]

    def codes(self) -> list[str]:
        return [code for code, _ in self.said]

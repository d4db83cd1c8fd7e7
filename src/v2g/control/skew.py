"""A command and a daemon of different versions: what to tell."""

from __future__ import annotations


def skew_words(name: str, own: str, server: str, version: str) -> str:
    """One line for stderr where the daemon ``server`` is of another version than the command ``name``; else empty.

    They understand each other: another protocol would have been refused with the hello.
    """
    if not version or version == own:
        return ""
    shown = version[:40] if version.isprintable() else "unknown"
    return (
        f"{name} {own} speaks with {server} {shown}: restart the daemon after an update "
        f"(systemctl restart {server}), or use the commands of its version"
    )

"""What EcoG's JSON wrapper around EXIficient makes of a message."""

from __future__ import annotations

from typing import Any


def without_what_the_wrapper_loses(part: Any) -> None:
    """The peer's JSON wrapper, not EXIficient, drops these Ids and some kinds of KeyInfo, and invents a SchemaID."""
    if isinstance(part, list):
        for item in part:
            without_what_the_wrapper_loses(item)
    elif isinstance(part, dict):
        part.pop("KeyInfo", None)
        for name, item in part.items():
            for each in item if isinstance(item, list) else [item]:
                if name in ("SignatureValue", "Reference"):
                    each.pop("Id", None)
                if name == "supportedAppProtocolRes":
                    each.setdefault("SchemaID", 0)
            without_what_the_wrapper_loses(item)

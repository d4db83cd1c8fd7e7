"""The declarations of AC_DER_SAE are those of ISO's schema, to the letter.

The schema is not here. EVerest's code generator knows the SHA-256 of the file ISO publishes (EVerest/cbexigen, the
``SCHEMA_SHA256`` of its ``tools_config.py``); the text that our declarations give in the file's layout has the same.
"""

from __future__ import annotations

import hashlib

from pyiso15118.exi.schema import element_namespaces, find
from pyiso15118.messages import Namespace
from support.iso_layout_sae import LAYOUT, text

PUBLISHED = "799d4c6be9d545f7832ffbecdc4bc989630b0c809d58596d68bf12d6e198b21d"


def test_the_schema_that_the_declarations_give_is_the_one_iso_publishes() -> None:
    assert hashlib.sha256(text().encode()).hexdigest() == PUBLISHED


def test_every_type_but_the_widened_messages_of_ac_is_in_it() -> None:
    own = [cls for cls in find(Namespace.AC_DER_SAE).types if cls not in element_namespaces]
    assert len(own) == len(find(Namespace.AC_DER_SAE).types) - 4
    assert set(own) <= set(LAYOUT)

"""EXI 1.0 as ISO 15118 uses it: schema-informed, bit-packed, non-strict, no options in the header.

Grammars come from the type declarations in :mod:`pyiso15118.messages`; each type's encoder and decoder is generated on
first use. :func:`prepare` does so beforehand, :func:`preparing` a message at a time.
"""

from pyiso15118.errors import ExiError
from pyiso15118.exi.codec import (
    MAX_LENGTH,
    decode,
    decode_fragment,
    element_name,
    encode,
    encode_fragment,
    prepare,
    preparing,
)

__all__ = [
    "MAX_LENGTH",
    "ExiError",
    "decode",
    "decode_fragment",
    "element_name",
    "encode",
    "encode_fragment",
    "prepare",
    "preparing",
]

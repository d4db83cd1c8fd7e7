"""What the module declares is what ISO's file declares: written in its layout, the two have the same hash.

Amendment 1's V2G_CI_AC_DER_IEC.xsd is ISO's (standards.iso.org) and is not kept here. Its hash is the one by which
EVerest's code generator checks a download (EVerest/cbexigen, ``SCHEMA_SHA256`` of ``tools_config.py``).
"""

from __future__ import annotations

import hashlib

from pyiso15118.exi.schema import element_namespaces, find
from pyiso15118.messages import Namespace
from support.iso_layout_iec import LAYOUT, text

SHA256 = "3072d03da0945be459c716b0fecc32d21eb565162c6fd567ea3c1e0119aadf20"


def test_the_declarations_in_the_layout_of_isos_file_are_that_file() -> None:
    assert hashlib.sha256(text().encode()).hexdigest() == SHA256


def test_every_type_of_the_namespace_is_in_it_but_for_the_messages_of_ac() -> None:
    types = set(find(Namespace.AC_DER_IEC).types)
    widened = {cls for cls in types if cls in element_namespaces}
    assert {cls.__name__ for cls in widened} == {
        "AC_ChargeParameterDiscoveryReq",
        "AC_ChargeParameterDiscoveryRes",
        "AC_ChargeLoopReq",
        "AC_ChargeLoopRes",
    }
    assert types - widened <= set(LAYOUT)

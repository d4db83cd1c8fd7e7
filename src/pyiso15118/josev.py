"""The EXI codec of EcoG's ``iso15118`` (Josev), without Java.

EcoG's stack hands every message to a codec as JSON and takes bytes, and the other way round. :class:`Codec` has that
interface (``iso15118/shared/iexi_codec.py`` of release 0.31.2), in the JSON of the codec that comes with the stack, and
is given to it in place of that one::

    from pyiso15118.josev import Codec
    await SECCHandler(exi_codec=Codec(), evse_controller=..., config=config).start(config.iface)
    await EVCCHandler(exi_codec=Codec(), evcc_config=..., iface=..., ev_controller=...).start()

Outside of a handler ``EXI().set_exi_codec(Codec())`` does it. Restrict the stack to ISO 15118-20: ``PROTOCOLS`` of the
SECC, ``supportedProtocols`` of the EVCC. DIN SPEC 70121 and ISO 15118-2 are refused by name.

Bytes and JSON are those of EcoG's codec, with these differences. What a schema forbids is an error here, where that
codec leaves out an unknown element, writes a message that lacks a required one, or writes a number out of range. A
``Reference``'s or ``SignatureValue``'s ``Id``, a ``KeyInfo`` and an algorithm other than SHA-256 are encoded, where it
loses them. A ``supportedAppProtocolRes`` without ``SchemaID`` stays without, where it adds 0. Every signed element is a
fragment, where it knows three of them. WPT, ACDP and the DER messages work, for which it has no JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import Enum
from typing import Any

from pyiso15118 import __version__, exi
from pyiso15118.errors import ExiError, Iso15118Error
from pyiso15118.messages import Namespace
from pyiso15118.messages.jsonform import from_json, to_json

_REFUSED = {
    "urn:din:70121:": "DIN SPEC 70121",
    "urn:iso:15118:2:2010:Msg": "ISO 15118-2",
    "urn:iso:15118:2:2013:": "ISO 15118-2",
}
_METER_NAMES = {
    "BPTDischargedEnergyReadingWh": "BPT_DischargedEnergyReadingWh",
    "BPTInductiveEnergyReadingVARh": "BPT_InductiveEnergyReadingVARh",
}
"""Names that the stack's model of ``MeterInfo`` has, and those of the schema."""
_SCHEMA_NAMES = {schema: model for model, schema in _METER_NAMES.items()}


class NamespaceError(Iso15118Error):
    """Messages of a standard that this package does not implement."""


class Codec:
    """EXI by this package for EcoG's stack: messages of ISO 15118-20, ``supportedAppProtocol`` and signatures.

    It keeps nothing between calls, and one may serve any number of sessions and threads.

    ``model_names``: decode into the element names of the stack's own classes where these are not the schema's. Those
    classes refuse a ``MeterInfo`` with a reading of discharged or inductive energy and a list of ``SupportedProviders``
    as the schema has them, and with that the session. Off by default: JSON is then that of EcoG's codec. Encoding takes
    both forms.
    """

    def __init__(self, *, model_names: bool = False) -> None:
        self._model_names = model_names

    def encode(self, message: str, namespace: str) -> bytes:
        """``{"SessionSetupReq": {...}}`` as EXI by the schema of ``namespace``.

        Messages become documents. Any other element becomes a fragment, as signatures need it: ``SignedInfo`` by the
        namespace of XML signatures, ``PnC_AReqAuthorizationMode`` and the like by that of the common messages.

        Raises :class:`NamespaceError` for DIN SPEC 70121 and ISO 15118-2, :class:`ExiError` naming the element for
        whatever the schema does not permit.
        """
        schema = _schema(namespace)
        obj = _parsed(message)
        ((name, body),) = obj.items()
        _into_schema_names(name, body)
        if _is_message(name):
            return exi.encode(from_json(schema, obj), schema)
        return exi.encode_fragment(from_json(schema, obj, fragment=True), schema, name)

    def decode(self, stream: bytes, namespace: str) -> str:
        """The JSON of an EXI document by the schema of ``namespace``, or of a fragment in that of XML signatures.

        Raises :class:`NamespaceError` for DIN SPEC 70121 and ISO 15118-2, :class:`ExiError` naming the element and the
        bit for whatever the schema does not permit.
        """
        schema = _schema(namespace)
        if schema == Namespace.XMLDSIG:
            return self.decode_fragment(stream, schema)
        return self._json(to_json(exi.decode(schema, bytes(stream))))

    def decode_fragment(self, stream: bytes, namespace: str) -> str:
        """The JSON of a fragment by the schema of any namespace, which EcoG's stack never asks for; errors as above."""
        return self._json(to_json(exi.decode_fragment(_schema(namespace), bytes(stream))))

    def get_version(self) -> str:
        """This package's name and version, for the stack's log."""
        return f"pyiso15118 {__version__}"

    def _json(self, obj: dict[str, Any]) -> str:
        ((name, body),) = obj.items()
        _into_lists(name, body)
        if self._model_names:
            _into_model_names(name, body)
        return json.dumps(obj, ensure_ascii=False, separators=(",", ":"))


def _schema(namespace: str) -> str:
    # The stack's namespaces are members of a plain Enum of strings, of which str() makes something else.
    name = str(namespace.value) if isinstance(namespace, Enum) else namespace
    for prefix, standard in _REFUSED.items():
        if name.startswith(prefix):
            raise NamespaceError(
                f"{name} is {standard}, and this codec has ISO 15118-20 only: restrict the stack to it, with"
                " PROTOCOLS=ISO_15118_20_DC,ISO_15118_20_AC for the SECC and"
                ' "supportedProtocols": ["ISO_15118_20_DC", "ISO_15118_20_AC"] for the EVCC'
            )
    return name


def _parsed(message: str) -> dict[str, Any]:
    try:
        obj = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise ExiError(f"the message is no JSON: {error}") from None
    if not isinstance(obj, dict) or len(obj) != 1:
        raise ExiError('a message is an object with one key, the name of its element: {"SessionSetupReq": {...}}')
    return obj


def _is_message(name: str) -> bool:
    return name.endswith(("Req", "Res"))


def _into_schema_names(name: str, body: Any) -> None:
    for parent, member in _of_mixed_content(name, body):
        if isinstance(parent.get(member), list) and len(parent[member]) == 1:
            (parent[member],) = parent[member]
    _rename(_meter(name, body), _METER_NAMES)
    mode = _authorization_setup(name, body)
    providers = mode.get("SupportedProviders")
    if isinstance(providers, list) and all(isinstance(item, dict) for item in providers):
        mode["SupportedProviders"] = {"ProviderID": [item.get("ProviderID") for item in providers]}


def _into_model_names(name: str, body: dict[str, Any]) -> None:
    _rename(_meter(name, body), _SCHEMA_NAMES)
    mode = _authorization_setup(name, body)
    if "SupportedProviders" in mode:
        mode["SupportedProviders"] = [{"ProviderID": item} for item in mode["SupportedProviders"]["ProviderID"]]


def _into_lists(name: str, body: dict[str, Any]) -> None:
    """What the schema of signatures lets stand among text is a list in EcoG's JSON, be it one."""
    for parent, member in _of_mixed_content(name, body):
        if member in parent:
            parent[member] = [parent[member]]


def _of_mixed_content(name: str, body: Any) -> Iterable[tuple[dict[str, Any], str]]:
    if name == "SignedInfo":
        signature = {"SignedInfo": body}
    else:
        signature = body if name == "Signature" else _inside(body, "Header", "Signature")
    if not signature:
        return
    yield _inside(signature, "SignedInfo", "SignatureMethod"), "HMACOutputLength"
    values = _inside(signature, "KeyInfo").get("KeyValue")
    for value in values if isinstance(values, list) else ():
        yield _inside(value), "DSAKeyValue"
        yield _inside(value), "RSAKeyValue"


def _meter(name: str, body: Any) -> dict[str, Any]:
    return _inside(body, "MeterInfo") if name in ("AC_ChargeLoopRes", "DC_ChargeLoopRes") else {}


def _authorization_setup(name: str, body: Any) -> dict[str, Any]:
    return _inside(body, "PnC_ASResAuthorizationMode") if name == "AuthorizationSetupRes" else {}


def _inside(obj: Any, *path: str) -> dict[str, Any]:
    """The object at that path, an empty one where there is none: what is wrong there is for the schema to say."""
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj if isinstance(obj, dict) else {}


def _rename(obj: dict[str, Any], names: dict[str, str]) -> None:
    for old in names.keys() & obj.keys():
        obj[names[old]] = obj.pop(old)

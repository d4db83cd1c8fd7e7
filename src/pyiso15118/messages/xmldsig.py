"""XML signatures as message headers carry them (xmldsig-core-schema.xsd).

The schema bounds no list. Ours are bounded, since any header may carry a signature and a peer chooses what is in it;
event codes stay those of the schema.

Element wildcards and mixed text have no field: a message that uses them is refused. Where the schema lets several kinds
of element alternate freely (``KeyInfo``, ``X509Data``), each kind is a list and they are written in the schema's order.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pyiso15118.exi.declarations import (
    ANY,
    ATTRIBUTE,
    CONTENT,
    ID,
    Binary,
    Group,
    Integer,
    Occurs,
    Struct,
    anyURI,
    base64Binary,
    choice,
    integer,
    optional,
    repeated,
    sequence,
    string,
)
from pyiso15118.exi.schema import register
from pyiso15118.messages.namespaces import Namespace

MOST_REFERENCES = 8
"""ISO 15118-20 signs at most four parts of a message."""
MOST_PARTS = 8
"""Of whatever else the schema lets repeat; ISO 15118-20 uses one of each at most."""

CryptoBinary = Annotated[bytes, Binary()]
DigestValueType = Annotated[bytes, Binary()]
HMACOutputLengthType = Annotated[int, Integer()]


class CanonicalizationMethod(Struct):
    __content__: ClassVar[Group] = sequence(repeated(ANY), mixed=True)

    Algorithm: Annotated[anyURI, ATTRIBUTE]


class SignatureMethod(Struct):
    __content__: ClassVar[Group] = sequence(optional("HMACOutputLength"), repeated(ANY), mixed=True)

    HMACOutputLength: HMACOutputLengthType | None = None
    Algorithm: Annotated[anyURI, ATTRIBUTE]


class Transform(Struct):
    __content__: ClassVar[Group] = choice(ANY, "XPath", minimum=0, maximum=None, mixed=True)

    XPath: Annotated[list[string] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None
    Algorithm: Annotated[anyURI, ATTRIBUTE]


class Transforms(Struct):
    Transform: Annotated[list[TransformType], Occurs(1, MOST_PARTS, open_grammar=True)]


class DigestMethod(Struct):
    __content__: ClassVar[Group] = sequence(repeated(ANY), mixed=True)

    Algorithm: Annotated[anyURI, ATTRIBUTE]


class DigestValue(Struct):
    """The element as a document of its own; within a ``Reference`` it is plain ``bytes``."""

    value: Annotated[DigestValueType, CONTENT]


class Reference(Struct):
    Transforms: TransformsType | None = None
    DigestMethod: DigestMethodType
    DigestValue: DigestValueType
    Id: Annotated[ID | None, ATTRIBUTE] = None
    URI: Annotated[anyURI | None, ATTRIBUTE] = None
    Type: Annotated[anyURI | None, ATTRIBUTE] = None


class SignedInfo(Struct):
    CanonicalizationMethod: CanonicalizationMethodType
    SignatureMethod: SignatureMethodType
    Reference: Annotated[list[ReferenceType], Occurs(1, MOST_REFERENCES, open_grammar=True)]
    Id: Annotated[ID | None, ATTRIBUTE] = None


class SignatureValue(Struct):
    value: Annotated[base64Binary, CONTENT]
    Id: Annotated[ID | None, ATTRIBUTE] = None


class KeyName(Struct):
    """The element as a document of its own; within ``KeyInfo`` it is plain ``str``."""

    value: Annotated[string, CONTENT]


class MgmtData(Struct):
    """The element as a document of its own; within ``KeyInfo`` it is plain ``str``."""

    value: Annotated[string, CONTENT]


class DSAKeyValue(Struct):
    """P and Q stand together or not at all, and so do Seed and PgenCounter."""

    __content__: ClassVar[Group] = sequence(
        optional("P", "Q"), optional("G"), "Y", optional("J"), optional("Seed", "PgenCounter")
    )

    P: CryptoBinary | None = None
    Q: CryptoBinary | None = None
    G: CryptoBinary | None = None
    Y: CryptoBinary
    J: CryptoBinary | None = None
    Seed: CryptoBinary | None = None
    PgenCounter: CryptoBinary | None = None


class RSAKeyValue(Struct):
    Modulus: CryptoBinary
    Exponent: CryptoBinary


class KeyValue(Struct):
    __content__: ClassVar[Group] = choice("DSAKeyValue", "RSAKeyValue", ANY, mixed=True)

    DSAKeyValue: DSAKeyValueType | None = None
    RSAKeyValue: RSAKeyValueType | None = None


class RetrievalMethod(Struct):
    Transforms: TransformsType | None = None
    URI: Annotated[anyURI | None, ATTRIBUTE] = None
    Type: Annotated[anyURI | None, ATTRIBUTE] = None


class X509IssuerSerialType(Struct):
    X509IssuerName: string
    X509SerialNumber: integer


class X509Data(Struct):
    __content__: ClassVar[Group] = sequence(
        choice("X509IssuerSerial", "X509SKI", "X509SubjectName", "X509Certificate", "X509CRL", ANY),
        maximum=None,
    )

    X509IssuerSerial: Annotated[list[X509IssuerSerialType] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None
    X509SKI: Annotated[list[base64Binary] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None
    X509SubjectName: Annotated[list[string] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None
    X509Certificate: Annotated[list[base64Binary] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None
    X509CRL: Annotated[list[base64Binary] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None


class PGPData(Struct):
    __content__: ClassVar[Group] = choice(
        sequence("PGPKeyID", optional("PGPKeyPacket"), repeated(ANY)),
        sequence("PGPKeyPacket", repeated(ANY)),
    )

    PGPKeyID: base64Binary | None = None
    PGPKeyPacket: base64Binary | None = None


class SPKIData(Struct):
    __content__: ClassVar[Group] = sequence("SPKISexp", optional(ANY), maximum=None)

    SPKISexp: Annotated[list[base64Binary], Occurs(1, MOST_PARTS, open_grammar=True)]


class KeyInfo(Struct):
    __content__: ClassVar[Group] = choice(
        "KeyName",
        "KeyValue",
        "RetrievalMethod",
        "X509Data",
        "PGPData",
        "SPKIData",
        "MgmtData",
        ANY,
        maximum=None,
        mixed=True,
    )

    KeyName: Annotated[list[string] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None
    KeyValue: Annotated[list[KeyValueType] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None
    RetrievalMethod: Annotated[list[RetrievalMethodType] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None
    X509Data: Annotated[list[X509DataType] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None
    PGPData: Annotated[list[PGPDataType] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None
    SPKIData: Annotated[list[SPKIDataType] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None
    MgmtData: Annotated[list[string] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None
    Id: Annotated[ID | None, ATTRIBUTE] = None


class Object(Struct):
    __content__: ClassVar[Group] = sequence(ANY, minimum=0, maximum=None, mixed=True)

    Id: Annotated[ID | None, ATTRIBUTE] = None
    MimeType: Annotated[string | None, ATTRIBUTE] = None
    Encoding: Annotated[anyURI | None, ATTRIBUTE] = None


class Signature(Struct):
    SignedInfo: SignedInfoType
    SignatureValue: SignatureValueType
    KeyInfo: KeyInfoType | None = None
    Object: Annotated[list[ObjectType] | None, Occurs(0, MOST_PARTS, open_grammar=True)] = None
    Id: Annotated[ID | None, ATTRIBUTE] = None


class Manifest(Struct):
    Reference: Annotated[list[ReferenceType], Occurs(1, MOST_REFERENCES, open_grammar=True)]
    Id: Annotated[ID | None, ATTRIBUTE] = None


class SignatureProperty(Struct):
    __content__: ClassVar[Group] = choice(ANY, maximum=None, mixed=True)

    Target: Annotated[anyURI, ATTRIBUTE]
    Id: Annotated[ID | None, ATTRIBUTE] = None


class SignatureProperties(Struct):
    SignatureProperty: Annotated[list[SignaturePropertyType], Occurs(1, MOST_PARTS, open_grammar=True)]
    Id: Annotated[ID | None, ATTRIBUTE] = None


# Within a class body a field's name hides the class of the same name, so these types go by the XSD's type names there.
CanonicalizationMethodType = CanonicalizationMethod
SignatureMethodType = SignatureMethod
TransformType = Transform
TransformsType = Transforms
DigestMethodType = DigestMethod
ReferenceType = Reference
SignedInfoType = SignedInfo
SignatureValueType = SignatureValue
DSAKeyValueType = DSAKeyValue
RSAKeyValueType = RSAKeyValue
KeyValueType = KeyValue
RetrievalMethodType = RetrievalMethod
X509DataType = X509Data
PGPDataType = PGPData
SPKIDataType = SPKIData
KeyInfoType = KeyInfo
ObjectType = Object
SignaturePropertyType = SignatureProperty


register(Namespace.XMLDSIG, vars())

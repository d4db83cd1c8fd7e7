"""A complete public key infrastructure in files, for benches: every root, sub authority and leaf, with their keys."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import x448
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pyiso15118.security import Credential, Curve, Pki, write_credential
from v2g.config.schema_pki import KeyKind
from v2g.pki.mesh_ca import MeshAuthority
from v2g.pki.model import PkiError

README = "README.txt"
MESH = "mesh"
_MESH_CA = "mesh-ca"
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_CURVES = {KeyKind.P521: Curve.SECP521R1, KeyKind.ED448: Curve.ED448}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabNames:
    """Whose leaves are made: common names, 1 to 64 characters each."""

    secc_ids: tuple[str, ...]
    evccids: tuple[str, ...]
    pcid: str = "LABPCID000001"
    emaid: str = "LABEMAID00001"
    cps: str = "Lab CPS"
    mesh_nodes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Members of a mesh, with the host names and addresses by which they are dialled; none: their own."""


def write_lab_ca(output: Path, names: LabNames, kind: KeyKind, at_unix_s: float, keep_out: Path) -> list[str]:
    """Makes everything in ``output``, new or empty and not within ``keep_out`` (``pki.dir``); keys are 0600.

    Returns a line for each file. Raises :class:`PkiError`.
    """
    place, forbidden = output.resolve(), keep_out.resolve()
    if place == forbidden or forbidden in place.parents:
        raise PkiError(
            f"{output} is in {keep_out}, where the certificate of this controller is: name another directory"
        )
    try:
        if output.exists() and any(output.iterdir()):
            raise PkiError(f"{output} is not empty: name a new directory, so that nothing of yours is replaced")
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = _write(output, names, kind, at_unix_s)
        text = _README.format(kind=kind.value, files="\n".join(lines), secc=_file(names.secc_ids[0]))
        (output / README).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PkiError(f"{output} cannot be written to: {error.strerror or error}") from error
    except ValueError as error:
        raise PkiError(f"a name cannot be put into a certificate: {error}") from error
    return lines


def _write(output: Path, names: LabNames, kind: KeyKind, at_unix_s: float) -> list[str]:
    # A day earlier, for benches whose clocks are not quite right.
    pki = Pki(not_before=datetime.fromtimestamp(at_unix_s, UTC) - timedelta(days=1), curve=_CURVES[kind])
    made: list[tuple[str, Credential, str]] = [
        ("v2g-root", pki.v2g_root.credential, "V2G root: SECCs' and the provisioning service's chains end in it"),
        ("cpo-sub-ca", pki.cpo_sub_ca.credential, "authority of SECCs; signs requests of v2g-cert-manager"),
        ("cps-sub-ca", pki.cps_sub_ca.credential, "authority of certificate provisioning services"),
        ("oem-root", pki.oem_root.credential, "root of vehicles"),
        ("oem-sub-ca", pki.oem_sub_ca.credential, "authority of vehicles"),
        ("mo-root", pki.mo_root.credential, "root of contracts"),
        ("mo-sub-ca", pki.mo_sub_ca.credential, "authority of contracts"),
    ]
    made += [(f"secc-{_file(name)}", pki.secc(name), f"SECC {name}") for name in names.secc_ids]
    made += [(f"vehicle-{_file(name)}", pki.vehicle(name), f"vehicle {name}") for name in names.evccids]
    provisioning = pki.provisioning(names.pcid)
    made += [
        ("provisioning", provisioning, f"OEM provisioning certificate {names.pcid}, to ask for contracts with"),
        ("contract", pki.contract(names.emaid), f"contract {names.emaid}, for Plug and Charge"),
        ("cps", pki.cps(names.cps), f"certificate provisioning service {names.cps}"),
    ]
    if len({name for name, _, _ in made}) != len(made):
        raise PkiError("two of the given ids would have files of the same name: change one")
    lines = []
    for name, credential, words in made:
        write_credential(credential, output, name)
        lines.append(f"{name}.pem, {name}.key: {words}")
    if isinstance(provisioning.agreement_key, x448.X448PrivateKey):
        _write_key(output / "provisioning.x448.key", provisioning.agreement_key)
        lines.append("provisioning.x448.key: X448 key that contract keys are encrypted for")
    lines += _mesh(output, names.mesh_nodes, at_unix_s)
    roots = pki.oem_root.certificate_pem + pki.v2g_root.certificate_pem
    (output / "vehicle-roots.pem").write_bytes(roots)
    lines.append("vehicle-roots.pem: OEM and V2G root, by which a SECC trusts vehicles (trust.pem)")
    return lines


def _mesh(output: Path, nodes: Mapping[str, tuple[str, ...]], at_unix_s: float) -> list[str]:
    if not nodes:
        return []
    if problem := next((name for name in nodes if _NODE.fullmatch(name) is None), None):
        raise PkiError(f"{problem!r} is no name of a mesh's node: letters, digits, '.', '_' and '-', at most 64")
    authority = MeshAuthority(at_unix_s, "Lab Mesh CA")
    authority.write_authority(output / f"{_MESH_CA}.pem", output / f"{_MESH_CA}.key")
    lines = [f"{_MESH_CA}.pem, {_MESH_CA}.key: authority of a mesh of transformers (P-256)"]
    for name, addresses in nodes.items():
        authority.write_node(output / MESH / name, name, addresses)
        dialled = ", ".join(addresses or (name,))
        lines.append(f"{MESH}/{name}/: mesh.dir of node {name}, dialled as {dialled}")
    return lines


def _write_key(path: Path, key: x448.X448PrivateKey) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _file(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in name).strip(".") or "-"


_README = """\
Test PKI of a bench, made by v2g-cert-manager lab-ca. NOT FOR PRODUCTION: the keys of all authorities lie here, and
whoever reads them can be any vehicle, station or contract to whoever trusts these roots.

Keys and signatures: {kind}. NAME.pem is the certificate and the authorities between it and its root; NAME.key its
private key (PKCS#8, not encrypted, 0600).

{files}

Use with a controller of the bench:
  copy secc-{secc}.pem to <pki.dir>/chain.pem, its .key to private.key, vehicle-roots.pem to trust.pem
or as with a real authority:
  v2g-cert-manager provision --ca-bundle v2g-root.pem --trust vehicle-roots.pem --csr-only
  openssl x509 -req -in <pki.dir>/request.csr -copy_extensions copy -days 90 -sha512 \\
      -CA cpo-sub-ca.pem -CAkey cpo-sub-ca.key -CAcreateserial -out leaf.pem      (Ed448: without -sha512)
  cat leaf.pem cpo-sub-ca.pem > chain.pem
  v2g-cert-manager install chain.pem --ca-bundle v2g-root.pem

Of a mesh, where it was asked for (--mesh-node): mesh/NODE is what mesh.dir of NODE is to be; or with a request:
  v2g-cert-manager mesh-request --output request.csr
  openssl x509 -req -in request.csr -copy_extensions copy -days 90 -sha256 \\
      -CA mesh-ca.pem -CAkey mesh-ca.key -CAcreateserial -out leaf.pem
  v2g-cert-manager mesh-install --chain leaf.pem --ca mesh-ca.pem
"""

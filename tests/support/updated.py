"""Updates of a host that was installed from the package, under its systemd: what they are made of, and the steps."""

from __future__ import annotations

import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from support.booted import Booted
from support.own_wheel import make_borrowing_wheel, make_wheel, never_comes_up
from v2g.cli.firmware_site import platform_tag
from v2g.host.firmware.bundle import describe_wheels, pack
from v2g.host.firmware.manifest import FORMAT, PRODUCT, Manifest
from v2g.host.packaging.deb_files import PREFIX
from v2g.orchestrator.databases import known_schemas

KEY = "/etc/v2g/firmware-keys/maker.pem"
SETTINGS = "/etc/v2g/conf.d/60-firmware.yaml"
GOOD, BROKEN = "9.0.0", "9.1.0"


def put_bundles(tree: Path, scratch: Path) -> None:
    """Into ``/srv`` of the tree: one that works, one whose daemon fails at every start, and the maker's public key."""
    key = Ed25519PrivateKey.generate()
    for version, change in ((GOOD, None), (BROKEN, never_comes_up)):
        folder = scratch / f"wheels-{version}"
        if change is None:
            make_wheel(folder, version)
        else:
            make_wheel(folder, version, change)
        make_borrowing_wheel(folder, f"{PREFIX}/lib/python3.11/site-packages")
        manifest = Manifest(
            format=FORMAT,
            name=PRODUCT,
            version=version,
            python="cp311",
            platform=platform_tag(),
            wheels=describe_wheels(folder.glob("*.whl")),
            schemas=known_schemas(),
        )
        pack(manifest, folder, key, tree / "srv" / f"v2g-{version}.v2gfw")
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tree / "srv" / "maker.pem").write_bytes(public)


def trust_the_maker(booted: Booted) -> None:
    booted.run("install", "-D", "-m", "644", "/srv/maker.pem", KEY)
    booted.write(SETTINGS, "firmware: {health_s: 40, steady_s: 2}\n")


def distrust_the_maker(booted: Booted) -> None:
    booted.run("rm", KEY, SETTINGS)


def status(booted: Booted) -> dict[str, object]:
    done = booted.run("v2g-control", "status", "--json", check=False)
    found: dict[str, object] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found

"""Public key infrastructures made once, and certificates that no authority of ours would issue."""

from __future__ import annotations

import datetime
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pyiso15118.security import Curve, Pki
from support.certificates import NOT_BEFORE, Recipe

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC).timestamp()


@cache
def pki_of(curve: Curve) -> Pki:
    return Pki(not_before=NOT_BEFORE, curve=curve)


@pytest.fixture(scope="session")
def now() -> float:
    return NOW


@pytest.fixture(scope="session")
def strict_pki() -> Pki:
    return pki_of(Curve.SECP521R1)


@pytest.fixture(scope="session")
def compat_pki() -> Pki:
    return pki_of(Curve.SECP256R1)


@pytest.fixture(scope="session")
def ed448_pki() -> Pki:
    return pki_of(Curve.ED448)


@pytest.fixture(scope="session")
def recipe() -> type[Recipe]:
    return Recipe


@pytest.fixture(scope="session")
def p384_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())

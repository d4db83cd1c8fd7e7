"""What the tests of envelopes share."""

from __future__ import annotations

import pytest

from support.mesh_pki import MeshPki
from support.mesh_post import NOW_S, Bench, made
from v2g.mesh.identity import Identity


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> MeshPki:
    return MeshPki(tmp_path_factory.mktemp("pki"), NOW_S)


@pytest.fixture(scope="module")
def identities(pki: MeshPki) -> dict[str, Identity]:
    return {name: pki.identity(name) for name in ("tr-1", "tr-2", "stranger")}


@pytest.fixture
def bench(pki: MeshPki, identities: dict[str, Identity]) -> Bench:
    return made(pki, identities)

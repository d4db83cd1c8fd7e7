"""The package as a wheel of its own: what is in it, what comes with it, and that it works where nothing else is."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.metadata import Metadata

import pyiso15118
from pyiso15118.v2gtp import encode_frame
from support.captures import Conversation, pcap

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src/pyiso15118"
BROUGHT = {"msgspec", "cryptography", "cffi", "pycparser"}
"""``cryptography`` needs the last two."""
OF_EXTRAS = {"pyiso15118.security.tls_openssl", "pyiso15118.security.self_handshake_client"}
IMPORT_ALL = """
import importlib, pkgutil, sys
import pyiso15118
for info in pkgutil.walk_packages(pyiso15118.__path__, "pyiso15118."):
    if not info.name.endswith("__main__"):
        try:
            importlib.import_module(info.name)
        except ModuleNotFoundError as error:
            print(info.name, error.name)
"""
WITHOUT_PYOPENSSL = """
from pathlib import Path
from pyiso15118.security import TlsError, TlsProfile, self_handshake, server_context
for call in (
    lambda: server_context(TlsProfile.STRICT, Path("chain"), Path("key"), [Path("root")]),
    lambda: self_handshake(None),
):
    try:
        call()
    except TlsError as error:
        print(error)
"""


def project(path: Path) -> dict[str, object]:
    found: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    return found


def test_dependencies_and_licence_are_those_of_the_project() -> None:
    ours, whole = project(PACKAGE / "pyproject.toml"), project(ROOT / "pyproject.toml")
    for name in ("dependencies", "requires-python", "license"):
        mine, theirs = ours[name], whole[name]
        assert set(mine) <= set(theirs) if name == "dependencies" else mine == theirs  # type: ignore[call-overload]
    extras = ours["optional-dependencies"]
    assert isinstance(extras, dict)
    assert list(extras) == ["tls"]
    assert set(extras["tls"]) <= set(whole["dependencies"])  # type: ignore[call-overload]
    assert (PACKAGE / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_wheel_of_the_project_has_the_package_and_not_what_makes_its_pages() -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    setuptools = pytest.importorskip("setuptools")
    packages = setuptools.find_namespace_packages(where=str(ROOT / "src"), exclude=found["exclude"])
    assert {"pyiso15118", "pyiso15118.capture", "pyiso15118.messages"} <= set(packages)
    assert not any("docs" in name for name in packages)


@dataclass(frozen=True)
class Built:
    """``python``: of an environment that has the wheel, and what pip found that it needs."""

    wheel: Path
    sdist: Path
    python: Path
    folder: Path

    def run(self, *words: object, **kinds: object) -> subprocess.CompletedProcess[str]:
        """There, and nothing of this environment with it."""
        return subprocess.run(
            [str(self.python), "-I", *map(str, words)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin"},
            **kinds,  # type: ignore[call-overload]
        )


def build(source: Path, output: Path, *targets: str) -> None:
    words = [word for target in targets for word in ("-t", target)]
    command = [sys.executable, "-m", "hatchling", "build", *words, "-d", str(output)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed (extra: test)")
    folder = tmp_path_factory.mktemp("wheel")
    build(PACKAGE, folder / "dist", "wheel", "sdist")
    (wheel,) = (folder / "dist").glob("*.whl")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    venv.create(folder / "empty", with_pip=True)
    python = folder / "empty/bin/python"
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return Built(wheel, sdist, python, folder)


@pytest.mark.soak
def test_the_wheel_has_the_package_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
    inside = {name for name in names if not name.startswith("pyiso15118-")}
    kept = (".py", ".conf", "py.typed")
    in_tree = {
        f"pyiso15118/{path.relative_to(PACKAGE)}"
        for path in PACKAGE.rglob("*")
        if path.name.endswith(kept) and path.relative_to(PACKAGE).parts[0] not in ("docs", "build", "dist")
    }
    assert inside == in_tree
    assert {"pyiso15118/py.typed", "pyiso15118/security/openssl.conf"} <= inside
    info = f"pyiso15118-{pyiso15118.__version__}.dist-info"
    assert names - inside == {
        f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }


@pytest.mark.soak
def test_the_source_distribution_makes_the_same_wheel(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(built.folder / "unpacked", filter="data")
    (source,) = (built.folder / "unpacked").iterdir()
    build(source, built.folder / "again", "wheel")
    (again,) = (built.folder / "again").glob("*.whl")
    assert again.read_bytes() == built.wheel.read_bytes()


@pytest.mark.soak
def test_its_metadata_is_as_an_index_takes_it(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        text = archive.read(name)
    found = Metadata.from_email(text, validate=True)
    assert (found.name, str(found.version)) == ("pyiso15118", pyiso15118.__version__)
    assert found.license_expression == "Apache-2.0"
    assert found.description_content_type == "text/markdown"
    assert found.description == (PACKAGE / "README.md").read_text()
    required = {each.name for each in found.requires_dist or [] if each.marker is None}
    assert required == {"msgspec", "cryptography"}
    assert "transformer" not in HeaderParser().parsestr(text.decode())["Summary"]


@pytest.mark.soak
def test_it_brings_two_packages_and_what_they_need(built: Built) -> None:
    listed = json.loads(built.run("-m", "pip", "list", "--format=json", "--disable-pip-version-check").stdout)
    assert {each["name"].lower() for each in listed} - {"pip", "setuptools", "pyiso15118"} == BROUGHT
    told = built.run(
        "-c", "import pyiso15118 as p, importlib.metadata as m; print(p.__version__, m.version(p.__name__))"
    )
    assert told.stdout.split() == [pyiso15118.__version__] * 2
    assert built.run("-m", "pip", "check").returncode == 0


@pytest.mark.soak
def test_all_of_it_is_imported_but_what_an_extra_is_for(built: Built) -> None:
    done = built.run("-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()) == {f"{name} OpenSSL" for name in OF_EXTRAS}
    said = built.run("-c", WITHOUT_PYOPENSSL).stdout.splitlines()
    assert len(said) == 2
    assert all("pip install pyOpenSSL, or pyiso15118 with its extra tls" in line for line in said)
    assert "stdlib_server_context" in said[0]


@pytest.mark.soak
@pytest.mark.parametrize(("name", "count"), [("ISO-20_BPT_AC_DS5366_Josev", 48), ("ISO-20_TLS13_DC_DS5366_Josev", 114)])
def test_it_decodes_what_others_recorded(built: Built, shared_data: Path, name: str, count: int) -> None:
    captures = shared_data / "iso15118" / "captures"
    rows = [json.loads(line) for line in (captures / f"{name}.jsonl").read_text().splitlines()]
    done = built.run("-m", "pyiso15118", "decode", captures / f"{name}.pcapng")
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == count
    assert [(each["message"], each["hex"]) for each in found] == [(row["message"], row["hex"]) for row in rows]
    assert [each["json"] for each in found[2:]] == [row["decoded"] for row in rows[2:]]
    command = built.python.with_name("pyiso15118")
    text = json.dumps({"namespace": found[-1]["namespace"], "hex": found[-1]["hex"]})
    alone = subprocess.run([command, "decode"], input=text, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(alone.stdout)["json"] == rows[-1]["decoded"]


@pytest.mark.soak
def test_its_readme_is_true(built: Built) -> None:
    """Each program in it is run as printed, in the environment that has the wheel alone."""
    text = (PACKAGE / "README.md").read_text(encoding="utf-8")
    reader, *parts = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    outputs: Mapping[str, str] = {
        reader: "[fe80::a:1]:49200 SessionSetupReq\nSessionSetupReq Z 808c040000000000000000000201ad00\n",
        "\n".join(parts): "STOPPED after 10 turns\n",
    }
    conversation = Conversation()
    conversation.send(encode_frame(0x8002, bytes.fromhex("808c040000000000000000000201ad00")))
    (built.folder / "some.pcap").write_bytes(pcap(conversation.packets, 101))
    for program, output in outputs.items():
        (built.folder / "program.py").write_text(program, encoding="utf-8")
        done = built.run("program.py", "some.pcap")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.sub(r"after \d\d turns", "after 10 turns", done.stdout) == output
    named = set(re.findall(r"`(pyiso15118\.[\w.]+?)`", text)) | set(re.findall(r"-m (pyiso15118[\w.]*)", text))
    for name in named - {"pyiso15118.docs.build"}:
        assert importlib.util.find_spec(name) is not None, name

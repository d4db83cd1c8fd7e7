"""SoftHSM2 tokens in a directory of the test's own, and a module before it that goes wrong when told to."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from v2g.config.schema_pki import Token

MODULES = (Path("/usr/lib/softhsm/libsofthsm2.so"), Path("/usr/lib64/pkcs11/libsofthsm2.so"))
PIN = "271828"
SO_PIN = "31415926"
LABEL = "v2g"
SHIM_SOURCE = Path(__file__).parents[1] / "interop" / "pkcs11" / "shim.c"


def missing() -> str:
    """Why there can be no token here; empty: there can."""
    if not any(module.exists() for module in MODULES) or shutil.which("softhsm2-util") is None:
        return "SoftHSM2 is not installed: apt-get install softhsm2"
    try:
        import pkcs11  # noqa: F401
    except ImportError:
        return "python-pkcs11 is not installed: pip install 'v2g-orchestrator[hsm]'"
    return ""


class SoftHsm:
    """``monkeypatch`` sets SOFTHSM2_CONF, which this process and those that it starts read."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = next(module for module in MODULES if module.exists())
        self.directory = directory
        self.tokens = directory / "tokens"
        self._away = directory / "away"
        self.tokens.mkdir(parents=True)
        conf = directory / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        monkeypatch.setenv("SOFTHSM2_CONF", str(conf))
        self._monkeypatch = monkeypatch
        self.control = directory / "control"
        self.pin_file = directory / "pin"
        self.write_pin(PIN)

    def add_token(self, label: str = LABEL, pin: str = PIN) -> None:
        """With pkcs11-tool's sister of SoftHSM: the tools under test make no tokens."""
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", pin],
            check=True,
            capture_output=True,
        )

    def write_pin(self, pin: str) -> None:
        replacement = self.directory / "pin.new"
        replacement.touch(mode=0o600)
        replacement.write_text(f"{pin}\n")
        replacement.replace(self.pin_file)

    def settings(self, *, uri: str = f"pkcs11:token={LABEL}", module: Path | None = None) -> Token:
        return Token(uri=uri, module=str(module or self.module), pin_file=str(self.pin_file))

    def remove(self) -> None:
        """The token is pulled: all that SoftHSM has of it is gone."""
        self.tokens.rename(self._away)
        self.tokens.mkdir()

    def put_back(self) -> None:
        self.tokens.rmdir()
        self._away.rename(self.tokens)

    def shim(self) -> Path:
        """The module that goes wrong, before SoftHSM."""
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler: apt-get install gcc libc6-dev")
        built = self.directory / "shim.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-o", built, SHIM_SOURCE, "-ldl"], check=True, capture_output=True
        )
        self._monkeypatch.setenv("V2G_SHIM_MODULE", str(self.module))
        self._monkeypatch.setenv("V2G_SHIM_CONTROL", str(self.control))
        self.control.touch()
        return built

    def tell(self, **words: int) -> None:
        """What the shim does from now on."""
        self.control.write_text("".join(f"{word} {number}\n" for word, number in words.items()))

    def logins(self) -> int:
        """How often a PIN has been tried through the shim."""
        counted = self.control.with_name("control.logins")
        return len(counted.read_bytes()) if counted.exists() else 0


@contextmanager
def soft_hsm(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """A module keeps its configuration for the life of a process: it is unloaded between tests."""
    hsm = SoftHsm(directory, monkeypatch)
    try:
        yield hsm
    finally:
        import pkcs11

        for module in (hsm.module, directory / "shim.so"):
            pkcs11.unload(str(module))

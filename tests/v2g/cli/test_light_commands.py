from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = {
    "_hashlib", "_ssl", "asyncio", "cryptography", "hypothesis", "logging", "numpy", "pymodbus", "pyiso15118",
    "rich", "structlog",
    "sunspec2", "v2g.config.schema", "v2g.hardware", "v2g.orchestrator", "v2g.simulation", "v2g.telemetry.logs", "yaml",
}  # fmt: skip


@pytest.mark.parametrize("module", ["cert_manager", "config", "control", "tool", "guard", "orchestrator"])
def test_help_imports_nothing_heavy(module: str) -> None:
    code = (
        "import json, sys\n"
        f"from v2g.cli import {module}\n"
        "try:\n"
        f"    {module}.main(['--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("Usage: v2g-")
    assert not HEAVY & set(json.loads(done.stderr))


@pytest.mark.parametrize("verb", ["provision", "status", "lab-ca", "mesh-request"])
def test_the_help_of_certificates_makes_no_cryptography(verb: str) -> None:
    code = (
        "import sys\n"
        "from v2g.cli import cert_manager\n"
        "try:\n"
        f"    cert_manager.main(['{verb}', '--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "print('cryptography' in sys.modules, 'v2g.pki' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == "False False\n"


def test_the_tool_lists_what_it_loads_only_when_it_runs() -> None:
    command = [sys.executable, "-m", "v2g.cli.tool", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    listed = {line.split()[0] for line in done.stdout.partition("Commands:")[2].splitlines() if line.strip()}
    assert {"calibrate-pll", "explain", "grid", "lockout", "replay", "status", "test-relay", "thermal"} <= listed


def test_the_daemon_runs_with_our_openssl_settings() -> None:
    code = (
        "import sys, types\n"
        "from v2g.cli import orchestrator\n"
        "stand_in = types.ModuleType('v2g.orchestrator.main')\n"
        "def run(config_dir):\n"
        "    import os, ssl\n"
        "    free = len(ssl.create_default_context().get_ciphers()) > 10\n"
        "    return 42 if free and os.environ['OPENSSL_CONF'].endswith('openssl_station.conf') else 1\n"
        "stand_in.run = run\n"
        "sys.modules['v2g.orchestrator.main'] = stand_in\n"
        "orchestrator.main([])\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "OPENSSL_CONF"}
    assert subprocess.run([sys.executable, "-c", code], env=environ, timeout=60, check=False).returncode == 42


@pytest.mark.parametrize("module", ["cert_manager", "config", "control", "tool", "guard", "orchestrator"])
def test_each_command_runs_as_a_module(module: str) -> None:
    command = [sys.executable, "-m", f"v2g.cli.{module}", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith(f"v2g-{module.replace('_', '-')} ")


@pytest.mark.parametrize(
    ("module", "words"), [("tool", ["grid", "set"]), ("config", ["set"]), ("control", ["trip", "reset"]), ("guard", [])]
)
def test_a_short_question_is_answered_at_every_depth(module: str, words: list[str]) -> None:
    asked = [
        subprocess.run(
            [sys.executable, "-m", f"v2g.cli.{module}", *words, option],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout
        for option in ("-h", "--help")
    ]  # fmt: skip
    assert asked[0] == asked[1]
    assert "Examples:" in asked[0]

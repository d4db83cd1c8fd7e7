"""A VTN of OpenADR 3 in a process of its own, by the published OpenAPI documents, which can be told to misbehave.

    python vtn.py --version 3.1.1 --cert CERT --key KEY      prints its port; without --cert it speaks plain HTTP

Clients: ``ven``/``ven-secret`` and ``bl``/``bl-secret``. ``POST /_test`` sets faults, token life and counters back;
``GET /_test`` tells the requests so far. Everything else is as a VTN has it: BL writes programs and events, a VEN
reads them and writes its ``ven`` object; 3.1 shows what has targets only to those who ask for it and are granted it.
"""

from __future__ import annotations

import argparse
import json
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CLIENTS = {"ven": "ven-secret", "bl": "bl-secret"}
REQUIRED = {"programs": ("programName",), "events": ("programID",), "vens": ("venName",)}
KINDS = {"programs": "PROGRAM", "events": "EVENT", "vens": "VEN"}


class World:
    def __init__(self, version: str) -> None:
        self.version = version
        self.objects: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in KINDS}
        self.tokens: dict[str, tuple[str, float]] = {}
        self.token_life_s = 3600.0
        self.told_life_s: float | None = 3600.0
        self.faults: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.number = 0
        self.lock = threading.Lock()

    @property
    def is_31(self) -> bool:
        return self.version.startswith("3.1")

    def fault(self, path: str) -> str:
        with self.lock:
            for fault in self.faults:
                if path.startswith(fault["path"]) and fault["times"] > 0:
                    fault["times"] -= 1
                    return str(fault["kind"])
        return ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    world: World

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        parts = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(parts.query)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if parts.path == "/_test":
            self._test(method, body)
            return
        self.world.requests.append(f"{method} {self.path}")
        fault = self.world.fault(parts.path)
        if fault:
            self._misbehave(fault)
        elif parts.path in ("/auth/token", "/oauth/token"):
            self._token(body)
        elif parts.path == "/auth/server" and self.world.is_31:
            scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
            self._answer(200, {"tokenURL": f"{scheme}://{self.headers['Host']}/oauth/token"})
        else:
            who = self._who()
            if who is None:
                self._problem(401, "the token is missing, unknown or expired")
            else:
                self._objects(method, parts.path.strip("/").split("/"), query, body, who)

    def _token(self, body: bytes) -> None:
        form = {key: values[0] for key, values in urllib.parse.parse_qs(body.decode()).items()}
        client = form.get("client_id", "")
        if form.get("grant_type") != "client_credentials":
            self._answer(400, {"error": "unsupported_grant_type"})
        elif CLIENTS.get(client) != form.get("client_secret"):
            self._answer(401, {"error": "invalid_client", "error_description": "unknown client or wrong secret"})
        else:
            world = self.world
            world.number += 1
            token = f"{client}-token-{world.number}"
            world.tokens[token] = (client, time.monotonic() + world.token_life_s)
            told = {} if world.told_life_s is None else {"expires_in": int(world.told_life_s)}
            self._answer(200, {"access_token": token, "token_type": "Bearer", **told})

    def _who(self) -> str | None:
        client, until = self.world.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "), ("", 0.0))
        return client if client and time.monotonic() < until else None

    def _objects(self, method: str, path: list[str], query: dict[str, list[str]], body: bytes, who: str) -> None:
        world, kind = self.world, path[0]
        if kind not in KINDS:
            self._problem(404, f"there is no {'/'.join(path)}")
            return
        known = world.objects[kind]
        if method == "GET" and len(path) == 1:
            self._search(kind, query, who)
        elif method != "GET" and who != "bl" and kind != "vens":
            self._problem(403, "only BL may write this")
        elif method == "POST":
            self._create(kind, json.loads(body), who)
        elif len(path) < 2 or path[1] not in known:
            self._problem(404, "no such object")
        elif method == "GET":
            self._answer(200, known[path[1]])
        elif method == "PUT":
            known[path[1]] |= json.loads(body) | {"modificationDateTime": now()}
            self._answer(200, known[path[1]])
        else:
            self._answer(200, known.pop(path[1]))

    def _create(self, kind: str, given: dict[str, Any], who: str) -> None:
        world = self.world
        role = given.get("objectType")
        lacking = [name for name in REQUIRED[kind] if not given.get(name)]
        if kind == "vens" and world.is_31 and role != ("BL_VEN_REQUEST" if who == "bl" else "VEN_VEN_REQUEST"):
            lacking.append("objectType")
        if kind == "vens" and not world.is_31 and role not in (None, "VEN"):
            lacking.append("another objectType")
        if lacking:
            self._problem(400, f"lacking: {', '.join(lacking)}")
            return
        name = given.get("venName")
        if kind == "vens" and any(ven["venName"] == name for ven in world.objects["vens"].values()):
            self._problem(409, f"there is a ven {name}")
            return
        world.number += 1
        key = f"{kind[:-1]}-{world.number}"
        metadata = {"id": key, "createdDateTime": now(), "modificationDateTime": now(), "objectType": KINDS[kind]}
        owner = {"clientID": given.get("clientID", who)} if kind == "vens" else {}
        world.objects[kind][key] = {**given, **owner, **metadata}
        self._answer(201, world.objects[kind][key])

    def _search(self, kind: str, query: dict[str, list[str]], who: str) -> None:
        skip, limit = int(query.get("skip", ["0"])[0]), int(query.get("limit", ["50"])[0])
        if not 0 <= limit <= 50 or skip < 0:
            self._problem(400, "limit is 0 to 50, skip at least 0")
            return
        found = list(self.world.objects[kind].values())
        if "programID" in query:
            found = [one for one in found if one.get("programID") == query["programID"][0]]
        if self.world.is_31 and who != "bl":
            if kind == "vens":
                found = [one for one in found if one["clientID"] == who]
            else:
                own = [ven for ven in self.world.objects["vens"].values() if ven["clientID"] == who]
                granted = {target for ven in own for target in ven.get("targets") or ()}
                asked = granted & set(query.get("targets", ()))
                found = [one for one in found if not one.get("targets") or asked & set(one["targets"])]
        self._answer(200, found[skip : skip + limit])

    def _misbehave(self, fault: str) -> None:
        if fault.isdigit():
            self._problem(int(fault), "told to")
        elif fault == "malformed":
            self._raw(b'[{"id": "e1", "programID": ')
        elif fault == "no list":
            self._raw(b'{"events": []}')
        elif fault == "deep":
            self._raw(b"[" * 100_000)
        elif fault == "huge":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            chunk = b" " * (1 << 20)
            try:
                for _ in range(64):
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            except OSError:
                self.world.requests.append("huge answer was refused")
            self.close_connection = True
        elif fault in ("slow", "slow, last"):
            self.send_response(200)
            if fault == "slow, last":
                self.send_header("Connection", "close")
            self.send_header("Content-Length", "1000")
            self.end_headers()
            try:
                for _ in range(1000):
                    self.wfile.write(b" ")
                    time.sleep(0.05)
            except OSError:
                pass
            self.close_connection = True
        elif fault == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"[]")
            self.close_connection = True
        elif fault == "redirect":
            self.send_response(302)
            self.send_header("Location", "https://127.0.0.1:1/events")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            raise ValueError(fault)

    def _test(self, method: str, body: bytes) -> None:
        world = self.world
        if method == "GET":
            self._answer(200, {"requests": world.requests})
            return
        given = json.loads(body)
        world.requests.clear()
        world.faults = given.get("faults", [])
        world.token_life_s = given.get("token_life_s", 3600.0)
        world.told_life_s = given.get("told_life_s", 3600.0)
        if given.get("forget_tokens"):
            world.tokens = {token: one for token, one in world.tokens.items() if one[0] == "bl"}
        if given.get("wipe"):
            world.objects = {kind: {} for kind in KINDS}
        self._answer(200, {})

    def _problem(self, status: int, detail: str) -> None:
        self._answer(status, {"title": "refused", "status": status, "detail": detail})

    def _answer(self, status: int, value: Any) -> None:
        self._raw(json.dumps(value).encode(), status)

    def _raw(self, data: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Vtn:
    """What a test does with it: as BL, and as its warden."""

    def __init__(self, url: str, context: ssl.SSLContext | None) -> None:
        self.url = url
        self._context = context
        self._token = ""

    def create(self, kind: str, **fields: Any) -> str:
        return str(self.bl("POST", f"/{kind}", fields)["id"])

    def change(self, kind: str, key: str, **fields: Any) -> None:
        self.bl("PUT", f"/{kind}/{key}", fields)

    def delete(self, kind: str, key: str) -> None:
        self.bl("DELETE", f"/{kind}/{key}")

    def tell(self, **fields: Any) -> None:
        """Set faults (``kind``, ``path``, ``times``) and tokens' lives; ``forget_tokens`` of VENs; ``wipe`` objects."""
        self._call("POST", "/_test", json.dumps(fields).encode())

    def break_down(self, kind: str, path: str = "/events", times: int = 1000) -> None:
        self.tell(faults=[{"kind": kind, "path": path, "times": times}])

    def requests(self) -> list[str]:
        return list(self._call("GET", "/_test")["requests"])

    def bl(self, method: str, path: str, fields: Any = None) -> Any:
        if not self._token:
            form = {"grant_type": "client_credentials", "client_id": "bl", "client_secret": CLIENTS["bl"]}
            self._token = self._call("POST", "/auth/token", urllib.parse.urlencode(form).encode())["access_token"]
        data = None if fields is None else json.dumps(fields).encode()
        return self._call(method, path, data, {"Authorization": f"Bearer {self._token}"})

    def _call(self, method: str, path: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        request = urllib.request.Request(self.url + path, data, headers or {}, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=5.0, context=self._context) as answer:  # noqa: S310
            return json.loads(answer.read())


@contextmanager
def running(version: str = "3.1.1", files: tuple[Path, Path, Path] | None = None) -> Iterator[Vtn]:
    """``files``: certificate, key, and the CA that signed them; None: plain HTTP."""
    command = [sys.executable, __file__, "--version", version]
    if files is not None:
        command += ["--cert", str(files[0]), "--key", str(files[1])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        bound = int(process.stdout.readline())
        context = ssl.create_default_context(cafile=str(files[2])) if files is not None else None
        yield Vtn(f"http{'s' if files is not None else ''}://127.0.0.1:{bound}", context)
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", default="3.1.1")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    given = parser.parse_args()
    handler = type("Bound", (Handler,), {"world": World(given.version)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if given.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(given.cert, given.key)
        # The handshake is left to the connection's own thread: a slow client must not hold up the others.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

"""An HTTP server for what authorities publish: each path has a function from the request's body to the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer

from support.http_serving import QuietHandler, in_thread


@dataclass
class Published:
    port: int = 0
    answers: dict[str, Callable[[bytes], bytes | int]] = field(default_factory=dict)
    """A number is a status."""
    asked: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


@contextmanager
def publishing() -> Iterator[Published]:
    published = Published()

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            published.asked.append(path)
            answer = published.answers.get(path, lambda _: 404)(body)
            status, content = (answer, b"") if isinstance(answer, int) else (200, answer)
            with suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_POST = do_GET

    with in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as published.port:
        yield published

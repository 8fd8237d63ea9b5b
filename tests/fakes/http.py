"""An HTTP server of Google's kind on 127.0.0.1: JSON in and out, bearer tokens, faults on demand."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "token-of-a-fake"


class Refused(Exception):
    """An error answer in the shape of Google's APIs."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"reason": reason, "message": message, "domain": "global"}

    @property
    def body(self) -> dict[str, Any]:
        return {"error": {"code": self.status, "message": str(self), "errors": [self.error]}}


class Cut(Exception):
    """The connection is to break here, without an answer."""


@dataclass
class Request:
    """One request, read whole."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass
class Answer:
    """What is sent back."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose method and path match."""

    pattern: str
    happens: Callable[[], Exception]
    after: bool = False  # only once the request has been carried out
    times: int = 1


Route = tuple[str, "re.Pattern[str]", Callable[..., Answer]]


class Fake:
    """The base of the fakes: subclasses name their routes."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.faults: list[Fault] = []
        self.requests: list[str] = []

    routes: list[Route] = []

    def fails(self, pattern: str, happens: Callable[[], Exception], *, after: bool = False, times: int = 1) -> None:
        """Let the next `times` requests that match fail: before they are carried out, or `after`."""
        self.faults.append(Fault(pattern, happens, after, times))

    def answer(self, request: Request) -> Answer:
        with self.lock:
            said = f"{request.method} {request.path}"
            if request.path == "/token":
                return self.token(request)
            self.requests.append(said)
            self._authorised(request)
            self._fault(said, after=False)
            for method, pattern, handle in self.routes:
                found = pattern.fullmatch(request.path)
                if method == request.method and found:
                    answer = handle(self, request, *[unquote(part) for part in found.groups()])
                    self._fault(said, after=True)
                    return answer
        raise Refused(404, "notFound", f"this fake has no {said}")

    def token(self, request: Request) -> Answer:
        """What a service account is given for a request that it has signed."""
        claim = parse_qs(request.body.decode())["assertion"][0]
        if claim.count(".") != 2:
            raise Refused(400, "invalid_grant", "the assertion is not a signed token")
        return Answer({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})

    def _authorised(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "authError", f"{request.path} without the token that was issued")

    def _fault(self, said: str, after: bool) -> None:
        for fault in self.faults:
            if fault.after == after and re.search(fault.pattern, said):
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                raise fault.happens()


def route(method: str, path: str) -> Callable[[Callable[..., Answer]], Route]:
    """A route of a fake: `{}` stands for a part of the path."""
    pattern = re.compile(re.escape(path).replace(r"\{\}", "([^/]+)"))
    return lambda handle: (method, pattern, handle)


@contextmanager
def serving(fake: Fake) -> Iterator[str]:
    """The fake's address while it runs, as http://127.0.0.1:port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            request = Request(self.command, parts.path, query, headers, body)
            try:
                answer = fake.answer(request)
            except Refused as refused:
                answer = Answer(refused.body, refused.status)
            except Cut:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            raw = b"" if answer.body is None else raw
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def parts_of(request: Request) -> tuple[dict[str, Any], bytes]:
    """The JSON and the body of a multipart/related upload; the body's media type is added to the JSON."""
    boundary = re.search(r'boundary="?([^";]+)', request.headers["content-type"])
    assert boundary is not None
    _, first, second, _ = request.body.split(b"--" + boundary[1].strip("'").encode())
    head, _, body = second.partition(b"\r\n\r\n")
    kind = re.search(rb"content-type: *(\S+)", head, re.IGNORECASE)
    said = json.loads(first.partition(b"\r\n\r\n")[2])
    return {**said, "contentType": kind[1].decode() if kind else ""}, body.removesuffix(b"\r\n")

"""A local stand-in for Slack's incoming webhooks: takes what Slack would take, keeps it, shows it to a person.

It listens on this machine only and is what `make up` uses while no Slack is set. It refuses what Slack refuses, with
Slack's own words, so that a message which passes here passes there.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from blocks.alerts import MOST_IN_BODY, MOST_IN_SUBJECT
from tasks.engine.incidents import in_new_york

HOST = "127.0.0.1"
PORT = 4299
_DATE = re.compile(r"<!date\^(\d+)\^[^|>]*\|[^>]*>")
_LINK = re.compile(r"<([^|>]+)\|([^>]*)>")
_TEXTS = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}
_SIGNS = {":rotating_light:": "[ALERT]", ":white_check_mark:": "[OK]", ":green_heart:": "[ALIVE]"}


@dataclass(frozen=True)
class Delivery:
    """A message that was taken: when, on which channel (the path that it was posted to), and what."""

    received: dt.datetime
    channel: str
    message: Mapping[str, Any]

    @property
    def subject(self) -> str:
        """The heading, as a person reads it."""
        return readable(str(self.message["text"]))

    @property
    def body(self) -> str:
        """The text under it, as a person reads it."""
        blocks = self.message.get("blocks", ())
        return readable("\n".join(block["text"]["text"] for block in blocks if block["type"] == "section"))

    def line(self) -> str:
        """The delivery as a JSON line."""
        return json.dumps(
            {"received": self.received.isoformat(), "channel": self.channel, "message": self.message},
            ensure_ascii=False,
        )

    @classmethod
    def of(cls, line: str) -> Delivery:
        """The delivery of a JSON line."""
        value = json.loads(line)
        return cls(dt.datetime.fromisoformat(value["received"]), value["channel"], value["message"])


def readable(text: str) -> str:
    """Slack's markup as plain text: dates in New York's time, links with their address."""
    text = _DATE.sub(lambda match: in_new_york(dt.datetime.fromtimestamp(int(match[1]), dt.UTC)), text)
    text = _LINK.sub(lambda match: f"{match[2]} ({match[1]})", text)
    for sign, plain in {**_SIGNS, **_TEXTS}.items():
        text = text.replace(sign, plain)
    return text


def refusal(message: Any) -> str | None:
    """What Slack would answer to a message that it does not take; None if it takes it."""
    if not isinstance(message, dict):
        return "invalid_payload"
    if not message.get("text"):
        return "no_text"
    for block in message.get("blocks", ()):
        text = block.get("text", {}).get("text", "")
        most = {"header": MOST_IN_SUBJECT, "section": MOST_IN_BODY}.get(block.get("type"))
        if most is None or not 1 <= len(text) <= most:
            return "invalid_blocks"
    return None


class Receiver:
    """The messages that came in, in a file of JSON lines, and the server that takes them."""

    def __init__(
        self, file: Path, clock: Callable[[], dt.datetime], show: Callable[[str], object] | None = None
    ) -> None:
        self.file = file
        self.clock = clock
        self.show = show
        self.answer = HTTPStatus.OK  # what every message is answered with: to see what a failing Slack does
        self.refused: list[dt.datetime] = []
        self._lock = threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True)

    def deliveries(self, channel: str | None = None) -> list[Delivery]:
        """What was taken so far, oldest first."""
        with self._lock:
            lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [item for item in map(Delivery.of, lines) if channel in (None, item.channel)]

    def take(self, channel: str, body: bytes) -> tuple[HTTPStatus, str]:
        """Take a posted message, or say what is wrong with it."""
        now = self.clock()
        if self.answer != HTTPStatus.OK:
            self.refused.append(now)
            return self.answer, "not now"
        try:
            message = json.loads(body)
        except ValueError:
            return HTTPStatus.BAD_REQUEST, "invalid_payload"
        if problem := refusal(message):
            return HTTPStatus.BAD_REQUEST, problem
        delivery = Delivery(now, channel, message)
        with self._lock, self.file.open("a") as stream:
            stream.write(delivery.line() + "\n")
        if self.show:
            self.show(_shown(delivery))
        return HTTPStatus.OK, "ok"

    @contextmanager
    def listening(self, port: int = 0) -> Iterator[str]:
        """Serve on this machine; gives the address. Post to any path below it: the path is the channel."""
        server = ThreadingHTTPServer((HOST, port), _handler(self))
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


def _shown(item: Delivery) -> str:
    return f"{in_new_york(item.received)}  #{item.channel}  {item.subject}\n{item.body}\n"


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._reply(*receiver.take(self.path.strip("/"), body))

        def do_GET(self) -> None:
            self._reply(HTTPStatus.OK, "\n".join(map(_shown, receiver.deliveries())) or "no messages yet")

        def _reply(self, status: HTTPStatus, text: str) -> None:
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Messages are shown, requests are not."""

    return Handler

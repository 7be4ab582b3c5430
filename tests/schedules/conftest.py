"""A schedule with a stand-in for the engine, a clock that is set by hand, and real servers on loopback."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mcrisk.config.load import load_model
from mcrisk.config.schedule import Schedule
from mcrisk.schedules.once import once
from mcrisk.schedules.work import Judgement, Work


@dataclass
class Clock:
    """Stands still until moved."""

    now: datetime = datetime(2026, 11, 20, 5, 30, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@dataclass
class Engine:
    """Counts what is asked of it; `verdict` is what the next slots are judged."""

    computed: list[str] = field(default_factory=list)
    previous: list[str] = field(default_factory=list)
    verdict: Judgement = field(default_factory=lambda: Judgement([], [], "calm", {}))
    problem: Callable[[], None] = lambda: None

    def work(self) -> Work:
        return Work(self._compute, self._report, self._judge)

    def _compute(self, schedule: Schedule, store: Path) -> None:
        self.problem()
        self.computed.append(store.stem)
        store.mkdir()

    def _report(self, schedule: Schedule, store: Path, folder: Path, previous: Path | None) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "report.html").write_text("x")

    def _judge(self, schedule: Schedule, store: Path, previous: Path | None) -> Judgement:
        self.previous.append(previous.stem if previous else "")
        return self.verdict


@dataclass
class Setting:
    """What a test needs to let time pass."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    engine: Engine = field(default_factory=Engine)
    options: dict = field(default_factory=dict)

    @property
    def schedule(self) -> Schedule:
        base = {
            "name": "watch", "run": "quickstart", "when": {"cron": "30 6 * * *", "timezone": "Europe/Zurich"},
            "results": str(self.folder),
        }  # fmt: skip
        return load_model(Schedule, "schedules", {**base, **self.options})

    def once(self):
        return once(self.schedule, self.clock, self.engine.work())


@pytest.fixture
def setting(tmp_path):
    return Setting(tmp_path / "results")


class _Mail(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a polite client needs."""

    def handle(self):
        self.wfile.write(b"220 test\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                text = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    text += line
                self.server.mails.append(text.decode())
                self.wfile.write(b"250 taken\r\n")
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


@pytest.fixture
def mailbox():
    """A real SMTP server; `mailbox.mails` is what arrived."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mail) as server:
        server.mails = []
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((dict(self.headers), body.decode()))
        self.send_response(self.server.answer)
        if self.server.answer == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def webhook():
    """A real HTTP server; `webhook.posts` is what arrived, `webhook.answer` what it says."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hook) as server:
        server.posts, server.answer = [], 200
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()

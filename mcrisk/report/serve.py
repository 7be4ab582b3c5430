"""A results folder in a browser on this machine: read-only, loopback only, no listing of anything else."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOOPBACK = "127.0.0.1"
KINDS = {
    ".html": "text/html; charset=utf-8", ".json": "application/json", ".md": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png", ".pdf": "application/pdf",
}  # fmt: skip


class Pages(SimpleHTTPRequestHandler):
    """Serves reports below one folder; stores, hidden files and whatever a link leads out to do not exist."""

    server_version, sys_version = "mcrisk", ""

    def do_GET(self) -> None:
        """A page, or 404; 403 for a request under another host name (a page elsewhere reaching in by DNS)."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        if host not in (LOOPBACK, "localhost", "[::1]"):
            self.send_error(403, "this server answers on loopback only")
            return
        file = self._file()
        if file is None:
            self.send_error(404, "no such page")
            return
        data = file.read_bytes()
        self.send_response(200)
        for name, value in (
            ("Content-Type", KINDS[file.suffix]), ("Content-Length", str(len(data))), ("Cache-Control", "no-cache"),
            ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("X-Frame-Options", "DENY"),
        ):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def _file(self) -> Path | None:
        parts = [p for p in unquote(urlsplit(self.path).path).split("/") if p] or ["index.html"]
        if any(p.startswith(".") or "\0" in p or "\\" in p for p in parts):
            return None
        root = Path(self.directory).resolve()
        try:
            file = root.joinpath(*parts).resolve()
            if file.is_dir():
                file = file / "index.html"
            return file if file.is_relative_to(root) and file.suffix in KINDS and file.is_file() else None
        except OSError:
            return None

    def log_message(self, *_: object) -> None:
        """Quiet."""


def server(folder: str | Path, port: int = 0) -> ThreadingHTTPServer:
    """A bound server on loopback; the caller runs `serve_forever`. Port 0 takes a free one.

    Raises OSError when the port is taken.
    """
    return ThreadingHTTPServer((LOOPBACK, port), partial(Pages, directory=str(folder)))

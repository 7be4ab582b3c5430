"""Telling people: a file, a webhook, an e-mail. Each message carries its slot, so that a repeated one can be told apart."""

from __future__ import annotations

import json
import os
import smtplib
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from mcrisk.config.schedule import EmailTarget, FileTarget, Occasion, Schedule, Target, WebhookTarget
from mcrisk.errors import RunFailed, printable
from mcrisk.schedules.state import FAILED, Folder, Record


@dataclass(frozen=True)
class Message:
    """What is said about one slot, in every form a target may need."""

    key: str  # schedule/slot
    subject: str
    text: str
    data: dict[str, Any]


def occasions(record: Record) -> set[Occasion]:
    """Why somebody may want to hear about a slot."""
    if record.status == FAILED:
        return {"failed"}
    found: set[Occasion] = {"done"}
    if record.breaches:
        found.add("breach")
    if record.moved:
        found.add("moved")
    return found


def compose(schedule: Schedule, record: Record, folder: Folder) -> Message:
    """The message about a finished slot."""
    what = _headline(record)
    subject = printable(f"[mcrisk] {schedule.name} {record.moment:%Y-%m-%d %H:%M} UTC: {what}")
    lines = [f"{schedule.title or schedule.name}, slot {record.moment:%Y-%m-%d %H:%M} UTC", "", what]
    for title, items in (("Limits breached", record.breaches), ("Moved by more than noise", record.moved)):
        if items:
            lines += ["", f"{title}:", *(f"  {item}" for item in items)]
    for text in (record.summary, record.error):
        if text:
            lines += ["", text]
    report = folder.report(record.slot) / "report.html"
    lines += ["", f"Results: {folder.store(record.slot)}"]
    if report.exists():
        lines.append(f"Report:  {report}")
    data = {
        "format": 1, "schedule": schedule.name, "slot": record.slot, "status": record.status,
        "exit_code": record.exit_code, "breaches": record.breaches, "moved": record.moved, "summary": record.summary,
        "error": record.error, "results": str(folder.store(record.slot)), "report": str(report) * report.exists(),
    }  # fmt: skip
    return Message(f"{schedule.name}/{record.slot}", subject, "\n".join(map(_line, lines)) + "\n", data)


def _line(text: str) -> str:
    return "\n".join(printable(part) for part in text.split("\n"))


def _headline(record: Record) -> str:
    if record.status == FAILED:
        return "the run failed"
    parts = []
    if record.breaches:
        parts.append(f"{len(record.breaches)} limit{'s' * (len(record.breaches) > 1)} breached")
    if record.moved:
        parts.append(f"{len(record.moved)} number{'s' * (len(record.moved) > 1)} moved")
    return ", ".join(parts) or "done, nothing to worry about"


def send(target: Target, message: Message) -> None:
    """Deliver one message, or raise RunFailed that says why it could not be."""
    try:
        if isinstance(target, FileTarget):
            _to_file(target, message)
        elif isinstance(target, WebhookTarget):
            _to_webhook(target, message)
        else:
            _to_mailbox(target, message)
    except (OSError, smtplib.SMTPException, urllib.error.URLError) as error:
        raise RunFailed(
            "a notification could not be delivered", name_of(target), printable(error),
            "it is tried again with the next slot, or by `mcrisk schedule once`",
        ) from error  # fmt: skip


def name_of(target: Target) -> str:
    """A target as people know it, without secrets."""
    if isinstance(target, FileTarget):
        return f"file {target.path}"
    if isinstance(target, WebhookTarget):
        return f"webhook {target.url_env or (target.url or '').split('?')[0]}"
    return f"e-mail to {', '.join(target.to)}"


def _to_file(target: FileTarget, message: Message) -> None:
    path = Path(target.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"key": message.key, "subject": message.subject, **message.data}, ensure_ascii=False)
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A webhook that moves away is a mistake to be told, not to be followed with our data."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _to_webhook(target: WebhookTarget, message: Message) -> None:
    url = target.url or os.environ.get(target.url_env or "", "")
    if not url.startswith(("http://", "https://")):
        raise OSError(f"the environment variable {target.url_env} holds no http address")
    body = json.dumps({"text": f"{message.subject}\n{message.text}", **message.data}, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": message.key, "User-Agent": "mcrisk"}
    request = urllib.request.Request(url, body, headers, method="POST")
    with urllib.request.build_opener(_NoRedirect).open(request, timeout=target.timeout) as answer:
        answer.read(1024)


def _to_mailbox(target: EmailTarget, message: Message) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = message.subject, target.sender, ", ".join(target.to)
    mail["Message-ID"] = f"<{message.key.replace('/', '.')}@mcrisk.invalid>"  # the same for a repeated message
    mail.set_content(message.text)
    secure = ssl.create_default_context()
    kind = smtplib.SMTP_SSL if target.security == "tls" else smtplib.SMTP
    options = {"context": secure} if target.security == "tls" else {}
    with kind(target.host, target.port, timeout=target.timeout, **options) as server:
        if target.security == "starttls":
            server.starttls(context=secure)
        if target.username:
            password = os.environ.get(target.password_env or "")
            if password is None:
                raise OSError(f"the environment variable {target.password_env} is not set")
            server.login(target.username, password)
        server.send_message(mail)

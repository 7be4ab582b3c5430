"""Messages arrive, once, wherever they should; what cannot be delivered is said and tried again."""

import email
import json

import pytest

from mcrisk.schedules.state import Folder
from mcrisk.schedules.work import Judgement

BREACH = Judgement(["<b>kraken</b>\x1b[31m: P(fund gone)"], ["okx: P(ADL) +2 pp"], "Worry.", {})


def test_a_breach_reaches_mailbox_webhook_and_file(setting, mailbox, webhook, tmp_path):
    file = tmp_path / "told" / "all.jsonl"
    setting.options["tell"] = [
        {"kind": "email", "to": ["risk@example.com"], "sender": "m@example.com", "host": "127.0.0.1",
         "port": mailbox.server_address[1]},
        {"kind": "webhook", "url": f"http://127.0.0.1:{webhook.server_address[1]}/hook"},
        {"kind": "file", "path": str(file)},
    ]  # fmt: skip
    setting.engine.verdict = BREACH
    assert setting.once().exit_code == 3
    mail = email.message_from_string(mailbox.mails[0])
    assert mail["To"] == "risk@example.com" and "1 limit breached, 1 number moved" in mail["Subject"]
    assert mail["Message-ID"] == "<watch.20261120T053000Z@mcrisk.invalid>"
    body = mail.get_payload(decode=True).decode()
    assert "okx: P(ADL)" in body and "\x1b" not in body
    headers, post = webhook.posts[0]
    assert headers["Idempotency-Key"] == "watch/20261120T053000Z"
    assert json.loads(post)["breaches"] == BREACH.breaches
    assert json.loads(file.read_text())["exit_code"] == 3
    setting.once()
    assert (len(mailbox.mails), len(webhook.posts)) == (1, 1)


def test_calm_slots_are_told_only_to_who_asked(setting, webhook, tmp_path):
    url = f"http://127.0.0.1:{webhook.server_address[1]}/"
    setting.options["tell"] = [
        {"kind": "webhook", "url": url},
        {"kind": "file", "path": str(tmp_path / "all.jsonl"), "on": ["done"]},
    ]
    setting.once()
    assert webhook.posts == [] and (tmp_path / "all.jsonl").exists()


@pytest.mark.parametrize("answer", [500, 302])
def test_what_cannot_be_delivered_is_said_and_tried_again(setting, webhook, answer):
    setting.options["tell"] = [
        {"kind": "webhook", "url": f"http://127.0.0.1:{webhook.server_address[1]}/?token=secret"}
    ]
    setting.engine.verdict = BREACH
    webhook.answer = answer
    outcome = setting.once()
    assert outcome.exit_code == 3 and str(answer) in outcome.problems[0] and "secret" not in outcome.problems[0]
    assert Folder(setting.folder).records()[0].untold == [0]
    webhook.answer = 200
    assert not setting.once().problems
    assert len(webhook.posts) == 2 and Folder(setting.folder).records()[0].told == [0]


def test_a_failure_is_told_and_an_unreachable_mailbox_makes_a_calm_slot_fail(setting):
    setting.options["tell"] = [
        {"kind": "email", "to": ["a@example.com"], "sender": "m@example.com", "host": "127.0.0.1", "port": 1,
         "on": ["done"], "timeout": 2}
    ]  # fmt: skip
    assert setting.once().exit_code == 1


def test_addresses_may_be_secrets_in_the_environment(setting, webhook, monkeypatch):
    setting.options["tell"] = [{"kind": "webhook", "url_env": "HOOK", "on": ["done"]}]
    assert "HOOK" in setting.once().problems[0]
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{webhook.server_address[1]}/")
    setting.once()
    assert len(webhook.posts) == 1

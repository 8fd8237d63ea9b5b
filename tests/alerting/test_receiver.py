"""The local receiver and the channel that posts to it: Slack's form, Slack's refusals, no secret told, nothing lost."""

from __future__ import annotations

import datetime as dt
import json
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from blocks.alerts import SECOND_CHANNEL, AlertChannelError, channel, probe
from deployments.alerting.receiver import Delivery, Receiver, readable, refusal
from tests.prefect_server import free_port

NOW = dt.datetime(2025, 12, 29, 17, 31, tzinfo=dt.UTC)
NASTY = 'He said "no" & <left>\n\\n {{ braces }} – ünïcode'


@pytest.fixture
def receiver(tmp_path: Path) -> Receiver:
    return Receiver(tmp_path / "kept" / "messages.jsonl", lambda: NOW)


def test_a_message_arrives_in_slacks_form_letter_by_letter(receiver: Receiver) -> None:
    with receiver.listening() as address:
        probe(channel(f"{address}/alerts"), "A subject", NASTY)
        probe(channel(f"{address}/second", SECOND_CHANNEL), "Another", "body")
    first, second = receiver.deliveries()
    assert (first.channel, second.channel) == ("alerts", "second")
    assert first.message == {
        "text": "A subject",
        "unfurl_links": False,
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "A subject"}},
            {"type": "section", "text": {"type": "mrkdwn", "text": NASTY}},
        ],
    }


def test_messages_outlive_the_receiver(receiver: Receiver, tmp_path: Path) -> None:
    with receiver.listening() as address:
        probe(channel(f"{address}/alerts"), "A subject", "one\ntwo")
    again = Receiver(receiver.file, lambda: NOW)
    assert again.deliveries() == receiver.deliveries()
    assert len(receiver.file.read_text().splitlines()) == 1
    assert Delivery.of(receiver.file.read_text()).body == "one\ntwo"


def test_a_person_reads_them_at_its_address_and_as_they_come(tmp_path: Path) -> None:
    shown: list[str] = []
    receiver = Receiver(tmp_path / "m.jsonl", lambda: NOW, shown.append)
    with receiver.listening() as address:
        assert httpx.get(address).text == "no messages yet"
        probe(channel(f"{address}/alerts"), ":rotating_light: Late", "*Since* <!date^1767029460^{time}|x>")
        page = httpx.get(address).text
    assert page == shown[0] == "Mon Dec 29, 12:31 PM ET  #alerts  [ALERT] Late\n*Since* Mon Dec 29, 12:31 PM ET\n"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ([], "invalid_payload"),
        ({}, "no_text"),
        ({"text": "a", "blocks": [{"type": "header", "text": {"text": "a" * 151}}]}, "invalid_blocks"),
        ({"text": "a", "blocks": [{"type": "section", "text": {"text": "a" * 3001}}]}, "invalid_blocks"),
        ({"text": "a", "blocks": [{"type": "section", "text": {"text": ""}}]}, "invalid_blocks"),
        ({"text": "a", "blocks": [{"type": "poem", "text": {"text": "a"}}]}, "invalid_blocks"),
        ({"text": "a", "blocks": [{"type": "section", "text": {"text": "a" * 3000}}]}, None),
    ],
)
def test_it_refuses_what_slack_refuses(message: object, said: str | None, receiver: Receiver) -> None:
    assert refusal(message) == said
    status, text = receiver.take("alerts", json.dumps(message).encode())
    assert (status, text) == ((HTTPStatus.OK, "ok") if said is None else (HTTPStatus.BAD_REQUEST, said))
    assert len(receiver.deliveries()) == (said is None)


@pytest.mark.parametrize("webhook", ["", "  ", "none", "hooks.slack.com/services/x", "ftp://x/y", "https://"])
def test_what_is_no_address_becomes_no_channel(webhook: str) -> None:
    with pytest.raises(AlertChannelError, match="courtside-alerts"):
        channel(webhook)


def test_a_channel_that_refuses_is_an_error_without_its_secret(receiver: Receiver) -> None:
    receiver.answer = HTTPStatus.INTERNAL_SERVER_ERROR
    with receiver.listening() as address:
        with pytest.raises(AlertChannelError, match="courtside-alerts takes no message: it answered 500") as caught:
            probe(channel(f"{address}/services/SECRET"), "s", "b")
        assert "SECRET" not in str(caught.value)
        assert caught.value.__suppress_context__
    assert receiver.deliveries() == []
    assert receiver.refused == [NOW]


def test_a_channel_that_nobody_answers_is_an_error() -> None:
    with pytest.raises(AlertChannelError, match="ConnectError"):
        probe(channel(f"http://127.0.0.1:{free_port()}/x"), "s", "b")


def test_the_webhook_is_kept_as_a_secret_only() -> None:
    block = channel("https://hooks.slack.com/services/T0/B0/SECRET")
    assert "SECRET" not in repr(block)
    assert "SECRET" not in block.model_dump_json()


def test_markup_is_read_as_text() -> None:
    text = ":white_check_mark: <https://a.example/b|Run> &lt;b&gt; &amp;amp; <!date^0^{date}|never>"
    assert readable(text) == "[OK] Run (https://a.example/b) <b> &amp; Wed Dec 31, 7:00 PM ET"

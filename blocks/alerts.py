"""Who is told, and where: the channels of the alert path as notification blocks that any Prefect server can use.

There is one class of block for Slack in production and for a local receiver: only the URL differs. A webhook's URL is a
secret, so it is kept among the block's secrets and never in the open field.
"""

from __future__ import annotations

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.types import SecretDict
from pydantic import HttpUrl, ValidationError

ALERTS = "courtside-alerts"
SECOND_CHANNEL = "courtside-alerts-second"
OWNER = "courtside"  # the tag of the automations that are ours
SECONDS_TO_ANSWER = 10

# Events of the alert path itself: the daily sign of life, and a message that arrived late.
HEARTBEAT_SENT = "courtside.heartbeat"
REDELIVERED = "courtside.alert.redelivered"
TONIGHT = "courtside_tonight"  # the variable in which the watch keeps what every alert may say of tonight

# Slack takes at most 150 characters in a header and 3000 in a section.
MOST_IN_SUBJECT = 150
MOST_IN_BODY = 3000

_SLACK_MESSAGE = {
    "text": "{{subject}}",  # what a phone shows before the message is opened
    "unfurl_links": False,
    "blocks": [
        {"type": "header", "text": {"type": "plain_text", "text": "{{subject}}"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "{{body}}"}},
    ],
}


class AlertChannelError(Exception):
    """A channel that can't be used: which one, why, and what to do. Without a channel nothing is registered."""


def channel(webhook: str, name: str = ALERTS) -> CustomWebhookNotificationBlock:
    """The block that posts to a Slack incoming webhook, or to whatever answers in its place.

    Raises AlertChannelError for what is no http(s) URL: an unset variable must not become a channel that nobody hears.
    """
    try:
        HttpUrl(webhook.strip())
    except ValidationError:
        raise AlertChannelError(
            f"the webhook of {name} is {'no http(s) URL' if webhook.strip() else 'empty'}: "
            "give the URL of a Slack incoming webhook, or of the local receiver"
        ) from None  # the error would show the secret
    return CustomWebhookNotificationBlock(
        name=name,
        url="{{webhook}}",
        json_data=_SLACK_MESSAGE,
        secrets=SecretDict({"webhook": webhook.strip()}),
        timeout=SECONDS_TO_ANSWER,
    )


def probe(block: NotificationBlock, subject: str, body: str) -> None:
    """Post a message, and wait until it is taken. Raises AlertChannelError, without the secret, if it is not."""
    try:
        block.notify(body=body, subject=subject, _sync=True)  # type: ignore[call-arg, unused-coroutine]
    except Exception as error:  # the HTTP library's errors, all of them: each means that nobody was told
        raise AlertChannelError(
            f"{getattr(block, 'name', 'the channel')} takes no message: {_said(error)}; test or replace its webhook"
        ) from None


def _said(error: Exception) -> str:
    """What went wrong, without the URL, which is a secret."""
    answer = getattr(error, "response", None)
    if answer is not None:
        return f"it answered {answer.status_code} {answer.text[:200]!r}"
    return type(error).__name__

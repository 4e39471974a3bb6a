"""Slack: through a bot's token (type `slack`) or an incoming webhook (type `slackwebhook`).

A run has one thread: the first message begins it. Webhooks know no threads. Text of plans is sent
as plain text only, in which Slack reads neither mentions nor formatting.
"""

from __future__ import annotations

from typing import Any

from planner_provider.errors import MisconfiguredError, UnavailableError
from planner_provider.notifications.events import Event
from planner_provider.notifications.services.mentions import no_mentions
from planner_provider.notifications.services.parcel import TIMEOUT, Parcel

MAX_HEADER, MAX_TEXT = 150, 3000
"""Slack refuses longer ones."""
MARKS = {"info": "🟢", "warning": "🟠", "critical": "🔴"}
_BUSY = frozenset({"ratelimited", "rate_limited", "service_unavailable", "fatal_error",
                   "internal_error", "request_timeout"})  # fmt: skip


def escape(text: str) -> str:
    """The text so that Slack shows it as it is: no mention, no link, no formatting of ours."""
    return no_mentions(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def message(event: Event) -> dict[str, Any]:
    """The message: a title, the text, and the links."""
    title = f"{MARKS[event.severity]} {event.title}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(title, MAX_HEADER)},
        {"type": "section", "text": _plain("\n".join(event.lines), MAX_TEXT)},
    ]
    if event.links:
        shown = " · ".join(f"<{_address(to)}|{escape(words)}>" for words, to in event.links)
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": shown}]})
    return {
        "text": cut(escape(f"{title}\n{event.text}"), MAX_TEXT),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def send(parcel: Parcel, connection: Any) -> str | None:
    """Post with a bot's token; gives the thread (``channel ts``)."""
    from airflow.providers.slack.hooks.slack import SlackHook
    from slack_sdk.errors import SlackApiError

    channel = parcel.channel or connection.extra_dejson.get("channel")
    if not channel:
        raise MisconfiguredError(
            f"Connection '{parcel.connection}' is of type slack, which needs a channel: give the "
            "route a `channel`, such as '#deploys'"
        )
    thread = parcel.thread.rpartition(" ") if parcel.thread else None
    body = message(parcel.event) | {"channel": thread[0] if thread else channel}
    if thread:
        body["thread_ts"] = thread[2]
        # what matters most is seen outside of the thread as well
        body["reply_broadcast"] = parcel.event.severity == "critical"
    hook = SlackHook(slack_conn_id=parcel.connection, timeout=TIMEOUT, retry_handlers=[])
    try:
        answer = hook.call("chat.postMessage", json=body)
    except SlackApiError as error:
        said = str(error.response.get("error", "")) if error.response else ""
        raise _error(parcel, said, getattr(error.response, "status_code", 0)) from error
    if thread:
        return parcel.thread
    return f"{answer.get('channel', channel)} {answer['ts']}"


def send_webhook(parcel: Parcel, connection: Any) -> str | None:
    """Post to an incoming webhook."""
    from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

    if parcel.channel:
        raise MisconfiguredError(
            f"Connection '{parcel.connection}' is an incoming webhook, whose channel is fixed: "
            f"take `channel: {parcel.channel}` out of the route, or use a connection of type slack"
        )
    hook = SlackWebhookHook(
        slack_webhook_conn_id=parcel.connection, timeout=TIMEOUT, retry_handlers=[]
    )
    answer = hook.get_conn().send_dict(message(parcel.event))
    if answer.status_code != 200:
        raise _error(parcel, str(answer.body), answer.status_code)
    return None


def _error(parcel: Parcel, said: str, status: int) -> UnavailableError | MisconfiguredError:
    text = f"Slack (connection {parcel.connection}) answered {status}: {said[:200]}"
    busy = status == 429 or status >= 500 or said in _BUSY
    return UnavailableError(text) if busy else MisconfiguredError(text)


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": cut(escape(text), limit), "emoji": False}


def cut(text: str, limit: int) -> str:
    """The text, cut to ``limit`` characters, and never within an escape."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    ampersand = kept.rfind("&", len(kept) - 5)
    if ampersand >= 0 and ";" not in kept[ampersand:]:
        kept = kept[:ampersand]
    return f"{kept}…"


def _address(address: str) -> str:
    return escape(address).replace("|", "%7C").replace(" ", "%20")

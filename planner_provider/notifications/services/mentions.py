"""Text of plans must not call anybody: no mention of channels or people, no hidden link."""

from __future__ import annotations

import re

_MENTION = re.compile(r"@(?=channel|here|everyone)|<(?=[!@#]|https?:|mailto:)", re.IGNORECASE)
_WORD_JOINER = "\u2060"


def no_mentions(text: str) -> str:
    """The text with an invisible character in what chats would take for a mention or a link."""
    return _MENTION.sub(lambda match: match.group(0) + _WORD_JOINER, text)

"""What a secret looks like: shapes of well-known tokens, and keys that announce one.

No pattern here may backtrack without end, since specs are anybody's text.
"""

from __future__ import annotations

import math
import re
from collections import Counter

_SHAPES: tuple[tuple[str, str], ...] = (
    ("a private key", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY"),
    ("an AWS access key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})\b"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,64}"),
    ("a Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,250}"),
    ("a Slack webhook",
     r"hooks\.slack\.com/services/T[A-Za-z0-9]{6,20}/B[A-Za-z0-9]{6,20}/[A-Za-z0-9]{16,64}"),
    ("a Google API key", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("a Stripe key", r"\b[sr]k_live_[0-9A-Za-z]{16,128}"),
    ("a JSON Web Token",
     r"\beyJ[A-Za-z0-9_-]{10,4000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000}"),
    ("a PyPI token", r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{20,250}"),
    ("an npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("a PagerDuty or Datadog key", r"\b(?:pdus\+|ddapi_|ddp_)[A-Za-z0-9_+]{16,64}"),
    ("a Vault token", r"\bhv[sb]\.[A-Za-z0-9_-]{20,200}"),
    ("a password in a URL", r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@{}'\"<>$*]{0,100}:[^\s/@{}'\"<>$*]{1,200}@[\w.-]"),
)  # fmt: skip
_SHAPE = re.compile("|".join(f"(?P<s{i}>{shape})" for i, (_, shape) in enumerate(_SHAPES)))
_NAMES = tuple(name for name, _ in _SHAPES)
_HINTS = ("BEGIN", "AKIA", "ASIA", "gh", "glpat", "xox", "slack", "AIza", "k_live", "eyJ", "pypi-",
          "npm_", "pdus", "dd", "hv", "@")  # fmt: skip

_SECRET_KEY = re.compile(
    r"(?:^|[_.\-\s])(?:pass(?:wd|word|phrase)?|pwd|secrets?|(?:api|auth|access|bearer|refresh|id|session|"
    r"private|deploy|bot|personal)?[_\-]?tokens?|(?:x[_\-])?(?:api|access|secret|private|encryption|"
    r"signing|auth)[_\-]?keys?|credentials?|authorization|proxy[_\-]authorization|cookie|"
    r"client[_\-]?secret|secret[_\-]?access[_\-]?key|routing[_\-]?key|webhook[_\-]?url)$",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_REFERENCE_KEY = re.compile(
    r"(?:name|ref|path|file|id|key_id|length|ttl|type|header|field)$", re.IGNORECASE
)
_ENV_REFERENCE = re.compile(r"\$\{?[A-Za-z_]\w*\}?|<[\w .-]+>|\*+|x{3,}", re.IGNORECASE)
_FLAG = re.compile(
    r"(?:^|\s)(?:-{1,2}(?:password|passwd|token|secret|api-key|access-key|client-secret|pass)[= ]"
    r"|-u\s+[\w.-]{1,60}:|(?:PGPASSWORD|MYSQL_PWD|AWS_SECRET_ACCESS_KEY|[A-Z_]{0,40}(?:TOKEN|PASSWORD|"
    r"SECRET|API_KEY))=)"
    r"(?P<value>[^\s'\"]{1,200}|'[^']{1,200}'|\"[^\"]{1,200}\")"
)
_BEARER = re.compile(
    r"\b(?:Bearer|Basic|Token|ApiKey)\s+(?P<value>[A-Za-z0-9+/_=.-]{8,})", re.IGNORECASE
)
_CREDENTIAL_WORDS = {"bearer", "basic", "token", "apikey"}


def secret_shape(text: str) -> str | None:
    """Name the kind of secret that the text holds by its shape, or ``None``."""
    if len(text) < 8 or not any(hint in text for hint in _HINTS):
        return None
    found = _SHAPE.search(text)
    return _NAMES[int((found.lastgroup or "s0")[1:])] if found else None


def secret_in_command(text: str) -> str | None:
    """Name the secret that a command line passes in plain text, or ``None``."""
    for found in _FLAG.finditer(text):
        if _is_literal(found.group("value").strip("'\"")):
            return "a password or token on a command line"
    found_bearer = _BEARER.search(text)
    if (
        found_bearer
        and _is_literal(found_bearer.group("value"))
        and has_high_entropy(found_bearer.group("value"))
    ):
        return "credentials of an Authorization header"
    return None


def announces_secret(key: str) -> bool:
    """Whether a key says that its value is a secret: ``password``, ``apiToken``, ``X-Api-Key``."""
    plain = _CAMEL.sub("_", key)
    return bool(_SECRET_KEY.search(plain)) and not _REFERENCE_KEY.search(plain)


def is_plain_secret(value: str) -> bool:
    """Whether the value under a key that announces a secret is the secret itself."""
    text = value.strip()
    if not _is_literal(text):
        return False
    first, _, rest = text.partition(" ")
    if first.lower() in _CREDENTIAL_WORDS:
        return bool(rest.strip()) and _is_literal(rest.strip())
    return True


def hide_secret(text: str) -> str:
    """Replace what looks like a secret, so that it is not echoed."""
    if secret_shape(text) or secret_in_command(text):
        return "(hidden: it looks like a secret)"
    if " " not in text and len(text) >= 24 and has_high_entropy(text):
        return text[:4] + "..."
    return text


_PAIR = re.compile(
    r"(?P<key>[\w.-]{1,80})[\"']?\s*[:=]\s*(?P<value>\"[^\"]*\"|'[^']*'|[^\s,{}\[\]\"'][^,{}\[\]]*)"
)


def mask_line(line: str) -> str:
    """A line of source as it may be shown: without what looks like a secret."""
    shown = _SHAPE.sub("(hidden)", line[:2000])
    if secret_in_command(shown):
        shown = _FLAG.sub("(hidden)", _BEARER.sub("(hidden)", shown))

    def hide(found: re.Match[str]) -> str:
        value = found.group("value").strip().strip("'\"")
        if announces_secret(found.group("key")) and is_plain_secret(value):
            return found.group(0)[: found.start("value") - found.start()] + "(hidden)"
        return found.group(0)

    return _PAIR.sub(hide, shown)


def has_high_entropy(text: str) -> bool:
    """Whether the characters look random, as in a generated password or key."""
    if len(text) < 16 or not any(char.isdigit() for char in text):
        return False
    counts = Counter(text)
    entropy = -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())
    return entropy > 3.5 and "/" not in text and "." not in text and text.count("-") < 3


def _is_literal(text: str) -> bool:
    """Whether text is a value, and neither empty, a template, a reference nor a placeholder."""
    if not text or "{{" in text or "{%" in text or "${{" in text:
        return False
    return not _ENV_REFERENCE.fullmatch(text) and text.lower() not in {
        "none", "null", "true", "false", "changeme", "redacted",
    }  # fmt: skip

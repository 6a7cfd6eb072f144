"""Removes from texts what must not appear in logs, records, declarations and answers: secrets in URLs, and
values of rows in the messages of database servers."""

from __future__ import annotations

import logging
import re
from urllib.parse import unquote

MASK = "***"

# Names of parameters that give access: passwords, tokens, and the parts of a signature of Amazon, Google,
# CloudFront or Azure.
_SECRET_NAME = re.compile(
    r"(^|[-_])sig($|[-_])|signature|token|secret|passw|pwd|credential|auth(?!or)|jwt|session"
    r"|api[-_]?key|access[-_]?key|^key$|[-_]key$"
    r"|^x-(amz|goog|oss|cos|bce)-|^awsaccesskeyid$|^googleaccessid$|^expires$|^policy$|^key-pair-id$"
)
# The other parts of Azure's shared access signatures. They are secret only beside `sig`, because alone these
# short names may be anything.
_AZURE = re.compile(r"s[vterp]|sip|spr|ss|srt|si|sk[tesv]|sk[ot]id|s[au]oid|scid|sdd")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
# A value of so many letters and digits is taken for a token.
_LONG = 32
# In a list "part=URL,part=URL" a URL ends where the next one begins.
_URL = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:(?!,[a-z][a-z0-9_]*=[^,]*://)[^\s'\"<>])*",
    re.IGNORECASE,
)
_USER = re.compile(r"(://)([^/?#\s]*)@")
_PARAMETER = re.compile(r"([?&;#])([^=&;#?]+)=([^&;#]*)")


def hide_secrets(text: str) -> str:
    """The text with `***` for passwords, signatures and tokens of every URL in it."""
    return _URL.sub(lambda match: _mask_url(match[0]), text)


def remove_secrets(url: str) -> str:
    """The URL without the user and the parameters that give access; parameters that select data remain."""
    secret_names = _find_secret_parameters(url)
    text = _USER.sub(r"\1", url, count=1) if _has_secret_user(url) else url

    def drop_secret(match: re.Match[str]) -> str:
        """A parameter as it is, or nothing for a secret one."""
        return "" if match[2] in secret_names else match[0]

    text = _PARAMETER.sub(drop_secret, text)
    if "?" not in text and "?" in url:
        # The first parameter was removed, so the next one begins the query.
        text = re.sub(r"[&;]", "?", text, count=1)
    return text.removesuffix("?")


def _mask_url(url: str) -> str:
    secret_names = _find_secret_parameters(url)
    if _has_secret_user(url):
        name = _USER.search(url)
        user, colon, _ = name[2].partition(":") if name else ("", "", "")
        masked = f"{user}:{MASK}@" if colon else f"{MASK}@"
        url = _USER.sub(lambda match: f"{match[1]}{masked}", url, count=1)
    return _PARAMETER.sub(
        lambda match: f"{match[1]}{match[2]}={MASK}" if match[2] in secret_names else match[0], url
    )


def _has_secret_user(url: str) -> bool:
    user = _USER.search(url)
    return user is not None and (":" in user[2] or _looks_random(user[2]))


def _find_secret_parameters(url: str) -> set[str]:
    """The names, as they are written in the URL, of parameters whose values are secret."""
    parameters = [
        (match[2], unquote(match[2]).lower(), unquote(match[3])) for match in _PARAMETER.finditer(url)
    ]
    signed = any(name == "sig" for _, name, _ in parameters)
    return {
        raw_name
        for raw_name, name, value in parameters
        if _SECRET_NAME.search(name)
        or (signed and _AZURE.fullmatch(name) is not None)
        or _looks_random(value)
    }


def _looks_random(value: str) -> bool:
    """Whether a value is long and has both letters and digits, as tokens have; a UUID does not count."""
    return (
        len(value) >= _LONG
        and re.fullmatch(r"[A-Za-z0-9_+/=.~-]+", value) is not None
        and re.search(r"[0-9]", value) is not None
        and re.search(r"[A-Za-z]", value) is not None
        and _UUID.fullmatch(value) is None
    )


# The quoted values in messages of MariaDB, by the words before or after them. The patterns are greedy,
# because a value may contain quotes.
_QUOTED = (
    re.compile(r"'.*'(?= for key )", re.DOTALL),
    re.compile(r"'.*'(?= for column )", re.DOTALL),
    re.compile(r"'.*'(?= for function )", re.DOTALL),
    re.compile(r"'.*'(?= value found)", re.DOTALL),
    re.compile(r"'.*'(?= when converting )", re.DOTALL),
    re.compile(r"(?<=near )'.*'(?= at line )", re.DOTALL),
    re.compile(r"(?<=value: )'.*'", re.DOTALL),
    re.compile(r"(?<=string: )'.*'", re.DOTALL),
    re.compile(r"(?<=value is out of range in )'.*'", re.DOTALL),
    # PostgreSQL: invalid input syntax for type integer: "abc"
    re.compile(r'(?<=: )".*"', re.DOTALL),
    re.compile(r"(?<=\)=)\(.*\)(?= already exists)", re.DOTALL),
)
_MASKED = f"'{MASK}'"


def hide_values(message: str) -> str:
    """A database server's message without the row values that it quotes; names of keys and columns remain."""
    for pattern in _QUOTED:
        masked, count = pattern.subn(_MASKED, message, count=1)
        if count:
            return masked
    return message


class SecretsFilter(logging.Filter):
    """Masks secrets in the URLs that another library logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record's message; every record is let through."""
        record.msg, record.args = hide_secrets(record.getMessage()), ()
        return True

"""What must not reach logs, records, declarations and answers: secrets in URLs, and people's values in the
messages of database servers."""

from __future__ import annotations

import logging
import re
from urllib.parse import unquote

MASK = "***"

# Names of parameters that let others in: passwords, tokens and all that belongs to a signature of Amazon,
# Google, CloudFront or Azure.
_SECRET_NAME = re.compile(
    r"(^|[-_])sig($|[-_])|signature|token|secret|passw|pwd|credential|auth(?!or)|jwt|session"
    r"|api[-_]?key|access[-_]?key|^key$|[-_]key$"
    r"|^x-(amz|goog|oss|cos|bce)-|^awsaccesskeyid$|^googleaccessid$|^expires$|^policy$|^key-pair-id$"
)
# Of Azure's shared access signatures, beside `sig`; alone these short names may be anything.
_AZURE = re.compile(r"s[vterp]|sip|spr|ss|srt|si|sk[tesv]|sk[ot]id|s[au]oid|scid|sdd")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
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
    return _URL.sub(lambda found: _mask_url(found[0]), text)


def remove_secrets(url: str) -> str:
    """The URL without the parameters and the user that let others in; what selects data stays."""
    secret = _secret_parameters(url)
    plain = _USER.sub(r"\1", url, count=1) if _has_secret_user(url) else url

    def kept(found: re.Match[str]) -> str:
        return "" if found[2] in secret else found[0]

    plain = _PARAMETER.sub(kept, plain)
    if "?" not in plain and "?" in url:
        # The first parameter went: the next one begins the query.
        plain = re.sub(r"[&;]", "?", plain, count=1)
    return plain.removesuffix("?")


def _mask_url(url: str) -> str:
    secret = _secret_parameters(url)
    if _has_secret_user(url):
        name = _USER.search(url)
        user, colon, _ = name[2].partition(":") if name else ("", "", "")
        masked = f"{user}:{MASK}@" if colon else f"{MASK}@"
        url = _USER.sub(lambda found: f"{found[1]}{masked}", url, count=1)
    return _PARAMETER.sub(
        lambda found: f"{found[1]}{found[2]}={MASK}" if found[2] in secret else found[0], url
    )


def _has_secret_user(url: str) -> bool:
    user = _USER.search(url)
    return user is not None and (":" in user[2] or _looks_random(user[2]))


def _secret_parameters(url: str) -> set[str]:
    """The names, as they are written, of parameters whose values are secret."""
    given = [(found[2], unquote(found[2]).lower(), unquote(found[3])) for found in _PARAMETER.finditer(url)]
    signed = any(name == "sig" for _, name, _ in given)
    return {
        written
        for written, name, value in given
        if _SECRET_NAME.search(name)
        or (signed and _AZURE.fullmatch(name) is not None)
        or _looks_random(value)
    }


def _looks_random(value: str) -> bool:
    """Whether a value is long, in one piece and of letters and digits, as tokens are; ids of 36 are not."""
    return (
        len(value) >= _LONG
        and re.fullmatch(r"[A-Za-z0-9_+/=.~-]+", value) is not None
        and re.search(r"[0-9]", value) is not None
        and re.search(r"[A-Za-z]", value) is not None
        and _UUID.fullmatch(value) is None
    )


# Messages of MariaDB that quote a value, by what follows or precedes it. Greedy: a value may hold quotes.
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
    """A database server's message without the row values that it quotes; names of keys and columns stay."""
    for pattern in _QUOTED:
        hidden, count = pattern.subn(_MASKED, message, count=1)
        if count:
            return hidden
    return message


class SecretsFilter(logging.Filter):
    """Masks the URLs of what another library logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = hide_secrets(record.getMessage()), ()
        return True

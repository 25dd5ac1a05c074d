"""What keeps other sites out: the tokens of forms, the checks of where a request comes from, the headers of answers.

Nothing is kept on the server. A browser holds a random cookie that no script and no other site can read; a form's token
is an HMAC of that cookie, so whoever cannot read a page of ours cannot make one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from typing import Final

__all__ = ["COOKIE", "HEADERS", "Tokens", "foreign", "is_cookie", "new_cookie"]

COOKIE: Final = "taskq_web"

_COOKIE: Final = re.compile(r"[0-9a-f]{32}")

HEADERS: Final = {
    # Only our own files; nothing within a page runs, no form leads elsewhere, nobody frames us.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def new_cookie() -> str:
    """The value of a new visitor's cookie."""
    return secrets.token_hex(16)


def is_cookie(value: str) -> bool:
    """Whether this is the value of a cookie of ours."""
    return _COOKIE.fullmatch(value) is not None


class Tokens:
    """Makes and checks the tokens of forms.

    Args:
        key: what they are made with. Every process that serves the same dashboard needs the same one.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.sha256(b"taskq_web\0" + key).digest()

    def token(self, cookie: str, name: str) -> str:
        """The token for the forms of a visitor with this cookie and this name."""
        return self._sign("token\0" + cookie + "\0" + name)

    def fits(self, token: str, cookie: str, name: str) -> bool:
        """Whether a form that came back was made for this visitor."""
        right = hmac.compare_digest(self.token(cookie, name).encode(), token.encode("utf-8", "replace"))
        return right and is_cookie(cookie)

    def sealed(self, text: str) -> str:
        """A text that may leave with the visitor and is believed when it comes back."""
        return self._sign("text\0" + text) + text

    def opened(self, sealed: str) -> str | None:
        """What was sealed; None where it was not sealed by us."""
        text = sealed[64:]
        right = hmac.compare_digest(self._sign("text\0" + text).encode(), sealed[:64].encode("utf-8", "replace"))
        return text if right else None

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def foreign(site: str | None, origin: str | None, own: Collection[str]) -> str:
    """Why a request that would change something comes from elsewhere; empty where it may be our own page's.

    Args:
        site: the header Sec-Fetch-Site; None where the browser does not send it.
        origin: the header Origin; None where it is not sent.
        own: the origins that are ours: `https://jobs.example.com`.
    """
    if site is not None and site != "same-origin":
        return f"the browser says that another site sent it (Sec-Fetch-Site: {site})"
    if origin is not None and origin.lower() not in own:
        return f"it was sent by a page of {origin}, and this is {' or '.join(sorted(own))}"
    return ""

"""Access control of the picture server: host names and tokens."""

from __future__ import annotations

import ipaddress
import re
import secrets
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from hprnet_rt.errors import UsageError

__all__ = ["Access", "choose_token", "is_loopback"]

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:\d{1,5})?")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~-]{8,}")
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a name or address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def choose_token(host: str, token: str | None) -> str | None:
    """Return the token that viewers need: the given one, else a new one, or None on a loopback address.

    Raises:
        UsageError: the token is short, or has characters that an address or a cookie cannot hold.
    """
    if token is None:
        return None if is_loopback(host) else secrets.token_urlsafe()
    if not _TOKEN.fullmatch(token):
        raise UsageError("a token is at least 8 letters, digits or any of . _ ~ -; choose another, or none")
    return token


@dataclass(frozen=True)
class Access:
    """Checks requests.

    Attributes:
        host: the address that the server listens on. On a loopback address the request's Host header has to
            name this machine: otherwise a hostile page could let its own name resolve to this machine, and
            read the pictures.
        token: the token that viewers need, None when they need none.
        cookie: name of the cookie that holds the token.
    """

    host: str
    token: str | None
    cookie: str

    def allows_host(self, header: str) -> bool:
        """Return whether a viewer of this server may send this Host header."""
        if not is_loopback(self.host):
            return True
        match = _HOST.fullmatch(header.strip())
        return match is not None and match[1].lower() in _THIS_MACHINE | {self.host}

    def has_token(self, query: str) -> bool:
        """Return whether the query of an address holds the token."""
        return any(self._is_token(value) for value in parse_qs(query).get("token", []))

    def allows_cookie(self, header: str) -> bool:
        """Return whether a Cookie header holds the token, or no token is needed."""
        cookies = (part.strip().partition("=") for part in header.split(";"))
        return self.token is None or any(
            name == self.cookie and self._is_token(value) for name, _, value in cookies
        )

    def _is_token(self, value: str) -> bool:
        return self.token is not None and secrets.compare_digest(
            value.encode(errors="replace"), self.token.encode()
        )

"""For clients that speak plain HTTP on loopback."""

import ssl
from typing import Final

NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody, and so need not be filled. httpx loads every public authority for every client and every single call
(31 ms of processor time, in a loop that asks 50 times a second until a server answers), also where no TLS is spoken."""

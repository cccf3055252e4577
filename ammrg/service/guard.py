"""What stands around all routes: who may ask, what is counted and logged, and the answer to an unforeseen error."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ammrg.notice import NOTICE
from ammrg.service.access import is_allowed, names_this_machine, sent_by_another_page
from ammrg.service.measures import Measures

LOG = logging.getLogger("ammrg.service")
METHODS = ("GET", "POST")
UNMATCHED = "other"
"""Route of a path that the service does not have: the path itself may hold anything."""


class Guard:
    """An ASGI application around another one. Its log has route, status and seconds, and nothing that a caller sent.

    Args:
        app: the routes.
        measures: of the service.
        token: that callers must send; None: they need none.
        only_loopback: refuse requests whose Host header names another machine.
    """

    def __init__(self, app: ASGIApp, measures: Measures, token: bytes | None, only_loopback: bool) -> None:
        self.app, self.measures, self.token, self.only_loopback = app, measures, token, only_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.monotonic(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            headers = Headers(scope=scope)
            if self.only_loopback and not names_this_machine(headers.get("host", "").encode("latin-1")):
                await _answer(sending, 403, "this service answers requests to this machine only, by a loopback address")
            elif sent_by_another_page(headers.get("origin", ""), headers.get("sec-fetch-site", "")):
                await _answer(sending, 403, "this service answers programs, not the pages of other servers")
            elif not is_allowed(scope["path"], headers.get("authorization", "").encode("latin-1"), self.token):
                sentence = "send the service's token: Authorization: Bearer TOKEN"
                await _answer(sending, 401, sentence, {"WWW-Authenticate": "Bearer"})
            else:
                await self.app(scope, receive, sending)
        except Exception as error:
            # The message of an error, and the lines of its traceback, may hold what a caller sent: places do not.
            places = " <- ".join(f"{at.name}:{at.lineno}" for at in reversed(traceback.extract_tb(error.__traceback__)))
            LOG.error("failed: %s in %s", type(error).__name__, places)
            if status == 0:
                await _answer(sending, 500, "the service failed; its log says where")
        finally:
            route = getattr(scope.get("route"), "path", UNMATCHED)
            seconds = time.monotonic() - started
            self.measures.requests.labels(route, str(status)).inc()
            self.measures.seconds.labels(route).observe(seconds)
            LOG.info("%s %s %d %.3f s", scope["method"] if scope["method"] in METHODS else "-", route, status, seconds)


async def _answer(send: Send, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
    body = json.dumps({"error": sentence, "notice": NOTICE}).encode()
    named = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})

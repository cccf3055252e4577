"""What stands before all routes: only those that the page uses are answered, to the page alone, on this machine."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ammrg.service.access import names_this_machine, sent_by_another_page

OPEN = (
    "/page/",
    "/facts",
    "/studies",
    "/examples/",
    "/cases/",
    "/gradio_api/call/describe",
    "/gradio_api/startup-events",
)
"""Beginnings of the paths that are answered, and "/". Gradio has many more, such as one that takes any file."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """An ASGI application around another one.

    Args:
        app: the routes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        path = scope["path"]
        if not names_this_machine(headers.get("host", "").encode()):
            refusal = PlainTextResponse("this page is for this machine only, by a loopback address", 403)
        elif sent_by_another_page(headers.get("origin", ""), headers.get("sec-fetch-site", "")):
            refusal = PlainTextResponse("this page answers no other page", 403)
        elif path != "/" and not path.startswith(OPEN):
            refusal = PlainTextResponse("no such page", 404)
        else:
            await self.app(scope, receive, sending)
            return
        await refusal(scope, receive, sending)

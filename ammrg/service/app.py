"""The routes of the service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from ammrg import __version__
from ammrg.data_sets import trained_on
from ammrg.findings import FINDINGS
from ammrg.inference.report_generator import ReportGenerator
from ammrg.notice import NOTICE
from ammrg.service.answers import SCHEMA_VERSION, UPLOAD, Model, State, StudyReport, Version, refusals
from ammrg.service.desk import Desk
from ammrg.service.form import read_upload
from ammrg.service.guard import Guard
from ammrg.service.limits import Refusal

Result = TypeVar("Result")
GONE = 499
"""Status, in measures and log, of a request whose caller has gone; nobody reads it."""


def build(desk: Desk, card: str | None = None, token: bytes | None = None, only_loopback: bool = True) -> ASGIApp:
    """Make the application.

    Args:
        desk: not started yet; the application starts and closes it.
        card: text of the model card.
        token: that callers must send; None: they need none.
        only_loopback: refuse requests whose Host header names another machine.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        desk.start()
        yield
        await asyncio.to_thread(desk.close)

    # The pages of docs_url load scripts from another host.
    app = FastAPI(
        title="AM-MRG", version=__version__, description=NOTICE, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    guarded = (*((401,) if token else ()), *((403,) if only_loopback else ()))

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Exception) -> JSONResponse:
        assert isinstance(refusal, Refusal)
        advice = (
            f"; whoever runs the service can raise this limit: ammrg serve {refusal.option}" if refusal.option else ""
        )
        return _failure(refusal.status, refusal.sentence + advice, refusal.headers)

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        paths = ", ".join(route.path for route in app.routes if isinstance(route, APIRoute))
        sentence = f"there is no such path; there are {paths}" if error.status_code == 404 else error.detail
        return _failure(error.status_code, sentence, error.headers or {})

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return _failure(500, "the service failed; its log says where", {})

    @app.post(
        "/v1/studies",
        summary="Describe one study",
        response_model=StudyReport,
        responses=refusals(400, 408, 413, 415, 422, 500, 503, 504, *guarded),
        openapi_extra=UPLOAD,
    )
    async def studies(request: Request) -> JSONResponse:
        model = desk.admit()
        try:
            # Only the deadline differs: the service is late with a report, the caller with an upload.
            deadline = asyncio.get_running_loop().time() + desk.limits.seconds
            with desk.scratch.folder() as folder:
                headers = request.headers
                reading = read_upload(
                    headers.get("content-type", ""),
                    headers.get("content-length", ""),
                    request.stream(),
                    folder,
                    desk.limits,
                )
                try:
                    upload = await _before(
                        deadline, reading, Refusal(408, f"the upload took {desk.limits.seconds:g} s")
                    )
                except ClientDisconnect:
                    raise Refusal(GONE, "the caller has gone") from None
                late = Refusal(504, f"the report was not ready within {desk.limits.seconds:g} s")
                description = await _before(deadline, _while_there(request, desk.describe(upload, model)), late)
        finally:
            desk.dismiss()
        return JSONResponse({**description.as_json(), "schema_version": SCHEMA_VERSION})

    @app.get("/healthz", summary="Whether the process answers", response_model=State, responses=refusals(*guarded))
    async def healthz() -> State:
        return State(status="running")

    @app.get(
        "/readyz",
        summary="Whether the model is loaded and checked",
        response_model=State,
        responses=refusals(503, *guarded),
    )
    async def readyz() -> State:
        _loaded(desk)
        return State(status="ready")

    @app.get("/version", response_model=Version, responses=refusals(*guarded))
    async def version() -> Version:
        return Version(version=__version__)

    @app.get("/model", response_model=Model, responses=refusals(503, *guarded))
    async def model() -> Model:
        loaded = _loaded(desk)
        return Model(
            fingerprint=loaded.fingerprint,
            dataset=loaded.dataset,
            trained_on=f"This model was {trained_on(loaded.dataset)}.",
            map_method=loaded.map_method,
            image_size=loaded.processor.image_size,
            views=loaded.processor.views,
            findings=dict(zip(FINDINGS, loaded.network.classifier.thresholds.tolist(), strict=True)),
            card=card,
        )

    @app.get("/metrics", response_class=PlainTextResponse, responses=refusals(*guarded))
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(desk.measures.text(), media_type=CONTENT_TYPE_LATEST)

    return Guard(app, desk.measures, token, only_loopback)


def _failure(status: int, sentence: str, headers: Mapping[str, str]) -> JSONResponse:
    return JSONResponse({"error": sentence, "notice": NOTICE}, status, dict(headers))


def _loaded(desk: Desk) -> ReportGenerator:
    if desk.model is None:
        raise Refusal(503, "the model is not loaded yet", Retry_After="5")
    return desk.model


async def _before(deadline: float, work: Awaitable[Result], late: Refusal) -> Result:
    """Await work that is cancelled at a moment of the loop's clock; then refuse."""
    try:
        async with asyncio.timeout_at(deadline):
            return await work
    except TimeoutError:
        raise late from None


async def _while_there(request: Request, work: Any) -> Any:
    """Await work that is cancelled when the caller goes; its body was read already."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Refusal(GONE, "the caller has gone")
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

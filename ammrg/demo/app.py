"""The routes of the page. Gradio's queue describes; its own pages and uploads are not used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from gradio import Server
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from ammrg import __version__
from ammrg.data_sets import source_of, trained_on
from ammrg.demo.asked import Asked
from ammrg.demo.desk import LIMITS, Desk
from ammrg.demo.downloads import DOWNLOADS
from ammrg.demo.examples import example_cards, example_folders, example_note
from ammrg.demo.guard import Guard
from ammrg.notice import NOTICE
from ammrg.operating_points import BALANCED
from ammrg.service.form import read_upload
from ammrg.service.limits import Refusal
from ammrg.service.scratch import Scratch

PAGE = Path(__file__).parent / "page"


def build(desk: Desk, scratch: Scratch, folder: Path | None = None) -> Server:
    """Make the application.

    Args:
        desk: with the model.
        scratch: folder of uploads; each is removed when it is read.
        folder: of studies to try; None: none.

    Raises:
        ReadError: the folder holds none, or the first film of one cannot be read.
    """
    examples = example_folders(folder)
    cards, note = example_cards(examples), example_note(folder)
    routes = APIRouter()

    @routes.get("/")
    async def page() -> FileResponse:
        return FileResponse(PAGE / "page.html")

    @routes.get("/facts")
    async def facts() -> dict[str, Any]:
        model = desk.model
        return {
            "notice": NOTICE,
            "version": __version__,
            "model": model.fingerprint,
            "trained_on": trained_on(model.dataset),
            "terms": source_of(model.dataset).terms,
            "has_memories": bool(model.network.retrievals),
            "has_curve": model.curve is not None,
            "upload_bytes": LIMITS.upload_bytes,
            "examples": cards,
            "examples_note": note,
        }

    @routes.post("/studies")
    async def studies(request: Request) -> dict[str, Any]:
        with scratch.folder() as folder:
            kind, length = (request.headers.get(name, "") for name in ("content-type", "content-length"))
            try:
                upload = await read_upload(kind, length, request.stream(), folder, LIMITS)
            except ClientDisconnect:
                raise Refusal(400, "the upload was cut off") from None
            return await desk.read(upload)

    @routes.post("/examples/{number}")
    async def example(number: int) -> dict[str, Any]:
        if not 0 <= number < len(examples):
            raise Refusal(404, f"there are {len(examples)} examples")
        return await desk.read_example(examples[number])

    @routes.get("/cases/{key}/{name}")
    def download(
        key: str,
        name: str,
        memories: bool = True,
        mirrored: bool = False,
        operating_point: float = BALANCED,
        projections: str = "",
    ) -> Response:
        if name not in DOWNLOADS:
            raise Refusal(404, f"there are {', '.join(DOWNLOADS)}")
        made = DOWNLOADS[name](*desk.described(key, Asked(memories, mirrored, operating_point, projections)))
        return Response(
            made.content, media_type=made.kind, headers={"Content-Disposition": f"attachment; filename={name}"}
        )

    def describe(case: str, asked: dict[str, Any], before: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
        yield from desk.describe(case, asked, before)

    app = Server(title="AM-MRG", docs_url=None, redoc_url=None, openapi_url=None, middleware=[Middleware(Guard)])
    app.mount("/page", StaticFiles(directory=PAGE))
    app.include_router(routes)
    app.add_exception_handler(Refusal, _refused)
    app.api(describe, name="describe", concurrency_limit=1)
    return app


async def _refused(_: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    return JSONResponse({"error": refusal.sentence, "notice": NOTICE}, refusal.status)

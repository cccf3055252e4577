"""The life of a study on the page: read, described in the one thread that owns the model, and written as documents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ammrg.demo.asked import Asked
from ammrg.demo.cases import Case, Cases
from ammrg.demo.content import description_content, study_content
from ammrg.demo.examples import visible
from ammrg.errors import AMMRGError, ReadError, SettingsError
from ammrg.inference.description import Description
from ammrg.inference.prepared_study import PreparedStudy
from ammrg.inference.report_generator import ReportGenerator
from ammrg.service.form import Upload, UploadedFile
from ammrg.service.limits import Limits, Refusal
from ammrg.service.one_study import find_study
from ammrg.service.readers import reader_threads
from ammrg.studies.decoding import decode_study
from ammrg.studies.grouping import StudyFilms
from ammrg.studies.sources import close_archives

LOG = logging.getLogger("ammrg.demo")
LIMITS = Limits(upload_bytes=128 * 2**20, unpacked_bytes=256 * 2**20, files=32)
"""A person drops one study, not an archive of a hospital."""
GONE = "this study is no longer held here: load it again"


class Desk:
    """Holds the model and the studies of the page.

    Args:
        model: that describes them.
    """

    def __init__(self, model: ReportGenerator) -> None:
        self.model = model
        self.cases = Cases()
        self._owner = ThreadPoolExecutor(1, "model")
        self._reader = reader_threads(1)

    def close(self) -> None:
        """End the threads."""
        self._reader.shutdown(cancel_futures=True)
        self._owner.shutdown(cancel_futures=True)

    async def read(self, upload: Upload) -> dict[str, Any]:
        """Read the study of an upload and hold it.

        Returns:
            Its key (``case``), films, and what is set aside.

        Raises:
            Refusal: see :func:`ammrg.service.one_study.read_study`.
        """
        return await asyncio.wrap_future(self._reader.submit(self._read, upload))

    async def read_example(self, folder: Path) -> dict[str, Any]:
        """Read a study that lies in a folder, and hold it; see :meth:`read`.

        Films with ``lateral`` in their names are lateral.
        """
        films = [UploadedFile(path.name, path) for path in visible(folder)]
        lateral = [film.name for film in films if "lateral" in film.name]
        return await self.read(Upload(films, lateral, ""))

    def describe(self, key: str, sent: Mapping[str, Any], before: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
        """Describe a study.

        Args:
            key: of the study.
            sent: the fields of :class:`Asked`.
            before: those of the description that is shown, if one is.

        Yields:
            ``{"text": ...}``, the report so far, many times; then ``{"shown": ...}``, the description; or
            ``{"error": ...}``, a sentence.
        """
        case = self.cases.get(key)
        if case is None:
            yield {"error": GONE}
            return
        try:
            asked, earlier = Asked.of(sent), None if before is None else Asked.of(before)
            if any(film >= len(case.prepared.views) for film in asked.chosen()):
                raise ValueError(f"projections: {asked.projections!r} is for more films than the study has")
        except (ValueError, SettingsError) as error:
            yield {"error": str(error)}
            return
        texts: SimpleQueue[str | None] = SimpleQueue()
        # Through the queue, so that None, which ends it, comes after the last text even if describing fails.
        described = self._owner.submit(self._describe, case, asked, texts)
        while (text := texts.get()) is not None:
            yield {"text": text}
        try:
            description = described.result()
        except AMMRGError as error:
            yield {"error": str(error)}
        except Exception as error:  # its message may hold anything: only its type is logged
            LOG.error("describing failed: %s", type(error).__name__)
            yield {"error": "the model failed on this study; the log of the program says where"}
        else:
            compared = None if earlier is None else case.descriptions.get(earlier)
            pair = None if earlier is None or compared is None else (earlier, compared)
            yield {"shown": description_content(description, asked, pair)}

    def described(self, key: str, asked: Asked) -> tuple[Case, Description]:
        """Return a study and what was written of it.

        Raises:
            Refusal: 404, it is no longer held, or was not described in this way.
        """
        case = self.cases.get(key)
        if case is None or asked not in case.descriptions:
            raise Refusal(404, GONE)
        return case, case.descriptions[asked]

    def _read(self, upload: Upload) -> dict[str, Any]:
        try:
            (study,) = find_study(upload, LIMITS, lambda _: None).studies
            # In memory, as documents and a projection that is chosen later need the bytes again.
            held = [film._replace(source=film.source.in_memory()) for film in study.films]
            study = StudyFilms(study.identity, held, study.set_aside)
            decoded = decode_study(study, upload.indication)
        except ReadError as error:
            raise Refusal(422, str(error)) from error
        finally:
            close_archives()
        prepared = self.model.prepare(decoded, upload.indication)
        key = self.cases.add(Case(study, prepared, {}))
        return {"case": key, **study_content(decoded, prepared)}

    def _describe(self, case: Case, asked: Asked, texts: SimpleQueue[str | None]) -> Description:
        try:
            if asked not in case.descriptions:
                prepared = self._prepared(case, asked)._replace(operating_point=asked.operating_point)
                prepared = prepared.mirrored() if asked.mirrored else prepared
                (case.descriptions[asked],) = self.model.describe_prepared(
                    [prepared], memories=asked.memories, on_text=texts.put
                )
            return case.descriptions[asked]
        finally:
            texts.put(None)

    def _prepared(self, case: Case, asked: Asked) -> PreparedStudy:
        """The network's input, with the projections that were chosen."""
        if not asked.projections:
            return case.prepared
        (indication,) = case.prepared.batch.indications
        chosen = {case.prepared.views[film].fingerprint: choice for film, choice in asked.chosen().items()}
        return self.model.prepare(decode_study(case.study.read_as(chosen), indication), indication)

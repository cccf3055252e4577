"""The life of a study in the service: admitted, read, queued, described."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np

from ammrg.errors import AMMRGError
from ammrg.inference.description import Description
from ammrg.inference.prepared_study import PreparedStudy
from ammrg.inference.report_generator import ReportGenerator
from ammrg.service.batching import Batcher
from ammrg.service.form import Upload
from ammrg.service.limits import Limits, Refusal
from ammrg.service.measures import Measures
from ammrg.service.one_study import read_study
from ammrg.service.readers import reader_threads
from ammrg.service.scratch import Scratch

LOG = logging.getLogger("ammrg.service")
READERS = 2
"""Threads that read films."""


class Desk:
    """Holds the model, and describes the studies of requests.

    Args:
        open_model: opens and checks the model; called in the thread that owns it.
        limits: of the service.
        scratch: folder of uploads.
        failed: called where the model cannot be opened.
    """

    def __init__(
        self,
        open_model: Callable[[], ReportGenerator],
        limits: Limits,
        scratch: Scratch,
        failed: Callable[[Exception], None],
    ) -> None:
        self.limits, self.scratch = limits, scratch
        self.measures = Measures(lambda: self._batcher.waiting(), lambda: self._inside)
        self.model: ReportGenerator | None = None
        self._open_model, self._failed = open_model, failed
        self._inside = 0
        self._seconds = 1.0
        self._readers = reader_threads(READERS)
        self._batcher: Batcher[PreparedStudy, Description] = Batcher(
            self._describe,
            limits.batch,
            self._load,
            self.measures.batches.observe,
            lambda waiting: self._inside > waiting,
        )

    def start(self) -> None:
        """Begin to load the model."""
        self._batcher.start()

    def close(self) -> None:
        """Describe what waits, end the threads and remove the folder of uploads."""
        self._readers.shutdown(wait=True, cancel_futures=True)
        self._batcher.close()
        self.scratch.close()

    def admit(self) -> ReportGenerator:
        """Let a study in, before anything of it is read; :meth:`dismiss` lets it out.

        Raises:
            Refusal: 503, the model is not loaded yet or too many studies are inside.
        """
        if self.model is None:
            raise Refusal(503, "the model is not loaded yet", Retry_After="5")
        if self._inside >= self.limits.requests:
            wait = max(1, math.ceil(self._inside * self._seconds))
            raise Refusal(503, f"{self._inside} studies wait already; come back in {wait} s", Retry_After=str(wait))
        self._inside += 1
        return self.model

    def dismiss(self) -> None:
        """Let a study out, whatever became of it."""
        self._inside -= 1

    async def describe(self, upload: Upload, model: ReportGenerator) -> Description:
        """Describe the study of an upload. If the caller is cancelled, what is not begun is dropped.

        Raises:
            Refusal: see :func:`ammrg.service.one_study.read_study`; 422 where the model refuses the study, or has no
                such operating point.
        """
        try:
            model.fingerprint_at(upload.operating_point)
        except AMMRGError as error:
            raise Refusal(422, str(error)) from error
        reading: Future[PreparedStudy] = self._readers.submit(self._read, upload, model)
        prepared = await asyncio.wrap_future(reading)
        try:
            return await asyncio.wrap_future(self._batcher.submit(prepared))
        except AMMRGError as error:
            raise Refusal(422, str(error)) from error

    def _read(self, upload: Upload, model: ReportGenerator) -> PreparedStudy:
        study = read_study(upload, self.limits, self.measures.count)
        return model.prepare(study, upload.indication, upload.operating_point)

    def _load(self) -> None:
        try:
            model = self._open_model()
            # A picture, so that a model that cannot describe anything is never called ready.
            model.describe(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64))
        except Exception as error:
            self._failed(error)
            return
        self.model = model
        LOG.info("ready: model %s, writes with %s", model.fingerprint, model.network.language_model.weight_form)

    def _describe(self, studies: Sequence[PreparedStudy]) -> list[Description]:
        assert self.model is not None
        started = time.monotonic()
        described = self.model.describe_prepared(studies)
        self._seconds = 0.8 * self._seconds + 0.2 * (time.monotonic() - started) / len(studies)
        return described

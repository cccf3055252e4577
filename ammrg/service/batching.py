"""Studies of concurrent requests described together: one thread owns the model, and takes all that wait at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

GATHERING = 0.02
"""Seconds that a batch waits for more requests once it has one. Clients that wait for an answer before they send the
next study send it just after a batch: without a pause, the first of them would always be described alone."""
ARRIVING = 0.25
"""Seconds that it waits in all while others are being read."""


class _Job(NamedTuple):
    given: Any
    future: Future[Any]


class Batcher(Generic[Given, Made]):
    """Calls a function on batches of what waits, in one thread.

    Args:
        work: n given -> n made. Only the batcher's thread calls it.
        most: most given in a batch.
        started: called in the thread before the first batch; what it raises ends the thread.
        seen: called with the size of each batch.
        arriving: tells, given how many wait, whether more are about to be submitted.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Given]], Sequence[Made]],
        most: int,
        started: Callable[[], None] = lambda: None,
        seen: Callable[[int], None] = lambda size: None,
        arriving: Callable[[int], bool] = lambda waiting: False,
    ) -> None:
        self._arriving = arriving
        self._work, self._most, self._started, self._seen = work, most, started, seen
        self._waiting: deque[_Job] = deque()
        self._change = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, given: Given) -> Future[Made]:
        """Put something in the queue. If the future is cancelled before its batch begins, nothing is made of it."""
        future: Future[Made] = Future()
        with self._change:
            self._waiting.append(_Job(given, future))
            self._change.notify_all()
        return future

    def waiting(self) -> int:
        """Return the number in the queue, without those being worked on."""
        return len(self._waiting)

    def close(self) -> None:
        """Work on what is in the queue, and end the thread."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join()

    def _run(self) -> None:
        self._started()
        while batch := self._next():
            self._answer(batch)

    def _next(self) -> list[_Job]:
        """Wait for the next batch; none once the batcher is closed and its queue is empty."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closed)
            began = time.monotonic()
            while len(self._waiting) < self._most and not self._closed:
                pause = ARRIVING if self._arriving(len(self._waiting)) else GATHERING
                if (left := began + pause - time.monotonic()) <= 0:
                    break
                self._change.wait(min(left, GATHERING))
            batch: list[_Job] = []
            while self._waiting and len(batch) < self._most:
                job = self._waiting.popleft()
                if job.future.set_running_or_notify_cancel():
                    batch.append(job)
            if batch or self._closed:
                return batch
        return self._next()

    def _answer(self, batch: Sequence[_Job]) -> None:
        """Work on a batch; if that fails, on each by itself, so that one cannot fail the others."""
        self._seen(len(batch))
        try:
            made = self._work([job.given for job in batch])
        except Exception as error:
            if len(batch) > 1:
                for job in batch:
                    self._answer([job])
            else:
                batch[0].future.set_exception(error)
            return
        for job, each in zip(batch, made, strict=True):
            with suppress(InvalidStateError):
                job.future.set_result(each)

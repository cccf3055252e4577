"""What one request may ask for, and the refusal of a request that asks for more."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Limits of the service. Together they bound its memory, its disk and the time of a request."""

    upload_bytes: int = 256 * 2**20
    """Most bytes of a request's body."""
    files: int = 64
    """Most files of an upload, or of the archive in it."""
    unpacked_bytes: int = 512 * 2**20
    """Most bytes of all files of an archive together, once unpacked."""
    pixels: int = 128_000_000
    """Most pixels of all films of a study together; a film may have :data:`ammrg.imaging.headers.MAX_PIXELS`."""
    text_bytes: int = 16 * 2**10
    """Most bytes of the upload's texts (``lateral``, ``indication``) and of all names in it together."""
    requests: int = 32
    """Most studies in the service at once, from the first byte of an upload to its answer."""
    batch: int = 8
    """Most studies that the model describes in one pass."""
    seconds: float = 120.0
    """Longest time from the first byte of a request to its answer."""


class Refusal(Exception):  # noqa: N818  # not an error of the service: the answer to a request
    """A request that is not answered with a report, and why.

    Args:
        status: of the HTTP answer, 400 to 599.
        sentence: for the caller; it may name files of the upload, so it is never logged.
        option: of ``ammrg serve``, that raises the limit beyond which the request is; empty: none does.
        headers: of the answer.
    """

    def __init__(self, status: int, sentence: str, *, option: str = "", **headers: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.option = status, sentence, option
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

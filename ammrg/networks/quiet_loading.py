"""Loads a model of transformers without its table of weights, and a small one without its bar."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ammrg.log_levels import heard_from

LARGE = 1 << 30
"""From so many bytes on, the loading of a folder shows its progress, as a download does."""


@contextmanager
def quiet_loading(name: str) -> Iterator[None]:
    """Run code that loads a model; what is wrong with its weights is for the caller to say.

    The level is that of the whole package: transformers reads a raised level of its module ``modeling_utils`` as a
    wish to hear which layers are not split over several devices, and names them all.

    Args:
        name: folder or hub id.
    """
    from transformers.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

    size = sum(file.stat().st_size for file in Path(name).glob("*.safetensors"))
    hides = is_progress_bar_enabled() and Path(name).is_dir() and size < LARGE
    if hides:
        disable_progress_bar()
    try:
        with heard_from(logging.ERROR, "transformers"):
            yield
    finally:
        if hides:
            enable_progress_bar()

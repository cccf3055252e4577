"""What every test shares: one thread, no network, and a tiny language model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.browser import chromium

__all__ = ["chromium"]

# Small tensors on few cores: a second thread costs more than it brings, and much more where cores are shared.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("WANDB_MODE", "disabled")  # tests of the logger ask for it
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

SAMPLES = Path(os.environ.get("AMMRG_SAMPLES", Path(__file__).parents[2] / "shared" / "data" / "samples"))


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real films, ``dicom/`` and ``native_png/``; they never enter the repository."""
    if not SAMPLES.is_dir():
        pytest.skip(f"no real samples at {SAMPLES}; AMMRG_SAMPLES names their folder")
    return SAMPLES


@pytest.fixture(scope="session")
def llm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See :func:`tests.tiny_stage2.write_llm`."""
    from tests.tiny_stage2 import write_llm

    return write_llm(tmp_path_factory.mktemp("llama"))

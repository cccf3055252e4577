"""A trainer on the CPU that writes and says nothing of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import Trainer


def quiet_trainer(folder: Path | None = None, **settings: Any) -> Trainer:
    """``settings`` go before what makes it quiet."""
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(default_root_dir=folder, **{**quiet, **settings})

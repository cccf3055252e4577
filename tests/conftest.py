"""What every test shares: one thread, no network, and where the real data set would be."""

from __future__ import annotations

import os

# Small tensors on few cores: a second thread costs more than it brings, and much more where cores are shared.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("WANDB_MODE", "disabled")  # tests of the logger ask for it
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

"""Two real processes share every split."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.datamodules.loading.small_folder import SIZES

ROOT = Path(__file__).parents[3]
RANKS = """
import json, sys
sys.path.insert(0, {root!r})
import lightning, torch
from datamodules.studies import StudyDataModule
from tests.datamodules.loading.recorder import Recorder

class Ranked(Recorder):
    def validation_step(self, batch, index):
        self.seen.append(batch.study_ids)
    def on_validation_start(self):
        self.seen = []
    def predict_step(self, batch, index):
        self.predicted.append(batch.study_ids)

if __name__ == "__main__":
    model = Ranked()
    model.predicted = []
    data = StudyDataModule({folder!r}, image_size=32, batch_size=4, num_workers=2, streamed={streamed})
    trainer = lightning.Trainer(max_epochs=2, accelerator="cpu", devices=2, strategy="ddp", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
    trainer.fit(model, datamodule=data)
    trainer.predict(model, datamodule=data, return_predictions=False)
    with open({out!r} + str(trainer.global_rank), "w") as file:
        json.dump([model.steps, model.seen, model.predicted], file)
"""


def test_two_real_processes_under_lightning_share_every_split(folder, tmp_path):
    script = tmp_path / "ranks.py"
    places = {"root": str(ROOT), "folder": folder, "out": f"{tmp_path}/ids"}
    script.write_text(RANKS.format(**places, streamed=True))
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    ranks = [json.loads((tmp_path / f"ids{rank}").read_text()) for rank in (0, 1)]
    for epoch in (0, 1):
        shown = [name for steps, _, _ in ranks for at, names in steps if at == epoch for name in names]
        assert Counter(shown) == Counter(f"train{i}" for i in range(SIZES["train"]))
    assert len(ranks[0][0]) == len(ranks[1][0])
    for place, split in ((1, "val"), (2, "test")):
        shown = [name for rank in ranks for names in rank[place] for name in names]
        assert Counter(shown) == Counter(f"{split}{i}" for i in range(SIZES[split]))

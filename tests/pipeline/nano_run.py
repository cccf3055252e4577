"""A miniature run (MODEL=nano) made by the real commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from experiments.__main__ import main

CONFIGS = Path(__file__).parents[2] / "experiments" / "configs"


class Run:
    """Runs the commands of the Makefile for one run folder, with MODEL=nano."""

    def __init__(self, root: Path, name: str = "default") -> None:
        self.root, self.folder = root, root / "outputs" / "phantom" / name
        self.data, self.llm = root / "data", root / "llm"
        self.stage1, self.memory, self.stage2 = (self.folder / part for part in ("stage1", "memory", "stage2"))

    def configs(self, stage: str) -> list[str]:
        files = (CONFIGS / stage / "default.yaml", CONFIGS / "data" / "phantom.yaml", CONFIGS / stage / "nano.yaml")
        settings = [f"--data.folder={self.data}", f"--trainer.default_root_dir={self.folder / stage}"]
        return [word for file in files for word in ("-c", str(file))] + settings

    def prepare(self) -> None:
        sizes = "train=64,val=16,test=16"
        assert main(["prepare", "--dataset", "phantom", "--out", str(self.data), "--studies", sizes]) == 0
        assert main(["models", "phantom", "--data", str(self.data), "--out", str(self.llm), "--size", "nano"]) == 0

    def fit_stage1(self, *extra: str) -> int:
        return main(["fit", *self.configs("stage1"), *extra])

    def mine(self) -> int:
        return main(["predict", "-c", f"{self.stage1}/config.yaml", f"--ckpt_path={self.stage1}/best.ckpt"])

    def encode_reports(self) -> int:
        return main(["predict", *self.configs("memory"), f"--model.text_encoder={self.llm}"])

    def parts(self) -> list[str]:
        parts = {
            "stage1_checkpoint": self.stage1 / "best.ckpt",
            "regions_memory": self.memory / "regions",
            "reports_memory": self.memory / "reports",
            "language_model": self.llm,
        }
        return [f"--model.{key}={value}" for key, value in parts.items()]

    def fit_stage2(self, *extra: str) -> int:
        return main(["fit", *self.configs("stage2"), *self.parts(), *extra])

    def write_reports(self) -> int:
        return main(["predict", "-c", f"{self.stage2}/config.yaml", f"--ckpt_path={self.stage2}/best.ckpt"])

    def lines(self, name: str = "reports.jsonl") -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]


def owners(path: Path) -> set[str]:
    return {study for ids in json.loads(path.read_text())["study_ids"] for study in ids}


def copy_of_stage1(run: Run, name: str) -> Run:
    again = Run(run.root, name)
    shutil.copytree(run.stage1, again.stage1)
    return again

"""What is wrong with a call is said before anything heavy is imported: here what takes seconds cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "lightning", "transformers", "peft", "bitsandbytes", "wandb", "pandas", "matplotlib", "datasets")
CODE = (
    f"import sys; sys.modules.update(dict.fromkeys({HEAVY})); from experiments.__main__ import main; sys.exit(main())"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film, a file of text, and a run without anything in it."""
    folder = tmp_path_factory.mktemp("place")
    Image.new("L", (64, 64), 90).save(folder / "film.png")
    (folder / "notes.txt").write_text("mine")
    (folder / "run").mkdir()
    return folder


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("prepre", 2, "unknown command 'prepre'"),
        ("prepare --dataset iuxray", 2, "invalid choice: 'iuxray'"),
        ("prepare --dataset iu_xray", 1, "needs --raw, the folder of the raw data"),
        ("prepare --dataset iu_xray --raw gone", 1, "found nothing there"),
        ("prepare --dataset r2gen --raw run", 1, "looked for annotation.json, found an empty folder"),
        ("prepare --dataset phantom --size 1", 1, "--size 1: must lie between"),
        ("convert --data gone --to r2gen --out new", 1, "gone"),
        ("models phantom --size huge", 2, "invalid choice: 'huge'"),
        ("models phantom --data gone", 1, "gone"),
        ("crossfit gone.ckpt folds --data gone --memory new", 1, "gone.ckpt: no such file"),
        ("queries run/gone.ckpt --data gone", 1, "run/gone.ckpt: no such file"),
        ("ablate gone.yaml --dataset phantom --data gone --model tiny --out new", 1, "gone.yaml"),
        ("score gone.jsonl", 1, "gone.jsonl: no such file"),
        ("score notes.txt", 1, "predictions are read from"),
        ("score film.png --protocol bleu", 2, "invalid choice: 'bleu'"),
        ("guards gone", 1, "gone/reports.jsonl: no such file: there is no folder gone"),
        ("guards run --only films", 2, "invalid choice: 'films'"),
        ("describe gone.png --run run", 1, "gone.png"),
        ("describe film.png --run gone", 1, "gone/stage2/best.ckpt: no trained run"),
        ("describe film.png", 2, "one of the arguments --run --model is required"),
        ("export run --out new", 1, "run/stage2/best.ckpt: no trained run"),
        ("export run", 1, "name the folder to write with --out FOLDER"),
        ("runs --out gone", 1, "--out gone: "),
        ("sweep gone.yaml --out new --dry fit", 1, "gone.yaml"),
        ("slurm --stage 3 --folder new --run new", 2, "invalid choice: '3'"),
    ],
)
def test_a_wrong_call_is_told_without_what_takes_seconds(place: Path, words: str, code: int, message: str) -> None:
    command = [sys.executable, "-c", CODE, *words.split()]
    done = subprocess.run(command, cwd=place, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert message in " ".join(done.stderr.split())
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert not (place / "new").exists()

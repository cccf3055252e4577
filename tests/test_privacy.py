"""A run on restricted data sends numbers to loggers off the machine: no report text, no image, no id."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.loggers import WandbLogger

from ammrg.errors import SettingsError
from datamodules.shards import write_shards
from datamodules.sources.phantom import draw_study
from datamodules.sources.source_reading import SourceReading
from experiments.__main__ import main
from experiments.runs.wandb_run import NumbersOnly, ended, sent_config, stable_id, wandb_logger

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "experiments" / "configs"
SIZES = {"train": 24, "val": 8, "test": 4}


def prepared(folder: Path, dataset: str) -> tuple[Path, dict[str, list[str]]]:
    """Drawn films under the name of a data set, and what must stay at home: ids and sentences."""
    studies = {split: [draw_study(split, number, 0, 64) for number in range(count)] for split, count in SIZES.items()}
    films = sum(len(study.views) for part in studies.values() for study in part)
    reading = SourceReading(studies, dataset, films, restricted=dataset != "phantom")
    settings = {"section": "findings", "seed": 0, "size": 64}
    write_shards(reading, folder, dataset=dataset, settings=settings, size=64, section="findings", workers=1)
    every = [study for part in studies.values() for study in part]
    return folder, {
        "ids": [study.study_id for study in every] + [study.subject_id for study in every],
        "sentences": sorted(
            {sentence.strip() for study in every for sentence in study.findings.split(".") if len(sentence) > 25}
        ),
    }


def fit(root: Path, dataset: str, stage: str, *words: str) -> Path:
    """A real fit with W&B offline, in a process of its own, as a user starts it."""
    folder = root / dataset / "first" / stage
    files = (CONFIGS / stage / "default.yaml", CONFIGS / "data" / f"{dataset}.yaml", CONFIGS / stage / "nano.yaml")
    command = [sys.executable, "-m", "experiments", "fit", *(word for file in files for word in ("-c", str(file)))]
    command += [f"--data.folder={root}/data_{dataset}", f"--trainer.default_root_dir={folder}", "--wandb=offline"]
    command += ["--trainer.log_every_n_steps=1", *words]
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_MODE"}
    done = subprocess.run(
        command, cwd=ROOT, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def sent(folder: Path) -> bytes:
    """Every byte that ``wandb sync`` would read."""
    content = b"".join(path.read_bytes() for path in (folder / "wandb").rglob("*") if path.is_file())
    assert b"train/loss" in content
    return content


def holds(content: bytes, secret: str) -> bool:
    """Whether the secret is there; an id such as 11000000 is not the end of a number such as 0.0011000000312."""
    return re.search(rb"(?<![\d.])" + re.escape(secret.encode()) + rb"(?!\d)", content) is not None


@pytest.mark.slow
def test_a_restricted_run_sends_no_text_image_or_id(tmp_path: Path) -> None:
    secret: dict[str, dict[str, list[str]]] = {}
    for dataset in ("phantom", "mimic_cxr"):
        _, secret[dataset] = prepared(tmp_path / f"data_{dataset}", dataset)
    llm = tmp_path / "llm"
    assert main(["models", "phantom", "--data", f"{tmp_path}/data_phantom", "--out", str(llm), "--size", "nano"]) == 0
    found: dict[str, dict[str, int]] = {}
    for dataset in ("phantom", "mimic_cxr"):
        stage1 = fit(tmp_path, dataset, "stage1", "--model.region_form=patches", '--model.regions={"least": 0.2}')
        memory = stage1.parent / "memory"
        predict = ["predict", "-c", f"{stage1}/config.yaml", f"--ckpt_path={stage1}/best.ckpt"]
        assert main(predict) == 0
        files = (
            CONFIGS / "memory" / "default.yaml",
            CONFIGS / "data" / f"{dataset}.yaml",
            CONFIGS / "memory" / "nano.yaml",
        )
        words = [word for file in files for word in ("-c", str(file))]
        words += [f"--data.folder={tmp_path}/data_{dataset}", f"--model.text_encoder={llm}"]
        assert main(["predict", *words, f"--trainer.default_root_dir={memory}"]) == 0
        parts = {
            "stage1_checkpoint": stage1 / "best.ckpt",
            "regions_memory": memory / "regions",
            "reports_memory": memory / "reports",
            "language_model": llm,
        }
        stage2 = fit(tmp_path, dataset, "stage2", *(f"--model.{key}={value}" for key, value in parts.items()))
        content = sent(stage1) + sent(stage2)
        found[dataset] = {kind: sum(holds(content, each) for each in names) for kind, names in secret[dataset].items()}
        found[dataset]["pictures"] = content.count(b"\x89PNG")
        for name in (b"val/auroc_macro", b"val/cider", b"lr-AdamW", b"throughput/studies_per_s", b"train/grad_norm"):
            assert name in content, name
        assert (stage2 / "metrics.csv").exists()
    # The search finds what is sent where it may be; where it may not, it finds nothing.
    assert found["phantom"]["ids"] > 0
    assert found["phantom"]["sentences"] > 0
    assert found["phantom"]["pictures"] > 0
    assert found["mimic_cxr"] == {"ids": 0, "sentences": 0, "pictures": 0}


def test_what_is_no_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    logger = wandb_logger(tmp_path / "mimic_cxr" / "first" / "stage1", "offline", restricted=True)
    assert isinstance(logger, NumbersOnly)
    seen: list[dict[str, object]] = []
    monkeypatch.setattr(WandbLogger, "log_metrics", lambda self, metrics, step=None: seen.append(dict(metrics)))
    logger.log_metrics({"train/loss": 1.0, "val/auroc": torch.tensor(0.5), "step": 3})
    assert len(seen) == 1
    for metrics in ({"report": "No pneumothorax."}, {"film": torch.zeros(4, 4)}, {"ids": ["s1"]}):
        with pytest.raises(SettingsError, match="a logger may send only numbers off this machine"):
            logger.log_metrics(metrics)
    for send in (logger.log_table, logger.log_image, logger.log_text):
        with pytest.raises(SettingsError, match="samples: these data are restricted"):
            send("samples", data=[["text"]])
    assert len(seen) == 1


@pytest.mark.parametrize(("error", "exit_code"), [(None, 0), (ValueError("stop"), 1), (KeyboardInterrupt(), 1)])
def test_a_run_that_an_error_leaves_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException | None, exit_code: int
) -> None:
    monkeypatch.delenv("WANDB_MODE")
    logger = wandb_logger(tmp_path, "offline", restricted=False)
    assert logger is not None
    codes: list[int] = []
    for run_id, expected in (("another", []), (logger.version, [exit_code])):  # whose run it is not, is let be
        monkeypatch.setattr("wandb.run", SimpleNamespace(id=run_id, finish=lambda exit_code: codes.append(exit_code)))
        with pytest.raises(type(error)) if error else nullcontext(), ended(logger):
            if error:
                raise error
        assert codes == expected


def test_a_run_ends_with_its_command_and_warns_of_nothing(tmp_path: Path) -> None:
    """Where one process trains several (an ablation), each is a run of its own."""
    told = (
        "import sys\n"
        "from pathlib import Path\n"
        "from experiments.runs.wandb_run import ended, wandb_logger\n"
        "for name in ('first', 'second'):\n"
        "    logger = wandb_logger(Path(sys.argv[1]) / name, 'offline', restricted=False)\n"
        "    with ended(logger):\n"
        "        logger.log_metrics({'train/loss': 1.0})\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_MODE"}
    words = [sys.executable, "-c", told, str(tmp_path)]
    ran = subprocess.run(words, cwd=ROOT, env=environment, check=True, timeout=120, capture_output=True, text=True)
    assert "WARNING" not in ran.stdout + ran.stderr
    for name in ("first", "second"):
        (run,) = (tmp_path / name / "wandb").glob("offline-run-*")
        assert run.name.endswith(stable_id(tmp_path / name))


def test_one_run_across_restarts_offline_without_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no_netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "phantom" / "first" / "stage1"
    one, two = (wandb_logger(folder, "auto", restricted=False) for _ in range(2))
    assert one is not None
    assert two is not None
    assert one._wandb_init["id"] == two._wandb_init["id"] == stable_id(folder)
    assert one._offline
    assert one._wandb_init["name"] == "phantom/first/stage1"
    assert one._wandb_init["settings"].console != "off"
    restricted = wandb_logger(folder, "auto", restricted=True)
    assert restricted is not None
    assert restricted._wandb_init["settings"].console == "off"
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    online = wandb_logger(folder, "auto", restricted=False)
    assert online is not None
    assert not online._offline
    assert wandb_logger(folder, "off", restricted=False) is None
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_logger(folder, "online", restricted=False) is None


def test_long_texts_are_not_settings() -> None:
    settings = {"lr": 1e-3, "name": "short", "prompt": "x" * 301, "list": [1], "none": None, "flag": True}
    assert sent_config(settings, restricted=False) == {"lr": 1e-3, "name": "short", "flag": True}


def test_of_restricted_data_no_place_is_a_setting() -> None:
    settings = {
        "lr": 1e-3,
        "data.folder": "/secret/mimic",
        "trainer.default_root_dir": "outputs/mimic/first",
        "name": "n",
    }
    assert sent_config(settings, restricted=True) == {"lr": 1e-3, "name": "n"}
    assert sent_config(settings, restricted=False) == settings

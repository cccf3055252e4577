"""Films and memories are exchanged between different patients only.

This holds at any batch size, even if the studies of a patient are adjacent in the split.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ammrg.errors import DataError
from ammrg.metrics.guards import best_constant
from ammrg.text.labeler import label
from ammrg.types import Study, View
from callbacks.report_writer import ReportWriter
from datamodules.shards import to_jpeg, write_shards
from datamodules.sources.source_reading import SourceReading
from datamodules.studies import StudyDataModule
from experiments.runs.guards import write_guards
from lightning_modules.report_generation import ReportGeneration
from lightning_modules.report_validation import CLINICAL, CONSTANT_FLOOR, SIDE, exchanged_sides, report_scores
from tests.quiet_trainer import quiet_trainer
from tests.tiny_stage2 import build

PATIENTS = [0] * 5 + [1] + [2] * 3 + [3] * 2
TEXTS = ("The heart is large.", "No effusion.", "There is a large right effusion.", "The lungs are clear.", "Edema.")


def study(split: str, number: int, patient: int) -> Study:
    films = np.random.default_rng((number, len(split))).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    names = ("frontal", "lateral") if number % 3 else ("frontal",)
    return Study(
        study_id=f"{split}{number}",
        subject_id=f"{split}-p{patient}",
        split=split,
        views=tuple(View(to_jpeg(film), name) for film, name in zip(films, names, strict=False)),
        findings=" ".join(TEXTS[(number + i) % 5] for i in range(1 + number % 3)),
        impression="",
        indication="",
        labels=(1.0, 0.0) + (float("nan"),) * 12,
        source="test",
        boxes=(),
    )


def prepared(path: Path, patients: list[int]) -> str:
    splits = ("train", "val", "test")
    studies = {split: [study(split, row, patient) for row, patient in enumerate(patients)] for split in splits}
    settings = {"section": "findings", "seed": 0, "size": 48}
    reading = SourceReading(studies, "test", 40)
    write_shards(reading, path, dataset="phantom", settings=settings, size=48, section="findings", workers=1)
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return prepared(tmp_path_factory.mktemp("data") / "prepared", PATIENTS)


def data(folder: str, **options: Any) -> StudyDataModule:
    return StudyDataModule(folder, **{"image_size": 48, "batch_size": 4, "num_workers": 0, "augment": False, **options})


def stage2(llm_folder: Path, **settings: Any) -> ReportGeneration:
    module = ReportGeneration(
        "stage1.ckpt", "regions", "reports", "llm", decoding={"max_new_tokens": 12}, warmup_steps=0, **settings
    )
    module.generator = build(llm_folder).eval()
    return module


def validated(module: ReportGeneration, studies: StudyDataModule) -> dict[str, float]:
    (found,) = quiet_trainer().validate(module, datamodule=studies, verbose=False)
    return found


def test_validation_is_the_same_at_any_batch_size(folder: str, llm_folder: Path) -> None:
    module = stage2(llm_folder)
    found = [validated(module, data(folder, eval_batch_size=size)) for size in (1, 4, 11)]
    assert {"val/loss", "val/shuffle_gap", "val/shuffle_gap_f1", "val/side_gap", "val/score"} <= found[0].keys()
    assert {"val/location_side_f1", "val/location_side_n", "val/location_level_n"} <= found[0].keys()
    sided = [text for text in data(folder).texts("val") if "right effusion" in text]
    assert found[0]["val/location_side_n"] == len(sided) > 0
    assert found[0]["val/location_level_n"] == 0
    assert "val/location_level_f1" not in found[0]
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=1e-5)
    # The gap computed by hand, one study at a time: the report's loss with the partner's films.
    studies = data(folder, eval_batch_size=1)
    films = {batch.study_ids[0]: batch for batch in studies.val_dataloader()}
    names, subjects = studies.ids("val")
    total = {"own": 0.0, "other": 0.0, "tokens": 0}
    for row, other in enumerate(studies.partners("val")):
        assert subjects[row] != subjects[other]
        own, partner = films[names[row]], films[names[other]]
        fields = ("images", "study_of_view", "projections")
        shown = own._replace(**{field: getattr(partner, field) for field in fields})
        with torch.no_grad():
            for name, batch in (("own", own), ("other", shown)):
                losses = module.network.target_losses(batch).values
                total[name] += float(losses.sum())
        total["tokens"] += len(losses)
    gap = (total["other"] - total["own"]) / total["tokens"]
    assert found[0]["val/loss"] == pytest.approx(total["own"] / total["tokens"], rel=1e-4)
    assert found[0]["val/shuffle_gap"] == pytest.approx(gap, abs=1e-5)
    assert abs(gap) > 1e-4


def test_reports_are_written_for_the_same_studies_at_any_batch_size(folder: str, llm_folder: Path) -> None:
    module, chosen, found = stage2(llm_folder, generate_studies=5), [], []
    for size in (1, 4, 11):
        found.append(validated(module, data(folder, eval_batch_size=size)))
        chosen.append(module.writes)
    assert chosen[0] == chosen[1] == chosen[2]
    assert len(chosen[0] or ()) == 5
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=1e-5)
    # The yardstick is the best constant report's score on these five studies, and the chance of their sides.
    names, texts = data(folder).ids("val")[0], data(folder).texts("val")
    references = [text for name, text in sorted(zip(names, texts, strict=True)) if name in (chosen[0] or ())]
    assert module.yardstick.references == tuple(references)
    labels = [label(text) for text in references]
    constants = [
        report_scores(references, [text] * 5, labels, [label(text)] * 5)
        for text in best_constant(data(folder).texts("train"), references).values()
    ]
    best = {name: max(CONSTANT_FLOOR, *(score[name] for score in constants)) for name in ("cider", CLINICAL)}
    assert max(best.values()) > CONSTANT_FLOOR
    assert exchanged_sides(references) == 1.0  # every effusion is on the right
    assert module.yardstick.best == pytest.approx(best | {SIDE: 1.0})
    parts = [found[0][f"val/{name}"] / module.yardstick.best[name] for name in ("cider", CLINICAL, SIDE)]
    assert found[0]["val/score"] == pytest.approx(sum(parts) / 3)
    module.yardstick(data(folder).texts, references[:2])
    assert module.yardstick.references == tuple(references[:2])
    assert stage2(llm_folder).hparams["generate_studies"] is None


def test_guards_are_the_same_at_any_batch_size(folder: str, llm_folder: Path, tmp_path: Path) -> None:
    """On the training split, exchanged films recall patterns of neither the study nor its partner."""
    module, written = stage2(llm_folder), []
    # The bank's patterns belong to the split's first, second and third study.
    for bank, kinds in ((module.network.visual_bank, 7), (module.network.report_bank, 6)):
        assert bank is not None
        assert len(bank) == kinds
    for size in (1, 4):
        studies = data(folder, eval_batch_size=size, predict_split="test")
        trainer = quiet_trainer(tmp_path / str(size), callbacks=[ReportWriter()])
        write_guards(trainer, module, studies, tmp_path / str(size), ("memory_shuffled", "images_shuffled"))
        names = ("memory_shuffled", "images_shuffled")
        paths = [tmp_path / str(size) / f"{name}.jsonl" for name in names]
        written.append([[json.loads(line) for line in path.read_text().splitlines()] for path in paths])
    for one, other in zip(*written, strict=True):
        assert [line["generated"] for line in one] == [line["generated"] for line in other]
        assert [line["study_id"] for line in one] == sorted(f"test{row}" for row in range(11))
    # The memories return what they return to the partner itself.
    studies = data(folder, eval_batch_size=1)
    films = {batch.study_ids[0]: batch for batch in studies.evaluation_loader("test")}
    names_, partners = studies.ids("test")[0], studies.partners("test")
    lines = {line["study_id"]: line for line in written[0][0]}
    differing = 0
    for row, other in enumerate(partners):
        partner, own = (module.network.generate(films[names_[place]])[0] for place in (other, row))
        for kind in ("regions", "reports"):
            found = [pattern["weight"] for pattern in lines[names_[row]][kind]]
            assert found == pytest.approx([pattern.weight for pattern in getattr(partner, kind)], abs=1e-5)
            differing += found != pytest.approx([pattern.weight for pattern in getattr(own, kind)], abs=1e-5)
    assert differing > 11
    assert module.memories == "own"


def test_exchanged_films_are_another_patients(folder: str) -> None:
    own = {batch.study_ids[0]: batch for batch in data(folder, eval_batch_size=1).test_dataloader()[0]}
    shown = next(iter(data(folder, eval_batch_size=11, films="shuffled").test_dataloader()[0]))
    for row, name in enumerate(shown.study_ids):
        films = shown.images[shown.study_of_view == row]
        owner = next(batch for batch in own.values() if torch.equal(batch.images, films))
        assert owner.subject_ids[0] != shown.subject_ids[row]
        assert shown.reports[row] == own[name].reports[0]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("batch_size", "micro"), [(1, None), (4, 1), (4, 2), (4, None)])
def test_training_batches_bring_partners_and_their_step(
    folder: str, streamed: bool, batch_size: int, micro: int | None
) -> None:
    studies = data(folder, batch_size=batch_size, micro_batch_size=micro, streamed=streamed)
    studies.partnered = {"train"}
    partners = dict(zip(studies.ids("train")[0], studies.partners("train"), strict=True))
    names, subjects = studies.ids("train")
    alone = {batch.study_ids[0]: batch for batch in data(folder, eval_batch_size=1).evaluation_loader("train")}
    batches = list(studies.train_dataloader())
    size = micro or batch_size
    gathered = batch_size // size
    for number, batch in enumerate(batches):
        assert batch.partner is not None
        for row, name in enumerate(batch.study_ids):
            assert batch.partner.study_ids[row] == names[partners[name]]
            assert batch.partner.subject_ids[row] != batch.subject_ids[row]
            films = batch.partner.images[batch.partner.study_of_view == row]
            assert torch.equal(films, alone[batch.partner.study_ids[row]].images)
            assert batch.partner.reports[row] == alone[batch.partner.study_ids[row]].reports[0]
        start = number // gathered * gathered
        step = batches[start : start + gathered] if gathered > 1 else []
        assert [part.study_ids for part in batch.step] == [part.study_ids for part in step]
        assert all(part.images.numel() == 0 for part in batch.step)
        assert [len(part.images) for part in batch.step] == [len(part.images) for part in step]
        assert [part.partner.reports for part in batch.step if part.partner] == [
            part.partner.reports for part in step if part.partner
        ]
    assert sorted(name for batch in batches for name in batch.study_ids) == sorted(names)
    assert len(set(subjects)) == 4


def test_partners_are_trained_on_and_read_with_their_study(tmp_path: Path) -> None:
    many = prepared(tmp_path / "prepared", [row // 2 for row in range(40)])
    for streamed in (False, True):
        studies = data(many, streamed=streamed, folds=4, left_out_fold=1)
        kept, found = studies.training_studies.rows(), studies.partners("train")
        subjects = np.asarray(studies.prepared.index("train").subject_ids)
        assert 0 < len(kept) < 40
        assert set(found[kept]) == set(kept)
        assert (subjects[found[kept]] != subjects[kept]).all()
        # Streamed partners come from the same row group; mapped ones from anywhere.
        groups = studies.prepared.index("train").groups
        assert (groups[found[kept]] == groups[kept]).all() == streamed
        assert len(set(groups)) > 1


def test_a_step_ends_where_the_trainer_ends_the_epoch(folder: str) -> None:
    """With ``limit_train_batches`` the last optimizer step may have fewer batches."""
    module = torch.nn.Linear(1, 1)
    steps: list[list[int]] = []

    class Recorder(ReportGeneration):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            steps.append([len(part.study_ids) for part in batch.step])
            return self.layer.weight.sum()

        def configure_model(self) -> None:
            self.layer = module

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(module.parameters(), lr=0.1)

        def on_fit_start(self) -> None: ...
        def on_train_batch_start(self, *_: Any) -> None: ...
        def on_after_backward(self) -> None: ...
        def state_dict(self, *_: Any, **__: Any) -> Any:
            return {}

    trainer = quiet_trainer(max_epochs=2, limit_train_batches=3, limit_val_batches=0)
    recorder = Recorder("a", "b", "c", "d", shuffle_loss=1.0)
    trainer.fit(recorder, datamodule=data(folder, batch_size=4, micro_batch_size=2))
    assert steps == [[2, 2], [2, 2], [2]] * 2


def test_one_patient_alone_is_refused_by_name(tmp_path: Path, llm_folder: Path) -> None:
    one = prepared(tmp_path / "prepared", [0, 0, 0])
    with pytest.raises(DataError, match=r"prepared: the studies of the val split: 3 of 1 patient, but exchanging"):
        validated(stage2(llm_folder), data(one))
    with pytest.raises(DataError, match=r"the test split: 3 of 1 patient"):
        data(one, films="shuffled").predict_dataloader()

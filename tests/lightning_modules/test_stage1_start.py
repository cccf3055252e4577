"""A stage 1 that starts from another: the weights it takes, its checks, and what it records."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer

from ammrg.errors import CheckpointError, SettingsError
from ammrg.findings import NUM_FINDINGS
from ammrg.fingerprints import id_codes
from callbacks.provenance import Provenance
from lightning_modules.disease_classification import DiseaseClassification
from lightning_modules.stage1_checkpoint import load_stage1
from tests.lightning_modules.blobs import SETTINGS, loader
from tests.quiet_trainer import quiet_trainer


class Data(LightningDataModule):
    """Studies of a hospital in which finding 0 is positive in ``share`` of ten."""

    fold = None

    def __init__(self, share: float, restricted: bool, image_size: int = 48, **patients: set[str]) -> None:
        super().__init__()
        self.share, self.image_size, self.patients = share, image_size, patients
        self.card = {"dataset": f"hospital {share}", "fingerprint": f"f{share}", "restricted": restricted}

    def training_patients(self) -> set[str]:
        return self.patients.get("train", set())

    def held_out_patients(self) -> set[str]:
        return self.patients.get("held_out", set())

    def training_labels(self) -> Any:
        labels = torch.full((10, NUM_FINDINGS), math.nan)
        labels[:, 1] = 0.0
        labels[: int(10 * self.share), 0] = 1.0
        return labels.numpy()

    def train_dataloader(self) -> Any:
        return loader(16, 1)

    def val_dataloader(self) -> Any:
        return loader(16, 2)


class First(Callback):
    """The weights before the first step."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 0:
            self.state = {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}


def fit(
    folder: Path, data: Data, ckpt_path: Path | None = None, max_epochs: int = 1, **changes: Any
) -> tuple[DiseaseClassification, First]:
    """Train, and write ``folder/last.ckpt``."""
    torch.manual_seed(len(folder.name))
    module = DiseaseClassification(**{**SETTINGS, "warmup_steps": 0, **changes})
    first = First()
    trainer = quiet_trainer(folder, max_epochs=max_epochs, callbacks=[first, Provenance()])
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    folder.mkdir(exist_ok=True)
    trainer.save_checkpoint(folder / "last.ckpt")
    return module, first


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    fit(folder, Data(0.5, restricted=True), token_loss=1.0, report_terms=1.0)
    return folder / "last.ckpt"


def test_it_begins_with_the_others_weights_and_its_own_prevalence(source: Path, tmp_path: Path) -> None:
    _, first = fit(tmp_path, Data(0.2, False), token_loss=1.0, report_terms=1.0, start_from=str(source))
    theirs = torch.load(source, weights_only=True)["state_dict"]
    moved = ("classifier.head.bias", "token_bias")
    for name in theirs:
        if name.startswith(("classifier.", "token_bias", "terms_head.")) and name not in moved:
            torch.testing.assert_close(first.state[name], theirs[name], msg=name)
    share = theirs["train_prevalence"]
    odds = {p: math.log(p / (1 - p)) for p in (0.2, float(share[0]))}
    for name in moved:
        shift = first.state[name][0] - theirs[name][0]
        assert float(shift) == pytest.approx(odds[0.2] - odds[float(share[0])], abs=1e-5)


def test_heads_that_only_training_has_may_be_new(source: Path, tmp_path: Path) -> None:
    module, first = fit(tmp_path, Data(0.2, False), start_from=str(source))
    assert "token_bias" not in first.state
    assert module.terms_head is None


def test_a_token_bias_that_the_other_lacked_begins_at_the_prevalence(source: Path, tmp_path: Path) -> None:
    fit(tmp_path / "plain", Data(0.5, False))
    _, first = fit(tmp_path, Data(0.2, False), token_loss=1.0, start_from=str(tmp_path / "plain" / "last.ckpt"))
    assert float(first.state["token_bias"][0].sigmoid()) == pytest.approx(0.2, abs=1e-6)


def test_uncertain_labels_move_no_bias_where_nothing_changed(tmp_path: Path) -> None:
    class Uncertain(Data):
        def training_labels(self) -> Any:
            labels = super().training_labels()
            labels[5:, 1] = -1.0
            return labels

    data = Uncertain(0.5, False)
    fit(tmp_path / "first", data, uncertain="ones")
    path = tmp_path / "first" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["train_prevalence"] = torch.tensor([0.5] + 13 * [0.0])
    torch.save(checkpoint, path)
    _, first = fit(tmp_path, data, uncertain="ones", start_from=str(path))
    own = checkpoint["state_dict"]["classifier.head.bias"]
    torch.testing.assert_close(first.state["classifier.head.bias"], own)


def test_the_origin_is_written_down_and_its_restriction_stays(source: Path, tmp_path: Path) -> None:
    fit(tmp_path / "a", Data(0.2, restricted=False), start_from=str(source))
    checkpoint = torch.load(tmp_path / "a" / "last.ckpt", weights_only=True)
    assert checkpoint["started_from"] == {
        "network": load_stage1(source).fingerprint,
        "dataset": "hospital 0.5",
        "data_fingerprint": "f0.5",
        "image_size": 48,
        "restricted": True,
    }
    assert checkpoint["provenance"]["restricted"]
    assert load_stage1(tmp_path / "a" / "last.ckpt").restricted
    # A training resumed from this one, or started from it, has the same origin.
    first = str(tmp_path / "a" / "last.ckpt")
    fit(tmp_path / "b", Data(0.2, False), ckpt_path=tmp_path / "a" / "last.ckpt", max_epochs=2, start_from=str(source))
    fit(tmp_path / "c", Data(0.3, False), start_from=first)
    for name in "bc":
        assert load_stage1(tmp_path / name / "last.ckpt").restricted
    fit(tmp_path / "d", Data(0.3, False))
    assert not load_stage1(tmp_path / "d" / "last.ckpt").restricted


def test_a_training_that_goes_on_keeps_its_own_weights(source: Path, tmp_path: Path) -> None:
    fit(tmp_path, Data(0.2, False), start_from=str(source))
    own = torch.load(tmp_path / "last.ckpt", weights_only=True)
    resumed: list[torch.Tensor] = []

    class Watch(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            resumed.append(pl_module.state_dict()["classifier.head.bias"].clone())

    module = DiseaseClassification(**{**SETTINGS, "warmup_steps": 0, "start_from": str(source)})
    trainer = quiet_trainer(tmp_path, max_epochs=2, callbacks=[Watch(), Provenance()])
    trainer.fit(module, datamodule=Data(0.2, False), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    torch.testing.assert_close(resumed[0], own["state_dict"]["classifier.head.bias"])


def test_it_may_not_have_seen_who_judges_it(tmp_path: Path) -> None:
    """The patients of the network that it started from are refused too."""
    fit(tmp_path / "a", Data(0.5, True, train={"1", "2"}))
    first = str(tmp_path / "a" / "last.ckpt")
    fit(tmp_path / "b", Data(0.2, True, train={"3", ""}, held_out={"4"}), start_from=first)
    for folder, others in (("a", {"1", "5"}), ("b", {"2"}), ("b", {"3", "6"})):
        with pytest.raises(SettingsError, match=rf"trained on 1 of the {len(others)} patients who are validation"):
            fit(tmp_path / "c", Data(0.2, True, held_out=others), start_from=str(tmp_path / folder / "last.ckpt"))
    seen = torch.load(tmp_path / "b" / "last.ckpt", weights_only=True)["seen_patients"]
    torch.testing.assert_close(seen, id_codes(["1", "2", "3"]))
    fit(
        tmp_path / "c", Data(0.2, True, held_out={""}), start_from=str(tmp_path / "b" / "last.ckpt")
    )  # no known patient


def test_a_training_that_goes_on_or_is_tested_has_seen_what_it_saw(tmp_path: Path) -> None:
    fit(tmp_path / "a", Data(0.5, True, train={"1", "2"}))
    first = tmp_path / "a" / "last.ckpt"
    module, _ = fit(tmp_path / "b", Data(0.5, True, train={"3"}, held_out={"4"}), ckpt_path=first, max_epochs=2)
    torch.testing.assert_close(module.seen_patients, id_codes(["1", "2", "3"]))
    with pytest.raises(SettingsError, match="this checkpoint: was trained on 1 of the 2 patients"):
        fit(tmp_path / "c", Data(0.5, True, train={"3"}, held_out={"1", "4"}), ckpt_path=first, max_epochs=2)
    with pytest.raises(SettingsError, match="this checkpoint: was trained on 2 of the 2 patients"):
        quiet_trainer(tmp_path).validate(
            module, datamodule=Data(0.5, True, held_out={"1", "2"}), ckpt_path=first, weights_only=True
        )


def test_another_film_size_is_said(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path, Data(0.2, False), start_from=str(source))
    assert "films of 48 pixels)" in capsys.readouterr().out
    fit(tmp_path / "larger", Data(0.2, False, image_size=64), start_from=str(source))
    assert "films of 48 pixels; here 64)" in capsys.readouterr().out


def test_refusals(source: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.start_from: .*none.ckpt: no such checkpoint"):
        fit(tmp_path, Data(0.2, False), start_from=str(tmp_path / "none.ckpt"))
    with pytest.raises(CheckpointError, match=r"model\.start_from: .*: is a folder; name a checkpoint in it"):
        fit(tmp_path, Data(0.2, False), start_from=str(source.parent))
    with pytest.raises(CheckpointError, match=r"model\.start_from: : no such checkpoint"):
        fit(tmp_path, Data(0.2, False), start_from="")  # an unset shell variable
    wider = {"qformer": {"width": 32, "layers": 1, "heads": 4, "dropout": 0.3}}
    with pytest.raises(
        SettingsError, match=r"another architecture \(qformer\.heads: 2 there, 4 here; qformer\.width: 16 there"
    ):
        fit(tmp_path, Data(0.2, False), start_from=str(source), **wider)
    silent = torch.load(source, weights_only=True)
    del silent["seen_patients"]
    torch.save(silent, tmp_path / "silent.ckpt")
    with pytest.raises(CheckpointError, match="does not record the patients it was trained on"):
        fit(tmp_path, Data(0.2, False), start_from=str(tmp_path / "silent.ckpt"))
    torch.save([1, 2], tmp_path / "list.ckpt")
    torch.save({"state_dict": {}, "classifier_config": {}}, tmp_path / "bare.ckpt")
    for name, message in (("list", "is not the checkpoint of a training"), ("bare", "name a checkpoint of stage 1")):
        with pytest.raises(CheckpointError, match=rf"model\.start_from: .*{name}\.ckpt: .*{message}"):
            fit(tmp_path, Data(0.2, False), start_from=str(tmp_path / f"{name}.ckpt"))
    data = Data(0.2, False)
    data.fold = (1, 5)  # type: ignore[assignment]
    with pytest.raises(SettingsError, match=r"may have been trained on patients of fold 1"):
        fit(tmp_path, data, start_from=str(source))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.update(second_head=torch.zeros(2)), r"unknown: second_head; missing: nothing"),
        (lambda state: state.pop("chosen_cam"), r"unknown: nothing; missing: chosen_cam"),
        (lambda state: state.pop("terms_head.bias"), r"1 weights do not fit \(terms_head\.bias is missing there\)"),
        (lambda state: state.update({"terms_head.scale": torch.ones(1)}), r"terms_head\.scale is not known here"),
        (
            lambda state: state.update(token_bias=torch.zeros(15)),
            r"1 weights do not fit \(token_bias is \[15\] there, \[14\] here\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(source: Path, tmp_path: Path, change: Any, message: str) -> None:
    """Every weight that does not fit is an error, except a head whose loss only one of the trainings has."""
    checkpoint = torch.load(source, weights_only=True)
    change(checkpoint["state_dict"])
    torch.save(checkpoint, tmp_path / "other.ckpt")
    module = DiseaseClassification(**{**SETTINGS, "token_loss": 1.0, "report_terms": 1.0})
    with pytest.raises(CheckpointError, match=message):
        module.start_from(str(tmp_path / "other.ckpt"), Data(0.5, restricted=False))


@pytest.mark.parametrize("left", ["token_loss", "report_terms"])
def test_a_head_whose_loss_is_not_asked_for_is_left_behind(source: Path, left: str) -> None:
    module = DiseaseClassification(**{**SETTINGS, "token_loss": 1.0, "report_terms": 1.0, left: 0.0})
    kept = torch.load(source, weights_only=True)["state_dict"]
    module.start_from(str(source), Data(0.5, restricted=False))
    state = module.state_dict()
    taken = [name for name in kept if name.startswith(("classifier.", "token_bias", "terms_head.")) and name in state]
    assert len(taken) > 20
    assert all(torch.equal(state[name], kept[name]) for name in taken)

"""Stage 1: train, score and mine the disease classifier."""

from __future__ import annotations

import hashlib
from typing import Any, Literal, NamedTuple, cast

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, binary_f1_score

from ammrg.errors import AMMRGError, SettingsError
from ammrg.findings import ABNORMAL, FINDINGS, NUM_FINDINGS, POSITIVE, UNCERTAIN, UncertainPolicy
from ammrg.fingerprints import tensors_fingerprint
from ammrg.memory.regions import Region, pick_regions
from ammrg.metrics import classification as measures
from ammrg.networks.class_activation import MapMethod, activation_maps
from ammrg.networks.disease_classifier import DiseaseClassifier, HeadKind, PerQueryHead, study_logits, token_evidence
from ammrg.types import StudyBatch
from lightning_modules.optimizers import adamw_cosine

SMOOTH_TARGET = 0.7
"""What "uncertain" becomes under ``smooth``: the middle of U(0.55, 0.85) (Pham et al. 2021)."""
TOLERANCE = 15 / 224
"""By how much a peak may miss its box in the pointing game, relative to the film's side."""
MIN_POSITIVES = 10
"""With fewer validation positives a finding's threshold is its training-prevalence quantile."""


class MinedFilm(NamedTuple):
    """Regions of one film: what ``predict_step`` returns for the memory writer."""

    study_id: str
    subject_id: str
    view: int
    """Index of the film in its study."""
    regions: list[Region]


def training_targets(labels: Tensor, policy: UncertainPolicy = "ignore") -> tuple[Tensor, Tensor]:
    """Labels ``[b 14]`` (1, 0, -1, NaN) -> targets in [0, 1] and float mask (1 = teaches), both ``[b 14]``.

    Blank is negative; -1 follows the policy; an unlabelled study (14 NaN) teaches nothing.

    Raises:
        SettingsError: an unknown policy or a label outside {1, 0, -1, NaN}.
    """
    known = labels.isnan() | (labels == POSITIVE) | (labels == 0) | (labels == UNCERTAIN)
    if not known.all():
        row, finding = (~known).nonzero()[0].tolist()
        raise SettingsError(
            f"labels: {FINDINGS[finding]} of study {row} of the batch is {labels[row, finding].item()}; a label is 1, "
            "0, -1 (uncertain) or blank."
        )
    uncertain = labels == UNCERTAIN
    becomes = {"ignore": 0.0, "ones": 1.0, "zeros": 0.0, "smooth": SMOOTH_TARGET}
    if policy not in becomes:
        raise SettingsError(f"model.uncertain: found {policy!r}, must be one of {', '.join(becomes)}.")
    targets = torch.where(uncertain, torch.full_like(labels, becomes[policy]), labels.nan_to_num(0.0))
    mask = (~labels.isnan().all(dim=1, keepdim=True)).expand_as(labels)
    if policy == "ignore":
        mask = mask & ~uncertain
    return targets, mask.to(labels.dtype)


def _key(name: str) -> int:
    """A 63-bit key of an id: strings cannot be gathered over processes as tensors."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


class StudyPredictions(Metric):
    """All predictions of a split, gathered over processes; a study that a sampler repeated counts once."""

    full_state_update = False
    logits: list[Tensor]
    labels: list[Tensor]
    studies: list[Tensor]
    subjects: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("logits", "labels", "studies", "subjects"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, batch: StudyBatch) -> None:
        """Study logits ``[b 14]`` and the batch they belong to."""
        self.logits.append(logits.detach().float())
        self.labels.append(batch.labels.float())
        self.studies.append(torch.tensor([_key(name) for name in batch.study_ids], device=logits.device))
        self.subjects.append(torch.tensor([_key(name) for name in batch.subject_ids], device=logits.device))

    def compute(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Probabilities ``[n 14]``, labels ``[n 14]``, subjects ``[n]`` of the labelled studies, on the CPU; None
        where there is none."""
        if not len(self.logits):
            return None
        parts = [getattr(self, name) for name in ("logits", "labels", "studies", "subjects")]
        logits, labels, studies, subjects = (
            (torch.cat(part) if isinstance(part, list) else part).cpu() for part in parts
        )
        order = studies.argsort(stable=True)
        first = torch.ones_like(order, dtype=torch.bool)
        first[1:] = studies[order][1:] != studies[order][:-1]
        kept = order[first]
        kept = kept[~labels[kept].isnan().all(dim=1)]
        return (logits[kept].sigmoid(), labels[kept], subjects[kept]) if len(kept) else None


class PointingGame(Metric):
    """Does the peak of a positive finding's map lie in its box (Zhang et al. 2018), and would its mean map do?

    A case is a film and a positive finding that has a box on it; it is hit where the peak lies in any of its boxes,
    widened by :data:`TOLERANCE`. The baseline puts the peak of the finding's mean map (over all cases of the split,
    each map scaled to a maximum of 1) into every film.
    """

    full_state_update = False
    boxes: list[Tensor]
    keys: list[Tensor]
    peaks: list[Tensor]
    mean_maps: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("boxes", "keys", "peaks"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self.add_state("mean_maps", default=torch.zeros(NUM_FINDINGS, 0, 0), dist_reduce_fx="sum")

    def update(self, maps: Tensor, batch: StudyBatch) -> None:
        """Maps ``[v 14 gh gw]`` >= 0 of the batch's films."""
        if not self.mean_maps.numel():
            self.mean_maps = maps.new_zeros(maps.shape[1:])
        counted: set[tuple[int, int]] = set()
        for box in batch.boxes:
            study = int(batch.study_of_view[box.view])
            if box.finding not in ABNORMAL or batch.labels[study, box.finding] != POSITIVE:
                continue
            heat = maps[box.view, box.finding]
            if (box.view, box.finding) not in counted and heat.max() > 0:
                counted.add((box.view, box.finding))
                self.mean_maps[box.finding] += heat / heat.max()
            view = box.view - int((batch.study_of_view < study).sum())
            film = _key(f"{batch.study_ids[study]}|{view}")
            self.boxes.append(maps.new_tensor([[box.x0, box.y0, box.x1, box.y1]], dtype=torch.float32))
            self.keys.append(torch.tensor([[film, box.finding, _key(batch.subject_ids[study])]], device=maps.device))
            self.peaks.append(_peak(heat)[None])

    def compute(self) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """Per case: finding ``[c]``, subject ``[c]``, hit and hit of the mean map (0 or 1, ``[c]``); None without a
        case."""
        if not len(self.boxes):
            return None
        boxes, keys, peaks = (
            (torch.cat(part) if isinstance(part, list) else part).cpu() for part in (self.boxes, self.keys, self.peaks)
        )
        mean_peaks = torch.stack([_peak(heat) for heat in self.mean_maps.cpu()])[keys[:, 1]]
        cases, index = torch.unique(keys, dim=0, return_inverse=True)
        hits = torch.zeros(2, len(cases))
        for row, where in enumerate((peaks, mean_peaks)):
            inside = (where >= boxes[:, :2] - TOLERANCE) & (where <= boxes[:, 2:] + TOLERANCE)
            hits[row].scatter_reduce_(0, index, inside.all(dim=1).float(), "amax")
        return cases[:, 1], cases[:, 2], hits[0], hits[1]


def _peak(heat: Tensor) -> Tensor:
    """Map ``[gh gw]`` -> relative (x, y) of the centre of its strongest cell; NaN for a map of zeros, never a hit."""
    if heat.max() <= 0:
        return heat.new_full((2,), torch.nan, dtype=torch.float32)
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    return heat.new_tensor([(column + 0.5) / heat.shape[1], (row + 0.5) / heat.shape[0]], dtype=torch.float32)


class DiseaseClassification(LightningModule):
    """Trains :class:`DiseaseClassifier` on study labels, chooses thresholds on validation, scores, and mines regions.

    Boxes are never trained on; they score maps in the test loop, where a data set has them.

    Args:
        encoder: arguments of :class:`ammrg.networks.visual_encoder.VisualEncoder` (``config`` or ``pretrained``).
        qformer: arguments of :class:`ammrg.networks.disease_qformer.DiseaseQFormer` but ``encoder_width``.
        head: per_query (query i predicts finding i) or pooled (the published form).
        uncertain: what -1 is in the loss: ignore (left out), ones, zeros, or smooth (0.7).
        views: how the films of a study make one prediction: max or mean of their logits.
        token_loss: weight of the same loss on what the tokens say without queries
            (:func:`ammrg.networks.disease_classifier.token_evidence`), for training from scratch: it learns in fewer
            steps. 0 = off (published); needs head per_query.
        pos_weight: weight of positives in the loss, one value a finding; None = 1.
        lr: peak learning rate of Q-Former and head. encoder_lr_scale: the encoder's, relative to it.
        weight_decay: AdamW's, on matrices only.
        warmup_steps: optimizer steps of linear warm-up; then a cosine to final_lr_fraction of the peak.
        cam: how maps are made: gradcam, hirescam, attention or evidence (see
            :func:`ammrg.networks.class_activation.activation_maps`).
        test_splits: name of each test dataloader, in order.
        bootstrap: resamples of patients for the intervals in :attr:`scores`.
        regions: settings of :func:`ammrg.memory.regions.pick_regions` for mining (``per_finding``, ``share``, ...).

    Attributes:
        classifier: the network; its ``thresholds`` buffer is chosen at the end of each validation.
        scores: after ``Trainer.test``: {split: {auroc_macro, auroc: {finding}, ap_macro, ap: {finding}, f1_macro, f1:
            {finding}, ece, pointing_game, pointing_game_mean_map, pointing_game_by_finding, thresholds, studies}},
            each score {value, low, high} with a 95% interval over patients, None where undefined. Uncertain labels are
            left out of the finding's scores, blank is negative, unlabelled studies are left out.
    """

    train_prevalence: Tensor
    threshold_fallback: Tensor

    def __init__(
        self,
        encoder: dict[str, Any],
        qformer: dict[str, Any],
        head: HeadKind = "per_query",
        uncertain: UncertainPolicy = "ignore",
        views: Literal["max", "mean"] = "max",
        token_loss: float = 0.0,
        pos_weight: list[float] | None = None,
        lr: float = 1e-3,
        encoder_lr_scale: float = 1.0,
        weight_decay: float = 0.05,
        warmup_steps: int = 50,
        final_lr_fraction: float = 0.01,
        cam: MapMethod = "gradcam",
        test_splits: list[str] | None = None,
        bootstrap: int = 500,
        regions: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.scores: dict[str, dict[str, Any]] = {}
        self.configure_models()
        self.configure_losses()
        self.configure_metrics()

    def configure_models(self) -> None:
        """Builds the network from primitives; beside it, what the choice of its thresholds rests on."""
        self.classifier = DiseaseClassifier(self.hparams["encoder"], self.hparams["qformer"], self.hparams["head"])
        self.token_bias = torch.nn.Parameter(torch.zeros(NUM_FINDINGS)) if self.hparams["token_loss"] else None
        if self.token_bias is not None and not isinstance(self.classifier.head, PerQueryHead):
            raise SettingsError(
                f"model.token_loss: found {self.hparams['token_loss']} with head {self.hparams['head']!r}; it reads "
                "tokens with the weights of the per_query head. Set model.token_loss to 0."
            )
        self.register_buffer("train_prevalence", torch.full((NUM_FINDINGS,), torch.nan))
        self.register_buffer("threshold_fallback", torch.zeros(NUM_FINDINGS, dtype=torch.bool))

    def configure_losses(self) -> None:
        """Keeps the class weights as a buffer."""
        weights = self.hparams["pos_weight"]
        if weights is not None and len(weights) != NUM_FINDINGS:
            raise SettingsError(f"model.pos_weight: found {len(weights)} values, must be {NUM_FINDINGS}.")
        kept = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self.register_buffer("pos_weight", kept, persistent=False)

    def configure_metrics(self) -> None:
        """Predictions of train and validation; of each test split, with its pointing game."""
        self.test_splits: list[str] = self.hparams["test_splits"] or ["test"]
        self.predictions = torch.nn.ModuleDict(
            {name: StudyPredictions() for name in ("fit", "validation", *(f"test_{s}" for s in self.test_splits))}
        )
        self.pointing = torch.nn.ModuleDict({f"test_{s}": PointingGame() for s in self.test_splits})

    @property
    def fingerprint(self) -> str:
        """What banks and stage 2 know this network by: a hash of the classifier's weights."""
        return tensors_fingerprint(self.classifier.state_dict())

    def forward(self, batch: StudyBatch) -> Tensor:
        """Studies -> their logits ``[b 14]``."""
        return self._study_logits(self.classifier(batch.images).logits, batch)

    def _study_logits(self, logits: Tensor, batch: StudyBatch) -> Tensor:
        return study_logits(logits.float(), batch.study_of_view, len(batch.labels), self.hparams["views"])

    def _loss(self, logits: Tensor, batch: StudyBatch) -> Tensor:
        targets, mask = training_targets(batch.labels, self.hparams["uncertain"])
        losses = F.binary_cross_entropy_with_logits(
            logits, targets, weight=mask, pos_weight=cast("Tensor | None", self.pos_weight), reduction="sum"
        )
        return losses / mask.sum().clamp(min=1)

    def training_step(self, batch: StudyBatch, index: int) -> Tensor:
        """Mean loss over known labels; stops, with the ids of the batch, where it is not finite."""
        seen = self.classifier(batch.images)
        logits = self._study_logits(seen.logits, batch)
        loss = self._loss(logits, batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch.labels))
        if self.token_bias is not None:
            weight = cast(PerQueryHead, self.classifier.head).weight
            evidence = self._study_logits(token_evidence(seen.tokens.float(), weight, self.token_bias), batch)
            token_loss = self._loss(evidence, batch)
            self.log("train/token_loss", token_loss, batch_size=len(batch.labels))
            loss = loss + self.hparams["token_loss"] * token_loss
        if not loss.isfinite():
            raise AMMRGError(
                f"stage 1: the loss of step {self.global_step} is {loss.item()}, for studies "
                f"{', '.join(batch.study_ids)}. Look at these films, or lower model.lr."
            )
        self.predictions["fit"].update(logits, batch)
        return loss

    def on_train_epoch_end(self) -> None:
        """AUROC on the (augmented) training films, to stand beside validation's."""
        found = self._gather("fit")
        if found is not None:
            self._log_ranking("train", *found[:2])

    def validation_step(self, batch: StudyBatch, index: int) -> None:
        """Collects predictions and the loss."""
        logits = self(batch)
        self.predictions["validation"].update(logits, batch)
        self.log("val/loss", self._loss(logits, batch), prog_bar=True, batch_size=len(batch.labels), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Chooses the thresholds (they travel in the checkpoint), then logs AUROC and F1."""
        found = self._gather("validation")
        if found is None:
            raise AMMRGError("stage 1: no labelled study in the validation split; thresholds need some.")
        if not self.trainer.sanity_checking:
            if self.trainer.state.fn == "fit":
                self._count_training()
            self.choose_thresholds(*found[:2])
        self._log_ranking("val", *found[:2])

    def _count_training(self) -> None:
        """Prevalence of each finding in training, from the epoch so far: validation comes before the epoch's end."""
        seen = cast(StudyPredictions, self.predictions["fit"]).compute()
        if seen is not None:
            targets, mask = training_targets(seen[1])
            self.train_prevalence.copy_((targets * mask).sum(0) / mask.sum(0).clamp(min=1))

    def choose_thresholds(self, probabilities: Tensor, labels: Tensor) -> None:
        """Per finding the probability of best F1, or, below :data:`MIN_POSITIVES` positives, the quantile that calls
        as many studies positive as were in training (0.5 where that is unknown): flagged in ``threshold_fallback``.

        ``[n 14]`` each, labels as in a study.
        """
        targets, mask = training_targets(labels)
        for finding in range(NUM_FINDINGS):
            known = mask[:, finding].bool()
            values, target = probabilities[known, finding], targets[known, finding]
            fallback = int(target.sum()) < MIN_POSITIVES
            prevalence = float(self.train_prevalence[finding])
            if not fallback:
                threshold = measures.best_f1_threshold(values, target)
            elif prevalence == prevalence and len(values):
                threshold = float(values.quantile(1 - prevalence))
            else:
                threshold = 0.5
            self.classifier.thresholds[finding] = threshold
            self.threshold_fallback[finding] = fallback

    def _log_ranking(self, stage: str, probabilities: Tensor, labels: Tensor) -> None:
        targets, mask = training_targets(labels)
        thresholds = self.classifier.thresholds.cpu()
        areas, f1 = {}, []
        for finding, name in enumerate(FINDINGS):
            known = mask[:, finding].bool()
            values, truth = probabilities[known, finding], targets[known, finding].long()
            f1.append(binary_f1_score((values > thresholds[finding]).long(), truth) if len(truth) else torch.zeros(()))
            if truth.any() and not truth.all():
                areas[f"{stage}/auroc/{name}"] = binary_auroc(values, truth)
        macro = torch.stack(list(areas.values())).mean() if areas else torch.zeros(())
        # Every process has gathered the same predictions: nothing to reduce.
        self.log(f"{stage}/auroc_macro", macro.to(self.device), prog_bar=True)
        self.log_dict({name: value.to(self.device) for name, value in areas.items()})
        self.log(f"{stage}/f1_macro", torch.stack(f1).mean().to(self.device))

    def _gather(self, name: str) -> tuple[Tensor, Tensor, Tensor] | None:
        metric = cast(StudyPredictions, self.predictions[name])
        found = metric.compute()
        metric.reset()
        return found

    def test_step(self, batch: StudyBatch, index: int, dataloader_idx: int = 0) -> None:
        """Collects predictions and, where the batch has boxes, plays the pointing game."""
        name = f"test_{self._split(dataloader_idx)}"
        if batch.boxes:
            with torch.autocast(self.device.type, enabled=False):
                maps, seen = activation_maps(self.classifier, batch.images, self.hparams["cam"])
            cast(PointingGame, self.pointing[name]).update(maps, batch)
            logits = self._study_logits(seen.logits, batch)
        else:
            logits = self(batch)
        cast(StudyPredictions, self.predictions[name]).update(logits, batch)

    def _split(self, index: int) -> str:
        if index >= len(self.test_splits):
            raise SettingsError(
                f"model.test_splits: {len(self.test_splits)} names ({', '.join(self.test_splits)}) for at least "
                f"{index + 1} test dataloaders; name each."
            )
        return self.test_splits[index]

    def on_test_epoch_end(self) -> None:
        """Fills :attr:`scores` and logs the headline numbers."""
        self.scores = {}
        for split in self.test_splits:
            found = self._gather(f"test_{split}")
            if found is None:
                continue
            scores = self._classification_scores(*found)
            game = cast(PointingGame, self.pointing[f"test_{split}"])
            cases = game.compute()
            game.reset()
            if cases is not None:
                scores |= self._pointing_scores(*cases)
            self.scores[split] = scores
            for key, value in scores.items():
                if isinstance(value, dict) and value.get("value") is not None:
                    self.log(f"{split}/{key}", float(value["value"]))

    def _classification_scores(self, probabilities: Tensor, labels: Tensor, subjects: Tensor) -> dict[str, Any]:
        targets, mask = training_targets(labels)
        weights = measures.patient_weights(subjects, self.hparams["bootstrap"])
        thresholds = self.classifier.thresholds.cpu()
        columns: dict[str, list[Tensor]] = {"auroc": [], "ap": [], "f1": [], "ece": []}
        for finding in range(NUM_FINDINGS):
            known = mask[:, finding].bool()
            values, target, weight = probabilities[known, finding], targets[known, finding], weights[:, known]
            columns["auroc"].append(measures.auroc(values, target, weight))
            columns["ap"].append(measures.average_precision(values, target, weight))
            columns["f1"].append(measures.f1(values > thresholds[finding], target, weight))
            columns["ece"].append(measures.calibration_error(values, target, weight))
        scores: dict[str, Any] = {}
        for key, rows in columns.items():
            mean = measures.interval(torch.stack(rows).nanmean(0))
            if key == "ece":
                scores[key] = mean
                continue
            scores[f"{key}_macro"] = mean
            scores[key] = {name: measures.interval(row) for name, row in zip(FINDINGS, rows, strict=True)}
        scores["thresholds"] = {
            name: {"value": float(thresholds[i]), "fallback": bool(self.threshold_fallback[i])}
            for i, name in enumerate(FINDINGS)
        }
        scores["positives"] = {name: int(targets[:, i].sum()) for i, name in enumerate(FINDINGS)}
        scores["studies"] = len(labels)
        return scores

    def _pointing_scores(self, findings: Tensor, subjects: Tensor, hits: Tensor, mean: Tensor) -> dict[str, Any]:
        weights = measures.patient_weights(subjects, self.hparams["bootstrap"])

        def share(values: Tensor, rows: Tensor) -> dict[str, float | None]:
            chosen = weights[:, rows]
            return measures.interval((chosen * values[rows]).sum(1) / chosen.sum(1))

        every = torch.ones_like(findings, dtype=torch.bool)
        return {
            "pointing_game": share(hits, every),
            "pointing_game_mean_map": share(mean, every),
            "pointing_game_by_finding": {
                FINDINGS[i]: {
                    **share(hits, findings == i),
                    "mean_map": share(mean, findings == i)["value"],
                    "cases": int((findings == i).sum()),
                }
                for i in torch.unique(findings).tolist()
            },
            "cam": self.hparams["cam"],
        }

    def predict_step(self, batch: StudyBatch, index: int) -> list[MinedFilm]:
        """The regions of every film of the batch, tokens on the CPU in float32."""
        with torch.autocast(self.device.type, enabled=False):
            maps, seen = activation_maps(self.classifier, batch.images, self.hparams["cam"])
        maps, tokens = maps.float().cpu(), seen.tokens.float().cpu()
        probabilities, labels = seen.logits.float().sigmoid().cpu(), batch.labels.float().cpu()
        thresholds = self.classifier.thresholds.float().cpu()
        mined: list[MinedFilm] = []
        previous = -1
        for film, study in enumerate(batch.study_of_view.tolist()):
            view = mined[-1].view + 1 if study == previous else 0
            previous = study
            regions = pick_regions(
                maps[film],
                tokens[film],
                labels[study],
                probabilities[film],
                thresholds,
                **(self.hparams["regions"] or {}),
            )
            mined.append(MinedFilm(batch.study_ids[study], batch.subject_ids[study], view, regions))
        return mined

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what stage 2 needs to rebuild the network without a hub, and its fingerprint."""
        checkpoint["classifier_config"] = self.classifier.config
        checkpoint["classifier_fingerprint"] = self.fingerprint

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine; the encoder may have a rate of its own."""
        return adamw_cosine(
            [(self.classifier.encoder, self.hparams["encoder_lr_scale"]), (self, 1.0)],
            self.hparams["lr"],
            self.hparams["weight_decay"],
            self.hparams["warmup_steps"],
            self.trainer.estimated_stepping_batches,
            self.hparams["final_lr_fraction"],
        )

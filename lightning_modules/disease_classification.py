"""Stage 1: trains, scores and mines the disease classifier.

The file is long because it documents every setting: the command line reads names and defaults from the signature and
help texts from the docstring.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from ammrg.errors import AMMRGError, SettingsError
from ammrg.findings import NUM_FINDINGS, UncertainPolicy
from ammrg.fingerprints import id_codes, tensors_fingerprint
from ammrg.gathering import gather_all
from ammrg.memory.regions import MinedFilm
from ammrg.metrics.classification import choose_thresholds
from ammrg.metrics.epoch_ranking import rank
from ammrg.metrics.study_predictions import StudyPredictions
from ammrg.networks.class_activation import MAP_METHODS, MapMethod, compared_maps, methods_of
from ammrg.networks.disease_classifier import (
    Classification,
    DiseaseClassifier,
    HeadKind,
    PerQueryHead,
    StudyViews,
    token_evidence,
)
from ammrg.networks.film_distance import FilmDistance, TooFewFilms
from ammrg.networks.finding_loss import LossKind, prevalence, training_targets
from ammrg.networks.mining import RegionForm, RegionTokens, mine_regions
from ammrg.networks.places import PlaceSource
from ammrg.networks.stage1_settings import EncoderSettings, QFormerSettings, RegionSettings
from ammrg.sharding import shard
from ammrg.text.report_terms import NUM_TERMS
from ammrg.thresholds import is_predicted
from ammrg.types import StudyBatch
from lightning_modules import not_finite
from lightning_modules.classification_settings import check_maps, check_numbers, check_token_loss, named_splits
from lightning_modules.first_weights import read_first_weights, start_heads
from lightning_modules.mined_films import mined_films
from lightning_modules.optimizers import TrainedPart, adamw_cosine, falling_rates
from lightning_modules.place_scores import PlaceScores, frontal_targets, placed_films_loss
from lightning_modules.pointing_games import PointingGames
from lightning_modules.setting_groups import groups_as_primitives
from lightning_modules.stage1_checkpoint import classifier_weights, distance_of, refuse_earlier
from lightning_modules.stage1_losses import FindingLoss, report_terms_loss
from lightning_modules.stage1_scores import classification_scores, map_scores
from lightning_modules.stage1_start import Start, check_unseen
from lightning_modules.step_mean import StepMeans
from lightning_modules.typical_films import TypicalFilms

RARE_LOGIT = -3.0
"""First bias of the report terms: most are affirmed in about one report of twenty."""


class DiseaseClassification(LightningModule):
    """Trains :class:`DiseaseClassifier` on study labels, chooses thresholds on validation, scores, and mines regions.

    Boxes are never trained on. Where a data set has them, they score the maps in the test loop and, with ``cam: auto``,
    choose the map method on validation.

    Args:
        encoder: network that turns films into tokens (``config`` or ``pretrained``), see :class:`EncoderSettings`.
        qformer: transformer whose 14 queries ask the tokens for the findings, see :class:`QFormerSettings`.
        head: ``per_query`` (query i predicts finding i), ``untied`` (the same, with weights of its own) or ``pooled``
            (as published), see :class:`ammrg.networks.disease_classifier.DiseaseClassifier`.
        start_from: stage-1 checkpoint, trained on other data with the same sizes, that provides the first weights of
            encoder, Q-Former and heads; keep the file until the training is finished. None = start from scratch, or
            from what ``encoder`` and ``qformer`` name.
        uncertain: what an uncertain label (-1) means in the loss: ``ignore`` (left out), ``ones``, ``zeros`` or
            ``smooth`` (0.7).
        views: how the films of a study are combined into one prediction: ``max`` or ``mean`` of their logits.
        token_loss: weight, >= 0, of the same loss on the tokens without queries
            (:func:`ammrg.networks.disease_classifier.token_evidence`), which makes training from scratch faster; needs
            head ``per_query`` or ``untied``. 0 = off (as published).
        place_loss: weight, >= 0, of an auxiliary loss that teaches a head to read the side and level of each finding
            from its query, as training reports name them (:mod:`ammrg.networks.places`). 0 = no such head (as
            published).
        places_from: what that head reads: Q_f (``queries``), or the tokens in which the head of the findings sees each
            finding (``tokens``, :func:`ammrg.networks.places.tokens_of_findings`), which needs head ``per_query`` or
            ``untied``. With untied heads Q_f hardly knows where its finding is.
        report_terms: weight, >= 0, of an auxiliary loss for training from scratch: predict from the mean of a film's
            tokens which of :data:`ammrg.text.report_terms.TERMS` the study's report affirms (binary cross entropy, mean
            over terms and films). Its head is saved in checkpoints but is not a part of ``classifier``. 0 = off (as
            published).
        loss: ``cross_entropy`` or ``asymmetric``, see :func:`ammrg.networks.finding_loss.finding_loss`.
        gamma_positive: exponent that weakens easy positives in the asymmetric loss; 0 (no effect) or at least 1.
        gamma_negative: exponent that weakens easy negatives in the asymmetric loss; 0 (no effect) or at least 1.
        margin: probability, in [0, 1), below which a negative adds nothing to the asymmetric loss.
        pos_weight: weight of positive labels in the loss, 14 values > 0, one for each finding; None = 1.
        lr: peak learning rate, > 0, of the Q-Former and the heads.
        encoder_lr_scale: learning rate of the encoder as a multiple of ``lr``, >= 0.
        encoder_lr_decay: learning rate of each block of the encoder as a share, in (0, 1], of the next block's; the
            first layers of a pretrained encoder change least.
        weight_decay: AdamW's weight decay, >= 0, of matrices only.
        warmup_steps: optimizer steps of linear warm-up, >= 0, before the cosine decay; half of the run, if it is
            too short for them.
        final_lr_fraction: learning rate at the last step as a share, in [0, 1], of the peak.
        cam: map method: ``gradcam``, ``hirescam``, ``attention`` or ``evidence`` (see
            :func:`ammrg.networks.class_activation.compared_maps`), or ``auto``, which takes the winner of each
            validation's pointing game; without boxes ``auto`` is :attr:`default_cam`.
        test_splits: name of each test dataloader, in order; None = one, named ``test``.
        bootstrap: number of bootstrap resamples of patients, > 0, for the intervals in :attr:`scores`.
        region_form: how regions are picked from a map, see :func:`ammrg.networks.mining.mine_regions`.
        region_tokens: which tokens are stored for a region, see :func:`ammrg.networks.mining.mine_regions`.
        regions: settings of ``region_form``, see :class:`RegionSettings`; None = its defaults.

    Attributes:
        classifier: the network; its ``thresholds`` buffer is chosen at the end of each validation.
        scores: the scores of each split, after ``Trainer.test``: those of
            :func:`ammrg.metrics.classification.finding_scores`, the thresholds and, where the split has boxes, those of
            :func:`ammrg.metrics.pointing.pointing_scores` for the method in use (``cam``) and
            ``pointing_game_by_method``. Blank labels count as negative. Uncertain labels and unlabelled studies are
            left out.
    """

    train_prevalence: Tensor
    threshold_fallback: Tensor
    chosen_cam: Tensor

    def __init__(
        self,
        encoder: EncoderSettings,
        qformer: QFormerSettings,
        head: HeadKind = "per_query",
        start_from: str | None = None,
        uncertain: UncertainPolicy = "ignore",
        views: StudyViews = "max",
        token_loss: float = 0.0,
        place_loss: float = 0.0,
        places_from: PlaceSource = "queries",
        report_terms: float = 0.0,
        loss: LossKind = "cross_entropy",
        gamma_positive: float = 0.0,
        gamma_negative: float = 4.0,
        margin: float = 0.05,
        pos_weight: list[float] | None = None,
        lr: float = 1e-3,
        encoder_lr_scale: float = 1.0,
        encoder_lr_decay: float = 1.0,
        weight_decay: float = 0.05,
        warmup_steps: int = 50,
        final_lr_fraction: float = 0.01,
        cam: MapMethod | Literal["auto"] = "gradcam",
        test_splits: list[str] | None = None,
        bootstrap: int = 500,
        region_form: RegionForm = "windows",
        region_tokens: RegionTokens = "feature",
        regions: RegionSettings | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.hparams.update(groups_as_primitives(DiseaseClassification, self.hparams))
        check_numbers(self.hparams)
        self.scores: dict[str, dict[str, Any]] = {}
        self.means = StepMeans(self)
        self.configure_models()
        self.configure_losses()
        self.configure_maps()
        self.configure_metrics()

    _typical_films: TypicalFilms | None = None
    tokens = 0
    """Film tokens of the last training step."""
    seen_patients: Tensor = torch.empty(0, dtype=torch.int64)
    """:func:`ammrg.fingerprints.id_codes` of the patients this network was trained on, here and before."""
    film_distance: FilmDistance | TooFewFilms | None = None
    """Distance of a film from the training films; fitted at the end of each validation and saved in the checkpoint.

    None if there is no data module, or its features are not finite.
    """
    started_from: dict[str, Any] | None = None
    """Origin of the first weights, see :class:`lightning_modules.stage1_start.Start`; None = no other stage 1."""

    def configure_models(self) -> None:
        """Build the network, the heads that only training uses, and the buffers that explain the thresholds."""
        self.classifier = DiseaseClassifier(
            self.hparams["encoder"],
            self.hparams["qformer"],
            self.hparams["head"],
            self.hparams["views"],
            places=self.hparams["places_from"] if self.hparams["place_loss"] > 0 else None,
        )
        check_token_loss(self.hparams, self.classifier)
        self.token_bias = torch.nn.Parameter(torch.zeros(NUM_FINDINGS)) if self.hparams["token_loss"] else None
        self.terms_head: torch.nn.Linear | None = None
        if self.hparams["report_terms"]:
            self.terms_head = torch.nn.Linear(self.classifier.encoder.token_width, NUM_TERMS)
            torch.nn.init.constant_(self.terms_head.bias, RARE_LOGIT)
        self.register_buffer("train_prevalence", torch.full((NUM_FINDINGS,), torch.nan))
        self.register_buffer("threshold_fallback", torch.zeros(NUM_FINDINGS, dtype=torch.bool))

    def configure_model(self) -> None:
        """Shard the weights over the processes if the strategy has a device mesh (``stage1/sharded.yaml``)."""
        if self.device_mesh is not None:
            shard(self, self.classifier.layers, self.device_mesh)

    def configure_losses(self) -> None:
        """Build the loss of the findings, which checks its settings."""
        self.finding_loss = FindingLoss(self.hparams)

    def configure_maps(self) -> None:
        """Check the settings of maps and regions now, though they are first needed after training."""
        check_maps(self.hparams, self.classifier)
        self.register_buffer("chosen_cam", torch.tensor(MAP_METHODS.index(self.default_cam)))

    def configure_metrics(self) -> None:
        """Build the collectors of predictions of each split, and the pointing games of validation and test."""
        self.test_splits = named_splits(self.hparams["test_splits"])
        tests = [f"test_{split}" for split in self.test_splits]
        self.predictions = torch.nn.ModuleDict({name: StudyPredictions() for name in ("fit", "validation", *tests)})
        self.places = PlaceScores()
        self.pointing = PointingGames(
            ("validation", *tests), methods_of(self.classifier), self.classifier.encoder.cell_shift
        )

    @property
    def fingerprint(self) -> str:
        """A hash of the classifier's weights, by which memory banks and stage 2 identify this network."""
        return tensors_fingerprint(self.classifier.state_dict())

    @property
    def default_cam(self) -> MapMethod:
        """The map method of ``auto`` without boxes: the one that won on the phantom.

        ``evidence`` where the token loss trained it. Else ``hirescam`` for heads per query, and ``gradcam`` for pooled
        heads: channel weights that are averaged over the film suit heads that average.
        """
        if self.hparams["token_loss"]:
            return "evidence"
        return "gradcam" if self.hparams["head"] == "pooled" else "hirescam"

    @property
    def cam(self) -> MapMethod:
        """The map method in use: the setting's or, with ``auto``, the one chosen on validation."""
        setting = self.hparams["cam"]
        return MAP_METHODS[int(self.chosen_cam)] if setting == "auto" else cast(MapMethod, setting)

    def setup(self, stage: str) -> None:
        """Check the film size before any film is loaded, then set the first weights of a new training.

        These are the weights of ``start_from``, and heads that predict the prevalence. A resumed training loads its own
        weights afterwards.
        """
        data = getattr(self.trainer, "datamodule", None)
        side = getattr(data, "image_size", None)
        if side is not None:
            self.classifier.encoder.check_films(side)
            self.pointing.shift_cells(self.classifier.encoder.cell_shift)
        if stage == "fit":
            patients = getattr(data, "training_patients", None)
            self.seen_patients = id_codes(patients() if patients else ())
            path = self.hparams["start_from"]
            start = None if path is None else self.start_from(path, data)
            labels = getattr(data, "training_labels", None)
            if labels is not None and isinstance(self.classifier.head, PerQueryHead):
                known = torch.as_tensor(labels())
                start_heads(self.classifier.head, self.token_bias, known, self.hparams["uncertain"], start)

    def start_from(self, path: str, data: Any) -> Start:
        """Take the weights of another stage 1, and note the patients it was trained on."""
        own = self.state_dict()
        start = read_first_weights(path, self.classifier.config, own, data)
        self.load_state_dict({**own, **start.weights})
        self.started_from = start.origin
        self._have_seen(start.seen_patients)
        return start

    def _have_seen(self, patients: Tensor) -> None:
        self.seen_patients = torch.cat([self.seen_patients, patients]).unique()

    @property
    def restricted_origin(self) -> bool:
        """Whether the first weights come from restricted data, whatever this training uses."""
        return bool(self.started_from and self.started_from["restricted"])

    def forward(self, batch: StudyBatch) -> Tensor:
        """Studies -> logits ``[b 14]``."""
        return self._study_logits(self.classifier(batch.images).logits, batch)

    def _study_logits(self, logits: Tensor, batch: StudyBatch) -> Tensor:
        return self.classifier.study_logits(logits.float(), batch.study_of_view, len(batch.labels))

    def training_step(self, batch: StudyBatch, index: int) -> Tensor:
        """The batch's share of the optimizer step's mean loss over known labels, a scalar.

        Raises:
            AMMRGError: the loss is not finite; the message names the studies.
        """
        self.means.begin(batch, index, self.terms)
        counts = self.terms(batch)
        seen = self.classifier(batch.images)
        self.tokens = seen.tokens.shape[0] * seen.tokens.shape[1]
        logits = self._study_logits(seen.logits, batch)
        loss = self._share("train/loss", self.finding_loss(logits, batch), counts, batch)
        if self.token_bias is not None:
            evidence = token_evidence(seen.tokens.float(), self.classifier.finding_weights, self.token_bias)
            token_loss = self.finding_loss(self._study_logits(evidence, batch), batch)
            loss = loss + self.hparams["token_loss"] * self._share("train/token_loss", token_loss, counts, batch)
        if seen.places is not None:
            place_loss = placed_films_loss(seen.places, batch)
            self.means.log("train/place_loss", place_loss, batch)
            loss = loss + self.hparams["place_loss"] * self.means.share("train/place_loss", place_loss)
        if self.terms_head is not None:
            terms_loss = report_terms_loss(self.terms_head, seen.raw_tokens, batch)
            loss = loss + self.hparams["report_terms"] * self._share("train/terms_loss", terms_loss, counts, batch)
        if not loss.isfinite():
            not_finite.stop(self, batch, logits, loss)
        self.predictions["fit"].update(logits, batch)
        return loss

    def terms(self, batch: StudyBatch) -> dict[str, float]:
        """Number of terms that each loss of the batch averages over: known labels, affirmed findings, or films.

        It reads no pixels.
        """
        known = float(self.finding_loss.known(batch))
        found = {"train/loss": known, "train/token_loss": known, "train/terms_loss": float(len(batch.study_of_view))}
        if self.classifier.place_head is not None:
            found["train/place_loss"] = float(frontal_targets(batch)[1].affirmed.sum())
        return found

    def _share(self, name: str, loss: Tensor, counts: dict[str, float], batch: StudyBatch) -> Tensor:
        """Turn a batch's mean over ``counts[name]`` terms into its share of the step's mean; log the latter."""
        total = loss * counts[name]
        self.means.log(name, total, batch, prog_bar=name == "train/loss")
        return self.means.share(name, total)

    def on_train_epoch_end(self) -> None:
        """Log AUROC and F1 on the (augmented) training films, for comparison with validation."""
        found = self._gather("fit")
        if found is not None:
            self._log_ranking("train", *found[:2])

    def validation_step(self, batch: StudyBatch, index: int) -> None:
        """Collect predictions and the loss and, with ``cam: auto``, play the pointing games."""
        seen = self._collect("validation", batch, play=self.hparams["cam"] == "auto")
        logits = self._study_logits(seen.logits, batch)
        self.places.add(seen, batch)
        # Lightning averages weights over processes in whole numbers: multiples of their count lose nothing.
        known = max(1, int(self.finding_loss.known(batch))) * self.trainer.world_size
        self.log("val/loss", self.finding_loss(logits, batch), prog_bar=True, batch_size=known, sync_dist=True)

    def _collect(self, name: str, batch: StudyBatch, play: bool) -> Classification:
        """Predict a batch and return its films' output; with ``play`` every map method plays if there are boxes."""
        if play and batch.boxes:
            with torch.autocast(self.device.type, enabled=False):
                maps, seen = compared_maps(self.classifier, batch.images, methods_of(self.classifier))
            self.pointing.update(name, maps, batch)
        else:
            seen = self.classifier(batch.images)
        cast(StudyPredictions, self.predictions[name]).update(self._study_logits(seen.logits, batch), batch)
        return seen

    def on_validation_epoch_end(self) -> None:
        """Choose thresholds and map method, which are saved in the checkpoint, then log AUROC and F1.

        ``val/auroc_macro`` is the mean over findings with at least 10 positives and 10 negatives. If no finding has so
        many, it is the mean over all findings that have an AUROC.

        Raises:
            AMMRGError: no study of the validation split is labelled.
        """
        found = self._gather("validation")
        if found is None:
            raise AMMRGError("stage 1: no study of the validation split is labelled; choosing thresholds needs some.")
        if not self.trainer.sanity_checking:
            if self.trainer.state.fn == "fit":
                self._count_training()
                self._fit_distance()
            self.choose_thresholds(*found[:2])
        self.log_dict(self.places.choose(self.classifier))
        self.choose_cam()
        self._log_ranking("val", *found[:2])

    def _fit_distance(self) -> None:
        """Fit the film distance with the weights that were validated."""
        data = getattr(self.trainer, "datamodule", None)
        if self._typical_films is None and hasattr(data, "typical_films"):
            self._typical_films = TypicalFilms(data, alone=self.device_mesh is not None)
        if self._typical_films is not None:
            self.film_distance = self._typical_films.fit(self.classifier.encoder, self.device)

    def _count_training(self) -> None:
        """Count each finding's prevalence in the epoch so far, because validation runs before the epoch's end."""
        seen = cast(StudyPredictions, self.predictions["fit"]).compute()
        if seen is not None:
            self.train_prevalence.copy_(prevalence(seen[1]))

    def choose_thresholds(self, probabilities: Tensor, labels: Tensor) -> None:
        """Set the thresholds by :func:`ammrg.metrics.classification.choose_thresholds`.

        ``threshold_fallback`` marks the findings with too few positives to choose from.

        Args:
            probabilities: ``[n 14]`` in [0, 1].
            labels: ``[n 14]``: 1, 0, -1, NaN.
        """
        thresholds, fallback = choose_thresholds(probabilities, *training_targets(labels), self.train_prevalence.cpu())
        self.classifier.thresholds.copy_(thresholds)
        self.threshold_fallback.copy_(fallback)

    def choose_cam(self) -> None:
        """Take the map method with the most hits (the first of equals), if validation played the pointing games."""
        hits = self.pointing.hits("validation")
        for method, share in hits.items():
            self.log(f"val/pointing_game/{method}", share)
        if hits:
            self.chosen_cam.fill_(MAP_METHODS.index(max(hits, key=lambda method: hits[method])))

    def _log_ranking(self, stage: str, probabilities: Tensor, labels: Tensor) -> None:
        found = rank(probabilities, *training_targets(labels), self.classifier.thresholds.cpu())
        first = stage == "val" and self.current_epoch == 0 and not self.trainer.sanity_checking
        if found.without and first:
            rank_zero_only(print)(
                f"validation has no positive or no negative study of {', '.join(found.without)}: no AUROC there, "
                "left out of val/auroc_macro"
            )
        # Every process has gathered the same predictions: nothing to reduce.
        self.log(f"{stage}/auroc_macro", found.macro.to(self.device), prog_bar=True)
        self.log_dict({f"{stage}/auroc/{name}": area.to(self.device) for name, area in found.areas.items()})
        self.log(f"{stage}/f1_macro", found.f1_macro.to(self.device))

    def _gather(self, name: str) -> tuple[Tensor, Tensor, Tensor] | None:
        metric = cast(StudyPredictions, self.predictions[name])
        found = metric.compute()
        metric.reset()
        return found

    def test_step(self, batch: StudyBatch, index: int, dataloader_idx: int = 0) -> None:
        """Collect predictions and, if the batch has boxes, play the pointing games."""
        if dataloader_idx >= len(self.test_splits):
            raise SettingsError(
                f"model.test_splits: {len(self.test_splits)} names ({', '.join(self.test_splits)}) for at least "
                f"{dataloader_idx + 1} test dataloaders; give one name for each."
            )
        self._collect(f"test_{self.test_splits[dataloader_idx]}", batch, play=True)

    def on_test_epoch_end(self) -> None:
        """Fill :attr:`scores` and log the headline numbers: ``scores/test/auroc_macro`` and so on.

        The names differ from ``val/auroc_macro``, which compares epochs and runs and leaves rare findings out.
        """
        self.scores, resamples = {}, self.hparams["bootstrap"]
        for split in self.test_splits:
            found = self._gather(f"test_{split}")
            if found is None:
                continue
            self.scores[split] = classification_scores(
                *found, self.classifier.thresholds.cpu(), self.threshold_fallback, resamples
            ) | map_scores(self.pointing.scores(f"test_{split}", resamples), self.cam)
            for key, value in self.scores[split].items():
                if isinstance(value, dict) and value.get("value") is not None:
                    self.log(f"scores/{split}/{key}", float(value["value"]))

    def predict_step(self, batch: StudyBatch, index: int) -> list[MinedFilm]:
        """Mine the regions of every film of the batch; their tokens are float32 on the CPU."""
        with torch.autocast(self.device.type, enabled=False):
            mined, probabilities, shows = mine_regions(
                self.classifier,
                batch.images,
                batch.labels[batch.study_of_view],
                method=self.cam,
                form=self.hparams["region_form"],
                region_tokens=self.hparams["region_tokens"],
                **(self.hparams["regions"] or {}),
            )
        above = is_predicted(probabilities, self.classifier.thresholds.cpu())
        return mined_films(batch, mined, above, shows)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what stage 2 needs: the configuration that rebuilds the network, its fingerprint and its map method.

        The fingerprint is that of the weights in the checkpoint. Under weight averaging these are not the weights of
        the step.
        """
        # A run resumed within an epoch needs its predictions so far, of every process, to count the prevalence.
        checkpoint["training_predictions"] = gather_all(cast(StudyPredictions, self.predictions["fit"]).rows_so_far())
        if not checkpoint["state_dict"]:
            return  # sharded weights: only the first process collects and writes them
        checkpoint["film_distance"] = None if self.film_distance is None else self.film_distance.state()
        checkpoint["started_from"] = self.started_from
        checkpoint["seen_patients"] = self.seen_patients
        checkpoint["classifier_config"] = self.classifier.config
        checkpoint["classifier_fingerprint"] = tensors_fingerprint(classifier_weights(checkpoint["state_dict"]))
        setting = self.hparams["cam"]
        checkpoint["cam"] = MAP_METHODS[int(checkpoint["state_dict"]["chosen_cam"])] if setting == "auto" else setting

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the origin of the weights and, within an epoch of training, the predictions so far.

        Raises:
            CheckpointError: the checkpoint was written by an earlier, incompatible version.
            SettingsError: the weights were trained on patients of the validation or test split.
        """
        refuse_earlier(checkpoint, "this checkpoint of stage 1")
        self.started_from = checkpoint.get("started_from")
        self.film_distance = distance_of(checkpoint, "this checkpoint of stage 1")
        seen = checkpoint.get("seen_patients", self.seen_patients)
        kept, trainer = checkpoint.get("training_predictions", []), self._trainer
        held_out = getattr(getattr(trainer, "datamodule", None), "held_out_patients", None)
        if held_out is not None and trainer is not None and trainer.state.fn in ("fit", "validate", "test"):
            check_unseen(seen, held_out(), "this checkpoint")
        self._have_seen(seen)
        if trainer is not None and trainer.state.fn == "fit" and len(kept) == trainer.world_size:
            cast(StudyPredictions, self.predictions["fit"]).take_up(kept[self.global_rank])

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay; the encoder has its own learning rate."""
        encoder, scale = self.classifier.encoder, self.hparams["encoder_lr_scale"]
        return adamw_cosine(
            [*falling_rates(encoder, scale, self.hparams["encoder_lr_decay"]), TrainedPart(self)],
            self.hparams["lr"],
            self.hparams["weight_decay"],
            self.hparams["warmup_steps"],
            self.trainer.estimated_stepping_batches,
            self.hparams["final_lr_fraction"],
        )

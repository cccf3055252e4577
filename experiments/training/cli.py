"""``ExperimentCLI``: the Trainer's commands (fit, validate, test, predict) through LightningCLI."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, WeightAveraging
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ammrg.atomic import write_json
from ammrg.errors import CheckpointError, SettingsError
from callbacks.checkpoint_files import WholeCheckpoints, is_whole, newest_whole
from callbacks.gathered_weights import GatheredWeights
from callbacks.gpu_memory import GpuMemory
from callbacks.gradient_watch import GradientWatch
from callbacks.progress_lines import ProgressLines
from callbacks.provenance import Provenance
from callbacks.samples import Samples
from callbacks.throughput import Throughput
from datamodules.format import CARD
from datamodules.prepared import read_card
from datamodules.studies import StudyDataModule
from experiments.runs import settings as run_settings
from experiments.runs.energy import counters, kilowatt_hours
from experiments.runs.lock import locked
from experiments.runs.manifest import begin_session, git_state, write_manifest
from experiments.runs.metrics_file import ContinuedCSVLogger
from experiments.runs.output_folder import check_output_folder
from experiments.runs.precision import usable_precision
from experiments.runs.reports import write_all_reports
from experiments.runs.settings import flatten
from experiments.runs.stage import Stage
from experiments.runs.wandb_run import Mode, ended, sent_config, wandb_logger
from experiments.training.forced_settings import ForcedSettings
from experiments.training.machine import check_machine
from experiments.training.settings_parser import JoinedFile
from lightning_modules.disease_classification import DiseaseClassification
from lightning_modules.report_generation import ReportGeneration
from lightning_modules.stage1_checkpoint import read_checkpoint


class ExperimentCLI(LightningCLI):
    """A LightningCLI that keeps a run's settings, resumes it, and writes the files that end a stage.

    A fit first compares its settings with the kept ``config.yaml``. It continues from the newest whole checkpoint, and
    ends with the scores of the best checkpoint and ``manifest.json``. If the stage is finished, it changes nothing.
    """

    held = ExitStack()
    """Contexts that stay open until the command ends: the lock, the W&B run."""
    shown: dict[str, str] | None = None
    """Classes whose settings ``--help`` shows; None without ``--help``."""

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Create Lightning's parser, with files that are joined (:class:`JoinedFile`)."""
        parser = self.parser_class(**kwargs)
        parser.add_argument(
            "-c", "--config", action=JoinedFile, help="a YAML file of settings; later files override earlier ones"
        )
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the arguments, and remove from ``config`` the settings that were given as text instead of a file."""
        if self.shown:
            self._subcommand_parsers[args[0]].classes = self.shown
        super().parse_arguments(parser, args)
        chosen = self.config[self.config.subcommand]
        chosen.config = [path for path in chosen.config or [] if path is not None]

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options ``--wandb`` and ``--force_resume``."""
        parser.add_argument(
            "--wandb",
            type=Mode,
            default="auto",
            help="fit: log to Weights & Biases; auto is online with a login, else offline (wandb sync sends it later)",
        )
        parser.add_argument(
            "--force_resume",
            "--force-resume",
            action="store_true",
            help="fit: continue from the last checkpoint although settings or data have changed",
        )

    def _parse_ckpt_path(self) -> None:
        """Refuse a checkpoint of another class than the settings ask for.

        Lightning would let the checkpoint's settings override the command line: a stage-1 checkpoint given to a stage-2
        fit would train stage 1 again. Here the command line takes precedence.
        """
        command = self.config.subcommand
        path = self.config[command].get("ckpt_path")
        if not path or path in ("best", "last"):
            return
        found = read_checkpoint(path).get("hyper_parameters", {}).get("_class_path")
        requested = self.config[command].model.class_path
        if found and found.rpartition(".")[2] != requested.rpartition(".")[2]:
            raise CheckpointError(
                f"--ckpt_path={path}: holds {found.rpartition('.')[2]}, but the settings ask for "
                f"{requested.rpartition('.')[2]}. Stage 2 takes a stage-1 checkpoint as --model.stage1_checkpoint."
            )

    def _set_seed(self) -> None:
        try:
            super()._set_seed()
        except ValueError as error:
            raise SettingsError(f"seed_everything: {error}") from error

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        """Add ``--new_studies`` to ``predict``."""
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "predict":
            parser.add_argument(
                "--new_studies",
                type=bool,
                default=False,
                help="make a memory of other studies than those of the training, for `memory merge`",
            )
        return parser

    @property
    def folder(self) -> Path:
        """The stage's folder: ``trainer.default_root_dir``."""
        return Path(self.config[self.config.subcommand].trainer.default_root_dir or "outputs/run")

    def resolved(self) -> dict[str, Any]:
        """The whole configuration as plain YAML values."""
        command = self.config.subcommand
        text = self._parser(command).dump(self.config[command], skip_none=False)
        settings: dict[str, Any] = yaml.safe_load(text)
        return settings

    def before_instantiate_classes(self) -> None:
        """Write or compare ``config.yaml``, and find the checkpoint to continue from, before any weights load."""
        self.finished = self.begun = False
        command = self.config.subcommand
        check_machine(vars(self.config[command].trainer))
        encoding = command == "predict" and self.config.predict.model.class_path.endswith("ReportEncoding")
        if command == "predict" and self.config.predict.new_studies:
            self.check_new_studies()
        if command != "fit" and not encoding:
            return  # these commands read a checkpoint with the settings kept beside it
        forced = bool(self.config[command].force_resume)
        self.finished = command == "fit" and Stage(self.folder).finished and not forced
        first = int(rank_zero_only.rank or 0) == 0  # other processes only read
        if not self.finished:
            check_output_folder(self.folder)
            if first and not encoding:
                self.held.enter_context(locked(self.folder))
        last = None if encoding or self.finished else newest_whole(self.folder, aside=first)
        made = (self.folder / "reports.json").exists() if encoding else last is not None
        damaged = sorted(self.folder.glob("last*.ckpt.damaged"))
        if first:
            if damaged and not made and not self.finished:
                print(f"warning: no whole checkpoint is left in {self.folder}; the training starts again")
            if not self.finished and not made and not damaged:
                (self.folder / "config.yaml").unlink(missing_ok=True)  # left by a call that made nothing else
            if not forced:
                self.begun = not run_settings.keep(self.resolved(), self.folder)
        if encoding or self.finished:
            return
        self.going_on_from = last if self.config.fit.ckpt_path is None else None
        if self.going_on_from is not None:
            rank_zero_only(print)(f"continuing from {last}")
            self.config.fit.ckpt_path = str(last)

    def check_new_studies(self) -> None:
        """Check that ``--new_studies`` makes a memory, and not in the place of the run's own memory.

        Raises:
            SettingsError: it would write reports, or replace the run's memory.
        """
        if self.config.predict.model.class_path.endswith("ReportGeneration"):
            raise SettingsError(
                "--new_studies makes a memory of other studies, but stage 2 makes none; leave the option out"
            )
        if (self.folder / "best.ckpt").exists():
            raise SettingsError(
                f"--new_studies: {self.folder} is the run itself, whose memory would be replaced by one of the "
                "new studies only; name another folder: --trainer.default_root_dir=NEW/stage1"
            )

    def instantiate_classes(self) -> None:
        """Build data, model and Trainer, unless the stage is finished."""
        if self.finished:
            self.check_same_data()
            print(f"{self.folder} is finished, with these settings. To train again, choose another RUN=.")
            raise SystemExit(0)
        try:
            super().instantiate_classes()
        except Exception:
            if self.begun:  # if nothing can be built from the settings, there is no run to keep them for
                (self.folder / "config.yaml").unlink(missing_ok=True)
            raise

    def check_same_data(self) -> None:
        """Check that the data of a finished stage have not changed since its training.

        Raises:
            SettingsError: the folder now holds other data.
        """
        card = Path(self.config.fit.data.init_args.folder) / CARD
        if not card.is_file():
            return
        trained = Stage(self.folder).manifest.get("data")
        found = read_card(card.parent)["fingerprint"]
        if trained not in (None, found):
            raise SettingsError(
                f"{self.folder} is finished, on data {trained}, but {card.parent} holds data {found} now; prepare the "
                "same data again, or choose another RUN="
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the Trainer with a precision that this machine supports, and the plugins and callbacks of every run."""
        requested = self.config[self.config.subcommand].trainer
        self.precision = usable_precision(str(requested.precision or "32-true"), str(requested.accelerator))
        plugins: list[Any] = [WholeCheckpoints(), *(self._get(self.config_init, "trainer").plugins or [])]
        if SLURMEnvironment.detect():
            plugins.append(
                SLURMEnvironment(auto_requeue=False)
            )  # RunCheckpoint saves, and the job script queues the job again
        options: dict[str, Any] = {"precision": self.precision, "plugins": plugins}
        sharded = isinstance(self.strategy, ModelParallelStrategy)
        if sharded and self.precision == "16-mixed":
            raise SettingsError("trainer.precision: found 16-mixed, but sharded training takes 32-true or bf16-mixed")
        if sharded and not isinstance(self.model, DiseaseClassification):
            raise SettingsError("trainer.strategy: stage1/sharded.yaml shards stage 1 alone; leave it out here")
        if torch.cuda.is_available() and requested.accelerator != "cpu":
            options["sync_batchnorm"] = True  # batch statistics over all processes; torch cannot do this on CPUs
        if self.config.subcommand != "fit" and sharded:
            options["strategy"] = "auto"  # only training needs sharding; the weights alone fit on one GPU
        trainer = super().instantiate_trainer(**options, **kwargs)
        if self.config.subcommand == "fit":
            self.equip(trainer)
        if trainer.is_global_zero and not sys.stdout.isatty():
            trainer.callbacks.append(ProgressLines())  # type: ignore[attr-defined]
        return trainer

    @property
    def strategy(self) -> Any:
        """The strategy in the settings: a name or an object."""
        return self._get(self.config_init, "trainer").strategy

    def before_predict(self) -> None:
        """With ``--new_studies``, let other data pass the check against the checkpoint's."""
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Provenance):
                callback.new_studies = self.config.predict.new_studies

    def equip(self, trainer: Trainer) -> None:
        """Add the loggers and the watching callbacks that every fit has."""
        from_step = read_checkpoint(self.going_on_from)["global_step"] if self.going_on_from else 0
        card = self.datamodule.card
        self.wandb = wandb_logger(self.folder, self.config.fit.wandb, card["restricted"])
        self.held.enter_context(ended(self.wandb))
        if self.wandb is not None and trainer.is_global_zero:
            code = git_state()
            facts = {"dataset": card["dataset"], "data_fingerprint": card["fingerprint"], **code}
            self.wandb.log_hyperparams(sent_config({**dict(flatten(self.resolved())), **facts}, card["restricted"]))
        others = [*trainer.loggers, self.wandb]
        trainer.loggers = [ContinuedCSVLogger(str(self.folder), from_step), *filter(None, others)]
        if trainer.is_global_zero:
            begin_session(self.folder, from_step)
        rates = LearningRateMonitor(logging_interval="step")
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        if isinstance(self.strategy, ModelParallelStrategy) and any(isinstance(c, WeightAveraging) for c in callbacks):
            raise SettingsError(
                "trainer.callbacks: AveragedWeights keeps a copy of the network, which sharded training cannot make; "
                "leave out either this callback or stage1/sharded.yaml"
            )
        if self.config.fit.force_resume and trainer.is_global_zero:
            callbacks.append(ForcedSettings(self.resolved(), self.folder))
        callbacks[:0] = [GatheredWeights(), GradientWatch(), GpuMemory(), Throughput(), Samples(), rates]
        for part in (*callbacks, self.datamodule):
            if isinstance(part, Provenance | StudyDataModule):
                part.forced = bool(self.config.fit.force_resume)

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the command; report Ctrl-C as ``KeyboardInterrupt``, where Lightning would only exit with status 1."""
        try:
            super()._run_subcommand(subcommand)
        except SystemExit:
            if self.trainer.interrupted:
                raise KeyboardInterrupt from None
            raise
        except RuntimeError as error:
            if "loading state_dict" not in str(error):
                raise
            raise CheckpointError(
                f"the checkpoint's weights do not fit the network of these settings; undo the change. {error}"
            ) from error

    def before_fit(self) -> None:
        """Start the clock and read the energy counters, for the manifest."""
        self.started, self.energy = time.time(), counters()

    def after_fit(self) -> None:
        """Test the best checkpoint if the stage has scores of its own, then write the manifest."""
        self.say_early_end()
        best = Stage(self.folder).checkpoint
        if not is_whole(best):
            raise CheckpointError(
                f"{best}: missing or damaged, and no epoch is left to train; start a new RUN=, or continue with more "
                "epochs (--trainer.max_epochs=... --force-resume)"
            )
        facts: dict[str, Any] = {"seed": self.config.fit.seed_everything, "wall_seconds": time.time() - self.started}
        facts["precision"] = self.precision
        facts["data"] = self.datamodule.card["fingerprint"]
        facts["kilowatt_hours"] = kilowatt_hours(self.energy, counters())
        if isinstance(self.model, ReportGeneration):
            facts["memories"] = self.model.network.identity
        if hasattr(self.model, "test_splits"):
            self.trainer.test(
                self.model, datamodule=self.datamodule, ckpt_path=str(best), weights_only=True, verbose=False
            )
            if self.trainer.is_global_zero:
                write_json(self.folder / "scores.json", self.model.scores)
        if self.trainer.is_global_zero:
            write_manifest(self.folder, best=self.best_score(), epochs=self.trainer.current_epoch, **facts)

    def say_early_end(self) -> None:
        """Say why there were fewer epochs than asked for, if a score had stopped rising."""
        for callback in self.trainer.early_stopping_callbacks:
            if callback.wait_count >= callback.patience:
                done, most = self.trainer.current_epoch, self.trainer.max_epochs
                rank_zero_only(print)(
                    f"stopped after {done} of {most} epochs: {callback.monitor} did not get better in the last "
                    f"{callback.wait_count} (best {float(callback.best_score):.3f})"
                )

    def best_score(self) -> dict[str, float]:
        """The validation score by which the best checkpoint was chosen."""
        callback = next((c for c in self.trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)), None)
        if callback is None or callback.best_model_score is None or callback.monitor is None:
            return {}
        return {callback.monitor: float(callback.best_model_score)}

    def after_predict(self) -> None:
        """After the reports of stage 2, write the baselines and guards beside them."""
        if isinstance(self.model, ReportGeneration):
            write_all_reports(self.trainer, self.model, self.datamodule, self.folder.parent)

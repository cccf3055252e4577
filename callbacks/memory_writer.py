"""Memory banks from ``Trainer.predict``: any number of processes, one code path, one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from ammrg.errors import MemoryBankError
from ammrg.findings import FINDINGS, NUM_FINDINGS
from ammrg.gathering import gather_once
from ammrg.memory.bank import BankMeta, MemoryBank
from ammrg.memory.bank_files import bank_paths, load, save
from ammrg.memory.editing import WITHDRAWN, merge_duplicates
from ammrg.memory.held_out import Unchecked
from ammrg.memory.regions import MinedFilm
from ammrg.memory.selection import Method, ReportMethod, select, select_reports

NO_BOX = (float("nan"),) * 4


class MemoryWriter(Callback):
    """What the writers of both banks share: predictions are gathered, and the first process writes them.

    Args:
        folder: where the banks go; None = the run's ``memory`` folder.
        seed: of the selection.
    """

    kind = ""

    def __init__(self, folder: str | None = None, seed: int = 0) -> None:
        self.folder, self.seed = folder, seed
        self.collected: list[tuple[str, Any]] = []

    def bank_path(self, trainer: Trainer) -> Path:
        """The bank's path without suffix."""
        root = Path(trainer.default_root_dir)
        folder = Path(self.folder) if self.folder else (root if root.name == "memory" else root.parent / "memory")
        return folder / self.kind

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Only the training split may be remembered."""
        split = trainer.datamodule.predict_split  # type: ignore[attr-defined]
        if split != "train":
            raise MemoryBankError(f"data.predict_split is '{split}': a memory is built from the training split only")
        self.check_no_withdrawal(self.bank_path(trainer))
        self.collected = []

    def check_no_withdrawal(self, path: Path) -> None:
        """Refuse to replace a memory from which someone was withdrawn, for the new one would hold them again.

        Raises:
            MemoryBankError: the memory that would be replaced is such a one.
        """
        try:
            edits = load(path, Unchecked("it is only asked what was withdrawn from it")).meta.edits
        except MemoryBankError:  # none there, or one that is broken and may well be made anew
            return
        if withdrawn := [edit.what for edit in edits if edit.what.startswith(WITHDRAWN)]:
            raise MemoryBankError(
                f"{bank_paths(path)[1]}: studies were taken out of this memory ({withdrawn[-1]}), and a new one would "
                "hold them again; take them out of the data too and use another RUN=, or remove the memory yourself"
            )

    def meta(self, trainer: Trainer, pl_module: LightningModule, selection: str) -> BankMeta:
        """What the bank belongs to."""
        card = trainer.datamodule.card  # type: ignore[attr-defined]
        return BankMeta(
            kind=self.kind,  # type: ignore[arg-type]
            encoder_fingerprint=pl_module.fingerprint,  # type: ignore[arg-type]
            data_fingerprint=card["fingerprint"],
            split="train",
            seed=self.seed,
            selection=selection,
            restricted=card["restricted"],
        )

    def write(self, trainer: Trainer, bank: MemoryBank, summary: str) -> None:
        """Save the bank and say what it holds."""
        path = self.bank_path(trainer)
        save(bank, path)
        print(f"{bank_paths(path)[0]}: {len(bank)} patterns of width {bank.width}; {summary}")


class RegionMemoryWriter(MemoryWriter):
    """Region memory: the 14 disease queries and, per finding, chosen regions of training films.

    Args:
        maps_num: at most so many regions per finding (published: 500).
        selection: ``coreset``, ``random`` (published) or ``proportional``.
        folder: where the bank goes; None = the run's ``memory`` folder.
        seed: of the selection.
    """

    kind = "regions"

    def __init__(
        self, maps_num: int = 500, selection: Method = "coreset", folder: str | None = None, seed: int = 0
    ) -> None:
        super().__init__(folder, seed)
        self.maps_num, self.selection = maps_num, selection
        self.films: list[MinedFilm] = []
        """What the last pass mined, on the first process: the memory was chosen from it."""

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the mined films of the batch."""
        self.collected += [(f"{film.study_id}|{film.view:03d}", film) for film in outputs]

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose and save."""
        films: list[MinedFilm] = list(gather_once(self.collected).values())
        self.collected = []
        if not trainer.is_global_zero:
            return
        self.films = films
        mined = [(film, region) for film in films for region in film.regions]
        if not mined:
            raise MemoryBankError(
                f"no region was mined from {len(films)} training films: no positive finding is predicted above its "
                "threshold; train stage 1 longer"
            )
        tokens = torch.stack([region.token for _, region in mined]).float()
        findings = torch.tensor([region.finding for _, region in mined])
        rows = select(tokens, findings, per_finding=self.maps_num, method=self.selection, seed=self.seed).tolist()
        queries = pl_module.classifier.qformer.disease_queries.detach().float().cpu()  # type: ignore[union-attr]
        chosen = [mined[row] for row in rows]
        bank = MemoryBank(
            patterns=torch.cat([queries, tokens[rows]]),
            study_ids=((),) * NUM_FINDINGS + tuple((film.study_id,) for film, _ in chosen),
            subject_ids=((),) * NUM_FINDINGS + tuple((film.subject_id,) for film, _ in chosen),
            findings=torch.cat([torch.arange(NUM_FINDINGS), findings[rows]]),
            boxes=torch.tensor([NO_BOX] * NUM_FINDINGS + [region.box for _, region in chosen]),
            views=torch.tensor([-1] * NUM_FINDINGS + [film.view for film, _ in chosen]),
            texts=("",) * (NUM_FINDINGS + len(chosen)),
            scores=torch.tensor([1.0] * NUM_FINDINGS + [region.score for _, region in chosen]),
            meta=self.meta(trainer, pl_module, self.selection),
        )
        counts = Counter(region.finding for _, region in chosen)
        listed = ", ".join(f"{FINDINGS[i]} {counts[i]}" for i in sorted(counts))
        flat = Counter(finding for film in films for finding in film.flat)
        said = "".join(
            f"; {flat[i]} maps of {FINDINGS[i]} show no place (the same everywhere, or NaN) and gave none"
            for i in sorted(flat)
        )
        summary = f"14 disease queries and {len(chosen)} of {len(mined)} regions mined ({listed}){said}"
        self.write(trainer, bank, summary)


class ReportMemoryWriter(MemoryWriter):
    """Report memory: one pattern for each distinct training report.

    Its owners are all studies with that report, those that were not chosen too. Owners decide whether a study may
    recall the pattern, and whether it stays when a study is withdrawn.

    Args:
        reports_num: at most so many studies (published: 6,000).
        selection: ``balanced`` over findings, or ``proportional`` (published).
        folder: where the bank goes; None = the run's ``memory`` folder.
        seed: of the selection.
    """

    kind = "reports"

    def __init__(
        self, reports_num: int = 6000, selection: ReportMethod = "balanced", folder: str | None = None, seed: int = 0
    ) -> None:
        super().__init__(folder, seed)
        self.reports_num, self.selection = reports_num, selection

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the encoded reports of the batch, one entry a study."""
        rows = zip(outputs.study_ids, outputs.subject_ids, outputs.texts, outputs.labels, outputs.patterns, strict=True)
        self.collected += [(row[0], row) for row in rows if row[2]]

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose, merge duplicates (all owners kept, those not chosen too) and save."""
        rows: Sequence[Any] = list(gather_once(self.collected).values())
        self.collected = []
        if not trainer.is_global_zero:
            return
        if not rows:
            raise MemoryBankError("no training study has a report: the report memory would be empty")
        labels = torch.stack([row[3] for row in rows])
        chosen = select_reports(labels, total=self.reports_num, method=self.selection, seed=self.seed).tolist()
        texts = {rows[i][2] for i in chosen}
        alike = [i for i in sorted(set(range(len(rows))) - set(chosen)) if rows[i][2] in texts]
        kept = [rows[i] for i in chosen + alike]
        count = len(kept)
        bank = merge_duplicates(
            MemoryBank(
                patterns=torch.stack([row[4] for row in kept]).float(),
                study_ids=tuple((row[0],) for row in kept),
                subject_ids=tuple((row[1],) for row in kept),
                findings=torch.full((count,), -1),
                boxes=torch.tensor([NO_BOX] * count),
                views=torch.full((count,), -1),
                texts=tuple(row[2] for row in kept),
                scores=torch.ones(count),
                meta=self.meta(trainer, pl_module, self.selection),
            )
        )
        summary = f"{len(chosen)} of {len(rows)} studies chosen, {count} have one of their {len(bank)} different texts"
        self.write(trainer, bank, summary)

"""Writes the memory banks from the results of ``Trainer.predict``, whatever the number of processes."""

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
from ammrg.memory.bank import PLACE_ELEMENTS, BankMeta, MemoryBank
from ammrg.memory.bank_files import bank_paths, load, save
from ammrg.memory.editing import WITHDRAWN, merge_duplicates
from ammrg.memory.held_out import Unchecked
from ammrg.memory.regions import MinedFilm
from ammrg.memory.selection import Method, ReportMethod, select, select_reports

NO_BOX = (float("nan"),) * 4
UNKNOWN_PLACE = (False,) * PLACE_ELEMENTS


class MemoryWriter(Callback):
    """Base of the bank writers: predictions are gathered from all processes, and the first process writes them.

    Args:
        folder: folder of the banks; None = the run's ``memory`` folder.
        seed: seed of the selection.
    """

    kind = ""
    name = ""
    """File name of the bank; empty = its kind."""

    def __init__(self, folder: str | None = None, seed: int = 0) -> None:
        self.folder, self.seed = folder, seed
        self.collected: list[tuple[str, Any]] = []

    def bank_path(self, trainer: Trainer) -> Path:
        """The bank's path, without suffix."""
        root = Path(trainer.default_root_dir)
        folder = Path(self.folder) if self.folder else (root if root.name == "memory" else root.parent / "memory")
        return folder / (self.name or self.kind)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse any split but the training split, and refuse to replace a memory with withdrawn studies.

        Raises:
            MemoryBankError: ``data.predict_split`` is not ``train``; or see :meth:`check_no_withdrawal`.
        """
        split = trainer.datamodule.predict_split  # type: ignore[attr-defined]
        if split != "train":
            raise MemoryBankError(f"data.predict_split is '{split}': a memory is built from the training split only")
        self.check_no_withdrawal(self.bank_path(trainer))
        self.collected = []

    def check_no_withdrawal(self, path: Path) -> None:
        """Refuse to replace a memory from which studies were withdrawn: the new one would contain them again.

        Raises:
            MemoryBankError: studies were withdrawn from the memory at ``path``.
        """
        try:
            edits = load(path, Unchecked("only its list of withdrawals is read")).meta.edits
        except MemoryBankError:  # there is none, or a broken one, which may be replaced
            return
        if withdrawn := [edit.what for edit in edits if edit.what.startswith(WITHDRAWN)]:
            raise MemoryBankError(
                f"{bank_paths(path)[1]}: studies were withdrawn from this memory ({withdrawn[-1]}), and a new one "
                "would contain them again; remove them from the data too and use another RUN=, or delete the memory "
                "yourself"
            )

    def meta(self, trainer: Trainer, pl_module: LightningModule, selection: str) -> BankMeta:
        """The bank's metadata: its kind, the encoder and the data it belongs to, and how it was selected."""
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
        """Save the bank and print what it contains."""
        path = self.bank_path(trainer)
        save(bank, path)
        print(f"{bank_paths(path)[0]}: {len(bank)} patterns of width {bank.width}; {summary}")


class RegionMemoryWriter(MemoryWriter):
    """Writes the region memory: the 14 disease queries and, for each finding, selected regions of training films.

    Args:
        maps_num: most regions of each finding (as published: 500).
        selection: how regions are selected: ``coreset``, ``random`` (as published) or ``proportional``.
        folder: folder of the bank; None = the run's ``memory`` folder.
        seed: seed of the selection.
    """

    kind = "regions"

    def __init__(
        self, maps_num: int = 500, selection: Method = "coreset", folder: str | None = None, seed: int = 0
    ) -> None:
        super().__init__(folder, seed)
        self.maps_num, self.selection = maps_num, selection
        self.films: list[MinedFilm] = []
        """The films of the last pass with all mined regions, on the first process; the memory is selected from them."""

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
        """Select the regions and save the bank, on the first process.

        Raises:
            MemoryBankError: no region was mined.
        """
        films: list[MinedFilm] = list(gather_once(self.collected).values())
        self.collected = []
        if not trainer.is_global_zero:
            return
        self.films = films
        mined = [(film, region) for film in films for region in film.regions]
        if not mined:
            raise MemoryBankError(
                f"no region was mined from {len(films)} training films: no finding of their reports is predicted above "
                "its threshold; train stage 1 longer (trainer.max_epochs) or on more studies"
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
            texts=("",) * NUM_FINDINGS + tuple(region.text for _, region in chosen),
            scores=torch.tensor([1.0] * NUM_FINDINGS + [region.score for _, region in chosen]),
            places=torch.tensor(
                [UNKNOWN_PLACE] * NUM_FINDINGS + [region.place or UNKNOWN_PLACE for _, region in chosen]
            ),
            meta=self.meta(trainer, pl_module, self.selection),
        )
        counts = Counter(region.finding for _, region in chosen)
        listed = ", ".join(f"{FINDINGS[i]} {counts[i]}" for i in sorted(counts))
        flat = Counter(finding for film in films for finding in film.flat)
        skipped = "".join(
            f"; {flat[i]} maps of {FINDINGS[i]} show no place (constant or NaN) and gave no region"
            for i in sorted(flat)
        )
        summary = f"14 disease queries and {len(chosen)} of {len(mined)} regions mined ({listed}){skipped}"
        self.write(trainer, bank, summary)


class ReportMemoryWriter(MemoryWriter):
    """Writes the report memory: one pattern for each distinct training report.

    The owners of a pattern are all studies with that report, selected or not. Owners decide which studies may recall
    the pattern, and whether it stays when a study is withdrawn.

    Args:
        reports_num: most studies that are selected (as published: 6,000).
        selection: how studies are selected: ``balanced`` over findings, or ``proportional`` (as published).
        folder: folder of the bank; None = the run's ``memory`` folder.
        seed: seed of the selection.
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
        """Keep the encoded reports of the batch, one entry for each study with a report."""
        rows = zip(outputs.study_ids, outputs.subject_ids, outputs.texts, outputs.labels, outputs.patterns, strict=True)
        self.collected += [(row[0], row) for row in rows if row[2]]

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Select studies, merge equal reports with all their owners, and save the bank, on the first process.

        Raises:
            MemoryBankError: no training study has a report.
        """
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
        summary = f"{len(chosen)} of {len(rows)} studies selected; {count} have one of their {len(bank)} distinct texts"
        self.write(trainer, bank, summary)

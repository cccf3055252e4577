"""The network of stage 2: films and two associative memories -> a report and its reasons.

What the language model reads in its user turn, each stream with its own norm and projection and each on or off:
image tokens of all films (with a marker of the projection), Q_f, what Q_f recalls from the visual memory, what Q_f
recalls from the report memory; then the instruction (Wang et al. 2026, section III).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn

from ammrg.errors import SettingsError
from ammrg.findings import FINDINGS
from ammrg.fingerprints import tensors_fingerprint
from ammrg.memory.bank import MemoryBank
from ammrg.memory.candidates import Candidates
from ammrg.memory.owners import Exclude
from ammrg.networks.associative_memory import (
    SILENT,
    AssociativeMemory,
    Memories,
    candidates_for,
    required_bank,
    retrieval_for,
)
from ammrg.networks.attribution import attributions
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.evaluating import evaluating
from ammrg.networks.hopfield import HopfieldRetrieval
from ammrg.networks.instructions import embedded_names, instructions, thresholds_of_prevalence
from ammrg.networks.language_model import LanguageModel, TargetLosses
from ammrg.networks.state_dicts import load_strictly, save_only
from ammrg.networks.trained_parts import STAGE1, Part, TrainedParts
from ammrg.networks.visual_prompt import (
    PROJECTIONS,
    SeenFilms,
    VisualPrompt,
    VisualStream,
    pooled_tokens,
    projection_numbers,
    speaking_queries,
)
from ammrg.text.abnormal_spans import abnormal_spans
from ammrg.text.prompts import INSTRUCTION, template_fields
from ammrg.thresholds import is_predicted
from ammrg.types import Attribution, GeneratedReport, StudyBatch


class ReportNetwork(nn.Module):
    """Stage 1's network, two memories and a language model, joined by what stage 2 trains.

    Args:
        classifier: stage 1's network with its weights.
        language_model: frozen, with or without LoRA.
        visual_bank: region patterns in the classifier's space; None where ``visual_memory`` is off.
        report_bank: report patterns of any width; None where ``report_memory`` is off.
        image_tokens, query_tokens, visual_memory, report_memory: which streams the language model reads.
        pool_image_tokens: average each film's token grid to at most this many a side; None: all tokens.
        hopfield: settings of both :class:`HopfieldRetrieval` (``association_width``, ``heads``, ``beta``, ...).
        two_step: ``{candidates, visited, lists, folder}``: associate each state and head with so many patterns that an
            approximate search finds (:class:`FaissSearch`; needs the extra ``scale``), for memories too large to
            associate with every pattern; None associates with all.
        exclude_self: whose own patterns a study may not recall; see :func:`ammrg.memory.bank.owners_mask`. It holds
            outside training too, where no stored pattern should be the study's own anyway.
        instruction: what follows the visual tokens in the user turn; a template that may name ``{findings}`` and
            ``{indication}`` (see :mod:`ammrg.text.prompts`).
        max_report_tokens: longer training reports are cut at a sentence end.
        finding_tokens: add to the Q_f token of finding i a learned embedding, at the start that of the finding's
            name in the language model's own words, times the finding's probability (0.5 at its threshold).
        freeze: parts that are never trained; stage 1's are in eval mode, and in no state dict where both are frozen.
        associations: how many stored patterns of each memory are named with a report.

    Of a study with several films, the Q_f of finding i is that of the film that speaks for it, the one with the
    highest logit i (for "No Finding" the lowest): an average would blur a sign that one projection alone shows. Its
    probabilities are the classifier's own of a study.

    Raises:
        SettingsError: every stream off, a stream without its bank, region patterns of another width than Q_f, an
            unknown part or field of the instruction.
    """

    naming_thresholds: Tensor
    """float32 ``[14]``: probabilities above which the instruction names a finding; stage 1's until told otherwise."""

    def __init__(
        self,
        classifier: DiseaseClassifier,
        language_model: LanguageModel,
        visual_bank: MemoryBank | None,
        report_bank: MemoryBank | None,
        *,
        image_tokens: bool = True,
        query_tokens: bool = True,
        visual_memory: bool = True,
        report_memory: bool = True,
        pool_image_tokens: int | None = None,
        hopfield: Mapping[str, Any] | None = None,
        two_step: Mapping[str, Any] | None = None,
        exclude_self: Exclude = "patient",
        instruction: str = INSTRUCTION,
        max_report_tokens: int = 128,
        finding_tokens: bool = False,
        freeze: Sequence[Part] = ("encoder", "qformer"),
        associations: int = 5,
    ) -> None:
        super().__init__()
        known = ReportNetwork.__init__.__kwdefaults__ or {}
        self.config: dict[str, Any] = {name: value for name, value in locals().items() if name in known}
        """The settings, as primitives: what builds this network again from its parts."""
        self.decoding: dict[str, Any] = {}
        """How :meth:`generate` decodes unless told otherwise; an exported network brings its run's."""
        if finding_tokens and not query_tokens:
            raise SettingsError("finding_tokens adds to the tokens of Q_f, but query_tokens is off")
        self.classifier = classifier
        self.language_model = language_model
        self.pool_image_tokens = pool_image_tokens
        self.exclude_self: Exclude = exclude_self
        self.instruction = instruction
        self.max_report_tokens = max_report_tokens
        template_fields(instruction)  # an unknown field is an error now, not at the first study
        self.associations = associations
        self.visual_bank = required_bank(visual_bank, "visual_memory") if visual_memory else None
        self.report_bank = required_bank(report_bank, "report_memory") if report_memory else None

        width, scale = classifier.width, language_model.embedding_scale()
        width_of = {"image": classifier.encoder.token_width, "query": width, "visual": width, "report": width}
        wanted = {"image": image_tokens, "query": query_tokens, "visual": visual_memory, "report": report_memory}
        if not any(wanted.values()):
            raise SettingsError("every stream of visual tokens is off: the language model would see no film")
        named = (name for name, is_on in wanted.items() if is_on)
        self.streams = nn.ModuleDict({n: VisualStream(width_of[n], language_model.width, scale) for n in named})
        if image_tokens:
            self.projection_marks = nn.Parameter(torch.randn(len(PROJECTIONS), language_model.width) * 0.1)
        if finding_tokens:
            self.finding_names = nn.Parameter(embedded_names(language_model) / scale)
        self.retrievals = nn.ModuleDict()
        self.candidates: dict[str, Candidates] = {}
        for name, bank in (("visual", self.visual_bank), ("report", self.report_bank)):
            if bank is None:
                continue
            if name == "visual" and bank.width != width:
                raise SettingsError(
                    f"the region patterns are {bank.width} wide, this classifier's tokens {width}: mine them again"
                )
            self.register_buffer(f"{name}_patterns", bank.patterns.clone(), persistent=False)
            self.register_buffer(f"{name}_findings", bank.region_findings.clone(), persistent=False)
            self.retrievals[name] = retrieval_for(bank, width, hopfield or {})
            if two_step is not None:
                self.candidates[name] = candidates_for(bank, two_step)
        self.register_buffer("naming_thresholds", classifier.thresholds.clone())
        self._classifier_given = tensors_fingerprint(classifier.state_dict())
        modules: dict[Part, nn.Module] = {
            "encoder": classifier.encoder,
            "qformer": classifier,
            "memories": self.retrievals,
            "lora": language_model,
            "projections": self,
        }
        self.parts = TrainedParts(modules, freeze)
        if self.parts.frozen >= STAGE1:
            save_only(self, lambda key: not key.startswith("classifier."))
        self.train(self.training)

    def activate(self, parts: Iterable[Part], inactive_in_graph: bool = False) -> None:
        """Train these parts alone until told otherwise; see :meth:`TrainedParts.activate`."""
        self.parts.activate(parts, inactive_in_graph)
        self.train(self.training)

    def train(self, mode: bool = True) -> ReportNetwork:
        """Training mode for what is trained; of stage 1, what is frozen or inactive stays in eval mode."""
        super().train(mode)
        if "qformer" not in self.parts.active:
            self.classifier.eval()
            self.classifier.encoder.train(mode)
        if "encoder" not in self.parts.active:
            self.classifier.encoder.eval()
        return self

    # From films to tokens --------------------------------------------------------------------------------------

    def see(self, images: Tensor) -> SeenFilms:
        """Stage 1 on uint8 films ``[v 1 h w]``, with a graph only where a part of it is trained."""
        wanted = torch.is_grad_enabled()
        with torch.set_grad_enabled(wanted and "encoder" in self.parts.in_graph):
            tokens, grid = self.classifier.encoder(images)
        with torch.set_grad_enabled(wanted and bool(self.parts.in_graph & STAGE1)):
            said = self.classifier.classify(tokens, grid)
        return SeenFilms(said.logits, said.queries, tokens, grid)

    def prompt(
        self,
        batch: StudyBatch,
        memories: Memories = "own",
        associations: int = 0,
        seen: SeenFilms | None = None,
        named: Tensor | None = None,
        hidden_from: StudyBatch | None = None,
    ) -> VisualPrompt:
        """All that the language model is shown for each study.

        Args:
            batch: studies with their films.
            memories: see :data:`Memories`.
            associations: how many stored patterns to name for each query; none while training (quicker).
            seen: what stage 1 says of the batch's films, where that is known; they are not looked at then.
            named: bool ``[b 14]``, the findings that the instruction names; default :meth:`names`.
            hidden_from: b studies that may not recall their own patterns either: those whose films a batch shows, where
                they are not its own.

        Raises:
            SettingsError: ``shuffled`` memories of a batch without partners.
        """
        if seen is None:
            seen = self.see(batch.images)
        studies = len(batch.study_ids)
        logits = self.classifier.study_logits(seen.logits, batch.study_of_view, studies)
        queries = speaking_queries(seen, batch.study_of_view, studies)  # [b 14 q]
        asking, hidden, states = batch, hidden_from, queries
        if memories == "shuffled":
            if batch.partner is None:
                raise SettingsError("shuffled memories are another patient's: the batch brings no partners")
            asking, hidden = batch.partner, batch
            states = speaking_queries(self.see(asking.images), asking.study_of_view, studies)
        recalled = {name: self.memory(name).recall(states, asking, associations, hidden) for name in self.retrievals}
        shared = []  # streams with the same number of tokens for every study
        if "query" in self.streams:
            shared.append(self.streams["query"](queries, self._named_findings(logits)))
        for name, retrieval in recalled.items():
            tokens = self.streams[name](retrieval.tokens)
            shared.append(torch.zeros_like(tokens) if name in SILENT.get(memories, ()) else tokens)
        films = self._image_tokens(seen, batch) if "image" in self.streams else [[]] * studies
        return VisualPrompt(
            tokens=[torch.cat([*films[row], *(tokens[row] for tokens in shared)]) for row in range(studies)],
            instructions=instructions(
                self.instruction, self.names(logits) if named is None else named, batch.indications
            ),
            logits=logits,
            states=queries,
            regions=recalled.get("visual"),
            reports=recalled.get("report"),
        )

    def _image_tokens(self, seen: SeenFilms, batch: StudyBatch) -> list[list[Tensor]]:
        """Of each study, the tokens ``[n d]`` of each of its films, in the order of the batch."""
        marks = self.projection_marks[projection_numbers(batch.projections).to(seen.raw_tokens.device)]
        films = self.streams["image"](pooled_tokens(seen, self.pool_image_tokens), marks[:, None])
        grouped: list[list[Tensor]] = [[] for _ in batch.study_ids]
        for film, study in zip(films, batch.study_of_view.tolist(), strict=True):
            grouped[study].append(film)
        return grouped

    def _named_findings(self, logits: Tensor) -> Tensor | float:
        """``[b 14 d]``: each finding's name as far as it is there; 0 where the option is off."""
        if not hasattr(self, "finding_names"):
            return 0.0
        strength = (logits - torch.logit(self.classifier.thresholds, eps=1e-4)).sigmoid()
        return strength[..., None] * self.finding_names

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.classifier.thresholds.device

    # Memories --------------------------------------------------------------------------------------------------

    def memory(self, name: str) -> AssociativeMemory:
        """The ``visual`` or the ``report`` memory, where it is on.

        Raises:
            SettingsError: it is off.
        """
        bank = {"visual": self.visual_bank, "report": self.report_bank}[name]
        if bank is None:
            raise SettingsError(f"{name}_memory is off: nothing is recalled from it")
        return AssociativeMemory(
            bank,
            getattr(self, f"{name}_patterns"),
            getattr(self, f"{name}_findings"),
            cast(HopfieldRetrieval, self.retrievals[name]),
            self.candidates.get(name),
            self.exclude_self,
        )

    # Instructions ----------------------------------------------------------------------------------------------

    def names(self, logits: Tensor) -> Tensor:
        """Bool ``[b 14]``: the findings that the instruction names, of studies with these logits."""
        return is_predicted(logits.float().sigmoid(), self.naming_thresholds)

    def name_as_often(self, probabilities: Tensor, prevalence: Tensor) -> None:
        """From now on name each finding in as many studies as have it; see :func:`thresholds_of_prevalence`."""
        self.naming_thresholds.copy_(thresholds_of_prevalence(probabilities, prevalence))

    # Training --------------------------------------------------------------------------------------------------

    def target_counts(self, reports: Sequence[str]) -> tuple[int, int]:
        """How many tokens :meth:`target_losses` has of these reports, and how many of them are emphasised: known before
        any film is, unless a prompt leaves less room in the context than ``max_report_tokens``."""
        cut = self.language_model.reports_cut
        marks = [self.language_model.targets(report, self.max_report_tokens, abnormal_spans)[1] for report in reports]
        self.language_model.reports_cut = cut  # they are counted where they are taught
        return sum(map(len, marks)), sum(int(each.sum()) for each in marks)

    def target_losses(self, batch: StudyBatch, shown: VisualPrompt | None = None) -> TargetLosses:
        """Cross entropy of every report token of a batch, with the study each belongs to and whether its sentence
        affirms an abnormal finding; ``shown``: the batch's prompt, where it is made already."""
        shown = self.prompt(batch) if shown is None else shown
        return self.language_model.target_losses(
            shown.tokens, batch.reports, shown.instructions, self.max_report_tokens, abnormal_spans
        )

    def forward(self, batch: StudyBatch, shown: VisualPrompt | None = None) -> Tensor:
        """Mean next-token cross entropy over the report tokens (and ends) of a batch."""
        return self.target_losses(batch, shown).values.mean()

    # Writing ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def generate(
        self,
        batch: StudyBatch,
        memories: Memories = "own",
        max_new_tokens: int | None = None,
        seen: SeenFilms | None = None,
        **decoding: Any,
    ) -> list[GeneratedReport]:
        """Write the report of each study, with what was retrieved for it.

        Args:
            batch: studies; their labels and texts are not looked at.
            memories: see :data:`Memories`; nothing is named where zeros were shown.
            max_new_tokens: default that of :attr:`decoding`, else ``max_report_tokens``.
            seen: see :meth:`prompt`.
            decoding: see :meth:`LanguageModel.generate`; fields not named here are those of :attr:`decoding`.
        """
        with evaluating(self):
            # Associations beyond the named ones too, since each query has its own strongest.
            shown = self.prompt(batch, memories, associations=2 * self.associations, seen=seen)
            seeds = [zlib.crc32(study_id.encode()) for study_id in batch.study_ids]  # read where texts are drawn
            texts = self.language_model.generate(
                shown.tokens, shown.instructions, seeds=seeds, **self._decoding(max_new_tokens, decoding)
            )
        probabilities = shown.logits.float().sigmoid().tolist()
        silent = SILENT.get(memories, ())
        nothing: list[list[Attribution]] = [[] for _ in texts]
        regions, reports = (
            nothing
            if found is None or name in silent
            else attributions(self.memory(name).bank, found, self.associations)
            for name, found in (("visual", shown.regions), ("report", shown.reports))
        )
        return [
            GeneratedReport(study_id, text, dict(zip(FINDINGS, row, strict=True)), *reasons)
            for study_id, text, row, *reasons in zip(
                batch.study_ids, texts, probabilities, regions, reports, strict=True
            )
        ]

    def _decoding(self, max_new_tokens: int | None, asked: Mapping[str, Any]) -> dict[str, Any]:
        length = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}
        return {"max_new_tokens": self.max_report_tokens, **self.decoding, **asked, **length}

    # Checkpoints -----------------------------------------------------------------------------------------------

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the trained weights belong to: stage 1 as it was given, both banks and the language model."""
        banks = {"visual_memory": self.visual_bank, "report_memory": self.report_bank}
        return {
            "classifier": self._classifier_given,
            **{name: None if bank is None else bank.fingerprint for name, bank in banks.items()},
            "language_model": self.language_model.identity,
        }

    def trained_state_dict(self) -> dict[str, Tensor]:
        """Projections, marks, retrievals and LoRA (and the classifier where it is trained): never the frozen LM."""
        return dict(self.state_dict())

    def load_trained_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put saved weights back.

        Raises:
            CheckpointError: a key is missing or unexpected, or a shape differs.
        """
        load_strictly(self, state, "report network")


def is_same_part(kept: Any, found: Any) -> bool:
    """Whether an entry of :attr:`ReportNetwork.identity` that a checkpoint kept is that of a network: of a language
    model its files count, not where they lie."""
    if isinstance(kept, dict) and isinstance(found, dict) and kept.get("fingerprint") is not None:
        kept, found = ({**entry, "name": None} for entry in (kept, found))
    return bool(kept == found)

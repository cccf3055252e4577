"""The network of stage 2: films and two associative memories -> a report and its reasons.

What the language model reads in its user turn, each stream with its own norm and projection and each on or off:
image tokens of all films (with a marker of the projection), Q_f, what Q_f recalls from the visual memory, what Q_f
recalls from the report memory; then the instruction (Wang et al. 2026, section III).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ammrg.errors import SettingsError
from ammrg.findings import ABNORMAL, FINDINGS, NO_FINDING, NUM_FINDINGS, POSITIVE
from ammrg.fingerprints import tensors_fingerprint
from ammrg.memory.bank import MemoryBank, owners_mask
from ammrg.memory.candidates import Candidates, FaissSearch
from ammrg.memory.owners import Exclude
from ammrg.networks.association_loss import association_loss
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.evaluating import evaluating
from ammrg.networks.hopfield import HopfieldRetrieval
from ammrg.networks.language_model import LanguageModel, TargetLosses
from ammrg.networks.state_dicts import load_strictly, save_only
from ammrg.text.abnormal_spans import abnormal_spans
from ammrg.text.prompts import INSTRUCTION, instruction, template_fields
from ammrg.thresholds import is_predicted
from ammrg.types import Retrieval, StudyBatch

PROJECTIONS = ("frontal", "lateral", "unknown")
CANDIDATES = 256
"""For each state and head, where retrieval is in two steps."""
Part = Literal["encoder", "qformer", "memories", "lora", "projections"]
"""What can be trained, or kept as it is: stage 1's encoder; its Q-Former and head; both retrievals; the language
model's LoRA; the streams with their marks."""
PARTS: tuple[Part, ...] = get_args(Part)
Memories = Literal["own", "shuffled", "visual_off", "report_off", "off"]
"""What the language model reads in the memories' place: what the study recalled, what its partner, another patient's
study, recalled, or zeros for one memory or both. All but ``own`` are guards: do the memories matter?"""
SILENT: dict[Memories, tuple[str, ...]] = {
    "visual_off": ("visual",),
    "report_off": ("report",),
    "off": ("visual", "report"),
}


class Leaned(NamedTuple):
    """A stored pattern that a report leaned on."""

    study_id: str
    """Of its (first) owner; empty for a disease query, which is nobody's."""
    finding: str | None
    """The finding a region was mined for; None for a report."""
    box: tuple[float, float, float, float] | None
    """x0 y0 x1 y1 of a region, relative to its film."""
    text: str | None
    """A report's text."""
    weight: float
    """Its association, averaged over the 14 queries, in [0, 1]."""


class GeneratedReport(NamedTuple):
    """A report and its reasons."""

    study_id: str
    text: str
    findings: dict[str, float]
    """Probability of each of the 14 findings."""
    regions: list[Leaned]
    """Strongest first; empty where the visual memory is off."""
    reports: list[Leaned]
    """Strongest first; empty where the report memory is off."""


class SeenFilms(NamedTuple):
    """What stage 1 says of films: all that stage 2 reads of them."""

    logits: Tensor
    """``[v 14]``."""
    queries: Tensor
    """Q_f ``[v 14 q]``."""
    raw_tokens: Tensor
    """``[v n e]``: the encoder's."""
    grid: tuple[int, int]
    """``(gh, gw)`` with gh * gw = n."""

    @staticmethod
    def join(parts: Sequence[SeenFilms]) -> SeenFilms:
        """The films of several as one, on the device of the last."""
        device = parts[-1].logits.device
        moved = [part if part.logits.device == device else part.to(device) for part in parts]
        return SeenFilms(
            torch.cat([part.logits for part in moved]),
            torch.cat([part.queries for part in moved]),
            torch.cat([part.raw_tokens for part in moved]),
            moved[-1].grid,
        )

    def take(self, films: Tensor) -> SeenFilms:
        """Some of the films, or all in another order: int64 ``[m]``."""
        return SeenFilms(self.logits[films], self.queries[films], self.raw_tokens[films], self.grid)

    def to(self, device: torch.device) -> SeenFilms:
        """On another device, outside any graph."""
        moved = (tensor.detach().to(device) for tensor in (self.logits, self.queries, self.raw_tokens))
        logits, queries, raw_tokens = moved
        return SeenFilms(logits, queries, raw_tokens, self.grid)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.logits.nbytes + self.queries.nbytes + self.raw_tokens.nbytes


class VisualPrompt(NamedTuple):
    """What the language model is shown, and why."""

    tokens: list[Tensor]
    """b tensors ``[m_i d]`` in the width of the language model."""
    instructions: list[str]
    logits: Tensor
    """``[b 14]``: of studies."""
    states: Tensor
    """Q_f ``[b 14 q]``: what asked the memories."""
    regions: Retrieval | None
    """None where the visual memory is off."""
    reports: Retrieval | None


class VisualStream(nn.Module):
    """Tokens of one kind -> the language model's width: layer norm, linear map, and a learned mark of the kind.

    Weights are of order one and the result is scaled to the size of a word's embedding, so that the language model
    reads a visual token from the first step on, whatever the size of its embeddings.
    """

    def __init__(self, width: int, out_width: int, scale: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, out_width)
        nn.init.normal_(self.project.weight, std=width**-0.5)
        nn.init.zeros_(self.project.bias)
        self.kind = nn.Parameter(torch.randn(out_width) * 0.1)
        self.scale = scale

    def forward(self, tokens: Tensor, extra: Tensor | float = 0.0) -> Tensor:
        """``[.. n width]`` -> ``[.. n d]``; ``extra`` is added in units of a word's size."""
        return cast(Tensor, (self.project(self.norm(tokens)) + self.kind + extra) * self.scale)


class ReportGenerator(nn.Module):
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
        associations: how many stored patterns are named as leaned on, of each memory.

    Of a study with several films, the Q_f of finding i is that of the film that speaks for it, the one with the
    highest logit i (for "No Finding" the lowest): an average would blur a sign that one projection alone shows. Its
    probabilities are the classifier's own of a study.

    Raises:
        SettingsError: every stream off, a stream without its bank, region patterns of another width than Q_f, an
            unknown part or field of the instruction.
    """

    visual_patterns: Tensor
    report_patterns: Tensor
    naming_thresholds: Tensor
    """float32 ``[14]``: probabilities above which the instruction names a finding; stage 1's until told otherwise."""
    _region_findings: Tensor

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
        known = ReportGenerator.__init__.__kwdefaults__ or {}
        self.config: dict[str, Any] = {name: value for name, value in locals().items() if name in known}
        """The settings, as primitives: what builds this network again from its parts."""
        self.decoding: dict[str, Any] = {}
        """How :meth:`generate` decodes unless told otherwise; an exported network brings its run's."""
        if not (image_tokens or query_tokens or visual_memory or report_memory):
            raise SettingsError("every stream of visual tokens is off: the language model would see no film")
        if finding_tokens and not query_tokens:
            raise SettingsError("finding_tokens adds to the tokens of Q_f, but query_tokens is off")
        self.classifier = classifier
        self.language_model = language_model
        self.pool_image_tokens = pool_image_tokens
        self.exclude_self: Exclude = exclude_self
        self.instruction = instruction
        self.max_report_tokens = max_report_tokens
        self.template_fields = template_fields(instruction)
        self.associations = associations
        self.visual_bank = _bank(visual_bank, "visual_memory") if visual_memory else None
        self.report_bank = _bank(report_bank, "report_memory") if report_memory else None

        width, scale = classifier.width, language_model.embedding_scale()
        streams = {"image": image_tokens, "query": query_tokens, "visual": visual_memory, "report": report_memory}
        widths = {"image": classifier.encoder.token_width}
        self.streams = nn.ModuleDict(
            {
                name: VisualStream(widths.get(name, width), language_model.width, scale)
                for name, wanted in streams.items()
                if wanted
            }
        )
        if image_tokens:
            self.projection_marks = nn.Parameter(torch.randn(len(PROJECTIONS), language_model.width) * 0.1)
        if finding_tokens:
            self.finding_names = nn.Parameter(_embedded_names(language_model) / scale)
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
            try:
                self.retrievals[name] = HopfieldRetrieval(width, bank.width, width, **(hopfield or {}))
            except ValueError as error:
                raise SettingsError(f"hopfield: {error}") from error
            if two_step is not None:
                settings = dict(two_step)
                count = settings.pop("candidates", CANDIDATES)
                self.candidates[name] = Candidates(FaissSearch(bank.patterns, **settings), count)
        if self.visual_bank is not None:
            self.register_buffer("_region_findings", self.visual_bank.region_findings, persistent=False)
        self.register_buffer("naming_thresholds", classifier.thresholds.clone())
        self._classifier_given = tensors_fingerprint(classifier.state_dict())
        unknown = sorted(set(freeze) - set(PARTS))
        if unknown:
            raise SettingsError(f"freeze: found {unknown[0]!r}, must be among {', '.join(PARTS)}")
        self.frozen = frozenset(freeze)
        self.resting: frozenset[Part] = frozenset()
        """Parts that are as good as frozen for now."""
        self.resting_in_graph = False
        for part, parameters in self.part_parameters().items():
            if part in self.frozen:
                for parameter in parameters:
                    parameter.requires_grad_(False)
        if self.frozen >= {"encoder", "qformer"}:
            save_only(self, lambda key: not key.startswith("classifier."))
        self.train(self.training)

    # What is trained -------------------------------------------------------------------------------------------

    def part_modules(self) -> dict[Part, nn.Module]:
        """Each part's module; a parameter belongs to the first that holds it."""
        return {
            "encoder": self.classifier.encoder,
            "qformer": self.classifier,
            "memories": self.retrievals,
            "lora": self.language_model,
            "projections": self,
        }

    def part_parameters(self) -> dict[Part, list[nn.Parameter]]:
        """The parameters of each part that are or could be trained."""
        found: dict[Part, list[nn.Parameter]] = {}
        taken = {id(p) for name, p in self.language_model.named_parameters() if "lora_" not in name}
        for part, module in self.part_modules().items():
            found[part] = [parameter for parameter in module.parameters() if id(parameter) not in taken]
            taken.update(id(parameter) for parameter in found[part])
        return found

    def rest(self, parts: frozenset[Part], in_graph: bool = False) -> None:
        """Treat ``parts`` as frozen until further notice: stage 1's in eval mode and outside the graph, unless
        ``in_graph`` (processes that wait for each other's gradients need every one)."""
        self.resting, self.resting_in_graph = parts, in_graph
        self.train(self.training)

    def train(self, mode: bool = True) -> ReportGenerator:
        """Training mode for what is trained; what is frozen or rests of stage 1 stays in eval mode."""
        super().train(mode)
        still = self.frozen | self.resting
        if "qformer" in still:
            self.classifier.eval()
            self.classifier.encoder.train(mode)
        if "encoder" in still:
            self.classifier.encoder.eval()
        return self

    # From films to tokens --------------------------------------------------------------------------------------

    def see(self, images: Tensor) -> SeenFilms:
        """Stage 1 on uint8 films ``[v 1 h w]``, with a graph only where a part of it is trained."""
        still = self.frozen if self.resting_in_graph else self.frozen | self.resting
        wanted = torch.is_grad_enabled()
        with torch.set_grad_enabled(wanted and "encoder" not in still):
            tokens, grid = self.classifier.encoder(images)
        with torch.set_grad_enabled(wanted and not still >= {"encoder", "qformer"}):
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
        queries = _speaking_queries(seen, batch.study_of_view, studies)  # [b 14 q]
        asking, hidden, states = batch, hidden_from, queries
        if memories == "shuffled":
            if batch.partner is None:
                raise SettingsError("shuffled memories are another patient's: the batch brings no partners")
            asking, hidden = batch.partner, batch
            states = _speaking_queries(self.see(asking.images), asking.study_of_view, studies)
        recalled = {name: self._recall(name, states, asking, associations, hidden) for name in self.retrievals}
        shared = []  # streams with the same number of tokens for every study
        if "query" in self.streams:
            shared.append(self.streams["query"](queries, self._named_findings(logits)))
        for name, retrieval in recalled.items():
            tokens = self.streams[name](retrieval.tokens)
            shared.append(torch.zeros_like(tokens) if name in SILENT.get(memories, ()) else tokens)
        films = self._image_tokens(seen, batch) if "image" in self.streams else [[]] * studies
        return VisualPrompt(
            tokens=[torch.cat([*films[row], *(tokens[row] for tokens in shared)]) for row in range(studies)],
            instructions=self._instructions(self.names(logits) if named is None else named, batch.indications),
            logits=logits,
            states=queries,
            regions=recalled.get("visual"),
            reports=recalled.get("report"),
        )

    def _image_tokens(self, seen: SeenFilms, batch: StudyBatch) -> list[list[Tensor]]:
        """Of each study, the tokens ``[n d]`` of each of its films, in the order of the batch."""
        tokens, (high, wide) = seen.raw_tokens, seen.grid
        side = self.pool_image_tokens
        if side is not None and (high > side or wide > side):
            grid = tokens.transpose(1, 2).reshape(len(tokens), -1, high, wide)  # [v e gh gw]
            tokens = F.adaptive_avg_pool2d(grid, (min(high, side), min(wide, side))).flatten(2).transpose(1, 2)
        kinds = [PROJECTIONS.index(name) if name in PROJECTIONS else len(PROJECTIONS) - 1 for name in batch.projections]
        marks = self.projection_marks[torch.tensor(kinds, device=tokens.device)]
        films = self.streams["image"](tokens, marks[:, None])
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

    def _recall(
        self, name: str, queries: Tensor, batch: StudyBatch, associations: int, hidden_from: StudyBatch | None
    ) -> Retrieval:
        bank = self.visual_bank if name == "visual" else self.report_bank
        assert bank is not None
        patterns = getattr(self, f"{name}_patterns")
        mask = self._may_recall(bank, batch, hidden_from)
        candidates = self.candidates.get(name)
        return cast(Retrieval, self.retrievals[name](queries, patterns, mask, k=associations, candidates=candidates))

    def _may_recall(self, bank: MemoryBank, batch: StudyBatch, hidden_from: StudyBatch | None = None) -> Tensor | None:
        """Bool ``[b n]``; None for a batch whose studies own nothing of the bank."""
        mask = owners_mask(bank, batch.study_ids, batch.subject_ids, self.exclude_self)
        if hidden_from is not None:
            mask = mask & owners_mask(bank, hidden_from.study_ids, hidden_from.subject_ids, self.exclude_self)
        return None if bool(mask.all()) else mask.to(self.device)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.classifier.thresholds.device

    # Associations ----------------------------------------------------------------------------------------------

    def visual_associations(self, batch: StudyBatch, states: Tensor) -> tuple[Tensor, Tensor | None]:
        """What states Q_f ``[b 14 q]`` lean on, all of it, in two steps where the retrieval is: to be measured, not
        trained.

        Returns:
            (associations ``[b 14 n]`` with the visual memory's n patterns, averaged over heads; bool ``[b n]``, False
            where a pattern is the study's own and has none, or None where all may be recalled).
        """
        bank, retrieval = self._visual()
        with torch.no_grad():
            mask = self._may_recall(bank, batch)
            found = retrieval.associations(states, self.visual_patterns, mask, self.candidates.get("visual"))
            return found.mean(dim=2), mask

    def association_loss(self, batch: StudyBatch, states: Tensor) -> Tensor:
        """:func:`association_loss` of the queries of a batch's positive findings: query i should recall regions that
        were mined for finding i, of others (a study's own are masked as in the retrieval itself). In two steps it is
        over the candidates: a query that has none of its finding recalls none, and has no gradient.

        Args:
            batch: studies with labels; uncertain and blank findings are left out.
            states: Q_f ``[b 14 q]`` of the batch, as :meth:`prompt` gives them.
        """
        bank, retrieval = self._visual()
        study, finding = (batch.labels == POSITIVE).nonzero().to(self.device).unbind(dim=1)  # m positives
        mask = self._may_recall(bank, batch)
        allowed = None if mask is None else mask[study]
        states, candidates = states[study, finding][:, None], self.candidates.get("visual")
        found = retrieval.associations(states, self.visual_patterns, allowed, candidates)[:, 0]
        wanted = self._region_findings == finding[:, None]
        return association_loss(found, wanted if allowed is None else wanted & allowed)

    def associating(self, batch: StudyBatch) -> int:
        """How many queries of a batch :meth:`association_loss` is a mean over: known before its films are."""
        study, finding = (batch.labels == POSITIVE).nonzero().to(self.device).unbind(dim=1)  # m positives
        mask = self._may_recall(self._visual()[0], batch)
        wanted = self._region_findings == finding[:, None]
        return int((wanted if mask is None else wanted & mask[study]).any(dim=1).sum())

    def _visual(self) -> tuple[MemoryBank, HopfieldRetrieval]:
        if self.visual_bank is None:
            raise SettingsError("visual_memory is off: there are no associations with regions")
        return self.visual_bank, cast(HopfieldRetrieval, self.retrievals["visual"])

    def names(self, logits: Tensor) -> Tensor:
        """Bool ``[b 14]``: the findings that the instruction names, of studies with these logits."""
        return is_predicted(logits.float().sigmoid(), self.naming_thresholds)

    def name_as_often(self, probabilities: Tensor, prevalence: Tensor) -> None:
        """From now on name each finding in as many studies as have it.

        Thresholds with the best F1 lie lower the harder a finding is to see: told what stage 1 says above them, a
        language model would write of it in several times as many reports as it belongs in.

        Args:
            probabilities: ``[n 14]``, stage 1's of studies it was not trained on.
            prevalence: ``[14]`` in [0, 1]; what nobody has is never named.
        """
        for finding, share in enumerate(prevalence.tolist()):
            found = probabilities[:, finding].float()
            rank = found.quantile(1 - share)
            # just below, so that a study that lies on it is named too
            self.naming_thresholds[finding] = rank.nextafter(torch.zeros_like(rank)) if share else torch.inf

    def _instructions(self, named: Tensor, indications: Sequence[str]) -> list[str]:
        if not self.template_fields:
            return [instruction(self.instruction, (), "")] * len(named)  # one text, embedded once
        present = [[FINDINGS[i].lower() for i in ABNORMAL if row[i]] for row in named.tolist()]
        known = indications or [""] * len(named)
        return [instruction(self.instruction, *of_study) for of_study in zip(present, known, strict=True)]

    def token_budget(self, image_size: int) -> dict[str, int]:
        """How many tokens the language model reads of a study with one film of ``image_size`` pixels a side, by stream,
        and of its words (``instruction``, with the chat template; findings and indication come on top)."""
        blank = torch.zeros(1, 1, image_size, image_size, dtype=torch.uint8, device=self.device)
        with torch.no_grad(), evaluating(self):
            grid = self.see(blank).grid
        side = self.pool_image_tokens
        film = math.prod(grid if side is None else (min(cells, side) for cells in grid))
        words = self.language_model.prompt_parts(instruction(self.instruction, (), ""))
        return {name: film if name == "image" else NUM_FINDINGS for name in self.streams} | {
            "instruction": sum(map(len, words))
        }

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
        """Write the report of each study and say what it leaned on.

        Args:
            batch: studies; their labels and texts are not looked at.
            memories: see :data:`Memories`; nothing was leaned on where zeros were shown.
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
        leaned: list[list[list[Leaned]]] = [
            [[] for _ in texts]
            if bank is None or found is None or name in SILENT.get(memories, ())
            else self._leaned(bank, found)
            for name, bank, found in (
                ("visual", self.visual_bank, shown.regions),
                ("report", self.report_bank, shown.reports),
            )
        ]
        return [
            GeneratedReport(study_id, text, dict(zip(FINDINGS, row, strict=True)), regions, reports)
            for study_id, text, row, regions, reports in zip(
                batch.study_ids, texts, probabilities, *leaned, strict=True
            )
        ]

    def _decoding(self, max_new_tokens: int | None, asked: Mapping[str, Any]) -> dict[str, Any]:
        length = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}
        return {"max_new_tokens": self.max_report_tokens, **self.decoding, **asked, **length}

    def _leaned(self, bank: MemoryBank, found: Retrieval) -> list[list[Leaned]]:
        """Of each study, the stored patterns with the highest association averaged over the 14 queries."""
        result = []
        for indices, weights in zip(found.indices.cpu(), found.weights.float().cpu(), strict=True):
            rows, place = indices.flatten().unique(return_inverse=True)
            total = torch.zeros(len(rows)).index_add(0, place, weights.flatten()) / NUM_FINDINGS
            best = total.topk(min(self.associations, len(rows)))
            named = zip(rows[best.indices].tolist(), best.values.tolist(), strict=True)
            result.append([_named_pattern(bank, row, weight) for row, weight in named if weight > 0])
        return result

    # Checkpoints -----------------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, revision: str | None = None, device: str | None = None
    ) -> ReportGenerator:
        """The network of an exported folder, ready to write; see :func:`ammrg.inference.pretrained.load`."""
        from ammrg.inference.pretrained import load

        return load(folder, revision=revision, device=device).network

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
        load_strictly(self, state, "report generator")


def _speaking_queries(seen: SeenFilms, study_of_view: Tensor, studies: int) -> Tensor:
    """Q_f ``[b 14 q]``: of each finding, that of the film which decides the study's logit."""
    sign = torch.ones(NUM_FINDINGS, device=seen.logits.device)
    sign[NO_FINDING] = -1
    views = torch.arange(len(study_of_view), device=study_of_view.device)
    rows = []
    for study in range(studies):
        own = views[study_of_view == study]
        if len(own) == 0:
            raise ValueError(f"study {study} of the batch has no film")
        speaks = own[(seen.logits[own] * sign).argmax(0)]  # [14]
        rows.append(seen.queries[speaks, torch.arange(NUM_FINDINGS, device=speaks.device)])
    return torch.stack(rows)


def _embedded_names(language_model: LanguageModel) -> Tensor:
    """``[14 d]``: the mean embedding of the words of each finding's name, float32, without gradient."""
    names = [language_model.tokenizer.encode(f" {name.lower()}", add_special_tokens=False) for name in FINDINGS]
    with torch.no_grad():
        return torch.stack([language_model.embed(torch.tensor(ids)).float().mean(0) for ids in names])


def _named_pattern(bank: MemoryBank, row: int, weight: float) -> Leaned:
    finding, box = int(bank.findings[row]), bank.boxes[row].tolist()
    return Leaned(
        study_id=bank.study_ids[row][0] if bank.study_ids[row] else "",
        finding=FINDINGS[finding] if finding >= 0 else None,
        box=None if any(math.isnan(value) for value in box) else (box[0], box[1], box[2], box[3]),
        text=bank.texts[row] or None,
        weight=weight,
    )


def _bank(bank: MemoryBank | None, switch: str) -> MemoryBank:
    if bank is None:
        raise SettingsError(f"{switch} is on but no memory bank was given; build it, or switch {switch} off")
    return bank

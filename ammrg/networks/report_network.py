"""The network of stage 2: films and two associative memories -> a report and its reasons.

In its user turn, the language model reads up to four streams of visual tokens and then the instruction (Wang et al.
2026, section III). The streams are image tokens of all films (with a mark of the projection), Q_f, what Q_f recalls
from the visual memory, and what Q_f recalls from the report memory; further memories may follow. Each has its own norm
and projection, and can be off.

The file is long because one class owns all trained parts, whose names are those in checkpoints, and documents each of
its settings; what they compute is in the modules that it imports.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn

from ammrg.errors import SettingsError
from ammrg.findings import ABNORMAL, FINDINGS, NO_FINDING, NUM_FINDINGS
from ammrg.fingerprints import tensors_fingerprint
from ammrg.memory.bank import MemoryBank
from ammrg.memory.candidates import Candidates
from ammrg.memory.owners import Exclude
from ammrg.networks.associative_memory import (
    AssociativeMemory,
    Memories,
    candidates_for,
    is_silent,
    required_bank,
    retrieval_for,
)
from ammrg.networks.attribution import attributions, attributions_by_finding
from ammrg.networks.checked_drafts import redrawn
from ammrg.networks.decoding import DRAFTS
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.disease_qformer import TokenPositions
from ammrg.networks.evaluating import evaluating
from ammrg.networks.hopfield import HopfieldRetrieval
from ammrg.networks.hub_correction import HubCorrection
from ammrg.networks.instructions import embedded_words, instructions, thresholds_of_prevalence
from ammrg.networks.language_model import LanguageModel, TargetLosses
from ammrg.networks.places import ELEMENTS, named_places, study_places
from ammrg.networks.reading_thresholds import ReadingThresholds
from ammrg.networks.state_dicts import load_strictly, save_only
from ammrg.networks.trained_parts import STAGE1, Part, TrainedParts
from ammrg.networks.visual_prompt import (
    SeenFilms,
    StatePlaces,
    VisualPrompt,
    VisualStream,
    deciding_queries,
    pooled_grid,
    pooled_tokens,
    projection_numbers,
)
from ammrg.networks.word_stream import OnText
from ammrg.text.abnormal_spans import abnormal_spans
from ammrg.text.places import place_spans
from ammrg.text.prompts import INSTRUCTION, template_fields
from ammrg.thresholds import is_predicted
from ammrg.types import PROJECTIONS, Attribution, GeneratedReport, StudyBatch


class ReportNetwork(nn.Module):
    """Stage 1's network, two memories and a language model, joined by trained projections.

    Where a study has several films, its Q_f for finding i comes from the film that decides the finding: the one with
    the highest logit i (for "No Finding", the lowest). An average would blur a sign that only one projection shows. A
    study's probabilities are those of the classifier.

    Args:
        classifier: stage 1's network with its weights.
        language_model: frozen, with or without LoRA.
        visual_bank: region patterns in the classifier's space; None where ``visual_memory`` is off.
        report_bank: report patterns of any width; None where ``report_memory`` is off.
        further_banks: name -> patterns of any width, read after those of the two (docs/extending/memory.md). What is
            recalled from them is in no list of reasons.
        image_tokens, query_tokens, visual_memory, report_memory: the streams that the language model reads.
        pool_image_tokens: average each film's grid of tokens to at most this many per side; None: all tokens.
        hopfield: settings of every :class:`HopfieldRetrieval` (``association_width``, ``heads``, ``beta``, ...).
        two_step: ``{candidates, visited, lists, folder}``, for very large memories: associate only with the candidates
            of an approximate search (:class:`ammrg.memory.candidates.FaissSearch`; needs the extra ``scale``).
            None: with every pattern.
        exclude_self: which own patterns a study may not recall, in training and after; see
            :func:`ammrg.memory.bank.owners_mask`.
        instruction: template of the text after the visual tokens in the user turn; see :mod:`ammrg.text.prompts`.
        max_report_tokens: longer training reports are cut at a sentence end.
        finding_tokens: add to the Q_f token of finding i a learned embedding times the finding's probability (0.5 at
            its threshold). The embedding starts as the language model's own for the finding's name.
        place_tokens: with ``finding_tokens``, also add one for each side and level, times the probability that the
            finding is there; it starts as the language model's own for the word. Needs a stage 1 with places.
        image_positions: add to the image tokens an embedding of their place on the film.
        state_places: add to the state patterns Q_f, with which the memories are asked, linear maps of the finding's
            own place and of all findings of the study and their places. Needs a stage 1 with places.
        hub_correction: power, >= 0, of the mean association in training by which associations are divided
            (:class:`ammrg.networks.hub_correction.HubCorrection`); 0 = off (as published).
        memory_dropout: share, in [0, 1), of the training studies whose tokens of a memory are replaced by zeros, for
            each memory by itself. In training a memory recalls more surely than on new films, and the language model
            would trust it too much.
        freeze: parts that are never trained. Frozen parts of stage 1 are in eval mode; where both are frozen, stage 1
            is in no state dict.
        associations: number of stored patterns of each memory that are listed with a report.

    Raises:
        SettingsError: all streams are off, a bank is missing or of another width, or a part or field is unknown.
    """

    naming_thresholds: Tensor
    """float32 ``[14]``: probabilities above which the instruction names a finding; at first those of stage 1."""

    def __init__(
        self,
        classifier: DiseaseClassifier,
        language_model: LanguageModel,
        visual_bank: MemoryBank | None,
        report_bank: MemoryBank | None,
        further_banks: Mapping[str, MemoryBank] | None = None,
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
        place_tokens: bool = False,
        image_positions: bool = False,
        state_places: bool = False,
        hub_correction: float = 0.0,
        memory_dropout: float = 0.0,
        freeze: Sequence[Part] = ("encoder", "qformer"),
        associations: int = 5,
    ) -> None:
        super().__init__()
        known = ReportNetwork.__init__.__kwdefaults__ or {}
        self.config: dict[str, Any] = {name: value for name, value in locals().items() if name in known}
        """The settings that, with its parts, build this network again."""
        self.decoding: dict[str, Any] = {}
        """Default settings of :meth:`generate`; those of an exported network are its run's."""
        if finding_tokens and not query_tokens:
            raise SettingsError("finding_tokens adds to the tokens of Q_f, but query_tokens is off")
        if place_tokens and not finding_tokens:
            raise SettingsError("place_tokens adds to what finding_tokens add, but they are off")
        if image_positions and not image_tokens:
            raise SettingsError("image_positions adds to the image tokens, but image_tokens is off")
        for name, is_on in (("place_tokens", place_tokens), ("state_places", state_places)):
            if is_on and classifier.place_head is None:
                raise SettingsError(
                    f"network.{name} is on, but stage 1 was trained without places; train it with model.place_loss "
                    f"above 0, or switch {name} off"
                )
        self.classifier = classifier
        self.language_model = language_model
        self.pool_image_tokens = pool_image_tokens
        self.exclude_self: Exclude = exclude_self
        self.instruction = instruction
        self.max_report_tokens = max_report_tokens
        template_fields(instruction)  # raises for an unknown field now instead of at the first study
        if not 0 <= memory_dropout < 1:
            raise SettingsError(f"network.memory_dropout must lie in [0, 1), not {memory_dropout}")
        self.associations, self.memory_dropout = associations, memory_dropout
        self.visual_bank = required_bank(visual_bank, "visual_memory") if visual_memory else None
        self.report_bank = required_bank(report_bank, "report_memory") if report_memory else None
        self.further_banks = dict(further_banks or {})
        check_names(self.further_banks)

        width, scale = classifier.width, language_model.embedding_scale()
        wanted = {"image": image_tokens, "query": query_tokens, "visual": visual_memory, "report": report_memory}
        if not any(wanted.values()):
            raise SettingsError("every stream of visual tokens is off: the language model would see no film")
        named = [*(name for name, is_on in wanted.items() if is_on), *self.further_banks]
        width_of = {name: classifier.encoder.token_width if name == "image" else width for name in named}
        self.streams = nn.ModuleDict({n: VisualStream(width_of[n], language_model.width, scale) for n in named})
        if image_tokens:
            self.projection_marks = nn.Parameter(torch.randn(len(PROJECTIONS), language_model.width) * 0.1)
        if finding_tokens:
            self.finding_names = nn.Parameter(embedded_words(language_model, FINDINGS) / scale)
        if place_tokens:
            self.place_names = nn.Parameter(embedded_words(language_model, ELEMENTS) / scale)
        self.image_positions = TokenPositions(language_model.width) if image_positions else None
        self.state_places = StatePlaces(width) if state_places else None
        if hub_correction < 0:
            raise SettingsError(f"network.hub_correction must be at least 0, not {hub_correction}")
        self.retrievals, self.hubs = nn.ModuleDict(), nn.ModuleDict()
        self.candidates: dict[str, Candidates] = {}
        for name, bank in self.banks.items():
            if name == "visual" and bank.width != width:
                raise SettingsError(
                    f"the region patterns have width {bank.width}, this classifier's tokens {width}: mine them again"
                )
            self.register_buffer(f"{name}_patterns", bank.patterns.clone(), persistent=False)
            self.register_buffer(f"{name}_findings", bank.region_findings.clone(), persistent=False)
            self.retrievals[name] = retrieval = retrieval_for(bank, width, hopfield or {})
            if hub_correction > 0:
                self.hubs[name] = HubCorrection(bank.patterns, NUM_FINDINGS, retrieval.heads, hub_correction)
            if two_step is not None:
                self.candidates[name] = candidates_for(bank, two_step)
        self.register_buffer("naming_thresholds", classifier.thresholds.clone())
        self._classifier_given = tensors_fingerprint(classifier.state_dict())
        modules: dict[Part, nn.Module] = {
            "encoder": classifier.encoder,
            "qformer": classifier,
            "memories": nn.ModuleList([self.retrievals, *([] if self.state_places is None else [self.state_places])]),
            "lora": language_model,
            "projections": self,
        }
        self.parts = TrainedParts(modules, freeze)
        if self.parts.frozen >= STAGE1:
            save_only(self, lambda key: not key.startswith("classifier."))
        self.train(self.training)

    def activate(self, parts: Iterable[Part], inactive_in_graph: bool = False) -> None:
        """Train only these parts from now on; see :meth:`TrainedParts.activate`."""
        self.parts.activate(parts, inactive_in_graph)
        self.train(self.training)

    def train(self, mode: bool = True) -> ReportNetwork:
        """Set training mode; parts of stage 1 that are frozen or inactive stay in eval mode."""
        super().train(mode)
        if "qformer" not in self.parts.active:
            self.classifier.eval()
            self.classifier.encoder.train(mode)
        if "encoder" not in self.parts.active:
            self.classifier.encoder.eval()
        return self

    # From films to tokens --------------------------------------------------------------------------------------

    def see(self, images: Tensor) -> SeenFilms:
        """Run stage 1 on films, uint8 ``[v 1 h w]``, with a graph only where a part of it is trained."""
        wanted = torch.is_grad_enabled()
        with torch.set_grad_enabled(wanted and "encoder" in self.parts.in_graph):
            tokens, grid = self.classifier.encoder(images)
        with torch.set_grad_enabled(wanted and bool(self.parts.in_graph & STAGE1)):
            found = self.classifier.classify(tokens, grid)
        return SeenFilms(found.logits, found.queries, tokens, grid, found.places)

    def prompt(
        self,
        batch: StudyBatch,
        memories: Memories = "own",
        associations: int = 0,
        seen: SeenFilms | None = None,
        named: Tensor | None = None,
        placed: Tensor | None = None,
        hidden_from: StudyBatch | None = None,
        reading: ReadingThresholds | None = None,
    ) -> VisualPrompt:
        """Make the visual tokens and the instruction that the language model reads for each study.

        Args:
            batch: studies with their films.
            memories: see :data:`Memories`.
            associations: number of strongest associations to report for each query; 0 in training (quicker).
            seen: stage 1's output for the batch's films, where it is known; the films are then not used.
            named: bool ``[b 14]``, the findings that the instruction names; default: :meth:`names`.
            placed: bool ``[b 14 5]``, the places that it names for them; default: :meth:`placed`.
            hidden_from: b further studies whose own patterns may not be recalled either, for a batch that shows their
                films.
            reading: thresholds other than the network's own (:attr:`thresholds`). What is recalled does not depend on
                them.

        Raises:
            SettingsError: ``memories`` is ``shuffled`` and the batch has no partners.
        """
        if seen is None:
            seen = self.see(batch.images)
        reading = self.thresholds if reading is None else reading
        studies = len(batch.study_ids)
        logits = self.classifier.study_logits(seen.logits, batch.study_of_view, studies)
        queries = deciding_queries(seen, batch.study_of_view, studies)  # [b 14 q]
        places = self.places(seen, batch)
        asking, hidden, states = batch, hidden_from, self.states(queries, logits, places)
        if memories == "shuffled":
            if batch.partner is None:
                raise SettingsError("memories shuffled: the batch has no partners; ask the data module for them")
            asking, hidden = batch.partner, batch
            theirs = self.see(asking.images)
            states = self.states(
                deciding_queries(theirs, asking.study_of_view, studies),
                self.classifier.study_logits(theirs.logits, asking.study_of_view, studies),
                self.places(theirs, asking),
            )
        recalled = {name: self.memory(name).recall(states, asking, associations, hidden) for name in self.retrievals}
        shared = []  # streams with the same number of tokens for every study
        if "query" in self.streams:
            shared.append(self.streams["query"](queries, self._named_findings(logits, places, reading.found)))
        for name, retrieval in recalled.items():
            tokens = self.streams[name](retrieval.tokens)
            if self.training and self.memory_dropout > 0:
                tokens = tokens * (torch.rand(studies, 1, 1, device=tokens.device) >= self.memory_dropout)
            shared.append(torch.zeros_like(tokens) if is_silent(name, memories) else tokens)
        films = self._image_tokens(seen, batch) if "image" in self.streams else [[]] * studies
        return VisualPrompt(
            tokens=[torch.cat([*films[row], *(tokens[row] for tokens in shared)]) for row in range(studies)],
            instructions=instructions(
                self.instruction,
                self.names(logits, reading) if named is None else named,
                batch.indications,
                self.placed(places) if placed is None else placed,
            ),
            logits=logits,
            places=places,
            queries=queries,
            states=states,
            regions=recalled.get("visual"),
            reports=recalled.get("report"),
        )

    def _image_tokens(self, seen: SeenFilms, batch: StudyBatch) -> list[list[Tensor]]:
        """Make the image tokens of each study: a list of ``[n d]``, one for each film, in the order of the batch."""
        marks = self.projection_marks[projection_numbers(batch.projections).to(seen.raw_tokens.device)]
        extra = marks[:, None]
        if self.image_positions is not None:
            extra = extra + self.image_positions(pooled_grid(seen.grid, self.pool_image_tokens))
        films = self.streams["image"](pooled_tokens(seen, self.pool_image_tokens), extra)
        grouped: list[list[Tensor]] = [[] for _ in batch.study_ids]
        for film, study in zip(films, batch.study_of_view.tolist(), strict=True):
            grouped[study].append(film)
        return grouped

    def _named_findings(self, logits: Tensor, places: Tensor | None, found: Tensor) -> Tensor | float:
        """Return each finding's name embedding times its probability, ``[b 14 d]``; 0 where the option is off.

        The probability is 0.5 at the finding's threshold ``found``, ``[14]`` or ``[b 14]``.

        With ``place_tokens``, the embeddings of the words of its place are added, times their probabilities.
        """
        if not hasattr(self, "finding_names"):
            return 0.0
        words: Tensor = self.finding_names
        if hasattr(self, "place_names") and places is not None:
            words = words + places @ self.place_names
        return self._strength(logits, found)[..., None] * words

    def _strength(self, logits: Tensor, thresholds: Tensor) -> Tensor:
        """Return probabilities that are 0.5 at the threshold of each finding, ``[b 14]``."""
        return (logits - torch.logit(thresholds, eps=1e-4)).sigmoid()

    def states(self, queries: Tensor, logits: Tensor, places: Tensor | None) -> Tensor:
        """Return the state patterns ``[b 14 q]`` that ask the memories.

        Args:
            queries: Q_f ``[b 14 q]``.
            logits: of the studies, ``[b 14]``.
            places: of their findings, ``[b 14 5]``; None where stage 1 knows none.
        """
        if self.state_places is None or places is None:
            return queries
        return cast(Tensor, self.state_places(queries, self._strength(logits, self.classifier.thresholds), places))

    def places(self, seen: SeenFilms, batch: StudyBatch) -> Tensor | None:
        """Read the places of each study's findings, probabilities ``[b 14 5]``; None where stage 1 knows none."""
        if seen.places is None:
            return None
        with torch.set_grad_enabled(torch.is_grad_enabled() and "qformer" in self.parts.in_graph):
            return study_places(seen.places, seen.logits, batch.study_of_view, batch.projections, len(batch.study_ids))

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        return self.classifier.thresholds.device

    # Memories --------------------------------------------------------------------------------------------------

    @property
    def known_banks(self) -> dict[str, MemoryBank | None]:
        """The banks of all memories: ``visual`` and ``report``, None where it is off, and the further ones by name."""
        return {"visual": self.visual_bank, "report": self.report_bank, **self.further_banks}

    @property
    def banks(self) -> dict[str, MemoryBank]:
        """The banks of the memories that are on."""
        return {name: bank for name, bank in self.known_banks.items() if bank is not None}

    def memory(self, name: str) -> AssociativeMemory:
        """Return the ``visual``, the ``report`` or a further memory; raise a SettingsError where it is off."""
        bank = self.banks.get(name)
        if bank is None:
            raise SettingsError(f"{name}_memory is off: nothing is recalled from it")
        return AssociativeMemory(
            bank,
            getattr(self, f"{name}_patterns"),
            getattr(self, f"{name}_findings"),
            cast(HopfieldRetrieval, self.retrievals[name]),
            self.candidates.get(name),
            self.exclude_self,
            cast(HubCorrection, self.hubs[name]) if name in self.hubs else None,
        )

    # Instructions ----------------------------------------------------------------------------------------------

    @property
    def thresholds(self) -> ReadingThresholds:
        """The network's own thresholds, ``[14]`` each: those of the balanced operating point."""
        return ReadingThresholds(self.classifier.thresholds, self.naming_thresholds)

    def names(self, logits: Tensor, reading: ReadingThresholds | None = None) -> Tensor:
        """Return the findings that the instruction names for studies with these logits, bool ``[b 14]``."""
        return is_predicted(logits.float().sigmoid(), (reading or self.thresholds).named)

    def placed(self, places: Tensor | None) -> Tensor | None:
        """Return the places that the instruction names, bool ``[b 14 5]``, from the probabilities of :meth:`places`."""
        head = self.classifier.place_head
        return None if places is None or head is None else head.named(places)

    def name_as_often(self, probabilities: Tensor, prevalence: Tensor) -> None:
        """Name each finding in as many studies as have it from now on; see :func:`thresholds_of_prevalence`."""
        self.naming_thresholds.copy_(thresholds_of_prevalence(probabilities, prevalence))

    # Training --------------------------------------------------------------------------------------------------

    def target_counts(self, reports: Sequence[str]) -> tuple[int, int, int]:
        """Count the target tokens of reports, and how many of them are emphasised or words of place, without any film.

        :meth:`target_losses` has fewer where a prompt leaves less room in the context than ``max_report_tokens``.
        """
        cut = self.language_model.reports_cut
        counted = [
            self.language_model.targets(report, self.max_report_tokens, abnormal_spans, place_spans)
            for report in reports
        ]
        self.language_model.reports_cut = cut  # cut reports are counted in training, not here
        return (
            sum(len(ids) for ids, _, _ in counted),
            sum(int(emphasised.sum()) for _, emphasised, _ in counted),
            sum(int(placed.sum()) for _, _, placed in counted),
        )

    def target_losses(self, batch: StudyBatch, shown: VisualPrompt | None = None) -> TargetLosses:
        """Compute the cross entropy of every report token; sentences that affirm an abnormal finding are emphasised.

        Words of place in such sentences are marked too.

        ``shown`` is the batch's prompt, where it was made already.
        """
        shown = self.prompt(batch) if shown is None else shown
        return self.language_model.target_losses(
            shown.tokens, batch.reports, shown.instructions, self.max_report_tokens, abnormal_spans, place_spans
        )

    def forward(self, batch: StudyBatch, shown: VisualPrompt | None = None) -> Tensor:
        """Average the next-token cross entropy over the report tokens and end tokens of a batch."""
        return self.target_losses(batch, shown).values.mean()

    # Writing ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def generate(
        self,
        batch: StudyBatch,
        memories: Memories = "own",
        max_new_tokens: int | None = None,
        seen: SeenFilms | None = None,
        reading: ReadingThresholds | None = None,
        on_text: OnText | None = None,
        **decoding: Any,
    ) -> list[GeneratedReport]:
        """Generate the report of each study and list the patterns retrieved for it.

        Args:
            batch: studies; their labels and texts are not used.
            memories: see :data:`Memories`; a memory that is off lists no patterns.
            max_new_tokens: most tokens of a report; default: that of :attr:`decoding`, else ``max_report_tokens``.
            seen: see :meth:`prompt`.
            reading: see :meth:`prompt`.
            on_text: see :meth:`LanguageModel.generate`.
            decoding: see :meth:`LanguageModel.generate`; other fields come from :attr:`decoding`.
        """
        with evaluating(self):
            # More associations than are listed, because the strongest ones differ between queries.
            shown = self.prompt(batch, memories, associations=2 * self.associations, seen=seen, reading=reading)
            texts = self._write(shown, batch.study_ids, reading, on_text, self._decoding(max_new_tokens, decoding))
        probabilities = shown.logits.float().sigmoid().tolist()
        nothing: list[list[Attribution]] = [[] for _ in texts]
        regions, reports = (
            nothing
            if found is None or is_silent(name, memories)
            else attributions(self.memory(name).bank, found, self.associations)
            for name, found in (("visual", shown.regions), ("report", shown.reports))
        )
        found_here = self._found(shown.logits, reading)
        recalled: Sequence[Mapping[str, list[Attribution]]] = [{} for _ in texts]
        if shown.regions is not None and not is_silent("visual", memories):
            bank = self.memory("visual").bank
            recalled = attributions_by_finding(bank, shown.regions, found_here, self.associations)
        return [
            GeneratedReport(study_id, text, dict(zip(FINDINGS, row, strict=True)), *reasons)
            for study_id, text, row, *reasons in zip(
                batch.study_ids,
                texts,
                probabilities,
                regions,
                reports,
                recalled,
                named_places(found_here, self.placed(shown.places)),
                strict=True,
            )
        ]

    def _write(
        self,
        shown: VisualPrompt,
        study_ids: Sequence[str],
        reading: ReadingThresholds | None,
        on_text: OnText | None,
        decoding: dict[str, Any],
    ) -> list[str]:
        """Write a text after each prompt; with ``drafts``, one that says what the network names."""
        drafts = decoding.pop(DRAFTS, None) or 0
        seeds = [zlib.crc32(study_id.encode()) for study_id in study_ids]  # used where texts are sampled
        texts = self.language_model.generate(shown.tokens, shown.instructions, seeds=seeds, on_text=on_text, **decoding)
        if not drafts:
            return texts
        named = self.names(shown.logits, reading)  # as the instruction does; the table may list more findings
        found = [
            {FINDINGS[i]: places.get(FINDINGS[i], ()) for i in ABNORMAL if row[i]}
            for row, places in zip(named.tolist(), named_places(named, self.placed(shown.places)), strict=True)
        ]
        prompts = (shown.tokens, shown.instructions)
        best = redrawn(self.language_model, texts, found, study_ids, *prompts, drafts, decoding)
        if on_text is not None and best != texts:
            on_text(best[0])
        return best

    def _found(self, logits: Tensor, reading: ReadingThresholds | None) -> Tensor:
        """Return the abnormal findings above their thresholds, bool ``[b 14]``."""
        found = is_predicted(logits.float().sigmoid(), (reading or self.thresholds).found)
        found[:, NO_FINDING] = False
        return found

    def _decoding(self, max_new_tokens: int | None, given: Mapping[str, Any]) -> dict[str, Any]:
        length = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}
        return {"max_new_tokens": self.max_report_tokens, **self.decoding, **given, **length}

    # Checkpoints -----------------------------------------------------------------------------------------------

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Fingerprints of the parts that the trained weights belong to: initial stage 1, banks, language model."""
        return {
            "classifier": self._classifier_given,
            **{f"{name}_memory": None if bank is None else bank.fingerprint for name, bank in self.known_banks.items()},
            "language_model": self.language_model.identity,
        }

    def trained_state_dict(self) -> dict[str, Tensor]:
        """Return the weights of projections, marks, retrievals and LoRA, and of the classifier where it is trained."""
        return dict(self.state_dict())

    def load_trained_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load saved weights.

        Raises:
            CheckpointError: a key is missing or unexpected, or a shape differs.
        """
        load_strictly(self, state, "report network")


def check_names(further: Iterable[str]) -> None:
    """Refuse a name of a further memory that cannot name parts of a network, or that another part has.

    Raises:
        SettingsError: names it.
    """
    for name in further:
        if not name.isidentifier() or name in ("image", "query", "visual", "report", "regions", "reports"):
            raise SettingsError(
                f"model.further_memories: {name!r} cannot name a memory; use letters, digits and _, and no name of a "
                "stream (image, query, visual, report) or of the two memories (regions, reports)"
            )


def is_same_part(kept: Any, found: Any) -> bool:
    """Tell whether two entries of :attr:`ReportNetwork.identity`, a checkpoint's and a network's, mean the same part.

    For a language model with a fingerprint, its files count and not its name, which may be a path.
    """
    if isinstance(kept, dict) and isinstance(found, dict) and kept.get("fingerprint") is not None:
        kept, found = ({**entry, "name": None} for entry in (kept, found))
    return bool(kept == found)

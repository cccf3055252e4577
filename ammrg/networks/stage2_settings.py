"""The groups of stage 2's settings, with names and types. None = the network's default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class HopfieldSettings:
    """Settings of the retrieval from both memories (:class:`ammrg.networks.hopfield.HopfieldRetrieval`)."""

    association_width: int = 1024
    """Width of each head's space in which states and patterns are compared."""
    heads: int = 6
    """Number of heads, at least 1."""
    beta: float | list[float] = 4.0
    """Inverse temperature > 0, one number or one for each head; a larger one retrieves more sharply."""
    learned_beta: bool = False
    """Train beta, one for each head."""
    dropout: float = 0.1
    """Share in [0, 1) of associations dropped in training."""
    steps: int = 0
    """Further update steps of the state before the retrieval."""
    tolerance: float = 1e-4
    """A state that moves at most this far (Euclidean) in an update step is not updated any more."""
    numbers_at_once: int = 2**25
    """Most association scores held at once; a larger memory is read in blocks, with the same result."""


@dataclass(frozen=True)
class TwoStepSettings:
    """Settings of retrieval in two steps (:class:`ammrg.memory.candidates.FaissSearch`), for very large memories."""

    candidates: int = 256
    """Number of patterns that each state and head is associated with, at least 1."""
    visited: int = 32
    """Lists searched for each probe; more lists find more and take longer."""
    lists: int | None = None
    """Number of lists; None = 4 sqrt(n), or no lists for a small memory."""
    folder: str | None = None
    """Where the index is kept; None keeps it in RAM."""


@dataclass(frozen=True)
class NetworkSettings:
    """Switches of the network of stage 2 (:class:`ammrg.networks.report_network.ReportNetwork`)."""

    image_tokens: bool = True
    """The language model reads the films' tokens."""
    query_tokens: bool = True
    """It reads Q_f, one token for each finding."""
    visual_memory: bool = True
    """It reads what Q_f recalls from the regions."""
    report_memory: bool = True
    """It reads what Q_f recalls from the reports."""
    pool_image_tokens: int | None = None
    """Average each film's grid to at most this many tokens per side; None: all tokens."""
    hopfield: HopfieldSettings | None = field(default_factory=HopfieldSettings)
    """Settings of the retrieval from both memories."""
    two_step: TwoStepSettings | None = None
    """Associate only with the candidates of a search; null associates with every pattern."""
    finding_tokens: bool = False
    """Add the embedding of a finding's name, times its probability, to its token of Q_f."""
    place_tokens: bool = False
    """With ``finding_tokens``: also add the embeddings of the words of its place, times their probabilities."""
    image_positions: bool = False
    """Add to the image tokens an embedding of their place on the film."""
    state_places: bool = False
    """The states that ask the memories also know the place of their finding, and all findings of the study."""
    hub_correction: float = 0.0
    """Divide associations by this power of their mean over training studies; 0 = off (as published)."""
    memory_dropout: float = 0.0
    """Share in [0, 1) of the training studies whose tokens of a memory are replaced by zeros."""
    associations: int = 5
    """Number of stored patterns of each memory that are listed with a report."""


@dataclass(frozen=True)
class LoraSettings:
    """Settings of the language model's low-rank adapters (Hu et al. 2021); without the group there are no adapters."""

    rank: int = 8
    """Rank of an adapter, at least 1."""
    alpha: float | None = None
    """The adapters' output is scaled by alpha / rank; None = 2 times the rank."""
    dropout: float = 0.0
    """Share in [0, 1) of an adapter's input that is dropped in training."""
    targets: list[str] | None = None
    """Names of the layers that are adapted; None = every linear layer except the head."""


@dataclass(frozen=True)
class DecodingSettings:
    """Settings of decoding: ``drafts``, and fields of transformers' GenerationConfig. None = transformers' default."""

    drafts: int | None = None
    """Most drafts that are drawn where a report does not say what the language model was told
    (:mod:`ammrg.networks.checked_drafts`); None or 0 = none."""
    max_new_tokens: int | None = None
    """Longest report, in tokens; None = ``max_report_tokens``."""
    min_new_tokens: int | None = None
    """Shortest report, in tokens."""
    min_length: int | None = None
    """Shortest prompt and report together, in tokens; 0 = off."""
    num_beams: int | None = None
    """Number of beams of a beam search; 1 = greedy."""
    early_stopping: bool | Literal["never"] | None = None
    """Beam search: stop as soon as ``num_beams`` texts are finished (true, false, or never)."""
    length_penalty: float | None = None
    """Beam search: exponent of the length; above 0 favours long texts."""
    repetition_penalty: float | None = None
    """Above 1 makes tokens that were written already less probable (Keskar et al. 2019)."""
    no_repeat_ngram_size: int | None = None
    """Sequences of this many tokens occur only once; 0 = off."""
    do_sample: bool | None = None
    """Sample tokens instead of taking the most probable one."""
    temperature: float | None = None
    """Temperature of sampling, above 0; 1 samples from the model's own distribution."""
    top_k: int | None = None
    """Sample among this many most probable tokens."""
    top_p: float | None = None
    """Sample among the most probable tokens that together have this probability, in (0, 1]."""
    min_p: float | None = None
    """Sample among tokens with at least this share of the most probable one's probability, in [0, 1]."""
    typical_p: float | None = None
    """Sample among the most typical tokens that together have this probability, in (0, 1]."""
    epsilon_cutoff: float | None = None
    """Sample among tokens with at least this probability, in [0, 1)."""
    eta_cutoff: float | None = None
    """As ``epsilon_cutoff``, scaled by the entropy, in [0, 1)."""
    renormalize_logits: bool | None = None
    """Normalise scores to log probabilities again after all penalties."""
    remove_invalid_values: bool | None = None
    """Replace scores that are not finite."""
    bad_words_ids: list[list[int]] | None = None
    """Sequences of token ids that are never written."""
    suppress_tokens: list[int] | None = None
    """Token ids that are never written."""
    exponential_decay_length_penalty: list[float] | None = None
    """[number of tokens after which the end becomes more and more probable, factor]."""
    max_time: float | None = None
    """Seconds after which the decoding of a batch stops."""
    use_cache: bool | None = None
    """Keep the keys and values of earlier tokens: much faster, more memory."""


@dataclass(frozen=True)
class UnfreezeSteps:
    """The optimizer step from which a part named in ``freeze`` is trained nevertheless; None = never."""

    encoder: int | None = None
    """Stage 1's encoder."""
    qformer: int | None = None
    """Stage 1's Q-Former and head."""
    memories: int | None = None
    """Both retrievals."""
    lora: int | None = None
    """The language model's adapters."""
    projections: int | None = None
    """The projections of the streams, with their marks."""


@dataclass(frozen=True)
class RewardSettings:
    """Settings of reward training; without the group there is none."""

    weights: dict[str, float] | None = None
    """Weight >= 0 of the rewards that count: some of ``cider``, ``clinical_f1``, ``side_f1``
    (:mod:`ammrg.metrics.rewards`); None = 1 for each. A mapping as default would join those that are named."""
    samples: int = 8
    """Reports drawn for each study, at least 2; they are compared with each other."""
    temperature: float = 1.0
    """Temperature of the samples, above 0."""
    kl: float = 0.05
    """Weight, >= 0, of the distance from the supervised weights, in nats a token."""

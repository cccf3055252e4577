"""The settings of stage 2 that come in groups, by name and type. None = as the network does without."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class HopfieldSettings:
    """Of both :class:`ammrg.networks.hopfield.HopfieldRetrieval`."""

    association_width: int = 1024
    """Of the space in which states and patterns are compared, numbers a head."""
    heads: int = 6
    """How many, at least 1."""
    beta: float | list[float] = 4.0
    """Inverse temperature > 0, one number or one for each head; larger recalls more sharply."""
    learned_beta: bool = False
    """Train beta, one for each head."""
    dropout: float = 0.1
    """Share in [0, 1) of associations dropped in training."""
    steps: int = 0
    """Update steps of the state before the retrieval."""
    tolerance: float = 1e-4
    """A state that moves at most this far in an update step stays (Euclidean)."""
    numbers_at_once: int = 2**25
    """Most association scores held at once; a larger memory is read in blocks, with the same result."""


@dataclass(frozen=True)
class TwoStepSettings:
    """Of retrieval in two steps (:class:`ammrg.memory.candidates.FaissSearch`), for very large memories."""

    candidates: int = 256
    """Patterns that each state and head is associated with, at least 1."""
    visited: int = 32
    """Lists looked into for each probe; more find more and take longer."""
    lists: int | None = None
    """How many there are; None takes 4 sqrt(n), and none at all for a small memory."""
    folder: str | None = None
    """Where the index is kept; None keeps it in RAM."""


@dataclass(frozen=True)
class NetworkSettings:
    """Switches of :class:`ammrg.networks.report_network.ReportNetwork`."""

    image_tokens: bool = True
    """The language model reads the films' tokens."""
    query_tokens: bool = True
    """It reads Q_f, a token a finding."""
    visual_memory: bool = True
    """It reads what Q_f recalls from the regions."""
    report_memory: bool = True
    """It reads what Q_f recalls from the reports."""
    pool_image_tokens: int | None = None
    """Average each film's grid to at most so many tokens a side; None: all tokens."""
    hopfield: HopfieldSettings | None = field(default_factory=HopfieldSettings)
    """Of both memories' retrievals."""
    two_step: TwoStepSettings | None = None
    """Associate with the candidates of a search; null associates with every pattern."""
    finding_tokens: bool = False
    """Add the finding's name to its token of Q_f, times its probability."""
    associations: int = 5
    """How many stored patterns of each memory are named with a report."""


@dataclass(frozen=True)
class LoraSettings:
    """Of the language model's low-rank adapters (Hu et al. 2021); a missing group leaves the model as it is."""

    rank: int = 8
    """At least 1."""
    alpha: float | None = None
    """The adapters' output is scaled by alpha / rank; None = 2 times the rank."""
    dropout: float = 0.0
    """Share in [0, 1) of an adapter's input."""
    targets: list[str] | None = None
    """Names of the layers that are adapted; None = every linear layer but the head."""


@dataclass(frozen=True)
class DecodingSettings:
    """How reports are written: fields of transformers' GenerationConfig. None = transformers' own."""

    max_new_tokens: int | None = None
    """Longest report, in tokens; None = ``max_report_tokens``."""
    min_new_tokens: int | None = None
    """Shortest report, in tokens."""
    min_length: int | None = None
    """As ``min_new_tokens``, counted with the prompt; 0 = off."""
    num_beams: int | None = None
    """Texts followed side by side; 1 = greedy."""
    early_stopping: bool | Literal["never"] | None = None
    """Of beam search: stop as soon as so many texts are finished (true, false, or never)."""
    length_penalty: float | None = None
    """Of beam search: exponent of the length; above 0 favours long texts."""
    repetition_penalty: float | None = None
    """Above 1 disfavours tokens written already (Keskar et al. 2019)."""
    no_repeat_ngram_size: int | None = None
    """Runs of so many tokens occur once only; 0 = off."""
    do_sample: bool | None = None
    """Draw tokens instead of taking the likeliest."""
    temperature: float | None = None
    """Of drawing, above 0; 1 draws from the model's own distribution."""
    top_k: int | None = None
    """Draw among so many of the likeliest tokens."""
    top_p: float | None = None
    """Draw among the likeliest tokens that together have this probability, in (0, 1]."""
    min_p: float | None = None
    """Draw among tokens with at least this share of the likeliest one's probability, in [0, 1]."""
    typical_p: float | None = None
    """Draw among the most typical tokens that together have this probability, in (0, 1]."""
    epsilon_cutoff: float | None = None
    """Draw among tokens with at least this probability, in [0, 1)."""
    eta_cutoff: float | None = None
    """As ``epsilon_cutoff``, scaled with the entropy, in [0, 1)."""
    renormalize_logits: bool | None = None
    """Make scores log probabilities again after all penalties."""
    remove_invalid_values: bool | None = None
    """Replace scores that are not finite."""
    bad_words_ids: list[list[int]] | None = None
    """Runs of token ids that are never written."""
    suppress_tokens: list[int] | None = None
    """Token ids that are never written."""
    exponential_decay_length_penalty: list[float] | None = None
    """[token from which the end becomes ever likelier, factor]."""
    max_time: float | None = None
    """Seconds after which writing a batch stops."""
    use_cache: bool | None = None
    """Keep keys and values of what was read: much faster, more memory."""


@dataclass(frozen=True)
class UnfreezeSteps:
    """Optimizer step from which a part of ``freeze`` is trained after all; None = never."""

    encoder: int | None = None
    """Stage 1's encoder."""
    qformer: int | None = None
    """Stage 1's Q-Former and head."""
    memories: int | None = None
    """Both retrievals."""
    lora: int | None = None
    """The language model's adapters."""
    projections: int | None = None
    """The streams with their marks."""

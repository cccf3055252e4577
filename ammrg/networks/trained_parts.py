"""The parts of stage 2's network that can be trained, and which of them are trained now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from torch import nn

from ammrg.errors import SettingsError

Part = Literal["encoder", "qformer", "memories", "lora", "projections"]
"""Stage 1's encoder; its Q-Former and head; the retrievals of the memories with the maps of places that are added to
what they are asked; the language model's LoRA; the projections of the streams with their marks."""
PARTS: tuple[Part, ...] = get_args(Part)
STAGE1: frozenset[Part] = frozenset({"encoder", "qformer"})


class TrainedParts:
    """The state of each part of a network: trained now (active), trained later (inactive), or never (frozen).

    Args:
        modules: each part's module. A parameter in several modules belongs to the first part that has it. Part ``lora``
            is the language model, of which only adapters are trained.
        frozen: parts that are never trained; their parameters need no gradient from now on.

    Raises:
        SettingsError: ``frozen`` names an unknown part.
    """

    def __init__(self, modules: Mapping[Part, nn.Module], frozen: Iterable[Part]) -> None:
        if unknown := sorted(set(frozen) - set(PARTS)):
            raise SettingsError(f"freeze: found {unknown[0]!r}, must be among {', '.join(PARTS)}")
        self.modules = dict(modules)
        self.frozen: frozenset[Part] = frozenset(frozen)
        self.active = frozenset(PARTS) - self.frozen
        self.in_graph = self.active
        """Parts through which gradients flow."""
        for part, parameters in self.parameters().items():
            if part in self.frozen:
                for parameter in parameters:
                    parameter.requires_grad_(False)

    @property
    def inactive(self) -> frozenset[Part]:
        """Parts that are neither frozen nor trained now."""
        return frozenset(PARTS) - self.frozen - self.active

    def parameters(self) -> dict[Part, list[nn.Parameter]]:
        """List the parameters of each part."""
        found: dict[Part, list[nn.Parameter]] = {}
        taken = {id(each) for name, each in self.modules["lora"].named_parameters() if "lora_" not in name}
        for part, module in self.modules.items():
            found[part] = [parameter for parameter in module.parameters() if id(parameter) not in taken]
            taken.update(id(parameter) for parameter in found[part])
        return found

    def activate(self, parts: Iterable[Part], inactive_in_graph: bool = False) -> None:
        """Train only the given parts, except those that are frozen.

        Args:
            parts: to be trained from now on.
            inactive_in_graph: let gradients flow through inactive parts too. Several processes need this, because each
                waits for the gradients of all parameters.
        """
        self.active = frozenset(parts) - self.frozen
        self.in_graph = frozenset(PARTS) - self.frozen if inactive_in_graph else self.active

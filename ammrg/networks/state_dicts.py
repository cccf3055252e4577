"""State dicts that hold only what is trained, and strict loading with an error that says whose weights they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from ammrg.errors import CheckpointError


def save_only(module: nn.Module, saved: Callable[[str], bool]) -> None:
    """From now on a state dict of ``module``, or of any model that holds it, leaves out the keys (relative to
    ``module``) for which ``saved`` says no; and loading such a state dict strictly does not miss them."""
    place = ""

    def drop(_: nn.Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
        for key in [key for key in state if key.startswith(prefix) and not saved(key[len(prefix) :])]:
            del state[key]

    def remember(_: nn.Module, __: Mapping[str, Any], prefix: str, *___: Any) -> None:
        nonlocal place
        place = prefix

    def forgive(_: nn.Module, incompatible: Any) -> None:
        incompatible.missing_keys[:] = [
            key for key in incompatible.missing_keys if not key.startswith(place) or saved(key[len(place) :])
        ]

    module.register_state_dict_post_hook(drop)  # type: ignore[no-untyped-call]
    module.register_load_state_dict_pre_hook(remember)  # type: ignore[no-untyped-call]
    module.register_load_state_dict_post_hook(forgive)  # type: ignore[no-untyped-call]


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load ``state`` into ``module``; a missing or unexpected key or another shape is a CheckpointError naming it."""
    try:
        module.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{what}: the saved weights are of other settings. {error}") from error

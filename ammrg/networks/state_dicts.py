"""State dicts of trained weights only, and strict loading with a clear error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from ammrg.errors import CheckpointError


def save_only(module: nn.Module, saved: Callable[[str], bool]) -> None:
    """Restrict the state dict of a module to some keys, also where the module is part of a larger one.

    Strict loading of such a state dict then does not report the left-out keys as missing.

    Args:
        module: changed in place, by hooks.
        saved: tells for each key, relative to ``module``, whether it is saved.
    """
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
    """Load a state dict into a module.

    Raises:
        CheckpointError: a key is missing or unexpected, or a shape differs; the message names it.
    """
    try:
        module.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{what}: the saved weights belong to other settings. {error}") from error

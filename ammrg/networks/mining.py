"""Mining: the regions that a region memory may store, from a batch of films and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ammrg.errors import SettingsError
from ammrg.findings import NUM_FINDINGS
from ammrg.maps import shows_place
from ammrg.memory.crops import crop_films
from ammrg.memory.patches import pick_patches
from ammrg.memory.regions import Region, pick_regions
from ammrg.networks.class_activation import MapMethod, activation_maps
from ammrg.networks.disease_classifier import DiseaseClassifier

RegionForm = Literal["windows", "patches"]
RegionTokens = Literal["feature", "crop"]
_PICKS: dict[str, Callable[..., list[Region]]] = {"windows": pick_regions, "patches": pick_patches}


class Mined(NamedTuple):
    """The regions mined from a batch of v films."""

    regions: list[list[Region]]
    """The regions of each film, with tokens in float32 on the CPU."""
    probabilities: Tensor
    """float32 ``[v 14]`` on the CPU."""
    shows_place: Tensor
    """bool ``[v 14]`` on the CPU: maps that show a place (:func:`ammrg.maps.shows_place`); others give no region."""


def mine_regions(
    classifier: DiseaseClassifier,
    images: Tensor,
    labels: Tensor,
    *,
    method: MapMethod = "gradcam",
    form: RegionForm = "windows",
    region_tokens: RegionTokens = "feature",
    **settings: Any,
) -> Mined:
    """Mine the regions of each film of a batch.

    Args:
        classifier: in eval mode, with its thresholds.
        images: uint8 ``[v 1 h w]``.
        labels: ``[v 14]``, of each film's study.
        method: how maps are made.
        form: ``windows`` around the peaks of a map (:func:`ammrg.memory.regions.pick_regions`), or ``patches`` as
            published (:func:`ammrg.memory.patches.pick_patches`).
        region_tokens: ``feature`` takes a region's token from the forward pass of its film. ``crop`` (as published)
            cuts the region out, enlarges it to the size of a film and encodes it, v crops at a time.
        settings: of the form; ``side`` of patches is by default the films' own size. Check them first with
            :func:`check_settings`.
    """
    if form == "patches":
        settings = {"side": images.shape[-1], **settings}
    maps, seen = activation_maps(classifier, images, method)
    maps, tokens, labels = maps.float().cpu(), seen.tokens.float().cpu(), labels.float().cpu()
    probabilities, thresholds = seen.logits.float().sigmoid().cpu(), classifier.thresholds.float().cpu()
    pick = _pick_of(form)
    mined = [
        pick(
            maps[film],
            tokens[film],
            labels[film],
            probabilities[film],
            thresholds,
            cell_shift=classifier.encoder.cell_shift,
            **settings,
        )
        for film in range(len(images))
    ]
    if region_tokens == "crop":
        mined = _with_crops(classifier, images, mined)
    return Mined(mined, probabilities, shows_place(maps))


def check_settings(form: str, region_tokens: str, settings: Mapping[str, Any]) -> None:
    """Check the settings of mining on an empty film, so that an error shows before training and not after it.

    Raises:
        SettingsError: the form, the kind of tokens or a setting is unknown, or a setting is out of range.
    """
    if region_tokens not in get_args(RegionTokens):
        raise SettingsError(f"model.region_tokens: found {region_tokens!r}, must be feature or crop.")
    pick, nothing = _pick_of(form), torch.zeros(NUM_FINDINGS)
    film = (torch.zeros(NUM_FINDINGS, 2, 2), torch.zeros(4, 1), nothing, nothing, nothing)
    try:
        pick(*film, cell_shift=0.0, **settings)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"model.regions ({form}): {error}.") from error


def _pick_of(form: str) -> Callable[..., list[Region]]:
    if form not in _PICKS:
        raise SettingsError(f"model.region_form: found {form!r}, must be one of {', '.join(_PICKS)}.")
    return _PICKS[form]


@torch.no_grad()
def _with_crops(classifier: DiseaseClassifier, images: Tensor, mined: list[list[Region]]) -> list[list[Region]]:
    """Return the same regions with tokens from their crops."""
    boxes = [region.box for regions in mined for region in regions]
    owners = [film for film, regions in enumerate(mined) for _ in regions]
    if not boxes:
        return mined
    tokens: list[Tensor] = []
    for start in range(0, len(boxes), len(images)):
        part = slice(start, start + len(images))
        crops = crop_films(images, boxes[part], owners[part])
        places = torch.tensor(boxes[part], device=images.device)
        tokens += classifier.qformer.project_crops(classifier.encoder(crops).tokens, places).float().cpu()
    cropped: Iterator[Tensor] = iter(tokens)
    return [[region._replace(token=next(cropped)) for region in regions] for regions in mined]

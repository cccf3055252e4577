"""Regions cut out of films and enlarged to films of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.types import Corners


def crop_films(films: Tensor, boxes: Sequence[Corners], owners: Sequence[int]) -> Tensor:
    """Cut boxes out of films and enlarge each to the films' size (bilinear).

    Args:
        films: uint8 ``[v 1 h w]``.
        boxes: m boxes, x0 y0 x1 y1 relative to the film; rounded outwards to whole pixels.
        owners: m rows: the film of each box.

    Returns:
        uint8 ``[m 1 h w]``.
    """
    height, width = films.shape[-2:]
    cropped = films.new_empty(len(boxes), 1, height, width)
    for place, ((x0, y0, x1, y1), owner) in enumerate(zip(boxes, owners, strict=True)):
        # The small margin keeps a box that ends on a pixel's edge from growing by rounding errors.
        left, top = math.floor(x0 * width + 1e-3), math.floor(y0 * height + 1e-3)
        right, bottom = math.ceil(x1 * width - 1e-3), math.ceil(y1 * height - 1e-3)
        piece = films[owner : owner + 1, :, top : max(bottom, top + 1), left : max(right, left + 1)]
        drawn = F.interpolate(piece.float(), size=(height, width), mode="bilinear", align_corners=False)
        cropped[place] = drawn[0].round().clamp(0, 255).to(torch.uint8)
    return cropped

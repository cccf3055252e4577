"""What happens to a film between disk and batch. Never a flip: a heart on the right side is another finding."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ammrg.types import Box

# albumentations asks the network for a newer version when it is imported; it is imported in `augmentation` only.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

SMALLEST_SIDE = 2 / 256
"""A box with a side shorter than this share of the film has left it, and is dropped."""


class FilmTransform:
    """Squash a whole film to a square, then perhaps vary it as films vary: place, exposure, sharpness, noise.

    The film is squashed, not cropped, so a relative box is the same before and after.
    """

    def __init__(self, size: int, augment: bool) -> None:
        """
        Args:
            size: side of the result in pixels.
            augment: vary it at random.
        """
        if size < 1:
            raise ValueError(f"size ({size}) must be at least 1 pixel")
        self.size = size
        self.augment = augmentation() if augment else None

    def __call__(self, film: NDArray[np.uint8], seed: int | Sequence[int] | None = None) -> NDArray[np.uint8]:
        """uint8 ``[h w]`` -> uint8 ``[size size]``; see :meth:`with_boxes`."""
        return self.with_boxes(film, (), seed)[0]

    def with_boxes(
        self, film: NDArray[np.uint8], boxes: Sequence[Box], seed: int | Sequence[int] | None = None
    ) -> tuple[NDArray[np.uint8], tuple[Box, ...]]:
        """Transform a film and the boxes on it together.

        Args:
            film: uint8 ``[h w]``.
            boxes: relative boxes of this film.
            seed: same seed, same variation, whatever the worker. None draws one from numpy's global generator,
                which Lightning seeds per worker.

        Returns:
            uint8 ``[size size]`` and the boxes that are still on the film, clipped to it.
        """
        shrinks = film.shape[0] > self.size and film.shape[1] > self.size
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        squashed = np.asarray(cv2.resize(film, (self.size, self.size), interpolation=how), dtype=np.uint8)
        if self.augment is None:
            return squashed, tuple(boxes)
        words = np.random.randint(0, 2**31) if seed is None else seed
        # One generator for the whole chain: albumentations' own seeding gives every transform the same draws.
        generator = np.random.default_rng(words)
        self.augment.set_random_state(generator, random.Random(int(generator.integers(2**62))))
        corners = np.asarray([box[2:] for box in boxes], np.float32).reshape(-1, 4)
        varied = self.augment(image=squashed[..., None], bboxes=corners, rows=list(range(len(boxes))))
        kept = (
            Box(boxes[int(row)].view, boxes[int(row)].finding, *(float(value) for value in corner))
            for row, corner in zip(varied["rows"], varied["bboxes"], strict=True)
        )
        large = tuple(box for box in kept if min(box.x1 - box.x0, box.y1 - box.y0) > SMALLEST_SIDE)
        return np.asarray(varied["image"], dtype=np.uint8)[..., 0], large


def augmentation() -> Any:
    """The random part of training, an albumentations ``Compose`` over ``image [h w 1]``, ``bboxes`` and ``rows``.

    Ranges are those in which two films of one person differ: a few degrees, a few per cent, an exposure.
    """
    import albumentations as A

    return A.Compose(
        [
            A.Affine(
                scale=(0.92, 1.08),
                translate_percent=(-0.05, 0.05),
                rotate=(-8, 8),
                interpolation=cv2.INTER_LINEAR,
                border_mode=cv2.BORDER_CONSTANT,
                fill=0,
                p=0.8,
            ),
            A.RandomBrightnessContrast(brightness_limit=0.12, contrast_limit=0.2, ensure_safe_range=True, p=0.6),
            A.RandomGamma(gamma_limit=(75, 130), p=0.4),
            A.OneOf(
                [
                    A.GaussianBlur(sigma_limit=(0.3, 0.8), p=1.0),
                    A.GaussNoise(std_range=(0.005, 0.025), p=1.0),
                ],
                p=0.25,
            ),
        ],
        bbox_params=A.BboxParams(format="albumentations", label_fields=["rows"], clip=True, filter_invalid_bboxes=True),
    )


def train_transform(size: int) -> FilmTransform:
    """Squash to ``[size size]`` and vary (small affine, brightness, contrast, gamma, mild noise or blur)."""
    return FilmTransform(size, augment=True)


def eval_transform(size: int) -> FilmTransform:
    """Squash to ``[size size]``, nothing else."""
    return FilmTransform(size, augment=False)

"""Transforms of a film on its way into a batch: resizing and augmentation.

Films are never flipped here: a heart on the right side is a finding of its own. Only the guard ``films_mirrored``
shows flipped films, and never to a network in training.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ammrg.types import Box

# When imported, albumentations looks for a newer version online; it is imported in `augmentation` only.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

SMALLEST_SIDE = 2 / 256
"""A box with a side at most this share of the film is dropped: most of it has left the film."""

PATCH_CHANCE, MOST_PATCHES = 0.15, 3
PATCH_SIDES = (0.04, 0.12)
"""Shortest and longest side of a hidden patch, as a share of the film's side."""
BORDER = 0.1
"""Patches keep at least this distance from the border, as a share of the film: the border shows collimation, not the
patient."""
MOSTLY = 0.5
"""A box is dropped where patches hide more than this share of it."""


class FilmTransform:
    """Resizes a whole film to a square and, in training, varies it as real films vary.

    Augmentation varies place, exposure, sharpness and noise, and sometimes hides a few small patches. The film is
    resized without regard to its aspect ratio, not cropped, so a relative box is the same before and after resizing.

    Args:
        size: side of the result in pixels.
        augment: whether to vary the film at random.

    Raises:
        ValueError: a size below 1.
    """

    def __init__(self, size: int, augment: bool) -> None:
        if size < 1:
            raise ValueError(f"size ({size}) must be at least 1 pixel")
        self.size = size
        self.augment = augmentation() if augment else None

    def __call__(self, film: NDArray[np.uint8], seed: int | Sequence[int] | None = None) -> NDArray[np.uint8]:
        """Transform a film: uint8 ``[h w]`` -> uint8 ``[size size]``; see :meth:`with_boxes`."""
        return self.with_boxes(film, (), seed)[0]

    def with_boxes(
        self, film: NDArray[np.uint8], boxes: Sequence[Box], seed: int | Sequence[int] | None = None
    ) -> tuple[NDArray[np.uint8], tuple[Box, ...]]:
        """Transform a film and the boxes on it together.

        Args:
            film: uint8 ``[h w]``.
            boxes: relative boxes of this film.
            seed: the same seed gives the same variation in every worker. None draws one from numpy's global
                generator, which Lightning seeds for each worker.

        Returns:
            The film, uint8 ``[size size]``, which depends on the given film and seed only; and its boxes, clipped to
            the film, without those that left it or are mostly hidden.
        """
        shrinks = film.shape[0] > self.size and film.shape[1] > self.size
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        squashed = np.asarray(cv2.resize(film, (self.size, self.size), interpolation=how), dtype=np.uint8)
        if self.augment is None:
            return squashed, tuple(boxes)
        words = np.random.randint(0, 2**31) if seed is None else seed
        # One generator for the whole chain, because albumentations' own seeding gives every transform the same draws.
        generator = np.random.default_rng(words)
        self.augment.set_random_state(generator, random.Random(int(generator.integers(2**62))))
        corners = np.asarray([box[2:] for box in boxes], np.float32).reshape(-1, 4)
        varied = self.augment(image=squashed[..., None], bboxes=corners, rows=list(range(len(boxes))))
        kept = (
            Box(boxes[int(row)].view, boxes[int(row)].finding, *(float(value) for value in corner))
            for row, corner in zip(varied["rows"], varied["bboxes"], strict=True)
        )
        large = tuple(box for box in kept if min(box.x1 - box.x0, box.y1 - box.y0) > SMALLEST_SIDE)
        image = np.asarray(varied["image"], dtype=np.uint8)[..., 0]
        return drop_patches(image, large, generator) if generator.random() < PATCH_CHANCE else (image, large)


def drop_patches(
    film: NDArray[np.uint8], boxes: tuple[Box, ...], generator: np.random.Generator
) -> tuple[NDArray[np.uint8], tuple[Box, ...]]:
    """Hide one to :data:`MOST_PATCHES` small rectangles inside the film, filled with the film's mean.

    The patches do not depend on the boxes, so a film looks the same whether its boxes are known or not. A box that they
    mostly hide is dropped. Its label stays, as it does for the many films without boxes: in training on the phantom,
    patches hide one sign in 2,000 and, of the smallest (fractures, lesions), one in 600.

    Args:
        film: uint8 ``[h w]``; not changed.
        boxes: relative boxes of this film.
        generator: decides number, sizes and places of the patches.

    Returns:
        The film, uint8 ``[h w]``, and the boxes that are not mostly hidden.
    """
    sides = np.array(film.shape)
    hidden = np.zeros(film.shape, np.bool_)
    for _ in range(generator.integers(1, MOST_PATCHES, endpoint=True)):
        patch = np.maximum(1, np.rint(generator.uniform(*PATCH_SIDES, 2) * sides)).astype(int)
        room = sides - 2 * np.ceil(BORDER * sides).astype(int) - patch
        if room.min() < 0:  # a film of a few pixels has no room for a patch
            continue
        top, left = np.ceil(BORDER * sides).astype(int) + generator.integers(0, room, endpoint=True)
        hidden[top : top + patch[0], left : left + patch[1]] = True
    dropped = np.where(hidden, np.uint8(round(float(film.mean()))), film)
    return dropped, tuple(box for box in boxes if share_inside(hidden, box) <= MOSTLY)


def share_inside(mask: NDArray[np.bool_], box: Box) -> float:
    """Return the share of a relative box's pixels that a mask ``[h w]`` covers."""
    height, width = mask.shape
    rows = slice(int(box.y0 * height), max(int(box.y0 * height) + 1, round(box.y1 * height)))
    columns = slice(int(box.x0 * width), max(int(box.x0 * width) + 1, round(box.x1 * width)))
    return float(mask[rows, columns].mean())


def augmentation() -> Any:
    """Build the random variation of place, exposure, sharpness and noise.

    The ranges are those in which two films of one person differ: a few degrees, a few per cent, another exposure.

    Returns:
        An albumentations ``Compose`` over ``image [h w 1]``, ``bboxes`` and ``rows``.
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
        bbox_params=A.BboxParams(
            format="albumentations",
            label_fields=["rows"],
            clip=True,
            filter_invalid_bboxes=True,
            check_each_transform=False,  # only the first one moves boxes; a check after each costs more than them all
        ),
    )


def train_transform(size: int) -> FilmTransform:
    """Resize to ``[size size]`` and vary (small affine, brightness, contrast, gamma, mild noise or blur, patches)."""
    return FilmTransform(size, augment=True)


def eval_transform(size: int) -> FilmTransform:
    """Resize to ``[size size]``, nothing else."""
    return FilmTransform(size, augment=False)

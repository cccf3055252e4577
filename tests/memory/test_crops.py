from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ammrg.memory.crops import crop_films


def films() -> torch.Tensor:
    return torch.randint(0, 256, (2, 1, 32, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_the_whole_film_stays_as_it_is() -> None:
    assert torch.equal(crop_films(films(), [(0.0, 0.0, 1.0, 1.0)], [1]), films()[1:])


def test_a_cell_of_a_grid_is_cut_to_the_pixel() -> None:
    """Thirds and sevenths of a film are not whole in floating point."""
    picture = torch.zeros(1, 1, 42, 42, dtype=torch.uint8)
    picture[0, 0, 12:18, 24:30] = 200  # cell (2, 4) of a 7 x 7 grid
    box = (4 / 7, 2 / 7, 5 / 7, 3 / 7)
    assert (crop_films(picture, [box], [0]) == 200).all()


def test_against_pillow() -> None:
    """An upsampled crop is Pillow's bilinear resize of the same pixels, but for rounding."""
    found = crop_films(films(), [(0.25, 0.5, 0.75, 1.0)], [1])[0, 0].numpy()
    piece = Image.fromarray(films()[1, 0].numpy()[16:32, 12:36])
    expected = np.asarray(piece.resize((48, 32), Image.Resampling.BILINEAR))
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_each_crop_comes_from_its_own_film_and_a_speck_is_a_pixel() -> None:
    both = crop_films(films(), [(0.0, 0.0, 0.5, 0.5)] * 2, [0, 1])
    assert not torch.equal(both[0], both[1])
    assert (crop_films(films(), [(0.5, 0.5, 0.5, 0.5)], [0]) == films()[0, 0, 16, 24]).all()
    assert crop_films(films(), [], []).shape == (0, 1, 32, 48)

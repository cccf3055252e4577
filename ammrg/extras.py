"""Optional packages, and the error if one is not installed.

``pip install .`` alone installs what scoring needs; each extra in ``setup.cfg`` adds what other work needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ammrg.errors import MissingPackageError

OURS = ("ammrg", "benchmarks", "callbacks", "datamodules", "experiments", "lightning_modules")
"""Packages of this project: if one of their modules is missing, the code is wrong, not the environment."""


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Run code that imports the packages of an extra.

    Args:
        extra: a name under ``options.extras_require`` in ``setup.cfg``, e.g. ``models``.

    Raises:
        MissingPackageError: if a package is not installed; names it and the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", *OURS):
            raise
        raise MissingPackageError(
            f"the package {package} is not installed; in a clone of AM-MRG, install it with: pip install '.[{extra}]'"
        ) from error

"""Optional packages, and the error for one that is not installed.

``pip install am-mrg`` alone installs the packages for scoring; each extra in ``setup.cfg`` adds those for other work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ammrg.errors import MissingPackageError

OURS = ("ammrg", "benchmarks", "callbacks", "datamodules", "experiments", "lightning_modules")
"""Packages of this project: a missing module in one of them is a bug, not a missing installation."""


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Run code that imports the packages of an extra.

    Args:
        extra: a name under ``options.extras_require`` in ``setup.cfg``, e.g. ``models``.

    Raises:
        MissingPackageError: a package is not installed; the message names it and the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", *OURS):
            raise
        raise MissingPackageError(
            f'the package {package} is not installed; install it with: pip install "am-mrg[{extra}]"'
        ) from error

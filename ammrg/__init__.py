"""AM-MRG: chest X-ray report generation with an associative memory that shows what it retrieved.

This package is the science of the project: tensors, text and numbers in and out. Nothing here depends on Lightning or
W&B, reads a global path, or uses the network at import. Research use only: not a medical device.

Other programs use three names: ``from ammrg import ReportGenerator, evaluate, per_study``. Each is imported at its
first use, so ``import ammrg`` itself loads neither numpy nor PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ammrg.evaluation.evaluate import evaluate
    from ammrg.evaluation.per_study import per_study
    from ammrg.inference.report_generator import ReportGenerator

__version__ = "0.2.0"
__all__ = ["ReportGenerator", "__version__", "evaluate", "per_study"]

_MODULES = {
    "ReportGenerator": "ammrg.inference.report_generator",
    "evaluate": "ammrg.evaluation.evaluate",
    "per_study": "ammrg.evaluation.per_study",
}
"""Public name -> its module."""


def __getattr__(name: str) -> Any:
    """Import a public name at its first use.

    Raises:
        AttributeError: if there is no such name.
        MissingPackageError: if the name needs a package that is not installed; the message says how to install it.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from ammrg.extras import needs_extra

    with needs_extra("models"):
        value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value

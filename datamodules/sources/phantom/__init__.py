"""The phantom: drawn chest radiographs with known findings, and the reports that describe them.

``plan`` decides what a study shows, ``anatomy`` and ``signs`` draw it by adding up attenuation on a ``canvas``, and
``films`` exposes it. ``sentences`` writes the report from the phrase book in ``wordings``. ``layouts`` stores studies
in the layouts of real data sets. Nothing is downloaded, and the same seed gives the same bytes.
"""

from __future__ import annotations

from datamodules.sources.phantom.plan import StudyPlan, plan_study
from datamodules.sources.phantom.studies import SPLIT_SIZES, draw_study, generate

__all__ = ["SPLIT_SIZES", "StudyPlan", "draw_study", "generate", "plan_study"]

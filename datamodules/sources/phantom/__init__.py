"""The phantom: drawn chest radiographs with known findings, and the reports that describe them.

``plan`` decides what a study shows, ``anatomy`` and ``signs`` draw it by adding up attenuation on a ``canvas``, and
``films`` exposes it. ``sentences`` writes the report from the phrase books in ``wordings`` (version 1) and
``placed_wordings`` (version 2), and ``place_phrases`` says where a sign is. ``layouts`` stores studies in the layouts
of real data sets. Nothing is downloaded, and the same seed gives the same bytes.
"""

from __future__ import annotations

from datamodules.sources.phantom.plan import VERSION, VERSIONS, StudyPlan, plan_study
from datamodules.sources.phantom.studies import SPLIT_SIZES, draw_study, generate

__all__ = ["SPLIT_SIZES", "VERSION", "VERSIONS", "StudyPlan", "draw_study", "generate", "plan_study"]

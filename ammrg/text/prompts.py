"""What the language model is asked to do."""

from __future__ import annotations

INSTRUCTION = "Generate a comprehensive and detailed diagnosis report for this chest xray image."
"""The instruction of Wang et al. 2026; it follows the visual tokens in the user's turn."""

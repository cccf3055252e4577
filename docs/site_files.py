"""The site mirrors the repository: pages lie where their Markdown files lie, so that links work on both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markdown.extensions.toc import slugify
from properdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
OUTSIDE = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CITATION.cff", "LICENSE"),
    *("experiments/LOG.md", "experiments/slurm/site_example.sh", "findings/*.md", "findings/*.sh"),
    *("benchmarks/README.md", "benchmarks/results/*.json"),
)
"""What the site holds beside docs/: pages, and files that pages link to."""


def anchor(heading: str, separator: str) -> str:
    """The anchor of a heading; the theme's script stops at one that begins with a digit, such as a date of the log."""
    found = slugify(heading, separator)
    return f"of-{found}" if found[:1].isdigit() else found


def on_config(config: Any) -> None:
    """Let headings have the anchors of :func:`anchor`."""
    config.mdx_configs["toc"]["slugify"] = anchor


def on_files(files: Files, config: Any) -> Files:
    """Replace the files of docs/ by themselves and OUTSIDE, with paths from the repository's root."""
    own = [file for file in files if file.src_dir == config.docs_dir]
    paths = [f"docs/{file.src_uri}" for file in own]
    paths += [found.relative_to(ROOT).as_posix() for pattern in OUTSIDE for found in ROOT.glob(pattern)]
    for file in own:
        files.remove(file)
    for path in paths:
        files.append(File(path, str(ROOT), config.site_dir, config.use_directory_urls))
    return files

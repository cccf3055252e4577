"""Exported folders on the Hugging Face hub: download and upload."""

from __future__ import annotations

import re
from pathlib import Path

from ammrg.errors import CheckpointError, SettingsError
from ammrg.inference.model_folder import CARD, CONFIG, FORMAT, first_line, verified

HUB_ID = r"[\w-]+/[\w.-]+"
"""The form of a model's id on the hub."""


def local_folder(folder: str | Path, revision: str | None) -> Path:
    """Return the folder itself or, for a hub id, its copy in the hub's cache.

    Raises:
        CheckpointError: it is neither a folder nor a model that the hub has or allows.
    """
    if Path(folder).is_dir():
        return Path(folder)
    if not re.fullmatch(HUB_ID, str(folder)):  # a mistyped folder is no reason to ask the hub
        raise CheckpointError(
            f"{folder}: no such folder; name an exported folder, or a hub id such as organisation/name"
        )
    from httpx2 import HTTPError
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(folder), revision=revision))
    except (OSError, ValueError, HTTPError) as error:
        raise CheckpointError(
            f"{folder}: not a folder, and the hub gave no model of this name ({first_line(error)}); name an exported "
            "folder, or a hub id such as organisation/name"
        ) from error


def push_to_hub(
    folder: str | Path, repo_id: str, *, private: bool = True, let_restricted_data_leave: bool = False
) -> str:
    """Upload an exported folder to the Hugging Face hub, with the account that is logged in (``hf auth login``).

    Only the files of the export are uploaded, in one commit; other files in the folder stay.

    Args:
        folder: the exported folder.
        repo_id: the hub's repository; created where it does not exist.
        private: whether a new repository is private.
        let_restricted_data_leave: upload a model of restricted data too.

    Returns:
        The address of the commit.

    Raises:
        SettingsError: the data are restricted and may not leave, or the hub refused the folder.
        CheckpointError: the folder is not complete.
    """
    config = verified(folder)
    if config["restricted"] and not let_restricted_data_leave:
        raise SettingsError(
            f"{folder}: was trained on {config['provenance'].get('dataset', 'data')}, which is restricted, so its "
            "weights and memories may not be uploaded. If you are allowed to share them, set "
            "let_restricted_data_leave (--let-restricted-data-leave)"
        )
    from httpx2 import HTTPError
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            allow_patterns=[*config["files"], CONFIG, CARD],
            commit_message=f"{FORMAT} {config['fingerprint']}",
        )
    except (OSError, ValueError, HTTPError) as error:
        raise SettingsError(
            f"{repo_id}: the hub refused the folder ({first_line(error)}); log in with hf auth login, and name a "
            "repository that you may write to, such as organisation/name"
        ) from error
    return str(commit.commit_url)

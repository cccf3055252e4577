"""A report generator's folder on the Hugging Face hub: fetched from there, and put there."""

from __future__ import annotations

from pathlib import Path

from ammrg.errors import CheckpointError, SettingsError
from ammrg.inference.model_folder import CARD, CONFIG, FORMAT, first_line, verified


def local_folder(folder: str | Path, revision: str | None) -> Path:
    """The folder itself or, of a hub id, its copy in the hub's cache."""
    if Path(folder).is_dir():
        return Path(folder)
    from httpx2 import HTTPError
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(folder), revision=revision))
    except (OSError, ValueError, HTTPError) as error:
        raise CheckpointError(
            f"{folder}: neither a folder nor a model the hub gave ({first_line(error)}); name an exported folder, or "
            "a hub id such as organisation/name"
        ) from error


def push_to_hub(
    folder: str | Path, repo_id: str, *, private: bool = True, let_restricted_data_leave: bool = False
) -> str:
    """Put an exported folder on the Hugging Face hub, under the account that is logged in (``hf auth login``).

    Only the files that the folder was written with go, in one commit.

    Returns:
        The address of the commit.

    Raises:
        SettingsError: the data are restricted and nobody said that they may leave, or the hub did not take it.
        CheckpointError: the folder is not whole.
    """
    config = verified(folder)
    if config["restricted"] and not let_restricted_data_leave:
        raise SettingsError(
            f"{folder}: was trained on {config['provenance'].get('dataset', 'data')}, which is restricted: its weights "
            "and memories stay where the data may be kept, and are not pushed. Whoever may decide otherwise says so "
            "with let_restricted_data_leave (--let-restricted-data-leave)"
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
            f"{repo_id}: the hub did not take the folder ({first_line(error)}); log in with hf auth login, and name a "
            "repository you may write to, such as organisation/name"
        ) from error
    return str(commit.commit_url)

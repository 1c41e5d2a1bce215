"""Models of the Hugging Face hub: from the local cache, or downloaded into it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prodcat_index.errors import EncoderError

# Seconds to wait for an answer of the hub.
TIMEOUT = 10.0
WAY_OUT = "take another model, or the preset embedded"


def fetch_model(name: str, patterns: Sequence[str], local_form: str) -> Path:
    """Return the local folder of a hub model, which is downloaded if it is not there yet."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=[*patterns], local_files_only=True))
    except HFValidationError as error:
        raise EncoderError(
            f"{name!r} is neither a model of the hub nor a folder that exists."
        ) from error
    except LocalEntryNotFoundError:
        return _download(name, patterns, local_form)
    # A download that was stopped leaves a folder without its largest files.
    return folder if _has_weights(folder) else _download(name, patterns, local_form)


def _has_weights(folder: Path) -> bool:
    return any(folder.rglob("*.safetensors"))


def _download(name: str, patterns: Sequence[str], local_form: str) -> Path:
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    ways_out = f"give a local copy as {local_form}, or take the preset embedded, which needs none"
    if constants.HF_HUB_OFFLINE:
        raise EncoderError(
            f"The model {name} is not in the local cache and HF_HUB_OFFLINE forbids to download "
            f"it; unset that, {ways_out}."
        )
    # The client of the hub, and what is below it, raise errors of almost any class.
    try:
        # The download itself would wait forever for a hub that does not answer.
        HfApi().model_info(name, timeout=TIMEOUT)
        return Path(snapshot_download(name, allow_patterns=[*patterns]))
    except RepositoryNotFoundError:
        reason = "the hub has no such model, or shows it only to those who log in"
    except Exception as error:
        reason = f"the hub {constants.ENDPOINT} cannot be reached: {cause_of(error)}"
    raise EncoderError(f"The model {name} cannot be downloaded ({reason}); {ways_out}.")


def cause_of(error: BaseException) -> str:
    """Return the first line of the error that began the chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def cached_models() -> dict[str, Path]:
    """Return hub name -> local folder of the models in the cache that have safetensors."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return {}
    newest = {
        repository.repo_id: max(
            repository.revisions, key=lambda revision: revision.last_modified
        ).snapshot_path
        for repository in sorted(repositories, key=lambda repository: repository.repo_id)
        if repository.revisions
    }
    return {name: folder for name, folder in newest.items() if _has_weights(folder)}

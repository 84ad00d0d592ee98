"""Fetching a preset from the Hugging Face hub, and checking what came."""

import hashlib
import re
from pathlib import Path
from typing import Any

from keras_poolformer.checkpoints.errors import DownloadError
from keras_poolformer.checkpoints.presets import Preset
from keras_poolformer.optional import optional_import


def download(preset: Preset) -> Path:
    """Returns the file of a preset, from the cache or the hub.

    `huggingface_hub` does the work, with its cache (`HF_HOME`, `HF_HUB_CACHE`), its
    offline mode (`HF_HUB_OFFLINE=1`) and mirrors (`HF_ENDPOINT`); a download that is
    cut goes on where it stopped. A file in the cache is taken without a look at the
    network. Either is checked against its hash.

    Raises:
        DownloadError: if the file cannot be had, or is not what was published; it is
            removed then.
        ImportError: if `huggingface_hub` is not installed.
    """
    hub = optional_import("huggingface_hub", "to download weights", "pretrained")
    optional_import("huggingface_hub.errors", "to download weights", "pretrained")
    # Not hf_hub_download(local_files_only=True), which may ask the hub about other things.
    cached = hub.try_to_load_from_cache(preset.repository, preset.file, revision=preset.revision)
    path = Path(cached) if isinstance(cached, str) else _fetch(preset, hub)
    _check(preset, path, hub)
    return path


def _fetch(preset: Preset, hub: Any) -> Path:
    errors = hub.errors
    try:
        return Path(
            hub.hf_hub_download(
                preset.repository,
                preset.file,
                revision=preset.revision,
                library_name="keras_poolformer",
            )
        )
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        reason = f"the hub has no repository {preset.repository!r}"
        if preset.revision:
            reason += f" with the revision {preset.revision}"
        cause: Exception = error
    except errors.LocalEntryNotFoundError as error:  # an EntryNotFoundError too: this one first
        reason, cause = "there is no connection to the hub", error
        if hub.constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE is set and the file is not in the cache"
    except errors.EntryNotFoundError as error:
        reason, cause = f"{preset.repository!r} on the hub has no file {preset.file!r}", error
    except Exception as error:  # of the network, the disk, or huggingface_hub itself
        reason, cause = f"{type(error).__name__}: {str(error)[:300]}", error
    raise DownloadError(
        f"The preset {preset.name!r} could not be downloaded: {reason}. The hub is "
        f"{hub.constants.ENDPOINT}, the cache {hub.constants.HF_HUB_CACHE}. Without a network: "
        f"bring {preset.file!r} of {preset.repository!r} here from another machine and pass its "
        "path as `weights`, or copy that machine's cache and point HF_HUB_CACHE to it"
    ) from cause


def _check(preset: Preset, path: Path, hub: Any) -> None:
    """Checks a file against the known hash, or else the hub's."""
    # The cache names a file by the hub's hash of it and links to it from the snapshot.
    blob = path.parent / path.readlink() if path.is_symlink() else path
    if preset.sha256:
        expected = preset.sha256
    elif path.is_symlink():
        expected = blob.name
    else:  # a file system without links
        url = hub.hf_hub_url(preset.repository, preset.file, revision=preset.revision)
        expected = str(hub.get_hf_file_metadata(url).etag)
    if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", expected):
        raise DownloadError(
            f"The preset {preset.name!r} cannot be checked: {hub.constants.ENDPOINT} tells no hash "
            f"of {preset.file!r} but {expected!a}. The file is {path}; if you trust it, pass "
            "its path as `weights`"
        )
    actual = _digest(path, expected)
    if actual == expected:
        return
    for file in {path, blob, path.resolve()}:
        file.unlink(missing_ok=True)
    raise DownloadError(
        f"The preset {preset.name!r} is damaged: the hash of {preset.file!r} is {actual}, that of "
        f"the published file {expected}. The file was removed from the cache, {path}; try again"
    )


def _digest(path: Path, like: str) -> str:
    """Returns the hash of a file, of the kind that `like` is.

    The hub has the sha256 of large files and git's sha1 of small ones.
    """
    if re.fullmatch("[0-9a-f]{40}", like):
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    else:
        digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()

"""The folder of a run: what is in it, and whether a training may begin or go on there."""

import json
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

from keras_poolformer.files import replacing
from training import checkpoint

RECIPE = "recipe.json"
SUMMARY = "summary.json"
_LOCK = ".lock"


class RunFolder:
    """A folder that one training writes to; a context that holds a lock on it.

    Args:
        path: The folder; made if it does not exist.
        settings: All that decides what the training computes, as plain values.
        overwrite: Whether to remove the results of an earlier run.

    Attributes:
        path: The folder.
        checkpoint: File of the last checkpoint.

    Raises:
        ValueError: if the folder holds a run with other settings, or another process
            is training in it.
        OSError: if it cannot be made or written to.
    """

    def __init__(self, path: Path, settings: dict[str, Any], overwrite: bool = False) -> None:
        self.path = path
        self.checkpoint = path / checkpoint.FILE
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / _LOCK).open("w")
        except OSError as error:
            raise OSError(
                f"`output` must be a folder that can be written to. Received: {str(path)!r}; "
                f"{error.strerror or error}"
            ) from error
        try:
            self._claim()
            self._remove_leftovers()
            if overwrite:
                self._remove_results()
            self._compare(settings)
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.close()
        (self.path / _LOCK).unlink(missing_ok=True)

    def require_space(self, needed: int) -> None:
        """Checks that the disk has room for the files of the run.

        Args:
            needed: Bytes that the run will write.

        Raises:
            OSError: if there is less.
        """
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise OSError(
                f"`output` must be on a disk with {needed / 1e6:,.0f} MB of free space for the "
                f"checkpoints and the model. Received: {str(self.path)!r}, which has "
                f"{free / 1e6:,.0f} MB"
            )

    def _claim(self) -> None:
        """Ends with the process, however it ends."""
        try:
            import fcntl
        except ImportError:  # not on Windows
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                "`output` must be a folder of its own for each training. Received: "
                f"{str(self.path)!r}, in which another process is training"
            ) from error
        except OSError:  # a file system without locks
            return

    def _remove_leftovers(self) -> None:
        """Removes the temporary files of a process that was killed while it wrote."""
        for name in (checkpoint.FILE, "model.keras", "best.keras"):
            for path in self.path.glob(f".????????.{name}"):
                path.unlink()

    def _remove_results(self) -> None:
        for name in (RECIPE, SUMMARY, checkpoint.FILE, "best.keras", "history.csv"):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / "tensorboard", ignore_errors=True)

    def _compare(self, settings: dict[str, Any]) -> None:
        file = self.path / RECIPE
        # As they come back from the file: numbers and texts in lists and dictionaries.
        settings = json.loads(json.dumps(settings))
        if file.is_file():
            try:
                earlier = json.loads(file.read_text(encoding="utf-8"))
                differing = list(_differences(earlier, settings))
            except (ValueError, AttributeError) as error:
                raise ValueError(
                    f"`output` must be a folder of this program. Received: {str(self.path)!r}, "
                    f"whose {RECIPE} cannot be read: {error}"
                ) from error
            if differing:
                raise ValueError(
                    "`output` must be a new folder, or one of a run with the same settings, which "
                    f"then goes on. Received: {str(self.path)!r}, whose run has "
                    f"{'; '.join(differing)}. Pass another --output, or --overwrite to start anew"
                )
        with replacing(file) as path:
            path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _differences(earlier: dict[str, Any], settings: dict[str, Any], prefix: str = "") -> Any:
    for key in sorted(earlier.keys() | settings.keys()):
        before, now = earlier.get(key), settings.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            yield from _differences(before, now, f"{prefix}{key}.")
        elif before != now:
            yield f"{prefix}{key}={before!r} where this one has {now!r}"

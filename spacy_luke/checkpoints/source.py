"""Location of a checkpoint: a local folder, the local Hub cache, or the Hub. The only code that may use the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..encoders.config import INDEPENDENT, LukeConfig
from ..errors import LukeError
from ..tokenization.loading import read_stored_entities
from ..tokenization.sentencepiece import SENTENCEPIECE
from .checkpoint import ENTITY_VOCAB
from .reader import read_config
from .weights import weight_files

FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "pytorch_model*.bin"]
# Asked for only if the repository has no others.
TENSORFLOW_FILES = ["tf_model*.h5"]
# Model types that need an entity vocabulary.
_LUKES = (LukeConfig.model_type, f"{INDEPENDENT}{LukeConfig.model_type}")


def locate(name: str | Path, revision: str | None = None) -> Path:
    """The local folder of a checkpoint.

    name: path of a folder, or id of a Hub repository ("owner/name").
    revision: branch, tag or commit of the Hub repository; default: its main branch.

    A folder is taken as it is. An id is looked up in the local Hub cache first and downloaded only if it is not
    there; with HF_HUB_OFFLINE=1 nothing is ever downloaded. L020 if it cannot be had.
    """
    path = Path(name)
    if path.is_dir() and str(name):
        return path
    missing = f"there is no folder {path.absolute()}" if str(name) else "it is empty"
    if not str(name) or path.exists() or _is_path(str(name)):
        raise LukeError("L020", name=str(name), reason=missing)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils import tqdm

    class TerminalBar(tqdm):
        """The Hub's bar of all files. As those of single files do, it shows nothing where there is no terminal."""

        def __init__(self, *args: Any, **settings: Any):
            super().__init__(*args, **{"disable": None, **settings})

    def fetch(local_files_only: bool) -> Path:
        options: dict[str, Any] = {"revision": revision, "local_files_only": local_files_only}
        options["tqdm_class"] = TerminalBar
        folder = Path(snapshot_download(str(name), allow_patterns=FILES, **options))
        if not local_files_only and not _has_weights(folder):
            folder = Path(snapshot_download(str(name), allow_patterns=TENSORFLOW_FILES, **options))
        return folder

    try:
        try:
            cached = fetch(local_files_only=True)
            if _is_complete(cached):
                return cached
        except LocalEntryNotFoundError:
            pass
        return fetch(local_files_only=False)
    except (OSError, HfHubHTTPError, HFValidationError) as e:
        reason = f"{missing}, and as the id of a Hub repository it could not be had ({_first_line(e)})"
        raise LukeError("L020", name=str(name), reason=reason) from None


@contextmanager
def downloading_quietly() -> Iterator[None]:
    """Let downloads inside the `with` block show no progress."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _is_path(name: str) -> bool:
    """Whether a name can only be a path: an id is "owner/name"."""
    return name.startswith((".", "~")) or name.count("/") > 1 or "\\" in name or Path(name).is_absolute()


def _is_complete(folder: Path) -> bool:
    """A cached snapshot may hold just the files that some other program asked for, such as the weights alone."""
    try:
        model_type = read_config(folder).get("model_type")
    except LukeError:
        return False
    names = {path.name for path in folder.iterdir()}
    tokenizer = names & {"tokenizer.json", SENTENCEPIECE} or {"vocab.json", "merges.txt"} <= names
    return _has_weights(folder) and bool(tokenizer) and (model_type not in _LUKES or _has_entities(folder))


def _has_entities(folder: Path) -> bool:
    try:
        return (folder / ENTITY_VOCAB).is_file() or read_stored_entities(folder) is not None
    except LukeError:
        return False


def _has_weights(folder: Path) -> bool:
    try:
        weight_files(folder)
    except LukeError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

"""The folder that a fine-tuned encoder is made in: its checkpoints, and what is left at the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prodcat_index.cards.split import Split
from prodcat_index.encoders.registry import RECORD, SEEN, FinetunedRecord
from prodcat_index.errors import EncoderError
from prodcat_index.files import LOCK, check_output_folder, exclusive_folder, replace_text
from prodcat_index.learning.finetuning.trainable import TrainableEncoder

CHECKPOINTS, IDENTITY, STATE, SPLIT = "checkpoints", "run.txt", "trainer_state.json", "split.csv"


@contextmanager
def exclusive_run_dir(folder: Path) -> Iterator[None]:
    """Keep a folder for one training meanwhile: a new one, or that of a run that was stopped."""
    if (folder / RECORD).exists():
        raise EncoderError(f"{folder} holds a fine-tuned encoder already; name another folder.")
    if not (folder / CHECKPOINTS).exists():
        check_output_folder(folder, "encoder", EncoderError, own={LOCK})
    with exclusive_folder(folder, "encoder", EncoderError):
        yield


def resume_point(folder: Path, identity: str) -> Path | None:
    """Return the last whole checkpoint of a training that was stopped, None where there is none."""
    note = folder / CHECKPOINTS / IDENTITY
    if not note.is_file():
        note.parent.mkdir(exist_ok=True)
        note.write_text(identity, encoding="ascii")
    if note.read_text(encoding="ascii") != identity:
        raise EncoderError(
            f"{folder} holds an unfinished training of another encoder, other cards or other "
            "settings; repeat the command that began it, name another folder, or remove this one."
        )
    whole = [path for path in note.parent.glob("checkpoint-*") if _is_whole(path)]
    return max(whole, key=lambda path: int(path.name.partition("-")[2]), default=None)


def _is_whole(checkpoint: Path) -> bool:
    # The trainer writes this file last.
    try:
        json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def write_encoder(
    folder: Path,
    trainable: TrainableEncoder,
    split: Split,
    seen: frozenset[str],
    record: FinetunedRecord,
) -> None:
    """Write a fine-tuned encoder, the record last, and remove the checkpoints."""
    trainable.save(folder)
    split.save(folder / SPLIT)
    (folder / SEEN).write_text("\n".join(sorted(seen)) + "\n", encoding="ascii")
    replace_text(folder / RECORD, json.dumps(record.model_dump(), ensure_ascii=False, indent=2))
    shutil.rmtree(folder / CHECKPOINTS)

"""What is said and saved while training; imports transformers at the top, as training does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

from prodcat_index.learning.finetuning.training import METRIC
from prodcat_index.progress import progress_bar

# A run that is killed loses this much at most.
SECONDS_BETWEEN_CHECKPOINTS = 300.0


class TimedCheckpoints(TrainerCallback):
    """Asks for checkpoints within long epochs."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for a checkpoint if the last one is old."""
        if time.monotonic() - self._saved > SECONDS_BETWEEN_CHECKPOINTS:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock anew."""
        self._saved = time.monotonic()


class Report(TrainerCallback):
    """Draws a bar over the steps, and says loss and score after every epoch.

    Parameters
    ----------
    say
        Called with a line after every epoch.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._loss = float("nan")

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Open the bar at the step that training goes on from."""
        self._bar = progress_bar(state.max_steps, "fine-tuning", "step")
        self._bar.update(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the bar."""
        self._bar.update()

    def on_log(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        """Show the loss beside the bar."""
        self._loss = said["logs"].get("loss", self._loss)
        self._bar.set_postfix_str(f"loss {self._loss:.3f}")

    def on_evaluate(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        """Say loss and score."""
        self._bar.clear()
        self._say(
            f"epoch {state.epoch:.0f} of {state.num_train_epochs}: loss {self._loss:.3f}, "
            f"valid weighted F1 {said['metrics'][METRIC]:.3f}"
        )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the bar."""
        self._bar.close()

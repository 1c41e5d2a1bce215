"""The audit of the index that is served, in a process of its own with low priority."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from prodcat_index.errors import QueryError, one_line
from prodcat_index.index.manifest import REMOVE
from prodcat_index.index.product_index import ProductIndex

LOWEST = 19


def audit_index(folder: Path) -> dict[str, Any]:
    """Return the `version` of an index, the `rows` of its audit, and the `health` of categories."""
    from prodcat_index.audit.audit import audit_catalogue

    index = ProductIndex.load(folder, verify=False)
    assert index.parts.opened is not None, "it was loaded"
    found = audit_catalogue(index)
    cards = index.parts.catalogue
    of = dict(zip(cards.ids, cards.values("category"), strict=True))
    health: dict[str, dict[str, Any]] = {
        name: {"accuracy": None, "wrong_labels": 0, "duplicates": 0} for name in of.values() if name
    }
    # The score of a card is the share of its category that is answered right.
    if "coverage" in found.results:
        for card, score in zip(cards.ids, found.results["coverage"].scores.tolist(), strict=True):
            if of[card] and score == score:
                health[of[card]]["accuracy"] = round(score, 4)
    wrong = (item.cards for item in found.items if item.check == "labels")
    twice = (i.cards for i in found.items if i.check == "duplicates" and i.proposal == REMOVE)
    for name, items in (("wrong_labels", wrong), ("duplicates", twice)):
        for category, count in Counter(of[card] for cards in items for card in cards).items():
            if category:
                health[category][name] = count
    version = index.parts.opened.manifest.version
    return {"version": version, "rows": list(found.rows()), "health": health}


class BackgroundAudit:
    """An audit that runs beside the service."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", __name__, str(folder.absolute())]
        self._output, self._said = TemporaryFile(), TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._said
        )
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, self.process.pid, LOWEST)

    def has_ended(self) -> bool:
        """Check whether there is a result."""
        return self.process.poll() is not None

    def result(self) -> dict[str, Any]:
        """Return what :func:`audit_index` found, after its end; raise QueryError if it failed."""
        with self._output as output, self._said as said:
            said.seek(0)
            if self.process.wait():
                lines = said.read().decode("utf-8", "replace").strip().splitlines()
                why = one_line(lines[-1]) if lines else f"status {self.process.returncode}"
                raise QueryError(f"The audit of the index failed ({why}).")
            output.seek(0)
            found: dict[str, Any] = json.load(output)
            return found

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    json.dump(audit_index(Path(sys.argv[1])), sys.stdout)

# SPDX-License-Identifier: Apache-2.0
"""Kill exports while they replace a model, and look at what stands there afterwards.

    python tests/faults/kills.py --moments 2000

Every change of the folder is a place to die, in each of the ways that one form of a model replaces another; and so are
random moments. Prints what was seen as JSON; leaves with 1 if ever neither the old model nor the new one was whole.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from faults.replacing import KINDS, NAME, dying, moments, version_in, write

OLD, NEW, NEXT = 1, 2, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--moments", type=int, default=64, help="random moments to kill at, over all replacements")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    # What is alive now is shared with every child for as long as no collection writes to it.
    gc.freeze()
    seen: Counter[str] = Counter()
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="lading-kills-") as root:
        for before, after in itertools.product((None, *KINDS), KINDS):
            kept = Path(root, f"{before}")
            if not kept.exists():
                kept.mkdir()
                if before is not None:
                    write(kept, OLD, before)
            trial = _Trial(kept, Path(root, "trial"), after, seen, problems)
            at = 0
            while trial.run(f"{before} to {after}, before change {at}", at=at):
                at += 1
            each = -(-options.moments // (len(KINDS) * (len(KINDS) + 1)))
            for moment in moments(each, 2 * trial.seconds(), options.seed):
                trial.run(f"{before} to {after}, after {1000 * moment:.1f} ms", after=moment)
    print(json.dumps({"problems": problems, **dict(sorted(seen.items()))}))
    sys.exit(bool(problems))


class _Trial:
    """One way to replace a model: what stands there before, and in which form the new one comes."""

    def __init__(self, kept: Path, folder: Path, kind: str, seen: Counter[str], problems: list[str]) -> None:
        self._kept, self._folder, self._kind = kept, folder, kind
        self._seen, self._problems = seen, problems

    def run(self, name: str, **how: Any) -> bool:
        """Kill one export, look, and export once more; returns whether the export was killed before it had ended."""
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(self._kept, self._folder)
        killed = dying(lambda: write(self._folder, NEW, self._kind), **how)
        try:
            self._look(killed)
        except Exception as error:
            self._problems.append(f"{name}: {type(error).__name__}: {error}")
        return killed

    def seconds(self) -> float:
        begun = time.perf_counter()
        dying(lambda: write(self._folder, NEW, self._kind))
        return time.perf_counter() - begun

    def _look(self, killed: bool) -> None:
        had_one = (self._kept / NAME).exists()
        found = version_in(self._folder)
        allowed = {NEW} if not killed else {OLD, NEW} if had_one else {None, NEW}
        assert found in allowed, f"version {found} stands there"
        self._seen["killed" if killed else "finished"] += 1
        if killed:
            standing = {None: "nothing", OLD: "the old", NEW: "the new"}[found]
            self._seen[f"killed, {standing} stands"] += 1
        if found is not None:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            onnxruntime.InferenceSession(self._folder / NAME, options, providers=["CPUExecutionProvider"])
        left = [name for name in os.listdir(self._folder) if name.endswith(".part")]
        self._seen["killed with hidden files left"] += bool(left)
        write(self._folder, NEXT, self._kind)
        assert version_in(self._folder) == NEXT, "the next export does not stand there"
        left = [name for name in os.listdir(self._folder) if name.endswith(".part")]
        assert not left, f"the next export leaves {left}"


if __name__ == "__main__":
    main()

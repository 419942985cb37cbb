# SPDX-License-Identifier: Apache-2.0
"""What a file should say about itself: ``passes=[StampMetadata(entries={"release": "2026.1"})]``."""

from __future__ import annotations

from collections.abc import Mapping

import lading
from lading import Fact, Note, UsageError, Work


@lading.a_pass("stamp-metadata", requires=(Fact.ONNX,), before=("serialize",))
class StampMetadata:
    """Write entries into the metadata of the model, and its version.

    Why: who finds the file on a device can tell what it is, from which release, under which licence.
    Declines when: the model has an entry of this name already.
    """

    entries: Mapping[str, str] = lading.option({}, help="The entries by name.")
    version: int = lading.option(0, at_least=0, help="The version of the model, a number that grows; 0 for none.")

    def run(self, work: Work, note: Note) -> None:
        model = work.need_model()
        for name, text in self.entries.items():
            if name.startswith("lading."):
                raise UsageError(f"'{name}' is for lading's own entries", hint="a name without 'lading.'")
            if name in model.metadata_props:
                note.declined(name, "the model has an entry of this name")
                continue
            model.metadata_props[name] = text
            note.count("entries written")
        if self.version:
            model.model_version = self.version

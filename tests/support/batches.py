# SPDX-License-Identifier: Apache-2.0
"""Files of exports with models that are tiny, and some that misbehave."""

from __future__ import annotations

from pathlib import Path

MODELS = """
import time
from pathlib import Path

import torch

import activation

HERE = Path(__file__).parent


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(8, 8)

    def forward(self, x):
        return activation.act(self.linear(x))


class Unsupported(Net):
    def forward(self, x):
        return torch.linalg.eig(self.linear(x))[0]


def made(kind=Net):
    torch.manual_seed(0)
    return kind().eval(), (torch.randn(8, 8),)


def net():
    return made()


net.dynamic_axes = {"x": {0: "rows"}}


def unsupported():
    return made(Unsupported)


def waits():
    while not (HERE / "go").exists():
        time.sleep(0.05)
    return made()
"""


DEADLY = """
import os
import signal


def always():
    os.kill(os.getpid(), signal.SIGKILL)
"""

DEADLY_ONCE = """
import os
import signal
from pathlib import Path

died = Path(__file__).with_name("died")
if not died.exists():
    died.touch()
    os.kill(os.getpid(), signal.SIGKILL)

from batch_models import net as once
"""


def write_models(folder: Path) -> None:
    """Write the models, and a file that they import."""
    (folder / "batch_models.py").write_text(MODELS)
    (folder / "deadly.py").write_text(DEADLY)
    (folder / "deadly_once.py").write_text(DEADLY_ONCE)
    (folder / "activation.py").write_text("import torch\n\n\ndef act(x):\n    return torch.relu(x)\n")


def exports(folder: Path, *models: str, more: str = "", **defaults: str) -> Path:
    """Write a file of exports with some of the models, by the names of their factories: "net", "deadly.once"."""
    lines = ["[batch]", *(f"{key} = {value}" for key, value in defaults.items())]
    for model in models:
        file, _, name = model.rpartition(".")
        lines += [f"[model.{name}]", f'model = "{file or "batch_models"}.py:{name}"']
    (folder / "exports.toml").write_text("\n".join([*lines, more, ""]))
    return folder / "exports.toml"

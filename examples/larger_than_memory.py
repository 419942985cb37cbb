# SPDX-License-Identifier: Apache-2.0
"""Export a decoder that does not fit into the memory that the export may use.

    python examples/larger_than_memory.py large --gigabytes 3.6 --limit 1.2

writes a checkpoint in shards, a layer at a time, and exports the model in a process whose address space is limited
(`ulimit -v`). The decoder is made on the meta device; the file refers to the checkpoint beside it. `--check` runs the
file in onnxruntime and compares it with PyTorch, which takes the memory of the whole model: use it at a small size.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

GIGABYTE = 1 << 30


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.queries_keys_values(x).chunk(3, dim=-1)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.between = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.before(x))
        return x + self.narrow(nn.functional.gelu(self.widen(self.between(x))))


class Decoder(nn.Module):
    def __init__(self, layers: int, width: int, words: int = 8000) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.blocks = nn.ModuleList(Block(width, max(1, width // 64)) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def decoder(layers: int, width: int) -> Decoder:
    """Return the model without values: parameters on the meta device take no memory."""
    with torch.device("meta"):
        return Decoder(layers, width).eval()


def layers_for(size: int, width: int) -> int:
    """Return how many layers make a checkpoint of at least `size` bytes."""
    each, fixed = (sum(p.numel() * 4 for p in decoder(count, width).parameters()) for count in (1, 0))
    return max(1, -(-(size - fixed) // (each - fixed)))


def parts_of(model: Decoder) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the names and sizes of the model, what is in one layer together."""
    state = model.state_dict()
    del state["head.weight"]
    blocks: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in state.items():
        key = ".".join(name.split(".")[:2]) if name.startswith("blocks.") else "rest"
        blocks.setdefault(key, {})[name] = tensor
    yield from blocks.values()


def write_checkpoint(model: Decoder, folder: Path) -> int:
    """Write random values for the model in one shard a layer, and the index; returns the bytes of all."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    table: dict[str, str] = {}
    total = 0
    for number, part in enumerate(parts_of(model)):
        file = f"model-{number:05d}.safetensors"
        values = {
            name: torch.empty(tensor.shape).normal_(0, 0.02, generator=generator) for name, tensor in part.items()
        }
        save_file(values, folder / file)
        table.update(dict.fromkeys(values, file))
        total += sum(tensor.nbytes for tensor in values.values())
    index = {"metadata": {"total_size": total}, "weight_map": table}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total


def export(folder: Path, layers: int, width: int, *, in_place: bool, check: bool) -> dict[str, Any]:
    """Export the checkpoint in `folder` to `folder`/model.onnx, and return what it took."""
    import lading

    settings: dict[str, Any] = {}
    if in_place:
        # Weights that the graph would use transposed stay as they are, with a Transpose that the runtime folds.
        settings["fold-constants.weights"] = False
    begun = time.perf_counter()
    exported = lading.export(
        decoder(layers, width),
        (torch.zeros(1, 8, dtype=torch.int64),),
        folder / "model.onnx",
        dynamic_axes={"ids": {0: "batch", 1: "length"}},
        weights=folder,
        overrides=settings,
        verify=check,
    )
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": time.perf_counter() - begun,
        "cpu": usage.ru_utime + usage.ru_stime,
        "address space": _peak("VmPeak"),
        "resident": _peak("VmHWM"),
        "written": exported.bytes,
        "checks": None if exported.verification is None else exported.verification.status,
    }


def _peak(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def limited(folder: Path, layers: int, width: int, limit: int | None, *flags: str) -> dict[str, Any]:
    """Run `export` in a process of its own that gets no more than `limit` bytes of address space."""

    def restrict() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    command = [sys.executable, __file__, str(folder), "--layers", str(layers), "--width", str(width), "--here", *flags]
    # Each thread reserves address space for its allocator, used or not.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    answer = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=restrict, env=environment
    )
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the checkpoint and the model go")
    parser.add_argument("--gigabytes", type=float, default=3.6, help="size of the checkpoint")
    parser.add_argument("--limit", type=float, help="gigabytes of address space for the export; by default no limit")
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--layers", type=int, help="in the place of --gigabytes")
    parser.add_argument("--in-place", action="store_true", help="copy nothing, not even weights that are transposed")
    parser.add_argument("--check", action="store_true", help="compare with PyTorch; takes the memory of the model")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        done = export(options.folder, options.layers, options.width, in_place=options.in_place, check=options.check)
        print(json.dumps(done))
        return
    layers = options.layers or layers_for(int(options.gigabytes * GIGABYTE), options.width)
    if not (options.folder / "model.safetensors.index.json").exists():
        total = write_checkpoint(decoder(layers, options.width), options.folder)
        print(f"checkpoint: {layers} layers, {total / GIGABYTE:.2f} GiB")
    flags = [flag for flag, given in (("--in-place", options.in_place), ("--check", options.check)) if given]
    limit = None if options.limit is None else int(options.limit * GIGABYTE)
    done = limited(options.folder, layers, options.width, limit, *flags)
    print(f"export: {done['seconds']:.1f} s, {done['cpu']:.1f} s of processor time with imports")
    print(
        f"address space {done['address space'] / GIGABYTE:.2f} GiB at most, resident {done['resident'] / GIGABYTE:.2f}"
    )
    print(f"written {done['written'] / GIGABYTE:.3f} GiB; checks: {done['checks'] or 'not asked for'}")


if __name__ == "__main__":
    main()

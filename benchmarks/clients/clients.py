# SPDX-License-Identifier: Apache-2.0
"""Libraries' own export calls under `lading run` and under both exporters of PyTorch, each file compared with eager.

`python benchmarks/clients/clients.py` makes the environments that are missing under `build/clients`, runs every case
under every exporter, and with `--write` puts the table into benchmarks/README.md. Each library lives in an environment
of its own that sees the packages of this Python, so that PyTorch is not installed again.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import dataclasses
import datetime
import itertools
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

import torchvision_operators
from watch import EXPORTER, RECORD

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
README = HERE.parent / "README.md"
BEGIN, END = "<!-- clients: begin -->", "<!-- clients: end -->"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST = 70
"""Characters of an error in the table."""
EXPORTERS = ("lading", "torchscript", "dynamo")
TORCH, TORCHVISION = "torch==2.13.0", "torchvision==0.28.0"


@dataclasses.dataclass(frozen=True)
class Client:
    """One library: its program, and what its environment needs beside the packages of this Python.

    `alone` leaves the requirements of what is listed out, where they clash with lading's. Libraries that agree with one
    another are put into one environment, which they name; the others have one of their own.
    """

    library: str
    program: str
    needs: tuple[str, ...]
    alone: bool = False
    environment: str = ""

    @property
    def cases(self) -> tuple[str, ...]:
        """The names in `CASES` of the program, which is not imported for it."""
        tree = ast.parse((HERE / "programs" / f"{self.program}.py").read_text(encoding="utf-8"))
        (cases,) = (
            node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "CASES"
        )
        return tuple(ast.literal_eval(cases))


def _together(library: str, program: str, *needs: str, alone: bool = False) -> Client:
    return Client(library, program, needs, alone=alone, environment="shared")


CLIENTS = (
    Client("lightning", "lightning_module", ("lightning==2.6.6",)),
    Client(
        "hummingbird-ml",
        "hummingbird_models",
        # Its requirement of onnx below 1.17 is not lading's, and nothing in it needs that.
        ("hummingbird-ml==0.4.12", "onnxconverter-common==1.16.0", "psutil==7.2.2", "dill==0.4.1"),
        alone=True,
    ),
    Client("timm", "timm_models", ("timm==1.0.31", TORCHVISION)),
    Client("torch-geometric", "geometric", ("torch-geometric==2.8.1",)),
    Client("silero-vad", "silero", ("silero-vad==6.2.3",)),
    Client("ultralytics", "ultralytics_models", ("ultralytics==8.4.190", TORCHVISION)),
    Client("optimum-onnx", "optimum_models", ("optimum-onnx==0.1.0", "optimum==2.1.0", "transformers==4.57.6")),
    _together("segmentation-models-pytorch", "segmentation_models", "segmentation-models-pytorch==0.6.0", TORCHVISION),
    _together("kornia", "kornia_modules", "kornia==0.9.0"),
    _together("monai", "monai_networks", "monai==1.6.1"),
    _together("stable-baselines3", "stable_baselines", "stable-baselines3==2.9.2"),
    _together("vit-pytorch", "vit", "vit-pytorch==1.26.14"),
    _together("x-transformers", "x_transformer", "x-transformers==2.31.10"),
    _together("diffusers", "diffusers_models", "diffusers==0.42.1"),
    _together("peft", "peft_models", "peft==0.21.2"),
    _together("open_clip_torch", "open_clip_models", "open_clip_torch==3.3.0", TORCHVISION),
    _together("sentence-transformers", "sentence_models", "sentence-transformers==6.2.0"),
    # Its requirement of PyTorch below 2.3 is not lading's, and nothing in it needs that.
    _together("facenet-pytorch", "facenet", "facenet-pytorch==2.6.0", TORCHVISION, alone=True),
    _together("efficientnet-pytorch", "efficientnet", "efficientnet-pytorch==0.7.1"),
    _together(
        "pretrainedmodels", "pretrained_models", "pretrainedmodels==0.7.4", "munch==4.0.0", "six==1.17.0", alone=True
    ),
    _together("pytorch-tabnet", "tabnet", "pytorch-tabnet==4.1.0"),
    _together("segment-anything", "segment_anything_models", "segment-anything==1.0", TORCHVISION, alone=True),
    _together("spandrel", "spandrel_models", "spandrel==0.4.2", TORCHVISION),
    _together("onnx2torch", "onnx2torch_round_trip", "onnx2torch==1.5.15", TORCHVISION),
    # Its requirement of timm below 1.0.23 is not that of the others, and nothing in it needs that.
    _together(
        *("dynamic-network-architectures", "nnunet_networks", "dynamic-network-architectures==0.4.4", "timm==1.0.31"),
        alone=True,
    ),
    _together("transformers", "transformers_exporter", "transformers==5.23.0", "onnxscript==0.7.2"),
    _together("gpytorch", "gpytorch_kernels", "gpytorch==1.15.2"),
)


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of one case under one exporter; a library may export several times in it."""

    library: str
    case: str
    exporter: str
    status: str
    reason: str = ""
    seconds: float | None = None
    nodes: int | None = None
    opsets: str = ""

    @property
    def served(self) -> bool:
        return self.status == "right"


# ---- environments ----------------------------------------------------------------------------------------------------


def environment(client: Client, folder: Path) -> Path:
    """Return the Python of a library's environment, made if it is not there."""
    place = folder / (client.environment or client.library)
    python = place / "bin" / "python"
    done = place / (f"ready-{client.library}" if client.environment else "ready")
    if done.exists():
        return python
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    constraint = place / "constraints.txt"
    if not constraint.exists():
        venv.create(place, with_pip=False)
        # What is installed in the environment itself goes before it.
        base = f"{sysconfig.get_paths()['purelib']}\n"
        (_site_packages(place) / "zz_base.pth").write_text(base, encoding="utf-8")
        subprocess.run([*install, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], check=True)
        constraint.write_text(f"{TORCH}\n", encoding="utf-8")
    subprocess.run([*install, *(["--no-deps"] if client.alone else ["-c", str(constraint)]), *client.needs], check=True)
    if (_site_packages(place) / "torchvision").is_dir():
        torchvision_operators.mend(_site_packages(place))
    done.touch()
    return python


def _site_packages(place: Path) -> Path:
    return next((place / "lib").glob("python*/site-packages"))


def byte_compiled() -> None:
    """Compile lading's modules, as pip does with those of every package that it does not install as editable."""
    for package in ("lading", "passes", "pipeline"):
        compileall.compile_dir(ROOT / package, quiet=2)


# ---- runs ------------------------------------------------------------------------------------------------------------


class Forks:
    """The processes that programs of environments in common are forked from, one for each environment."""

    def __init__(self) -> None:
        self._processes: dict[Path, subprocess.Popen[str]] = {}

    def run(self, client: Client, case: str, exporter: str, python: Path, timeout: float) -> Result:
        """Run one case of a library under one exporter, in a fork and a folder of its own."""
        process = self._processes.get(python)
        if process is None:
            process = self._processes[python] = subprocess.Popen(
                [str(python), str(HERE / "forks.py")],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "exports.jsonl"
            asked = {"program": client.program, "case": case, "exporter": exporter, "timeout": timeout}
            assert process.stdin is not None
            assert process.stdout is not None
            print(json.dumps({**asked, "record": str(record), "folder": folder}), file=process.stdin, flush=True)
            answer = json.loads(process.stdout.readline())
            if answer["code"] is None:
                return Result(client.library, case, exporter, "no file", f"not done in {timeout:.0f} s")
            lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
        exports = [json.loads(line) for line in lines]
        return _result(client.library, case, exporter, exports, answer["code"], answer["said"])

    def close(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            process.communicate()


def run(client: Client, case: str, exporter: str, python: Path, timeout: float) -> Result:
    """Run one case of a library under one exporter, in a process and a folder of its own."""
    program = [str(python), str(HERE / "programs" / f"{client.program}.py"), case]
    command = [str(python.with_name("lading")), "run", "--", *program] if exporter == "lading" else program
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "exports.jsonl"
        surroundings = {
            **os.environ,
            "PYTHONPATH": str(HERE),
            "OMP_NUM_THREADS": "1",
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            EXPORTER: exporter,
            RECORD: str(record),
        }
        try:
            done = subprocess.run(
                command, cwd=folder, env=surroundings, timeout=timeout, capture_output=True, text=True, check=False
            )
        except subprocess.TimeoutExpired:
            return Result(client.library, case, exporter, "no file", f"not done in {timeout:.0f} s")
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return _result(client.library, case, exporter, [json.loads(line) for line in lines], done.returncode, said)


_BY_SEVERITY = ("no file", "wrong on the example", "wrong elsewhere", "not compared", "right")


def _result(library: str, case: str, exporter: str, exports: Sequence[dict], code: int, said: Sequence[str]) -> Result:
    if not exports:
        return Result(library, case, exporter, "no file", said[-1][:160] if said else "no export took place")
    worst = min(exports, key=lambda line: _BY_SEVERITY.index(line["status"]))
    status, reason = worst["status"], worst.get("reason", "")
    if code and status == "right":
        status, reason = "library fails after it", said[-1][:160] if said else f"exit code {code}"
    made = [line for line in exports if "nodes" in line]
    opsets = sorted({f"{line['opset_asked'] or 'any'} -> {line['opset']}" for line in made})
    return Result(
        *(library, case, exporter, status, reason),
        seconds=sum(line["cpu_seconds"] for line in exports),
        nodes=sum(line["nodes"] for line in made) if made else None,
        opsets=", ".join(opsets),
    )


# ---- the table -------------------------------------------------------------------------------------------------------


def table(results: Sequence[Result], clients: Sequence[Client]) -> str:
    """Return the results as Markdown: what each exporter serves, and a line for each call."""
    import onnx
    import onnxruntime
    import torch

    packages = ", ".join(client.needs[0].replace("==", " ") for client in clients)
    when = datetime.datetime.now(tz=datetime.timezone.utc).date()
    by_call: dict[tuple[str, str], dict[str, Result]] = {}
    for result in results:
        by_call.setdefault((result.library, result.case), {})[result.exporter] = result
    lines = [
        f"Measured {when} with torch {torch.__version__}, onnx {onnx.__version__}, onnxruntime "
        f"{onnxruntime.__version__}; {packages}.",
        "",
        "| exporter | calls | right on every check | file not right | no file | CPU s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for exporter in EXPORTERS:
        rows = [result for result in results if result.exporter == exporter]
        right, none = sum(row.served for row in rows), sum(row.status == "no file" for row in rows)
        seconds = sum(row.seconds or 0 for row in rows)
        lines.append(f"| {exporter} | {len(rows)} | {right} | {len(rows) - right - none} | {none} | {seconds:.0f} |")
    lines += [
        "",
        f"| library | case | opset by lading | {' | '.join(EXPORTERS)} |",
        f"| --- | --- | --- |{' --- |' * len(EXPORTERS)}",
    ]
    for (library, case), found in by_call.items():
        opsets = found["lading"].opsets if "lading" in found else ""
        cells = " | ".join(_cell(found.get(exporter)) for exporter in EXPORTERS)
        lines.append(f"| {library} | {case} | {opsets} | {cells} |")
    return "\n".join(lines)


def _cell(result: Result | None) -> str:
    """Say in a few words what became of a call under one exporter."""
    if result is None:
        return "not run"
    figures = [] if result.nodes is None else [f"{result.nodes} nodes"]
    if result.seconds is not None:
        figures.append(f"{result.seconds:.1f} s")
    said = f"{result.status} ({', '.join(figures)})" if figures else result.status
    reason = _COLOURS.sub("", result.reason).replace("|", "\\|").replace("\n", " ")
    if len(reason) > _LONGEST:
        reason = reason[:_LONGEST].rpartition(" ")[0] + " ..."
    return f"{said}: {reason}" if reason else said


def _write(text: str) -> None:
    page = README.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def _read(file: Path | None) -> dict[tuple[str, str, str], Result]:
    if file is None or not file.exists():
        return {}
    rows = (Result(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines())
    return {(row.library, row.case, row.exporter): row for row in rows}


def _append(file: Path | None, result: Result) -> None:
    if file is not None:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(dataclasses.asdict(result)) + "\n")


def _chosen(names: Sequence[str]) -> Iterator[Client]:
    known = {client.library: client for client in CLIENTS}
    for name in names or known:
        yield known[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("libraries", nargs="*", help=f"some of {', '.join(client.library for client in CLIENTS)}")
    parser.add_argument("--exporter", action="append", choices=EXPORTERS, help="only this one; may be given again")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "clients", help="where the environments are")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one case under one exporter")
    parser.add_argument(
        "--results", type=Path, help="file for results as JSON lines; those that it has are not run again"
    )
    parser.add_argument("--no-run", action="store_true", help="take what --results has, and run nothing")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    arguments = parser.parse_args()
    clients = list(_chosen(arguments.libraries))
    byte_compiled()
    known = _read(arguments.results)
    results = []
    forks = Forks()
    for client in clients:
        for case, exporter in itertools.product(client.cases, arguments.exporter or EXPORTERS):
            result = known.get((client.library, case, exporter))
            if result is None and arguments.no_run:
                continue
            if result is None:
                python = environment(client, arguments.folder)
                runs = forks.run if client.environment else run
                result = runs(client, case, exporter, python, arguments.timeout)
                _append(arguments.results, result)
                print(f"{client.library}, {case}, {exporter}: {result.status} {result.reason}", file=sys.stderr)
            results.append(result)
    forks.close()
    text = table(results, clients)
    if arguments.write:
        _write(text)
    else:
        print(text)


if __name__ == "__main__":
    main()

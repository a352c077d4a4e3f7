"""Command line of the benchmarks."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from core.allocator import keep_freed_memory

from benchmarks.machine import describe
from benchmarks.measure import measure
from benchmarks.report import HEADER, line, record
from benchmarks.row import Row, SkippedError
from benchmarks.rows import ROWS

SECONDS, QUICK_SECONDS = 4.0, 0.5


def selected(rows: Sequence[Row], only: str) -> list[Row]:
    """Rows whose name begins with one of the words (separated by commas); all without words."""
    words = [word.strip() for word in only.split(",") if word.strip()]
    return [row for row in rows if not words or any(row.name.startswith(word) for word in words)]


def parser() -> argparse.ArgumentParser:
    """Options."""
    made = argparse.ArgumentParser("python -m benchmarks", description="Measure what things cost; prints a Markdown table.")
    made.add_argument("--only", default="", metavar="NAMES", help="beginnings of row names, separated by commas")
    made.add_argument("--quick", action="store_true", help=f"{QUICK_SECONDS} instead of {SECONDS} seconds a row")
    made.add_argument("--json", type=Path, metavar="FILE", help="also write everything to this file")
    made.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 ...")
    made.add_argument("--threads", type=int, default=1, help="threads of torch (default: %(default)s; the bars are per core)")
    made.add_argument("--list", action="store_true", help="print the names of the rows and stop")
    return made


def main(args: Sequence[str] | None = None) -> None:
    """Measure the chosen rows one after the other, printing each as soon as it is known."""
    options = parser().parse_args(args)
    keep_freed_memory()
    chosen = selected(ROWS, options.only)
    if not chosen:
        parser().error(f"no row begins with {options.only!r}; --list shows them")
    if options.list:
        print(*(row.name for row in chosen), sep="\n")
        return
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser().error("there is no CUDA device")
    machine = describe(device)
    print("; ".join(f"{key} {value}" for key, value in machine.items()), "", *HEADER, sep="\n", flush=True)
    found = [_measured(row, device, QUICK_SECONDS if options.quick else SECONDS) for row in chosen]
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"machine": machine, "rows": found}, indent=2) + "\n")


def _measured(row: Row, device: torch.device, seconds: float) -> dict[str, Any]:
    """Measure and print one row, or say why it was left out."""
    on_gpu = device.type == "cuda"
    try:
        if on_gpu and not row.cuda:
            raise SkippedError("runs on the CPU only")
        case = row.build(device)
        result = measure(case, device, seconds)
    except (SkippedError, ModuleNotFoundError, torch.cuda.OutOfMemoryError) as error:
        print(f"| {row.name} | skipped: {error} |" + " |" * 9, flush=True)
        return {"name": row.name, "skipped": str(error)}
    print(line(row, case, result, on_gpu), flush=True)
    return record(row, case, result, on_gpu)


if __name__ == "__main__":
    main()

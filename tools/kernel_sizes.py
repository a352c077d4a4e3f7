"""What the Triton kernels of the volume renderer become on an H100 or H200: compiled ahead of time, no GPU needed.

``python tools/kernel_sizes.py`` prints a table for the published widths (32-64-32) with, for every kernel, the instructions of its loop
over samples (all of it where there is none) times warps over samples: what one warp issues for one sample.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

WARPS = 4
PLANES = {"fp32": "tf32x3", "fp16": "tf32", "bf16": "tf32"}
"""Type of the planes, and how products are made."""
INTEGERS, FLOATS = ("rays", "samples", "height", "width"), ("scale", "gain", "stop")


@dataclass(frozen=True)
class Size:
    """Of a compiled kernel.

    Attributes:
        kernel, planes: its name and the type of the planes.
        per_sample: instructions of a warp for a sample.
        registers: of a thread.
        stack: bytes that did not fit into those.
        shared: bytes of shared memory of a program.
        atomics: vector additions to memory, anywhere in the kernel.
    """

    kernel: str
    planes: str
    per_sample: float
    registers: int
    stack: int
    shared: int
    atomics: int


def build(kernel: str, planes: str, tile: int, widths: tuple[int, int, int] = (32, 64, 32), silu: bool = False) -> Any:
    """The kernel for compute capability 9.0; ``asm`` of the result holds ``ptx`` and ``cubin``."""
    import triton
    from core.render import march_triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function = getattr(march_triton, kernel)
    names = function.arg_names
    axes = (0, 1, 0, 2, 2, 0)
    constants = dict(zip(names[-7:], (*widths, silu, axes, PLANES[planes], tile), strict=True))
    types = dict.fromkeys(names, "*fp32") | dict.fromkeys(INTEGERS, "i32") | dict.fromkeys(FLOATS, "fp32")
    types |= {"table": f"*{planes}"} | dict.fromkeys(constants, "constexpr")
    aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if types[name] not in ("fp32", "constexpr")}
    source = ASTSource(function, {name: types[name] for name in names}, {(names.index(k),): v for k, v in constants.items()}, aligned)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": WARPS})


def loop_length(sass: str) -> int:
    """Instructions between the farthest jump back and its target; all of them without one."""
    count, labels, longest = 0, {}, 0
    for line in sass.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label[1]] = count
        elif re.match(r"\s+/\*[0-9a-f]{4,}\*/", line):
            count += 1
            if (jump := re.search(r"BRA.*`\((\.L_x_\d+)\)", line)) and jump[1] in labels and count - labels[jump[1]] > 2:
                longest = max(longest, count - labels[jump[1]])
    return longest or count


def measure(kernel: str, planes: str, tile: int) -> Size:
    """Compile and count."""
    import triton

    made = build(kernel, planes, tile)
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        usage, sass = (
            subprocess.run([tools / tool, option, file.name], capture_output=True, text=True, check=True).stdout
            for tool, option in (("cuobjdump", "-res-usage"), ("nvdisasm", "-c"))
        )
    registers, stack = (int(re.search(rf"{key}:(\d+)", usage)[1]) for key in ("REG", "STACK"))
    atomics = len(re.findall(r"RED\w*\.E\.ADD\.F32x", sass))
    return Size(kernel, planes, loop_length(sass) * WARPS / tile, registers, stack, made.metadata.shared, atomics)


def main() -> None:
    """Print the table."""
    from core.render.volume_triton import BLOCK, RAYS, RAYS_BACK

    print("| kernel | planes | instructions a sample | registers | stack, bytes | shared, bytes |", "|---|---|---|---|---|---|", sep="\n")
    for kernel, tile in (("density_forward", BLOCK), ("march_forward", RAYS), ("march_backward", RAYS_BACK)):
        for planes in PLANES:
            size = measure(kernel, planes, tile)
            print(f"| {kernel} | {planes} | {size.per_sample:.0f} | {size.registers} | {size.stack} | {size.shared} |", flush=True)


if __name__ == "__main__":
    main()

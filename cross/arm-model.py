#!/usr/bin/env python3
"""Counts what Limen executes on ARM, instruction by instruction, and models how long that takes.

    cross/arm-model.py [--loops N] [--only WORKLOAD]...
    cross/arm-model.py --check

Builds two examples by cross/build and runs them under QEMU's user mode, once for a processor with the dot product
(Cortex-A76) and once for one without (Cortex-A72). QEMU's log names each block of instructions when it translates it
(in_asm) and each time it executes it (exec,nochain): sums over the blocks are exact counts. A run of three less a run of
one, halved, is one run without loading. Of the networks, Limen's own functions are counted, not libc's nor tract's (whose
loading takes too long to log); of the scan all. --check counts one small run again, an instruction at a time.

llvm-mca then gives the cycles of each block, repeated 100 times by itself, all memory in the first-level cache. LLVM has
tables for A53 and A55, lends A57's to A72, and has none for A76 but one for its server form, Neoverse N1, taken here
with A76's four instructions a cycle.

Needs what cross/setup fetches, llvm 19 or newer (`apt-get install llvm-19`) and binutils for aarch64. Ten minutes.
"""

import argparse
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "cross/aarch64-unknown-linux-gnu/release"
GNU = "aarch64-linux-gnu"
ATTRIBUTES = "-mattr=+neon,+fullfp16,+dotprod,+lse,+crc,+v8.2a"
# Name -> llvm-mca's options.
MODELS = {
    "A53": ["-mcpu=cortex-a53"],
    "A55": ["-mcpu=cortex-a55"],
    "A72": ["-mcpu=cortex-a72"],
    "A76": ["-mcpu=neoverse-n1", "-dispatch=4"],
}
START = 0x5500000000  # where QEMU puts a program
DOT, PLAIN = "cortex-a76", "cortex-a72"  # QEMU's names
# Of each processor in QEMU, the models that can run what was counted there.
RUNS_ON = {DOT: ["A55", "A76"], PLAIN: ["A53", "A55", "A72", "A76"]}
WORKLOADS = {
    "embedder f16": ("rerun", "models/weights/limen-half10.onnx", [PLAIN]),
    "embedder half": ("rerun", "half:models/weights/limen-half10.onnx", [DOT]),
    "embedder int8": ("rerun", "models/weights/limen-half10-int8.onnx", [PLAIN, DOT]),
    "detector, 640x480": ("rerun", "detector", [PLAIN]),
    "detector by halves": ("rerun", "halves", [PLAIN]),
    "scan of 10,000": ("rescan", "10000", [PLAIN, DOT]),
}
# Board -> model, GHz.
BOARDS = {
    "Pi 3 (A53, 1.4 GHz)": ("A53", 1.4),
    "Pi 4 (A72, 1.8 GHz)": ("A72", 1.8),
    "Pi 5 (A76, 2.4 GHz)": ("A76", 2.4),
    "Jetson Orin Nano (A78AE as A76, 1.5 GHz)": ("A76", 1.5),
    "Rockchip (A55, 1.8 GHz)": ("A55", 1.8),
}
MODELLED = 0.995  # of the instructions; what is left is taken to run at the same pace
UNITS = re.compile(r"^\s*(fmla|sdot|smull2?|smlal2?)\s+\S+\.(4s|8h)")
# Products an instruction, by its arrangement.
LANES = {"4s": 4, "8h": 8}
MAC = {"sdot": {"4s": 16}} | dict.fromkeys(("fmla", "smull", "smull2", "smlal", "smlal2"), LANES)


def tool(name, cure):
    for found in [name, *(f"{name}-{n}" for n in range(30, 18, -1))]:
        if shutil.which(found) and (found != name or not name.startswith("llvm") or version(found) >= 19):
            return found
    sys.exit(f"cross/arm-model.py: no {name} here; {cure}")


def version(llvm):
    text = subprocess.run([llvm, "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"version (\d+)", text)[1])


class Program:
    """An example built for aarch64, and the names of its functions."""

    def __init__(self, package, name, folder, filtered):
        self.filtered = filtered
        command = [ROOT / "cross/build", "aarch64", "build", "-p", package, "--example", name]
        subprocess.run(command, check=True, stdout=sys.stderr)
        built = TARGET / "examples" / name
        # QEMU writes a function's name with each block that it executes, if it knows it.
        self.stripped = folder / name
        subprocess.run([f"{GNU}-strip", "-o", self.stripped, built], check=True)
        lines = subprocess.run([f"{GNU}-nm", "-C", "-n", built], capture_output=True, text=True, check=True).stdout
        self.symbols = [(int(a, 16), n) for a, k, n in (s.split(" ", 2) for s in lines.splitlines() if s[0] != " ")]
        self.end = max(a for a, _ in self.symbols)
        # From each function of Limen's to the next that is not.
        self.own, inside = [], False
        for at, symbol in self.symbols:
            if inside != ("limen_" in symbol and "tract" not in symbol):
                inside = not inside
                self.own.append(at)

    def function(self, offset):
        if offset > self.end:
            return "libraries"
        name = next((n for a, n in reversed(self.symbols) if a <= offset), "?")
        return re.sub(r"<(.*?) as .*?>", r"\1", name).removeprefix("limen_models::").removeprefix("limen_gallery_db::")


class Counter:
    """Runs programs under QEMU and counts the blocks that they execute."""

    def __init__(self):
        self.qemu = tool("qemu-aarch64-static", "run cross/setup aarch64")
        self.blocks = {}  # first instruction of a block, processor -> its instructions in hexadecimal

    def count(self, program, processor, words, *more):
        command = [self.qemu, "-L", f"/usr/{GNU}", "-cpu", processor, *more]
        if program.filtered:
            ranges = zip(program.own[::2], program.own[1::2])
            command += ["-dfilter", ",".join(f"{START + a:#x}+{b - a:#x}" for a, b in ranges if b > a)]
        log, end = os.pipe()
        command += ["-d", "in_asm,exec,nochain,page", "-D", f"/dev/fd/{end}", program.stripped, *words]
        executed, block = collections.Counter(), []
        env = {**os.environ, "RAYON_NUM_THREADS": "1"}
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=env, pass_fds=[end])
        os.close(end)
        with open(log, "rb", buffering=1 << 20) as lines:
            for line in lines:
                if line.startswith(b"Trace"):
                    executed[line.split(b"/", 2)[1]] += 1
                elif line.startswith(b"0x"):
                    address, code = line.split(maxsplit=2)[:2]
                    if not block:
                        self.blocks[int(address[:-1], 16)] = block
                    block.append(code.decode())
                elif line.startswith(b"start_code") and int(line.split()[1], 16) != START:
                    sys.exit(f"cross/arm-model.py: QEMU loads programs elsewhere: {line.decode()}; correct START")
                else:
                    block = []
        if child.wait():
            sys.exit(f"cross/arm-model.py: {' '.join(map(str, command))} failed with {child.returncode}")
        return {int(at, 16): n for at, n in executed.items()}

    def one_run(self, program, processor, what):
        """What one run executes: block -> times."""
        self.blocks = {}
        once, thrice = (self.count(program, processor, [what, runs]) for runs in "13")
        return {at: (n - once.get(at, 0)) / 2 for at, n in thrice.items() if n > once.get(at, 0)}


def disassemble(blocks):
    """Hexadecimal words as QEMU prints them -> llvm's text, all blocks at once."""
    words = [w for block in blocks for w in block]
    little = "\n".join(" ".join(f"0x{w[i:i + 2]}" for i in (6, 4, 2, 0)) for w in words)
    mc = tool("llvm-mc", "apt-get install llvm-19")
    done = subprocess.run(
        [mc, "--disassemble", "--triple=aarch64", ATTRIBUTES], input=little, capture_output=True, text=True
    )
    text = [s for s in done.stdout.splitlines() if s.startswith("\t") and not s.startswith("\t.")]
    if len(text) != len(words):
        sys.exit(f"cross/arm-model.py: {mc} reads {len(text)} of {len(words)} instructions: {done.stderr[:500]}")
    text = iter(text)
    return [[next(text) for _ in block] for block in blocks]


def cycles(blocks, options):
    """Of one execution of each block, by llvm-mca."""
    source = "".join(
        f"# LLVM-MCA-BEGIN b{i}\n" + "\n".join(block) + f"\n# LLVM-MCA-END b{i}\n" for i, block in enumerate(blocks)
    )
    mca = tool("llvm-mca", "apt-get install llvm-19")
    command = [mca, "-mtriple=aarch64", ATTRIBUTES, *options, "-iterations=100"]
    done = subprocess.run(
        [*command, "-instruction-info=0", "-resource-pressure=0"], input=source, capture_output=True, text=True
    )
    found = re.findall(r"Code Region - b(\d+)\n\nIterations:.*\nInstructions:.*\nTotal Cycles:\s+(\d+)", done.stdout)
    if len(found) != len(blocks):
        sys.exit(f"cross/arm-model.py: {' '.join(command)}: {len(found)} of {len(blocks)} blocks: {done.stderr[:500]}")
    return [int(n) / 100 for _, n in found]


def products(text):
    return sum(MAC[found[1]][found[2]] for found in map(UNITS.match, text) if found)


def loops_back(text, size):
    """Whether a block ends in a branch to its own start."""
    return text[-1].split("#")[-1].strip() == str(-4 * (size - 1)) and "b" in text[-1][:6]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--only", action="append", choices=WORKLOADS, help="this workload, not all")
    args.add_argument("--loops", type=int, default=8, help="blocks shown of each workload")
    args.add_argument("--check", action="store_true", help="count a small run in two ways and stop")
    args = args.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        programs = {
            "rerun": Program("limen-models", "rerun", folder, True),
            "rescan": Program("limen-gallery-db", "rescan", folder, False),
        }
        counter = Counter()
        if args.check:
            check(counter, programs["rescan"])
            return
        boards = {}
        for name in args.only or WORKLOADS:
            example, what, processors = WORKLOADS[name]
            for processor in processors:
                show(name, programs[example], counter, processor, what, args.loops, boards)
    print("\nESTIMATE, ms on one core, all memory in the first-level cache")
    for row, of in boards.items():
        print(f"{row}: " + ", ".join(f"{board} {ms:.1f}" for board, ms in of.items()))


def check(counter, program):
    """Blocks times their length against instructions one at a time: equal but for what depends on the clock."""
    words = ["100", "2"]
    executed = counter.count(program, DOT, words)
    by_blocks = sum(n * len(counter.blocks[at]) for at, n in executed.items())
    executed = counter.count(program, DOT, words, "-singlestep")
    print(f"rescan {' '.join(words)}: {by_blocks} instructions by blocks, {sum(executed.values())} one at a time")


def show(name, program, counter, processor, what, loops, boards):
    executed = counter.one_run(program, processor, what)
    weight = {at: n * len(counter.blocks[at]) for at, n in executed.items()}
    total, hot, covered = sum(weight.values()), [], 0
    for at in sorted(weight, key=weight.get, reverse=True):
        if covered >= MODELLED * total:
            break
        hot.append(at)
        covered += weight[at]
    texts = disassemble([counter.blocks[at] for at in hot])
    row = f"{name}, {'dot product' if processor == DOT else 'NEON'}"
    macs = sum(executed[at] * products(text) for at, text in zip(hot, texts))
    print(f"\n{row}: {total / 1e6:.2f} M instructions, {macs / 1e6:.2f} M products a run")
    of = {model: cycles(texts, MODELS[model]) for model in RUNS_ON[processor]}
    for model, each in of.items():
        run = sum(executed[at] * c for at, c in zip(hot, each)) * total / covered
        print(f"  {model}: {run / 1e6:.2f} M cycles, {macs / run:.2f} MAC a cycle")
        for board, (core, ghz) in BOARDS.items():
            if core == model:
                boards.setdefault(row, {})[board] = run / ghz / 1e6
    functions = collections.Counter()
    for at, n in weight.items():
        functions[program.function(at - START)] += n
    for function, n in functions.most_common(loops):
        print(f"  {n / total:6.1%} {function}")
    print(f"  blocks: share, instructions, MAC, {', '.join(f'cycles {m} (MAC a cycle)' for m in of)}")
    for i, (at, text) in enumerate(list(zip(hot, texts))[:loops]):
        mac = products(text)
        modelled = ", ".join(f"{each[i]:.1f} ({mac / each[i]:.1f})" for each in of.values())
        kind = "loop" if loops_back(text, len(text)) else "block"
        print(
            f"  {weight[at] / total:6.1%} {len(text):4} {mac:4}  {modelled}  "
            f"{kind} at {at - START:#x} in {program.function(at - START)}"
        )


main()

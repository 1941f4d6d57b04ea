"""How bench.py takes time: contenders in turns, and the table of their ratios."""

import os
import subprocess
import time

import numpy

# The two times of a run: the process's own, and what passed meanwhile.
CPU, CLOCK = 0, 1


class NotRun(Exception):
    """Why a contender is not in the table."""


class Limen:
    """The process that runs Limen, a contender a name."""

    def __init__(self, program, threads=1):
        self.threads = threads
        pipe, env = subprocess.PIPE, os.environ | {"RAYON_NUM_THREADS": str(threads)}
        self.child = subprocess.Popen([program], stdin=pipe, stdout=pipe, text=True, env=env)
        # The kernel's number for the CPU clock of another process (clock_getcpuclockid).
        self.clock = ~self.child.pid << 3 | 2

    def say(self, *words):
        """Sends a command and returns the numbers it is answered with."""
        if self.child.poll() is None:
            self.child.stdin.write("\t".join(map(str, words)) + "\n")
            self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise NotRun(f"the example pace ended at {words[0]}: see its message above")
        return numpy.array(line.split(), dtype=numpy.float32)

    def load(self, kind, name, *words):
        """A contender made of what `kind` loads."""
        self.say(kind, name, *words)
        return Contender(name, lambda first, count: self.say("run", name, first, count), self.cpu)

    def cpu(self):
        return time.clock_gettime(self.clock)


class Contender:
    """Something that runs `count` inputs from number `first` on and returns what the last of them gave."""

    def __init__(self, name, run, cpu=time.process_time):
        self.name, self.run, self.cpu = name, run, cpu
        self.form, self.same = "f32", ""

    def time(self, first, count):
        """Seconds a run: of CPU, and by the clock."""
        cpu, clock = self.cpu(), time.perf_counter()
        self.run(first, count)
        return (self.cpu() - cpu) / count, (time.perf_counter() - clock) / count


def each(run):
    """A peer that does one input a call, as a contender's function."""

    def several(first, count):
        for i in range(first, first + count):
            last = run(i)
        return last

    return several


def attempt(make):
    """What `make` gives, or one line of why not: a peer that cannot do something is a line of the table."""
    try:
        return make(), None
    except (Exception, SystemExit) as error:  # each library has its own kinds
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        return None, said if isinstance(error, NotRun) else f"{type(error).__name__}: {said:.120}"


def take_turns(contenders, rounds, block, pause=0.0, count=None):
    """Seconds a run, [contender, round, CPU or CLOCK]. Each round has its own order; a block has `count` runs, or as
    many as take about `block` seconds."""
    counts = []
    for c in contenders:
        c.run(0, 1)
        counts.append(count or max(1, round(block / max(1e-9, c.time(0, 1)[1]))))
    times = numpy.zeros((len(contenders), rounds, 2))
    for r in range(rounds):
        for k in range(len(contenders)):
            at = (k + r) % len(contenders)
            time.sleep(pause)
            times[at, r] = contenders[at].time(r * counts[at], counts[at])
    return times


def cosine(a, b):
    a, b = (numpy.asarray(v, dtype=numpy.float64).ravel() for v in (a, b))
    return float(a @ b / numpy.sqrt((a @ a) * (b @ b)))


class Table:
    """Rows as they come, on the screen and for --json."""

    def __init__(self):
        self.rows = []

    def head(self, section, remark, last):
        print(f"\n{section}: {remark}")
        print(f"{'what':<24} {'ours ms':>9}  {'peer':<49} {'peer ms':>9} {'ratio':>6} {'quartiles':>14}  {last}")

    def compare(self, what, contenders, times, clock=CPU, note=""):
        """A row a peer; the first contender is ours. Returns {peer: ratio}."""
        ours, ratios = times[0, :, clock], {}
        for c, t in zip(contenders[1:], times[1:, :, clock]):
            low, middle, high = map(float, numpy.quantile(ours / t, [0.25, 0.5, 0.75]))
            ms, their_ms = float(numpy.median(ours)) * 1e3, float(numpy.median(t)) * 1e3
            ratios[c.name] = middle
            row = dict(what=what, ours_ms=ms, peer=c.name + note, peer_ms=their_ms, ratio=middle, quartiles=[low, high])
            self.rows.append(row | dict(same=c.same, ours_same=contenders[0].same))
            same = f"{c.same} (ours {contenders[0].same})" if contenders[0].same else c.same
            spread = f"{low:.2f} to {high:.2f}"
            print(f"{what:<24} {ms:>9.3f}  {c.name + note:<49} {their_ms:>9.3f} {middle:>6.2f} {spread:>14}  {same}")
        return ratios

    def missing(self, what, peer, why):
        self.rows.append(dict(what=what, peer=peer, not_run=why))
        print(f"{what:<24} {'':>9}  {peer:<49} NOT RUN: {why}")


def agreement(contender, expected):
    """How many of the inputs give the expected answer, as "8 of 8"."""
    return f"{sum(int(numpy.ravel(contender.run(i, 1))[0]) == e for i, e in enumerate(expected))} of {len(expected)}"

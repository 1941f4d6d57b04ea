"""Holds networks written by `limen-train quantise` against onnxruntime.

An embedder of a model folder is written once in int8 and once in half precision, calibrated on photographs. Each file,
and the f32 file it comes from, is then run by onnxruntime and by Limen's own engine (`limen-train run`) on the same
aligned faces. Printed is how far the two engines lie apart, and how far onnxruntime finds each form from f32; the
script fails where the engines disagree.

    pip install -r tests/peers/requirements.txt
    cargo build --release --workspace --bins
    python3 tests/peers/quantise_check.py target/release/limen-train MODELS ID PHOTO...

In int8 the two engines give the same bits; in f32 they add up in another order.
"""

import pathlib
import subprocess
import sys
import tempfile

import cv2
import numpy
import onnx
import onnxruntime

# Greatest difference of the two engines' outputs, as a share of the largest output.
TOLERANCE = {"f32": 1e-5, "f16": 1e-5, "int8": 0.0}


def run(*command):
    """Runs limen-train and returns what it prints."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nfailed with {done.returncode}:\n{done.stderr}")
    return done.stdout


def faces(program, models, photos, folder):
    """Aligned crops of the photographs as [n, 3, 112, 96], BGR, (x - 127.5) / 128, and the folder they lie in."""
    raw, crops = folder / "raw", folder / "crops"
    run(program, "detect", "--models", models, "--crops", raw, *photos)
    crops.mkdir()
    images = []
    for path in sorted(raw.glob("*-face0.png")):
        images.append(cv2.imread(str(path)))
        path.rename(crops / path.name)
    if not images:
        sys.exit("no face in any photograph")
    array = (numpy.stack(images).astype(numpy.float32) - 127.5) / 128
    return numpy.ascontiguousarray(array.transpose(0, 3, 1, 2)), crops


def by_onnxruntime(path, array):
    """All outputs of a file, one picture at a time as at the door."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return numpy.concatenate([session.run(None, {name: array[i : i + 1]})[0] for i in range(len(array))])


def cosines(a, b):
    """Cosine of each row of a with that of b."""
    unit = lambda v: v.astype(numpy.float64) / numpy.linalg.norm(v.astype(numpy.float64), axis=1, keepdims=True)
    return (unit(a) * unit(b)).sum(axis=1)


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    program, models, name, photos = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
    print(f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}, numpy {numpy.__version__}")
    good = True
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        array, crops = faces(program, models, photos, folder)
        numpy.save(folder / "in.npy", array)
        out = folder / "models"
        out.mkdir()
        for form in ("int8", "f16"):
            print(run(program, "quantise", "--models", models, "--id", name, "--calibration", crops, "--aligned",
                      "--storage", form, "--sensitivity", 0, "--out", out), end="")
        whole = None
        for form, where, label in [("f32", models, name), ("f16", out, f"{name}-f16"), ("int8", out, f"{name}-int8")]:
            path = where / f"{label}.onnx"
            onnx.checker.check_model(str(path), full_check=True)
            run(program, "run", "--models", where, "--id", label, "--input", folder / "in.npy", "--to", folder / "out.npy")
            ours, theirs = numpy.load(folder / "out.npy"), by_onnxruntime(path, array)
            whole = theirs if whole is None else whole
            both, off = cosines(ours, theirs), numpy.abs(ours - theirs).max()
            verdict = "PASS" if off <= TOLERANCE[form] * numpy.abs(theirs).max() else "FAIL"
            good &= verdict == "PASS"
            against = cosines(theirs, whole)
            print(f"{verdict}  {form:<4} {path.stat().st_size:>8} bytes, {len(array)} faces: engines' cosine mean "
                  f"{both.mean():.7f} least {both.min():.7f}, max |diff| {off:.2e} of {numpy.abs(theirs).max():.3g}, equal "
                  f"{100 * (ours == theirs).mean():.1f} %; to f32 mean {against.mean():.5f} least {against.min():.5f}")
    print("all agree" if good else "NOT all agree")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

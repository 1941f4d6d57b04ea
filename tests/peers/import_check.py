"""Holds networks imported by `limen-train import` against OpenCV's own Caffe reader.

Each network is imported (MTCNN's stages twice: from PyTorch and from Caffe), its ONNX file is run by onnxruntime,
and OpenCV's DNN module runs the Caffe files themselves on the same input. Printed is the largest difference of
each output; the script fails above 1e-4.

    pip install -r tests/peers/requirements.txt
    cargo build --release --workspace --bins
    python3 tests/peers/import_check.py --shared ../shared [--limen-train target/release/limen-train]

OpenCV has to be a 4.x: version 5 has no Caffe reader any more.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy
import onnxruntime

try:
    import cv2

    CAFFE = cv2.dnn.readNetFromCaffe
except (ImportError, AttributeError):
    sys.exit("OpenCV 4.x is needed (pip install 'opencv-python-headless<5'): version 5 cannot read Caffe files")

TOLERANCE = 1e-4

# kind, .pt, Caffe files, (height, width) of the inputs, Caffe's name of each output
MTCNN = [
    ("mtcnn-p", "pnet.pt", "det1", [(12, 12), (31, 45), (120, 97)], {"prob": "prob1", "box": "conv4-2"}),
    ("mtcnn-r", "rnet.pt", "det2", [(24, 24)], {"prob": "prob1", "box": "conv5-2"}),
    ("mtcnn-o", "onet.pt", "det3", [(48, 48)], {"prob": "prob1", "box": "conv6-2", "landmarks": "conv6-3"}),
]
SPHEREFACE = ("embedder", "sphereface_128_nobn", [(112, 96)], {"embedding": "fc5/sphere"})


def imported(program, arguments, name, out):
    """Imports one network and returns an onnxruntime session of it."""
    command = [program, "import", *arguments, "--id", name, "--out", str(out), "--licence", "test", "--source", "test"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nfailed with {done.returncode}:\n{done.stderr}")
    return onnxruntime.InferenceSession(str(out / f"{name}.onnx"), providers=["CPUExecutionProvider"])


def by_opencv(net, image, names, width_first):
    """Runs a Caffe network; one trained width first gets the transposed image and its maps are transposed back."""
    if width_first:
        image = numpy.ascontiguousarray(image.transpose(0, 1, 3, 2))
    net.setInput(image)
    outputs = dict(zip(names, net.forward(list(names.values()))))
    turn = lambda a: a.transpose(0, 1, 3, 2) if width_first and a.ndim == 4 else a
    return {name: turn(value) for name, value in outputs.items()}


def compare(title, session, net, sizes, names, width_first):
    """Prints one line a size and output; returns whether all agree."""
    good = True
    for height, width in sizes:
        image = numpy.random.default_rng(height * width).uniform(-1, 1, (1, 3, height, width)).astype(numpy.float32)
        ours = dict(zip(names, session.run(list(names), {session.get_inputs()[0].name: image})))
        theirs = by_opencv(net, image, names, width_first)
        for name in names:
            # OpenCV keeps [1, n, 1, 1] of some flat outputs.
            same_size = ours[name].size == theirs[name].size
            worst = numpy.abs(ours[name].ravel() - theirs[name].ravel()).max() if same_size else numpy.inf
            largest = numpy.abs(ours[name]).max()
            verdict = "PASS" if worst <= TOLERANCE else "FAIL"
            good &= verdict == "PASS"
            print(f"{verdict}  {title:<24} {height:>3} x {width:<3} {name:<10} "
                  f"max |diff| {worst:.2e}  (largest value {largest:.3g})")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limen-train", default="target/release/limen-train", help="the built program")
    parser.add_argument("--shared", default="../shared", help="folder with weights/ in it")
    arguments = parser.parse_args()
    weights = pathlib.Path(arguments.shared) / "weights"
    if not weights.is_dir():
        sys.exit(f"SKIPPED (no ../shared): {weights} is not there")
    print(f"onnxruntime {onnxruntime.__version__}, OpenCV {cv2.__version__}, numpy {numpy.__version__}")

    good = True
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        for kind, pt, stem, sizes, names in MTCNN:
            caffe = weights / "mtcnn-kpzhang-caffe" / stem
            files = [f"{caffe}.prototxt", f"{caffe}.caffemodel"]
            from_pytorch = ["--arch", kind, "--weights", str(weights / "mtcnn-facenet-pytorch" / pt)]
            from_caffe = ["--caffe", files[1], "--prototxt", files[0], "--width-first", "--kind", kind]
            for origin, how in [("PyTorch", from_pytorch), ("Caffe", from_caffe)]:
                session = imported(arguments.limen_train, how, f"{kind}-{origin.lower()}", out)
                good &= compare(f"{kind} from {origin}", session, CAFFE(*files), sizes, names, True)
        kind, stem, sizes, names = SPHEREFACE
        caffe = weights / "sphereface-zju-128" / stem
        files = [f"{caffe}.prototxt", f"{caffe}.caffemodel"]
        how = ["--caffe", files[1], "--prototxt", files[0], "--kind", kind]
        session = imported(arguments.limen_train, how, "sphereface-128", out)
        good &= compare("sphereface-128", session, CAFFE(*files), sizes, names, False)
    print("all agree" if good else "NOT all agree")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

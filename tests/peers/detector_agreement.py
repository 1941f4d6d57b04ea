"""Agreement of Limen's MTCNN with an independent one (pip mtcnn 0.1.1, the TensorFlow port) on photographs of LFW.

usage: detector_agreement.py LIMEN_TRAIN MODELS LFW [COUNT]

Prints how many of the peer's boxes ours finds at IoU 0.7, the median distance of the landmarks in eye distances, and the
same for the two landmark rules (the official second, mirrored pass against the single pass that ports use).
Exit status 0 when recall >= 99 % and the median (single pass, like with like) <= 2 %.
"""

import glob
import json
import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
from mtcnn import MTCNN  # noqa: E402
from PIL import Image  # noqa: E402

# As SphereFace prepares its data.
MIN_FACE, FACTOR, THRESHOLDS = 20, 0.85, [0.6, 0.7, 0.9]


def peer(paths):
    """Boxes (x1, y1, x2, y2) and landmarks [n, 5, 2] a picture, before the package rounds them to whole pixels."""
    import keras

    keras.utils.disable_interactive_logging()
    net = MTCNN(min_face_size=MIN_FACE, scale_factor=FACTOR, steps_threshold=THRESHOLDS)
    for path in paths:
        image = np.asarray(Image.open(path).convert("RGB"))
        h, w = image.shape[:2]
        scales = net._MTCNN__compute_scale_pyramid(12.0 / MIN_FACE, min(h, w) * 12.0 / MIN_FACE)
        from mtcnn.mtcnn import StageStatus

        result = [scales, StageStatus(width=w, height=h)]
        for stage in (net._MTCNN__stage1, net._MTCNN__stage2, net._MTCNN__stage3):
            result = stage(image, result[0], result[1])
        boxes, points = result
        boxes = np.asarray(boxes, dtype=float).reshape(-1, boxes.shape[1] if len(boxes) else 5)[:, :4]
        points = np.asarray(points, dtype=float)
        marks = np.stack([points[:5].T, points[5:10].T], axis=2) if points.size else np.zeros((0, 5, 2))
        yield boxes, marks


def ours(program, models, paths, landmarks):
    command = [program, "detect", "--models", models, "--landmarks", landmarks, *paths]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    for line in map(json.loads, lines):
        faces = line["faces"]
        boxes = np.array([[f["bbox"][k] for k in ("x1", "y1", "x2", "y2")] for f in faces]).reshape(-1, 4)
        marks = np.array([[[p["x"], p["y"]] for p in f["landmarks"]] for f in faces]).reshape(-1, 5, 2)
        yield boxes, marks


def iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0]) + 1
    h = min(a[3], b[3]) - max(a[1], b[1]) + 1
    shared = max(w, 0) * max(h, 0)
    area = lambda r: (r[2] - r[0] + 1) * (r[3] - r[1] + 1)  # noqa: E731
    return shared / (area(a) + area(b) - shared)


def main():
    program, models, lfw = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 200
    files = sorted(glob.glob(os.path.join(lfw, "*", "*_0001.jpg")))
    paths = files[:: max(1, len(files) // count)][:count]
    theirs = list(peer(paths))
    good = True
    for rule in ("single", "mirrored"):
        found = total = extra = 0
        distances = []
        for (boxes, marks), (mine, my_marks) in zip(theirs, ours(program, models, paths, rule)):
            extra += len(mine)
            for box, mark in zip(boxes, marks):
                total += 1
                overlaps = [iou(box, m) for m in mine]
                if overlaps and max(overlaps) >= 0.7:
                    found += 1
                    my = my_marks[int(np.argmax(overlaps))]
                    eyes = np.linalg.norm(mark[0] - mark[1])
                    distances.append(np.linalg.norm(mark - my, axis=1).mean() / eyes)
        recall, median = found / total, float(np.median(distances))
        print(
            f"{len(paths)} photographs, landmarks {rule}: {found} of {total} boxes of the peer found at IoU 0.7 "
            f"({100 * recall:.2f} %; ours has {extra}), landmark distance median {100 * median:.2f} %, "
            f"90th percentile {100 * np.quantile(distances, 0.9):.2f} % of the eye distance"
        )
        if rule == "single":
            good = recall >= 0.99 and median <= 0.02
    print("PASS" if good else "FAIL")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""Faces that YuNet finds, as JSON lines in the form of `limen-train detector label`: a second teacher.

    pip install -r tests/peers/requirements.txt
    python3 tests/peers/yunet_labels.py YUNET.onnx FOLDER > yunet.jsonl
    limen-train detector label --models teacher --images FOLDER --agree yunet.jsonl --out labels.jsonl

YUNET.onnx is the file of a fixed input size (yunet_n_320_320), which OpenCV sets to each picture's.
FOLDER holds pictures, or folders of pictures, and is named as `--images` names it: labels are compared by path.
"""

import json
import pathlib
import sys

import cv2

ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    detector = cv2.FaceDetectorYN.create(model, "", (0, 0), score_threshold=0.6)
    paths = sorted(p for p in [*folder.glob("*"), *folder.glob("*/*")] if p.suffix.lower() in ENDINGS)
    if not paths:
        sys.exit(f"{folder}: no pictures")
    for path in paths:
        image = cv2.imread(str(path))
        if image is None:
            print(json.dumps({"file": str(path), "error": "cannot be read"}))
            continue
        height, width = image.shape[:2]
        detector.setInputSize((width, height))
        faces = []
        found = detector.detect(image)[1]
        for row in [] if found is None else found:
            x, y, w, h, *points = (float(v) for v in row[:14])
            # Its right eye is the subject's: the one on the image's left, as ours come first.
            landmarks = [{"x": points[2 * i], "y": points[2 * i + 1]} for i in range(5)]
            faces.append(
                {
                    "bbox": {"x1": x, "y1": y, "x2": x + w - 1, "y2": y + h - 1},
                    "landmarks": landmarks,
                    "confidence": float(row[14]),
                }
            )
        print(json.dumps({"file": str(path), "width": width, "height": height, "faces": faces}))


if __name__ == "__main__":
    main()

"""Holds Limen's alignment against scikit-image (the fit) and OpenCV (the warp).

usage: alignment_check.py LIMEN_TRAIN MODELS PHOTO...

`limen-train detect --crops DIR` writes the aligned face of every detection. Here the same landmarks go through
skimage's least-squares similarity and cv2.warpAffine (bilinear, black outside). OpenCV interpolates in 1/32 px steps, so
single pixels may differ by a few levels. PASS when the mean difference stays below 0.5 and no pixel differs by more
than 16 of 255 levels.
"""

import json
import os
import subprocess
import sys
import tempfile

import cv2
import numpy as np
from skimage.transform import SimilarityTransform

# SphereFace preprocess/code/face_align_demo.m L22-26
TEMPLATE = np.array(
    [[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]]
)


def main():
    program, models, *photos = sys.argv[1:]
    worst, means, faces = 0.0, [], 0
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "detect", "--models", models, "--crops", folder, *photos]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        for index, line in enumerate(map(json.loads, lines)):
            # The decoder must be the same: ours wrote what it decoded.
            frame = cv2.imread(os.path.join(folder, f"{index:05}-frame.png"))
            for number, face in enumerate(line["faces"]):
                marks = np.array([[p["x"], p["y"]] for p in face["landmarks"]])
                fit = SimilarityTransform()
                fit.estimate(marks, TEMPLATE)
                theirs = cv2.warpAffine(frame, fit.params[:2], (96, 112), flags=cv2.INTER_LINEAR)
                ours = cv2.imread(os.path.join(folder, f"{index:05}-face{number}.png"))
                difference = np.abs(ours.astype(int) - theirs.astype(int))
                worst = max(worst, difference.max())
                means.append(difference.mean())
                faces += 1
    print(f"{faces} faces: mean difference {np.mean(means):.3f} levels, largest {worst:.0f} of 255")
    good = faces > 0 and max(means) < 0.5 and worst <= 16
    print("PASS" if good else "FAIL")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

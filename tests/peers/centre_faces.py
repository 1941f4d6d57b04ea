"""How two detectors see the face in the middle of the same pictures, such as LFW's.

    limen-train detector label --models ours --detector close-up --images lfw --out ours.jsonl
    python3 tests/peers/yunet_labels.py YUNET.onnx lfw > yunet.jsonl
    python3 tests/peers/centre_faces.py ours.jsonl yunet.jsonl

Each file has a line a picture, as those two write it. Prints the pictures without a face, those whose middle faces lie
more than half an eye distance apart (one of the two took another face), and the mean distance of the five landmarks,
as shares of the eye distance.
"""

import json
import statistics
import sys


def middle(line):
    """Landmarks of the face nearest to the picture's middle."""
    centre = complex(line["width"] / 2, line["height"] / 2)
    points = [[complex(p["x"], p["y"]) for p in f["landmarks"]] for f in line["faces"]]
    return min(points, key=lambda face: abs(sum(face) / 5 - centre), default=None)


def read(path):
    with open(path) as f:
        return {line["file"]: middle(line) for line in map(json.loads, f) if "faces" in line}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    names, faces = sys.argv[1:], [read(path) for path in sys.argv[1:]]
    shared = faces[0].keys() & faces[1].keys()
    if not shared:
        sys.exit("the files have no picture in common")
    for name, found in zip(names, faces):
        print(f"{name}: {sum(found[k] is None for k in shared)} of {len(shared)} pictures without a face")
    apart, other = [], 0
    for a, b in ((faces[0][k], faces[1][k]) for k in shared):
        if a and b:
            eyes = abs(b[0] - b[1])
            if abs(sum(a) - sum(b)) / 5 > eyes / 2:
                other += 1
            else:
                apart.append(sum(abs(p - q) for p, q in zip(a, b)) / 5 / eyes)
    print(f"another face: {other}")
    apart.sort()
    at = [f"{100 * apart[int(share * (len(apart) - 1))]:.2f} %" for share in (0.5, 0.9, 0.99)]
    print(f"landmarks, {len(apart)} faces: median {at[0]}, 90 % below {at[1]}, 99 % below {at[2]} of the eye distance")
    print(f"mean {100 * statistics.mean(apart):.2f} %")


if __name__ == "__main__":
    main()

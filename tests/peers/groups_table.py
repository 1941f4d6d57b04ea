"""A table of groups for `limen-train eval groups`, from what a folder IDENTITY/CROP of aligned faces says by itself.

    groups_table.py CROPS > groups.csv && limen-train eval groups --features lfw.npy --table groups.csv --fmr 1e-3

Two columns. "first name": women or men, as gender-guesser takes the first name to be (empty where it does not know);
a guess about names, and no statement about anybody. "brightness": the quarter of the people whose crops are darkest,
and the others; of the photographs, not of the skin.
"""

import csv
import pathlib
import sys

import cv2
import gender_guesser.detector
import numpy as np

root = pathlib.Path(sys.argv[1])
guess = gender_guesser.detector.Detector(case_sensitive=False)
kind = {"male": "men", "mostly_male": "men", "female": "women", "mostly_female": "women"}
names, light = [], []
for folder in sorted(p for p in root.iterdir() if p.is_dir()):
    crops = [cv2.imread(str(p)) for p in sorted(folder.iterdir())]
    crops = [c.astype(np.float32) for c in crops if c is not None]
    if not crops:
        continue
    names.append(folder.name)
    light.append(np.mean([c.mean() for c in crops]))
dark = np.quantile(light, 0.25)
out = csv.writer(sys.stdout)
out.writerow(["identity", "first name", "brightness"])
for name, level in zip(names, light):
    first = kind.get(guess.get_gender(name.split("_")[0]), "")
    out.writerow([name, first, "darkest quarter" if level <= dark else "others"])

"""People who do not exist, for the demo and its tests: composed from the statistics of thousands of faces.

    pip install numpy opencv-python-headless
    python3 compose.py learn SHARED/data/faces-0.tar ... --out statistics.npz
    python3 compose.py sheet statistics.npz --seeds 0:24 --out sheet.png      to choose from
    python3 compose.py photos statistics.npz --seeds 0:24 --out folder        the same, one folder a person
    python3 compose.py ship statistics.npz --out models/people                what the repository holds

`learn` takes the mean face, how people differ from each other (principal components of the means of each person, each
averaged with its mirror image) and how photographs of one person differ (principal components of what is left). A
person is drawn from the first, a photograph of that person from the second, as in probabilistic linear discriminant
analysis (Prince and Elder, ICCV 2007). No picture is of anybody: each is a sum over 2,500 people.
"""

import argparse
import pathlib
import tarfile

import cv2
import numpy as np

HEIGHT, WIDTH = 156, 136  # of the training crops; 36 px between the eyes
PEOPLE, PHOTOS = 2500, 5  # learnt from
BETWEEN, WITHIN = 160, 60  # components kept
SPREAD, VARIETY = 0.9, 0.6  # how far from the mean people are, and photographs from their person; 1 is as in the data


def faces(tars):
    """The first PHOTOS photographs of each of PEOPLE people, [people, photos, height, width, 3], 0 to 1."""
    people = []
    for tar in tars:
        of = {}
        with tarfile.open(tar) as t:
            for member in t:
                who = member.name.split("/")[0]
                if member.isfile() and who.startswith("celeba-") and len(of.setdefault(who, [])) < PHOTOS:
                    image = cv2.imdecode(np.frombuffer(t.extractfile(member).read(), np.uint8), cv2.IMREAD_COLOR)
                    if image is not None and image.shape == (HEIGHT, WIDTH, 3):
                        of[who].append(image)
        people += [of[who] for who in sorted(of) if len(of[who]) == PHOTOS]
        if len(people) >= PEOPLE:
            break
    return np.asarray(people[:PEOPLE], np.float32) / 255


def components(samples, count):
    """Deviations and directions of the `count` largest principal components of samples [n, values], of mean zero."""
    variances, vectors = np.linalg.eigh(samples @ samples.T / len(samples))
    variances, vectors = variances[::-1][:count], vectors[:, ::-1][:, :count]
    directions = samples.T @ vectors / np.sqrt(variances * len(samples))
    return np.sqrt(variances), directions.T


def learn(tars, out):
    photos = faces(tars)
    means = photos.mean(1)
    means = (means + means[:, :, ::-1]) / 2
    rest = photos - means[:, None]
    mean = means.mean(0)
    between = components((means - mean).reshape(len(means), -1), BETWEEN)
    within = components(rest[:, 0].reshape(len(rest), -1), WITHIN)
    np.savez(out, mean=mean, between=between[1], within=within[1], spread=between[0], variety=within[0])


class Statistics:
    def __init__(self, file):
        d = np.load(file)
        self.mean, self.between, self.within = d["mean"], d["between"], d["within"]
        self.spread, self.variety = d["spread"], d["variety"]

    def person(self, seed):
        z = np.clip(np.random.default_rng(seed).standard_normal(BETWEEN), -2, 2) * SPREAD
        return self.mean + ((z * self.spread) @ self.between).reshape(self.mean.shape)

    def photo(self, person, z):
        """A photograph, uint8: the person, changed by z [WITHIN], and sharpened, for sums of pictures are soft."""
        image = person + ((z * VARIETY * self.variety) @ self.within).reshape(person.shape)
        image = image + 0.9 * (image - cv2.GaussianBlur(image, (0, 0), 2.0))
        return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def moods(seed, count):
    """How `count` photographs differ from their person, [count, WITHIN]."""
    return np.random.default_rng([seed, 1]).standard_normal((count, WITHIN))


FRAME_WIDTH, FRAME_HEIGHT, FPS = 320, 240, 8
EMPTY_S, VISIT_S = 1.0, 3.0


def hall():
    """An entrance seen from its door: a wall with a window, a floor; float [height, width, 3], BGR."""
    y, x = np.mgrid[0:FRAME_HEIGHT, 0:FRAME_WIDTH].astype(np.float32)
    image = np.stack([150 - 0.15 * y, 158 - 0.2 * y + 0.05 * x, 160 - 0.2 * y + 0.08 * x], -1)
    floor = (y > 190)[..., None]
    image = np.where(floor, np.stack([70 + 0.1 * y, 82 + 0.1 * y, 92 + 0.1 * y], -1), image)
    cv2.rectangle(image, (222, 30), (300, 130), (120, 118, 112), -1)
    cv2.rectangle(image, (227, 35), (295, 125), (228, 220, 205), -1)
    cv2.line(image, (261, 35), (261, 125), (120, 118, 112), 4)
    cv2.line(image, (0, 190), (FRAME_WIDTH, 190), (84, 84, 88), 5)
    return cv2.GaussianBlur(image, (0, 0), 1.5)


def stand(scene, face, scale, centre, coat):
    """Puts a person with `face` [HEIGHT, WIDTH, 3] and a coat into the scene, in place."""
    size, middle = (FRAME_WIDTH, FRAME_HEIGHT), (5 * WIDTH // 2, 5 * HEIGHT // 2)
    to_scene = np.float32([[scale, 0, centre[0] - scale * WIDTH / 2], [0, scale, centre[1] - scale * HEIGHT / 2]])
    wide = to_scene - scale * np.float32([[0, 0, 2 * WIDTH], [0, 0, 2 * HEIGHT]])
    skin = face[94:102, 44:92].mean((0, 1)) * 0.8
    head = cv2.warpAffine(face.astype(np.float32), to_scene, size, borderMode=cv2.BORDER_REPLICATE)
    # What is painted, and the ellipse it fills: how far below the face's middle, its half axes, its soft edge.
    for paint, down, axes, soft in ((skin, 76, (27, 42), 3), (coat, 190, (104, 112), 2), (head, 1, (50, 67), 5)):
        mask = np.zeros((5 * HEIGHT, 5 * WIDTH), np.float32)
        cv2.ellipse(mask, (middle[0], middle[1] + down), axes, 0, 0, 360, 1, -1)
        share = cv2.warpAffine(cv2.GaussianBlur(mask, (0, 0), soft), wide, size)[..., None]
        scene[:] = scene * (1 - share) + np.float32(paint) * share


def clip(statistics, visitors):
    """The frames of a door's camera: nobody, then each visitor (seed, coat) in turn comes near, waits and leaves."""
    noise = np.random.default_rng(7)
    for who in [None, *(v for visitor in visitors for v in (visitor, None))]:
        count = round(FPS * (VISIT_S if who else EMPTY_S))
        for i in range(count):
            frame, t = hall(), i / count
            if who:
                seed, coat = who
                first, last = moods(seed, 2) * 0.7
                face = statistics.photo(statistics.person(seed), first * (1 - t) + last * t)
                near = 0.75 + 0.4 * min(1, 2 * t)
                stand(frame, face, near, (150 + 8 * np.sin(5 * t), 112 + 4 * np.cos(7 * t)), coat)
            frame += noise.normal(0, 1.5, frame.shape)
            yield np.clip(frame, 0, 255).astype(np.uint8)


# Who plays: chosen from the first 60 seeds so that they resemble each other little (README.md).
ENROLLED = {"Ada": 22, "Ben": 55}
STRANGERS = {"Carl": 41}
COATS = {"Ada": (70, 90, 60), "Ben": (96, 60, 40), "Carl": (60, 66, 72)}
PORTRAITS = 3


def ship(statistics, out):
    cast = ENROLLED | STRANGERS
    for name, seed in cast.items():
        folder = out / ("enrolled" if name in ENROLLED else "strangers") / name
        folder.mkdir(parents=True, exist_ok=True)
        # The clip has the first two moods.
        for i, z in enumerate(moods(seed, 2 + PORTRAITS)[2:]):
            photo = statistics.photo(statistics.person(seed), z)
            cv2.imwrite(str(folder / f"{i + 1}.jpg"), photo, [cv2.IMWRITE_JPEG_QUALITY, 92])
    order = ["Ada", *STRANGERS, "Ben"]
    with open(out / "door.mjpeg", "wb") as f:
        for frame in clip(statistics, [(cast[name], COATS[name]) for name in order]):
            f.write(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())


def seeds_of(text):
    first, last = (int(v) for v in text.split(":"))
    return range(first, last)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    p = what.add_parser("learn")
    p.add_argument("tars", nargs="+")
    p.add_argument("--out", required=True)
    for name in ("sheet", "photos"):
        p = what.add_parser(name)
        p.add_argument("statistics")
        p.add_argument("--seeds", type=seeds_of, required=True)
        p.add_argument("--out", type=pathlib.Path, required=True)
    p = what.add_parser("ship")
    p.add_argument("statistics")
    p.add_argument("--out", type=pathlib.Path, required=True)
    a = parser.parse_args()
    if a.what == "learn":
        return learn(a.tars, a.out)
    s = Statistics(a.statistics)
    if a.what == "sheet":
        rows = [np.hstack([s.photo(s.person(seed), z) for z in moods(seed, 5)]) for seed in a.seeds]
        cv2.imwrite(str(a.out), np.vstack(rows))
    if a.what == "photos":
        for seed in a.seeds:
            folder = a.out / f"{seed:03}"
            folder.mkdir(parents=True, exist_ok=True)
            for i, z in enumerate(moods(seed, 5)):
                cv2.imwrite(str(folder / f"{i}.png"), s.photo(s.person(seed), z))
    if a.what == "ship":
        ship(s, a.out)


if __name__ == "__main__":
    main()

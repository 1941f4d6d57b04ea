"""Features of aligned crops by onnxruntime, in the form that `limen-train eval --features` takes.

For networks that a processor runs much faster in onnxruntime than in Limen's engine (int8 without its dot product
instructions): `quantise_check.py` shows that in int8 both give the same bits.

    pip install -r tests/peers/requirements.txt
    python3 tests/peers/lfw_features.py MODEL.onnx CROPS OUT.npy
    limen-train eval lfw --features OUT.npy --pairs pairs.txt

CROPS holds IDENTITY/IMAGE.png of 96x112.
"""

import json
import pathlib
import sys

import cv2
import numpy
import onnxruntime


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    model, crops, out = map(pathlib.Path, sys.argv[1:])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    rows, index = [], []
    for path in sorted(crops.glob("*/*.png")):
        image = cv2.imread(str(path))
        if image is None or image.shape != (112, 96, 3):
            sys.exit(f"{path}: no crop of 96x112")
        both = [image, image[:, ::-1]]
        inputs = [(i.astype(numpy.float32) - 127.5).transpose(2, 0, 1)[None] / 128 for i in both]
        rows.append(numpy.concatenate([session.run(None, {name: numpy.ascontiguousarray(i)})[0][0] for i in inputs]))
        index.append({"path": f"{path.parent.name}/{path.name}", "identity": path.parent.name, "row": len(index)})
    features = numpy.stack(rows).astype(numpy.float32).reshape(len(rows), 2, -1)
    numpy.save(out, features)
    head = {
        "format": 1,
        "model": f"{model.stem}#onnxruntime",
        "mirror": "sum",
        "length": features.shape[2],
        "root": str(crops),
    }
    out.with_suffix(".jsonl").write_text("\n".join(json.dumps(line) for line in [head, *index]) + "\n")
    print(f"{len(index)} pictures, {features.shape[2]} numbers each -> {out}")


if __name__ == "__main__":
    main()

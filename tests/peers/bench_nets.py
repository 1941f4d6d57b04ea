"""Networks for bench.py: SphereFace with random weights, and the forms that each program reads."""

import struct

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

# Residual pairs of the four stages, by number of layers (SphereFace, table 2).
PAIRS = {4: (0, 0, 0, 0), 20: (1, 2, 4, 1), 36: (2, 4, 8, 2), 64: (3, 8, 16, 3)}


def write_sphereface(layers, path):
    """SphereFace as published, 3x112x96 to 512 numbers, for any number of pictures; random weights, always the same."""
    dice = numpy.random.default_rng(layers)
    nodes, weights = [], []

    def constant(name, values):
        weights.append(numpy_helper.from_array(values.astype(numpy.float32), name))
        return name

    def layer(x, name, inputs, outputs, stride):
        # He's spread for a PReLU of slope 0.25, so that values neither grow nor vanish with depth.
        spread = numpy.sqrt(2 / (9 * inputs * (1 + 0.25**2)))
        taken = [x, constant(f"conv{name}.weight", spread * dice.standard_normal((outputs, inputs, 3, 3)))]
        if stride == 2:  # as published: the others have none
            taken.append(constant(f"conv{name}.bias", 0.05 * dice.standard_normal(outputs)))
        nodes.append(
            helper.make_node("Conv", taken, [f"conv{name}"], kernel_shape=[3, 3], strides=[stride] * 2, pads=[1] * 4)
        )
        slope = constant(f"relu{name}.slope", 0.25 + 0.05 * dice.standard_normal((outputs, 1, 1)))
        nodes.append(helper.make_node("PRelu", [f"conv{name}", slope], [f"relu{name}"]))
        return f"relu{name}"

    x, inputs = "face", 3
    for stage, (outputs, pairs) in enumerate(zip((64, 128, 256, 512), PAIRS[layers]), 1):
        x = layer(x, f"{stage}_1", inputs, outputs, 2)
        for pair in range(pairs):
            last = 2 * pair + 3
            within = layer(layer(x, f"{stage}_{last - 1}", outputs, outputs, 1), f"{stage}_{last}", outputs, outputs, 1)
            # Half the spread of a sum: a deep network's values stay in range.
            nodes.append(helper.make_node("Add", [x, within], [f"res{stage}_{last}"]))
            x = f"res{stage}_{last}"
        inputs = outputs
    nodes.append(helper.make_node("Flatten", [x], ["flat"], axis=1))
    full = [
        constant("fc5.weight", dice.standard_normal((512, 512 * 7 * 6)) / numpy.sqrt(512 * 7 * 6)),
        constant("fc5.bias", numpy.zeros(512)),
    ]
    nodes.append(helper.make_node("Gemm", ["flat", *full], ["embedding"], transB=1))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        f"sphereface-{layers}",
        [value("face", TensorProto.FLOAT, ["N", 3, 112, 96])],
        [value("embedding", TensorProto.FLOAT, ["N", 512])],
        weights,
    )
    onnx.save(model_of(graph), path)
    return path


def model_of(graph):
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def product(right, kind):
    """A function that multiplies matrices by `right` in onnxruntime, as an operation of this kind, on one thread."""
    numbers, sums = (TensorProto.FLOAT,) * 2 if kind == "MatMul" else (TensorProto.UINT8, TensorProto.INT32)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(kind, ["a", "b"], ["c"])],
        kind,
        [value("a", numbers, [None, len(right)])],
        [value("c", sums, [None, right.shape[1]])],
        [numpy_helper.from_array(right, "b")],
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model_of(graph).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda left: session.run(None, {"a": left})


def constants(graph):
    return {i.name: numpy_helper.to_array(i) for i in graph.initializer}


def fixed(path, to, pictures=1):
    """The same network for so many pictures and with weights in f32, as programs like it that fold no constants."""
    model = onnx.load(path)
    graph, halves = model.graph, constants(model.graph)
    for node in [n for n in graph.node if n.op_type == "Cast" and n.input[0] in halves]:
        graph.initializer.append(numpy_helper.from_array(halves[node.input[0]].astype(numpy.float32), node.output[0]))
        graph.initializer.remove(next(i for i in graph.initializer if i.name == node.input[0]))
        graph.node.remove(node)
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = pictures
    del graph.value_info[:]
    onnx.save(onnx.shape_inference.infer_shapes(model), to)
    return to


def quantised(path, faces, kind, to):
    """onnxruntime's own int8 form of a network for one picture: weights by channel, u8 or s8 between the layers."""

    class Faces(CalibrationDataReader):
        def __init__(self):
            self.left = iter(faces)

        def get_next(self):
            face = next(self.left, None)
            return None if face is None else {"face": face[None]}

    symmetric = kind == "s8"
    quantize_static(
        path,
        to,
        Faces(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
        op_types_to_quantize=["Conv", "Gemm"],
        extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": True},
    )
    return to


def multiplications(path):
    """Multiplications of a network, as direct convolutions have them."""
    graph = onnx.load(path).graph
    weights = {i.name: i.dims for i in graph.initializer}
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output)}
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            total += numpy.prod(weights[node.input[1]][1:]) * numpy.prod(shapes[node.output[0]])
        elif node.op_type == "Gemm":
            total += numpy.prod(weights[node.input[1]])
    return int(total)


# --- ncnn ---

INT8 = 0x000D4B38  # ncnn's mark of weights in int8


def write_ncnn(path, stem, faces=None):
    """ncnn's files of a network of Conv, PRelu, Add, Flatten and Gemm; in int8 where `faces` calibrate it."""
    graph = onnx.load(path).graph
    weights = constants(graph)
    steps = None if faces is None else {name: 127 / most for name, most in ranges(path, faces).items()}
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers[name] = readers.get(name, 0) + 1
    lines, data, copies = ["Input face 0 1 face"], [], {}
    blobs = 1

    def put(kind, node, inputs, parameters):
        # A value that several layers read is split first, a name for each.
        nonlocal blobs
        out = node.output[0]
        names = [copies[name].pop() if name in copies else name for name in inputs]
        lines.append(f"{kind} {out} {len(names)} 1 {' '.join(names)} {out} {parameters}")
        blobs += 1
        if readers.get(out, 0) > 1:
            copies[out] = [f"{out}_{i}" for i in range(readers[out])]
            lines.append(f"Split {out}_split 1 {len(copies[out])} {out} {' '.join(copies[out])}")
            blobs += len(copies[out])

    def store(values):
        data.append(numpy.ascontiguousarray(values, numpy.float32).tobytes())

    def store_layer(node, bias):
        weight = weights[node.input[1]]
        if steps is None:
            data.append(struct.pack("<I", 0))
            store(weight)
        else:
            by_channel = 127 / numpy.abs(weight.reshape(len(weight), -1)).max(axis=1)
            codes = numpy.rint(weight.reshape(len(weight), -1) * by_channel[:, None]).astype(numpy.int8).tobytes()
            data.append(struct.pack("<I", INT8) + codes + bytes(-len(codes) % 4))
        if bias is not None:
            store(bias)
        if steps is not None:
            store(by_channel)
            store([steps[node.input[0]]])

    quant = " 8=2" if steps else ""
    for node in graph.node:
        bias = weights[node.input[2]] if len(node.input) > 2 else None
        if node.op_type == "Conv":
            weight, attributes = weights[node.input[1]], {a.name: list(a.ints) or a.i for a in node.attribute}
            if attributes.get("group", 1) != 1:
                raise ValueError(f"{node.output[0]}: a convolution in groups is not written for ncnn")
            put(
                "Convolution",
                node,
                node.input[:1],
                f"0={len(weight)} 1={weight.shape[3]} 11={weight.shape[2]} 3={attributes['strides'][0]} "
                f"4={attributes['pads'][0]} 5={int(bias is not None)} 6={weight.size}{quant}",
            )
            store_layer(node, bias)
        elif node.op_type == "Gemm":
            weight = weights[node.input[1]]
            put(
                "InnerProduct",
                node,
                node.input[:1],
                f"0={len(weight)} 1={int(bias is not None)} 2={weight.size}{quant}",
            )
            store_layer(node, bias)
        elif node.op_type == "PRelu":
            slope = weights[node.input[1]]
            put("PReLU", node, node.input[:1], f"0={slope.size}")
            store(slope)
        elif node.op_type == "Add":
            put("BinaryOp", node, node.input, "0=0")
        elif node.op_type == "Flatten":
            put("Flatten", node, node.input, "")
        else:
            raise ValueError(f"{node.op_type} is not written for ncnn")
    with open(f"{stem}.param", "w") as file:
        file.write(f"7767517\n{len(lines)} {blobs}\n" + "\n".join(lines) + "\n")
    with open(f"{stem}.bin", "wb") as file:
        file.write(b"".join(data))
    return stem


def ranges(path, faces):
    """Greatest absolute value of what each layer with weights reads."""
    model = onnx.load(path)
    names = [n.input[0] for n in model.graph.node if n.op_type in ("Conv", "Gemm")]
    del model.graph.output[:]
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names[1:])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    most = {names[0]: float(numpy.abs(faces).max())}
    for face in faces:
        for name, values in zip(names[1:], session.run(None, {names[0]: face[None]})):
            most[name] = max(most.get(name, 0.0), float(numpy.abs(values).max()))
    return most

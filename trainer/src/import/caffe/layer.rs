//! One layer block of a prototxt -> an operation and the blobs it needs.

use crate::graph::{BatchNorm, Conv2d, Gemm, MaxPool, Op, Rounding, Shape, Size2, Tensor};
use crate::import::prototxt::Block;

/// Gives the blobs of the layer at hand in the shapes that are asked for.
pub(super) type Fetch<'a> = dyn Fn(&[Vec<usize>]) -> Result<Vec<Tensor>, String> + 'a;

/// What a layer does to the network.
pub(super) enum Step {
    /// One operation.
    Op(Op),
    /// A fully connected layer, which flattens a map first.
    Dense(Gemm),
    /// Its outputs are its input under other names.
    Pass,
}

/// Reads layer `block` of type `kind`, whose input has the shape `x`.
pub(super) fn step(kind: &str, block: &Block, x: Shape, fetch: &Fetch<'_>) -> Result<Step, String> {
    let empty = Block::default();
    let param = |name: &str| block.block(name).unwrap_or(&empty);
    match kind {
        "Convolution" => convolution(param("convolution_param"), x, fetch).map(Step::Op),
        "InnerProduct" => inner_product(param("inner_product_param"), x, fetch).map(Step::Dense),
        "Pooling" => pooling(param("pooling_param"), x).map(Step::Op),
        "PReLU" => {
            if param("prelu_param").flag("channel_shared")? == Some(true) {
                let shared = fetch(&[vec![1]])?.remove(0).data()[0];
                return Ok(Step::Op(Op::PRelu { slope: vec![shared; x.channels()] }));
            }
            let slope = fetch(&[vec![x.channels()]])?.remove(0).into_data();
            Ok(Step::Op(Op::PRelu { slope }))
        }
        "ReLU" => match param("relu_param").number::<f32>("negative_slope")?.unwrap_or(0.0) {
            0.0 => Ok(Step::Op(Op::Relu)),
            slope => Ok(Step::Op(Op::PRelu { slope: vec![slope; x.channels()] })),
        },
        "Softmax" => Ok(Step::Op(Op::Softmax { axis: axis(param("softmax_param"), x)? })),
        "Eltwise" => {
            let param = param("eltwise_param");
            let sum = matches!(param.text("operation"), None | Some("SUM" | "1"));
            if !sum || param.numbers::<f32>("coeff")?.iter().any(|&c| c != 1.0) {
                return Err("only a plain sum (operation: SUM without coeff) is understood".into());
            }
            Ok(Step::Op(Op::Add))
        }
        "BatchNorm" => batch_norm(param("batch_norm_param"), x, fetch).map(Step::Op),
        "Scale" => scale(param("scale_param"), x, fetch).map(Step::Op),
        "Flatten" => match (param("flatten_param").number::<i64>("axis")?, x) {
            (None | Some(1), Shape::Map { .. }) => Ok(Step::Op(Op::Flatten)),
            (None | Some(1), Shape::Vector { .. }) => Ok(Step::Pass),
            _ => Err("only flattening from axis 1 is understood".into()),
        },
        "Dropout" | "Split" => Ok(Step::Pass),
        "Data" | "HDF5Data" | "ImageData" | "SoftmaxWithLoss" | "EuclideanLoss" | "Accuracy" | "Silence"
        | "Slice" | "MarginInnerProduct" | "MemoryData" => {
            Err(format!("{kind} is for training; give the deploy prototxt, which ends where the answer is"))
        }
        _ => Err(format!(
            "the layer type {kind} is not understood (understood are Convolution, InnerProduct, Pooling, PReLU, \
             ReLU, Softmax, Eltwise, BatchNorm, Scale, Flatten, Dropout, Split, Input)"
        )),
    }
}

fn convolution(param: &Block, x: Shape, fetch: &Fetch<'_>) -> Result<Op, String> {
    let out = at_least_one(param, "num_output")?.ok_or("num_output is missing")?;
    let kernel = pair(param, "kernel_size", "kernel_h", "kernel_w", None)?;
    let groups = at_least_one(param, "group")?.unwrap_or(1);
    if param.numbers::<usize>("dilation")?.iter().any(|&d| d != 1) {
        return Err("dilation is not understood".into());
    }
    if !matches!(param.number::<i64>("axis")?, None | Some(1)) {
        return Err("only axis 1 is understood".into());
    }
    if !x.channels().is_multiple_of(groups) {
        return Err(format!("{} channels do not divide into {groups} groups", x.channels()));
    }
    let mut shapes = vec![vec![out, x.channels() / groups, kernel.height, kernel.width]];
    let mut blobs = with_bias(param, true, out, &mut shapes, fetch)?;
    Ok(Op::Conv2d(Conv2d {
        weight: blobs.0.remove(0),
        bias: blobs.1,
        stride: pair(param, "stride", "stride_h", "stride_w", Some(1))?,
        pad: pair(param, "pad", "pad_h", "pad_w", Some(0))?,
        groups,
    }))
}

fn inner_product(param: &Block, x: Shape, fetch: &Fetch<'_>) -> Result<Gemm, String> {
    let out = at_least_one(param, "num_output")?.ok_or("num_output is missing")?;
    if !matches!(param.number::<i64>("axis")?, None | Some(1)) {
        return Err("only axis 1 is understood".into());
    }
    let length =
        x.elements().ok_or("the size of the input image has to be fixed for a fully connected layer")?;
    let turned = param.flag("transpose")? == Some(true);
    let mut shapes = vec![if turned { vec![length, out] } else { vec![out, length] }];
    let (mut blobs, bias) = with_bias(param, true, out, &mut shapes, fetch)?;
    let weight = blobs.remove(0);
    Ok(Gemm { weight: if turned { weight.transposed() } else { weight }, bias })
}

/// Fetches `shapes` and, when the layer has one, a bias of `out` values behind them.
fn with_bias(
    param: &Block,
    default: bool,
    out: usize,
    shapes: &mut Vec<Vec<usize>>,
    fetch: &Fetch<'_>,
) -> Result<(Vec<Tensor>, Option<Vec<f32>>), String> {
    let has_bias = param.flag("bias_term")?.unwrap_or(default);
    if has_bias {
        shapes.push(vec![out]);
    }
    let mut blobs = fetch(shapes)?;
    let bias = if has_bias { blobs.pop().map(Tensor::into_data) } else { None };
    Ok((blobs, bias))
}

fn pooling(param: &Block, x: Shape) -> Result<Op, String> {
    if !matches!(param.text("pool"), None | Some("MAX" | "0")) {
        return Err("only pool: MAX is understood".into());
    }
    let rounding = match (param.text("round_mode"), param.flag("ceil_mode")?) {
        (None | Some("CEIL" | "0"), None | Some(true)) => Rounding::Ceil,
        (Some("FLOOR" | "1"), _) | (None, Some(false)) => Rounding::Floor,
        _ => return Err("round_mode and ceil_mode say different things".into()),
    };
    if param.flag("global_pooling")? == Some(true) {
        let Shape::Map { height: Some(height), width: Some(width), .. } = x else {
            return Err("global pooling needs an image of a fixed size".into());
        };
        let kernel = Size2::new(height, width);
        return Ok(Op::MaxPool(MaxPool {
            kernel,
            stride: Size2::square(1),
            pad: Size2::square(0),
            rounding,
        }));
    }
    let kernel = pair(param, "kernel_size", "kernel_h", "kernel_w", None)?;
    let stride = pair(param, "stride", "stride_h", "stride_w", Some(1))?;
    if stride.height > kernel.height || stride.width > kernel.width {
        return Err(
            "a stride longer than the window is not understood (Caffe would make empty windows)".into()
        );
    }
    let pad = pair(param, "pad", "pad_h", "pad_w", Some(0))?;
    Ok(Op::MaxPool(MaxPool { kernel, stride, pad, rounding }))
}

/// Caffe keeps the sums of its statistics and, in a third blob, what to divide them by.
fn batch_norm(param: &Block, x: Shape, fetch: &Fetch<'_>) -> Result<Op, String> {
    let n = x.channels();
    let blobs = fetch(&[vec![n], vec![n], vec![1]])?;
    let divisor = blobs[2].data()[0];
    let factor = if divisor == 0.0 { 0.0 } else { 1.0 / divisor };
    let scaled = |blob: &Tensor| blob.data().iter().map(|v| v * factor).collect();
    Ok(Op::BatchNorm(BatchNorm {
        scale: vec![1.0; n],
        shift: vec![0.0; n],
        mean: scaled(&blobs[0]),
        variance: scaled(&blobs[1]),
        epsilon: param.number("eps")?.unwrap_or(1e-5), // caffe.proto: BatchNormParameter.eps
    }))
}

/// Scale and shift of each channel: a batch normalisation whose statistics are 0 and 1.
fn scale(param: &Block, x: Shape, fetch: &Fetch<'_>) -> Result<Op, String> {
    if !matches!(param.number::<i64>("axis")?, None | Some(1))
        || param.number::<i64>("num_axes")?.is_some_and(|n| n != 1)
    {
        return Err("only a scale for each channel is understood".into());
    }
    let n = x.channels();
    let (mut blobs, bias) = with_bias(param, false, n, &mut vec![vec![n]], fetch)?;
    Ok(Op::BatchNorm(BatchNorm {
        scale: blobs.remove(0).into_data(),
        shift: bias.unwrap_or_else(|| vec![0.0; n]),
        mean: vec![0.0; n],
        variance: vec![1.0; n],
        epsilon: 0.0,
    }))
}

/// Softmax axis; Caffe counts negative ones from the end.
fn axis(param: &Block, x: Shape) -> Result<usize, String> {
    let axes = if matches!(x, Shape::Map { .. }) { 4 } else { 2 };
    let given = param.number::<i64>("axis")?.unwrap_or(1);
    let counted = if given < 0 { given + axes } else { given };
    usize::try_from(counted).map_err(|_| format!("axis {given} does not exist in {x}"))
}

fn at_least_one(param: &Block, name: &str) -> Result<Option<usize>, String> {
    match param.number::<usize>(name)? {
        Some(0) => Err(format!("`{name}` is 0")),
        other => Ok(other),
    }
}

/// A length given once, twice (height, width), or as `_h` and `_w`.
fn pair(param: &Block, both: &str, h: &str, w: &str, default: Option<usize>) -> Result<Size2, String> {
    // Beyond this a kernel, stride or padding is a slip of the pen, and sums of them could overflow.
    const LONGEST: usize = 1 << 16;
    let size = match (param.number(h)?, param.number(w)?, &param.numbers::<usize>(both)?[..], default) {
        (Some(height), Some(width), [], _) => Size2::new(height, width),
        (None, None, [side], _) => Size2::square(*side),
        (None, None, [height, width], _) => Size2::new(*height, *width),
        (None, None, [], Some(side)) => Size2::square(side),
        _ => return Err(format!("give `{both}` once or twice, or `{h}` and `{w}`")),
    };
    if size.height > LONGEST || size.width > LONGEST {
        return Err(format!("`{both}` is longer than {LONGEST}"));
    }
    Ok(size)
}

//! Turns a network that was trained on images stored width first (Matlab) into one for ordinary images.
//!
//! Such a network takes [channels, width, height]. Exchanging height and width in every kernel, stride and
//! padding gives the same maps, transposed. Only a fully connected layer notices that the order behind a
//! flattened map has changed: its columns are put in the new order.

use super::{Conv2d, Gemm, GraphError, InputShape, MaxPool, Network, Op, Shape, Size2, Tensor};

/// The same network for images that are height first.
///
/// # Errors
/// When the network is not well formed, or hands out a flattened map as it is (whose order would change).
pub fn to_height_first(network: &Network) -> Result<Network, GraphError> {
    network.check()?;
    let old_shapes = network.shapes()?;
    let input = InputShape {
        channels: network.input.channels,
        height: network.input.width,
        width: network.input.height,
    };
    let mut out = Network::new(&network.name, &network.input_name, input);
    // For every flat value whose order changed: where the new element i stood before.
    let mut orders: Vec<Option<Vec<usize>>> = vec![None];
    for node in network.nodes() {
        let before = node.inputs[0].index();
        let order = orders[before].clone();
        let layer = |what: &str| GraphError::Layer { layer: node.name.clone(), what: what.into() };
        let (op, new_order) = match (&node.op, order) {
            (Op::Conv2d(conv), _) => (Op::Conv2d(transpose_conv(conv)), None),
            (Op::MaxPool(pool), _) => (Op::MaxPool(transpose_pool(pool)), None),
            (Op::Flatten, None) => (Op::Flatten, flattened_order(old_shapes[before])),
            (Op::Flatten, order) => (Op::Flatten, order),
            (Op::Gemm(gemm), Some(order)) => (Op::Gemm(reorder_columns(gemm, &order)), None),
            (Op::PRelu { slope }, Some(order)) => {
                (Op::PRelu { slope: order.iter().map(|&i| slope[i]).collect() }, Some(order))
            }
            (Op::BatchNorm(_), Some(_)) => {
                return Err(layer("a batch normalisation of a flattened map cannot be turned"));
            }
            (Op::Softmax { axis }, None) => {
                let map = matches!(old_shapes[before], Shape::Map { .. });
                let axis = match *axis {
                    2 if map => 3,
                    3 if map => 2,
                    other => other,
                };
                (Op::Softmax { axis }, None)
            }
            (op @ Op::Add, order) => {
                if orders[node.inputs[1].index()] != order {
                    return Err(layer("adds a flattened map to a vector of another order"));
                }
                (op.clone(), order)
            }
            (op @ (Op::Relu | Op::Clip { .. } | Op::Softmax { .. }), order) => (op.clone(), order),
            (op @ (Op::Gemm(_) | Op::PRelu { .. } | Op::BatchNorm(_)), None) => (op.clone(), None),
        };
        out.push(&node.name, op, &node.inputs);
        orders.push(new_order);
    }
    for output in &network.outputs {
        if orders[output.value.index()].is_some() {
            return Err(GraphError::Network {
                network: network.name.clone(),
                what: format!("the output `{}` is a flattened map, which cannot be turned", output.name),
            });
        }
        out.output(&output.name, output.value);
    }
    out.check()?;
    Ok(out)
}

fn transpose_conv(conv: &Conv2d) -> Conv2d {
    let mut turned = conv.clone();
    if let &[out, per_group, kh, kw] = conv.weight.shape() {
        let old = conv.weight.data();
        let mut data = Vec::with_capacity(old.len());
        for kernel in old.chunks(kh * kw) {
            for y in 0..kw {
                data.extend((0..kh).map(|x| kernel[x * kw + y]));
            }
        }
        if let Ok(weight) = Tensor::new([out, per_group, kw, kh], data) {
            turned.weight = weight;
        }
    }
    turned.stride = conv.stride.transposed();
    turned.pad = conv.pad.transposed();
    turned
}

fn transpose_pool(pool: &MaxPool) -> MaxPool {
    let turn = Size2::transposed;
    MaxPool {
        kernel: turn(pool.kernel),
        stride: turn(pool.stride),
        pad: turn(pool.pad),
        rounding: pool.rounding,
    }
}

/// Old place of each element of a flattened map [channels, a, b] that has become [channels, b, a].
fn flattened_order(old: Shape) -> Option<Vec<usize>> {
    match old {
        Shape::Map { channels, height: Some(a), width: Some(b) } => Some(transposed_order(channels, a, b)),
        _ => None,
    }
}

/// For [channels, b, a] read from [channels, a, b]: where element i of the new one stood in the old one.
pub(crate) fn transposed_order(channels: usize, a: usize, b: usize) -> Vec<usize> {
    let mut order = Vec::with_capacity(channels * a * b);
    for c in 0..channels {
        for i in 0..b {
            order.extend((0..a).map(|j| (c * a + j) * b + i));
        }
    }
    order
}

/// Columns of a fully connected layer in another order: new column i is old column `order[i]`.
pub(crate) fn reorder_columns(gemm: &Gemm, order: &[usize]) -> Gemm {
    let mut turned = gemm.clone();
    let old = gemm.weight.data();
    for (new, row) in
        turned.weight.data_mut().chunks_mut(order.len().max(1)).zip(old.chunks(order.len().max(1)))
    {
        for (cell, &from) in new.iter_mut().zip(order) {
            *cell = row[from];
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::reference::evaluate;
    use crate::graph::{Rounding, ValueId};
    use proptest::prelude::*;

    #[test]
    fn turned_by_hand() {
        // One channel, 2 rows x 3 columns in the old (width first) order: the image is 3 high and 2 wide.
        let conv = Conv2d {
            weight: Tensor::new([1, 1, 1, 2], vec![1.0, 10.0]).unwrap(),
            bias: None,
            stride: Size2::new(1, 1),
            pad: Size2::new(0, 0),
            groups: 1,
        };
        let mut n = Network::new("t", "x", InputShape::fixed(1, 2, 3));
        let y = n.push("conv", Op::Conv2d(conv), &[ValueId::INPUT]); // [1, 2, 2]
        let y = n.push("flat", Op::Flatten, &[y]);
        let gemm = Gemm { weight: Tensor::new([1, 4], vec![1.0, 100.0, 1e4, 1e6]).unwrap(), bias: None };
        let y = n.push("fc", Op::Gemm(gemm), &[y]);
        n.output("y", y);
        let turned = to_height_first(&n).unwrap();
        assert_eq!(turned.input, InputShape::fixed(1, 3, 2));
        let Op::Conv2d(c) = &turned.nodes()[0].op else { panic!("not a convolution") };
        assert_eq!((c.weight.shape(), c.weight.data()), (&[1, 1, 2, 1][..], &[1.0, 10.0][..]));
        let Op::Gemm(g) = &turned.nodes()[2].op else { panic!("not fully connected") };
        assert_eq!(g.weight.data(), [1.0, 1e4, 100.0, 1e6]);
        // [[1, 2, 3], [4, 5, 6]] width first is [[1, 4], [2, 5], [3, 6]] height first.
        let old = evaluate(&n, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 1, 2, 3).unwrap();
        let new = evaluate(&turned, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0], 1, 3, 2).unwrap();
        // conv: 21 32 / 54 65 -> 21 + 3200 + 540000 + 65000000
        assert_eq!(old[0].data, [65_543_221.0]);
        assert_eq!(new[0].data, old[0].data);
    }

    #[test]
    fn maps_come_out_transposed() {
        let pool = MaxPool {
            kernel: Size2::new(2, 1),
            stride: Size2::new(2, 1),
            pad: Size2::square(0),
            rounding: Rounding::Ceil,
        };
        let mut n = Network::new("t", "x", InputShape::free(1));
        let y = n.push("pool", Op::MaxPool(pool), &[ValueId::INPUT]);
        let y = n.push("soft", Op::Softmax { axis: 3 }, &[y]);
        n.output("y", y);
        let turned = to_height_first(&n).unwrap();
        assert_eq!(turned.nodes()[1].op, Op::Softmax { axis: 2 });
        let old = evaluate(&n, &[1.0, 2.0, 3.0, 4.0, 5.0, 7.0], 1, 3, 2).unwrap(); // [2, 2]: 3 4 / 5 7
        let new = evaluate(&turned, &[1.0, 3.0, 5.0, 2.0, 4.0, 7.0], 1, 2, 3).unwrap();
        let o = &old[0].data;
        assert_eq!(new[0].shape, [1, 1, 2, 2]);
        assert_eq!(new[0].data, [o[0], o[2], o[1], o[3]]);
    }

    #[test]
    fn a_flat_map_as_output_is_refused() {
        let mut n = Network::new("t", "x", InputShape::fixed(1, 2, 3));
        let y = n.push("flat", Op::Flatten, &[ValueId::INPUT]);
        n.output("y", y);
        assert!(to_height_first(&n).unwrap_err().to_string().contains("flattened map"));
    }

    proptest! {
        #[test]
        fn a_turned_image_gives_a_turned_map(
            (rows, columns) in (4usize..9, 4usize..9),
            (kh, kw, sh, sw) in (1usize..4, 1usize..4, 1usize..4, 1usize..4),
            (ph, pw) in (0usize..2, 0usize..2),
            pooled: bool,
        ) {
            let (stride, pad) = (Size2::new(sh, sw), Size2::new(ph, pw));
            let op = if pooled {
                let kernel = Size2::new(kh + 1, kw + 1); // a window is larger than its padding
                Op::MaxPool(MaxPool { kernel, stride, pad, rounding: Rounding::Ceil })
            } else {
                let data = (0..2 * kh * kw).map(|i| (i * i % 7) as f32 - 3.0).collect();
                let weight = Tensor::new([2, 1, kh, kw], data).unwrap();
                Op::Conv2d(Conv2d { weight, bias: None, stride, pad, groups: 1 })
            };
            let mut n = Network::new("t", "x", InputShape::fixed(1, rows, columns));
            let y = n.push("op", op, &[ValueId::INPUT]);
            n.output("y", y);
            let image: Vec<f32> = (0..rows * columns).map(|i| (i * 31 % 17) as f32).collect();
            let turned: Vec<f32> = transposed_order(1, rows, columns).iter().map(|&i| image[i]).collect();
            let old = evaluate(&n, &image, 1, rows, columns).unwrap().remove(0);
            let new = evaluate(&to_height_first(&n).unwrap(), &turned, 1, columns, rows).unwrap().remove(0);
            let [_, c, h, w] = old.shape[..] else { panic!("not a map") };
            prop_assert_eq!(&new.shape[..], &[1, c, w, h]);
            let want: Vec<f32> = transposed_order(c, h, w).iter().map(|&i| old.data[i]).collect();
            prop_assert_eq!(new.data, want);
        }
    }
}

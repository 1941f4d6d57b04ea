//! What a network's weights begin as where they are not drawn: another file's.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use burn::tensor::Device;

use crate::backbone::{EPSILON, Output, Spec};
use crate::dataset::crop::{HEIGHT, WIDTH};
use crate::engine::Trainable;
use crate::engine::param::flat;
use crate::graph::fold::scale_and_shift;
use crate::graph::{BatchNorm, InputShape, Network, Shape, Tensor};
use crate::import::weights::{self, Weights};
use crate::import::{ImportSource, ImportSpec, import};

/// The named tensors of a file of weights, or of a checkpoint.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Weights> {
    let all = weights::read(path)?;
    if !all.names().any(|name| name.starts_with("param/")) {
        return Ok(all);
    }
    let mut bag = Weights::default();
    for name in all.names() {
        let short = name.strip_prefix("param/").or_else(|| name.strip_prefix("statistics/"));
        if let (Some(short), Some(tensor)) = (short, all.get(name)) {
            bag.insert(short, tensor.clone())?;
        }
    }
    Ok(bag)
}

/// Every weight and statistic of `net` out of `bag`.
///
/// # Errors
/// When a tensor is missing or of another shape, by name.
pub fn take(net: &mut Trainable, bag: Weights, device: &Device) -> Result<()> {
    take_but(net, bag, [], device)
}

/// The same out of the bag of a network that is smaller than `spec`'s, `net`: that begins as the smaller one, its
/// embeddings' length apart (Chen et al., Net2Net, ICLR 2016), and learns from there.
///
/// # Errors
/// When a tensor is missing or of another shape, by name.
pub fn grow(net: &mut Trainable, mut bag: Weights, spec: &Spec, device: &Device) -> Result<()> {
    if spec.output == Output::Fc5 && bag.get("conv5_dw.weight").is_some() {
        multiply_light_head(&mut bag)?;
    }
    take_but(net, bag, spec.units(), device)
}

/// The light head of a bag as the one fully connected layer that does the same but for a factor: its weights are the
/// products of the two layers', its bias what the batch normalisation between them adds. The factor makes its rows as
/// long in the mean as drawing does (Xavier: 1). They would be short otherwise, their gradients long, and a rate that
/// suits the rest would throw away what they know.
fn multiply_light_head(bag: &mut Weights) -> Result<()> {
    let (mut depthwise, last) = (bag.take("conv5_dw.weight")?, bag.take("fc5.weight")?);
    let (&[channels, _, height, width], &[length, inner]) = (depthwise.shape(), last.shape()) else {
        bail!("conv5_dw is {:?}, fc5 {:?}: that is no light head", depthwise.shape(), last.shape());
    };
    ensure!(inner == channels, "conv5_dw has {channels} channels, fc5 takes {inner}");
    let mut shift = None;
    if bag.get("bn5_dw.scale").is_some() {
        let mut part = |what| of_shape(bag, &format!("bn5_dw.{what}"), &[channels]);
        let norm = BatchNorm {
            scale: part("scale")?,
            shift: part("shift")?,
            mean: part("mean")?,
            variance: part("variance")?,
            epsilon: EPSILON,
        };
        scale_and_shift(&mut depthwise, &mut shift, &norm);
    }
    let shift = shift.unwrap_or_else(|| vec![0.0; channels]);
    let map = height * width;
    let mut weight = Vec::with_capacity(length * channels * map);
    for row in last.data().chunks_exact(channels) {
        for (w, cells) in row.iter().zip(depthwise.data().chunks_exact(map)) {
            weight.extend(cells.iter().map(|cell| w * cell));
        }
    }
    let dot = |row: &[f32]| row.iter().zip(&shift).map(|(w, s)| w * s).sum();
    let mut bias: Vec<f32> = last.data().chunks_exact(channels).map(dot).collect();
    let norm = |row: &[f32]| row.iter().map(|w| w * w).sum::<f32>().sqrt();
    let mean = weight.chunks_exact(channels * map).map(norm).sum::<f32>() / length as f32;
    if mean > 0.0 {
        weight.iter_mut().chain(&mut bias).for_each(|w| *w /= mean);
    }
    bag.insert("fc5.weight", Tensor::new([length, channels * map], weight)?)?;
    bag.insert("fc5.bias", Tensor::new([length], bias)?)?;
    Ok(())
}

/// [`take`], but of the residual units at the places `may_lack`, those that the bag lacks keep what was drawn for them,
/// except that their last layer gives 0: the sum is what goes in.
fn take_but(
    net: &mut Trainable,
    mut bag: Weights,
    may_lack: impl IntoIterator<Item = [String; 2]>,
    device: &Device,
) -> Result<()> {
    let lacking = |unit: &[String; 2]| unit.iter().all(|p| bag.get(&format!("conv{p}.weight")).is_none());
    let new: Vec<[String; 2]> = may_lack.into_iter().filter(lacking).collect();
    let is_new = |layer: &str| {
        let place = layer.trim_start_matches(|c: char| c.is_ascii_lowercase());
        new.iter().flatten().any(|p| p == place)
    };
    let scaled = net.has_batch_norm();
    let silent =
        |[_, p]: &[String; 2]| if scaled { format!("bn{p}.scale") } else { format!("conv{p}.weight") };
    let silent: Vec<String> = new.iter().map(silent).collect();
    for param in net.params_mut() {
        if silent.contains(&param.name) {
            param.value = param.value.zeros_like();
        } else if !is_new(param.name.split('.').next().unwrap_or_default()) {
            param.value = flat(&of_shape(&mut bag, &param.name, &param.shape)?, device);
        }
    }
    for s in net.statistics_mut().iter_mut().filter(|s| !is_new(&s.name)) {
        let shape = s.mean.dims();
        s.mean = flat(&of_shape(&mut bag, &format!("{}.mean", s.name), &shape)?, device);
        s.variance = flat(&of_shape(&mut bag, &format!("{}.variance", s.name), &shape)?, device);
    }
    Ok(())
}

fn of_shape(bag: &mut Weights, name: &str, wanted: &[usize]) -> Result<Vec<f32>> {
    let tensor = bag.take(name)?;
    ensure!(tensor.shape() == wanted, "{name} is {:?}, this network's is {wanted:?}", tensor.shape());
    Ok(tensor.into_data())
}

/// The network of an ONNX file that takes the crops.
///
/// # Errors
/// When the file cannot be read or its network takes something else.
pub fn from_onnx(path: &Path) -> Result<Network> {
    let source = ImportSource::Onnx { path: path.to_owned() };
    let network = import(&ImportSpec { source, role: None, name: None })?;
    ensure!(
        network.input == InputShape::fixed(3, HEIGHT, WIDTH),
        "{}: it takes {}, the crops are [3, {HEIGHT}, {WIDTH}]",
        path.display(),
        Shape::from(network.input)
    );
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{Depth, Normalisation};
    use crate::engine::Precision;
    use crate::engine::param::read;
    use crate::graph::reference::evaluate;
    use limen_gallery_db::score::unit;

    fn spec(depth: Depth, normalisation: Normalisation) -> Spec {
        Spec { depth, width: 0.125, embedding: 16, normalisation, ..Spec::default() }
    }

    fn bag(net: &Trainable) -> Weights {
        let mut bag = Weights::default();
        let mut put = |name: &str, value: &burn::tensor::Tensor<1>, shape: &[usize]| {
            bag.insert(name, Tensor::new(shape.to_vec(), read(value).unwrap()).unwrap()).unwrap();
        };
        net.params().iter().for_each(|p| put(&p.name, &p.value, &p.shape));
        for s in net.statistics() {
            put(&format!("{}.mean", s.name), &s.mean, &s.mean.dims());
            put(&format!("{}.variance", s.name), &s.variance, &s.variance.dims());
        }
        bag
    }

    /// What a network gives for a picture.
    fn of(net: &Trainable) -> Vec<f32> {
        let picture: Vec<f32> = (0..3 * HEIGHT * WIDTH).map(|i| (i as f32 * 0.7).sin()).collect();
        let network = net.to_network().unwrap();
        evaluate(&network, &picture, 1, HEIGHT, WIDTH).unwrap().remove(0).data
    }

    fn drawn(spec: &Spec, seed: u64) -> Trainable {
        Trainable::new(spec.build(seed).unwrap(), Precision::F32, &Device::flex()).unwrap()
    }

    #[test]
    fn a_deeper_network_begins_as_the_shallower_one() {
        let device = Device::flex();
        for normalisation in [Normalisation::None, Normalisation::Batch] {
            let deep_spec = spec(Depth::D20, normalisation);
            let shallow = drawn(&spec(Depth::D10, normalisation), 1);
            let mut deep = drawn(&deep_spec, 2);
            let e = take(&mut deep, bag(&shallow), &device).unwrap_err().to_string();
            assert!(e.contains("conv1_2") && e.contains("missing"), "{e}");
            grow(&mut deep, bag(&shallow), &deep_spec, &device).unwrap();
            assert_eq!(of(&deep), of(&shallow), "{normalisation:?}");
        }
    }

    #[test]
    fn a_network_with_fc5_begins_as_the_one_with_the_light_head() {
        let device = Device::flex();
        for normalisation in [Normalisation::None, Normalisation::Batch] {
            let full_spec = spec(Depth::D4, normalisation);
            let mut light = drawn(&Spec { output: Output::Depthwise, ..full_spec.clone() }, 1);
            for (s, what) in light.statistics_mut().iter_mut().zip(1..) {
                s.mean = s.mean.clone() + 0.01 * what as f32;
                s.variance = s.variance.clone() * 1.5;
            }
            for shift in light.params_mut().iter_mut().filter(|p| p.name.ends_with(".shift")) {
                shift.value = shift.value.clone() + 0.3;
            }
            let mut full = drawn(&full_spec, 2);
            grow(&mut full, bag(&light), &full_spec, &device).unwrap();
            // The same embedding but for its length: fc5's rows are 1 long in the mean.
            let [here, there] = [&full, &light].map(|net| {
                let mut embedding = of(net);
                unit(&mut embedding).unwrap();
                embedding
            });
            for (a, b) in here.iter().zip(&there) {
                assert!((a - b).abs() < 1e-5, "{normalisation:?}: {a} for {b}");
            }
            let fc5 = full.params().iter().find(|p| p.name == "fc5.weight").unwrap();
            let rows = read(&fc5.value).unwrap();
            let norms = rows.chunks_exact(fc5.shape[1]).map(|r| r.iter().map(|w| w * w).sum::<f32>().sqrt());
            assert!((norms.sum::<f32>() / 16.0 - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn what_does_not_fit_is_told_by_name() {
        let device = Device::flex();
        let here = spec(Depth::D4, Normalisation::Batch);
        let mut net = drawn(&here, 1);
        let refused = |net: &mut Trainable, change: &dyn Fn(&mut Weights)| {
            let mut bag = bag(net);
            change(&mut bag);
            take(net, bag, &device).unwrap_err().to_string()
        };
        let cut = |name: &'static str| {
            move |bag: &mut Weights| {
                bag.take(name).unwrap();
                bag.insert(name, Tensor::new([3], vec![0.0; 3]).unwrap()).unwrap();
            }
        };
        for name in ["bn1_1.mean", "bn1_1.variance", "fc5.weight"] {
            let e = refused(&mut net, &cut(name));
            assert!(e.contains(name) && e.contains("[3]"), "{e}");
        }
        let mut full = drawn(&here, 1);
        let mut light = bag(&drawn(&Spec { output: Output::Depthwise, ..here.clone() }, 1));
        cut("bn5_dw.mean")(&mut light);
        let e = grow(&mut full, light, &here, &device).unwrap_err().to_string();
        assert!(e.contains("bn5_dw.mean"), "{e}");
    }
}

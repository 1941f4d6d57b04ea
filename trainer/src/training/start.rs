//! What a network's weights begin as where they are not drawn: another file's.

use std::path::Path;

use anyhow::{Result, ensure};
use burn::tensor::Device;

use crate::dataset::crop::{HEIGHT, WIDTH};
use crate::engine::Trainable;
use crate::engine::param::flat;
use crate::graph::{InputShape, Network, Shape};
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

/// Every weight and statistic of `net` out of `bag`. Of the residual units at the places `may_lack`, those that the bag
/// lacks keep what was drawn for them, except that their last layer gives 0: the sum is what goes in, so the deeper
/// network begins as the shallower one (Chen et al., Net2Net, ICLR 2016) and learns from there.
///
/// # Errors
/// When a tensor is missing or of another shape, by name.
pub fn take(
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
    let scaled = !net.statistics().is_empty();
    let silent =
        |[_, p]: &[String; 2]| if scaled { format!("bn{p}.scale") } else { format!("conv{p}.weight") };
    let silent: Vec<String> = new.iter().map(silent).collect();
    for param in net.params_mut() {
        if silent.contains(&param.name) {
            param.value = param.value.zeros_like();
        } else if !is_new(param.name.split('.').next().unwrap_or_default()) {
            let tensor = bag.take(&param.name)?;
            let (name, wanted) = (&param.name, &param.shape);
            ensure!(tensor.shape() == wanted, "{name} is {:?}, this network's is {wanted:?}", tensor.shape());
            param.value = flat(tensor.data(), device);
        }
    }
    for s in net.statistics_mut().iter_mut().filter(|s| !is_new(&s.name)) {
        s.mean = flat(bag.take(&format!("{}.mean", s.name))?.data(), device);
        s.variance = flat(bag.take(&format!("{}.variance", s.name))?.data(), device);
    }
    Ok(())
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
    use crate::backbone::{Depth, Normalisation, Spec};
    use crate::engine::Precision;
    use crate::engine::param::read;
    use crate::graph::Tensor;
    use crate::graph::reference::evaluate;

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

    #[test]
    fn a_deeper_network_begins_as_the_shallower_one() {
        let device = Device::flex();
        let picture: Vec<f32> = (0..3 * HEIGHT * WIDTH).map(|i| (i as f32 * 0.7).sin()).collect();
        for normalisation in [Normalisation::None, Normalisation::Batch] {
            let make = |depth, seed| {
                let network = spec(depth, normalisation).build(seed).unwrap();
                Trainable::new(network, Precision::F32, &device).unwrap()
            };
            let (shallow, mut deep) = (make(Depth::D10, 1), make(Depth::D20, 2));
            let e = take(&mut deep, bag(&shallow), [], &device).unwrap_err().to_string();
            assert!(e.contains("conv1_2") && e.contains("missing"), "{e}");
            let spec = spec(Depth::D20, normalisation);
            take(&mut deep, bag(&shallow), spec.units(), &device).unwrap();
            let of = |net: &Trainable| {
                let network = net.to_network().unwrap();
                evaluate(&network, &picture, 1, HEIGHT, WIDTH).unwrap().remove(0).data
            };
            assert_eq!(of(&deep), of(&shallow), "{normalisation:?}");
        }
    }
}

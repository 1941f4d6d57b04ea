//! The weights of a `.caffemodel`, by layer name, checked against the shapes the prototxt asks for.

use super::V1_TYPES;
use super::proto::{Blob, Net};
use crate::graph::Tensor;
use crate::import::Fault;
use prost::Message;
use std::collections::HashMap;

/// Weights of all layers.
pub(super) struct Blobs {
    layers: HashMap<String, (String, Vec<Blob>)>,
}

impl Blobs {
    /// Decodes a file.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let net = Net::decode(bytes).map_err(|error| {
            Fault::Damaged(format!("is not a whole .caffemodel ({error}); fetch or save it again"))
        })?;
        let mut layers = HashMap::new();
        for layer in net.layers {
            if layer.v0.is_some() {
                return Err(Fault::Unsupported(
                    "is written in Caffe's oldest format (V0); convert it with upgrade_net_proto_binary"
                        .into(),
                ));
            }
            let kind = V1_TYPES.iter().find(|t| t.0 == layer.r#type).map_or("", |t| t.2);
            layers.insert(layer.name, (kind.to_string(), layer.blobs));
        }
        for layer in net.layer {
            layers.insert(layer.name, (layer.r#type, layer.blobs));
        }
        if layers.is_empty() {
            return Err(Fault::Damaged("holds no layer; it is no .caffemodel, or an empty one".into()));
        }
        Ok(Self { layers })
    }

    /// The blobs of layer `name`, one for each of `shapes`, in those shapes.
    pub(super) fn of(&self, name: &str, kind: &str, shapes: &[Vec<usize>]) -> Result<Vec<Tensor>, String> {
        let (stored_kind, blobs) = self
            .layers
            .get(name)
            .ok_or("has no weights in the .caffemodel; the two files do not belong together")?;
        if !stored_kind.is_empty() && stored_kind != kind {
            return Err(format!("is a {kind} in the prototxt, but a {stored_kind} in the .caffemodel"));
        }
        if blobs.len() != shapes.len() {
            return Err(format!(
                "has {} weight blob(s) in the .caffemodel where the prototxt asks for {}; look at bias_term",
                blobs.len(),
                shapes.len()
            ));
        }
        blobs.iter().zip(shapes).map(|(blob, shape)| tensor(blob, shape)).collect()
    }
}

fn tensor(blob: &Blob, wanted: &[usize]) -> Result<Tensor, String> {
    let stored: Vec<i64> = match &blob.shape {
        Some(shape) => shape.dim.clone(),
        None => {
            [blob.num, blob.channels, blob.height, blob.width].map(|d| i64::from(d.unwrap_or(1))).to_vec()
        }
    };
    let wanted_dims: Vec<i64> = wanted.iter().map(|&d| d as i64).collect();
    // The old format pads shapes with leading ones: a bias of 10 is stored as [1, 1, 1, 10].
    if without_leading_ones(&stored) != without_leading_ones(&wanted_dims) {
        return Err(format!(
            "has weights of shape {stored:?} in the .caffemodel, but the prototxt asks for {wanted:?}"
        ));
    }
    let data = if blob.data.is_empty() {
        blob.double_data.iter().map(|&v| v as f32).collect()
    } else {
        blob.data.clone()
    };
    Tensor::new(wanted, data).map_err(|error| format!("its weights are damaged: {error}"))
}

fn without_leading_ones(shape: &[i64]) -> &[i64] {
    let ones = shape.iter().take_while(|&&d| d == 1).count();
    &shape[ones..]
}

//! PyTorch state dicts (`.pt`, `.pth`): the zip format of today and the one before 1.6, tensors as plain f32.

mod pickle;

use self::pickle::{Element, StorageRef, TensorRef, Unpickled, Value, unpickle};
use super::numbers::{Kind, Order};
use super::weights::Weights;
use super::{Fault, weights};
use crate::graph::Tensor;
use crate::graph::tensor::element_count;
use std::collections::HashMap;
use std::rc::Rc;

/// 0x1950a86a20f9469cfc6c, little endian: how a legacy file begins (torch/serialization.py: MAGIC_NUMBER).
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// torch/serialization.py: PROTOCOL_VERSION.
const LEGACY_PROTOCOL: i64 = 1001;

/// Reads a file of the format before PyTorch 1.6: five pickles, then the numbers.
///
/// # Errors
/// When it is damaged, or holds more than weights.
pub fn read_legacy(bytes: &[u8]) -> Result<Weights, Fault> {
    let mut rest = bytes;
    let magic = next_pickle(&mut rest)?;
    if !matches!(&magic.top, Value::Long(number) if number[..] == LEGACY_MAGIC) {
        return Err(Fault::Unsupported("is a Python pickle, but no PyTorch file".into()));
    }
    if next_pickle(&mut rest)?.top != Value::Int(LEGACY_PROTOCOL) {
        return Err(Fault::Unsupported("is a PyTorch file of an unknown version".into()));
    }
    let system = next_pickle(&mut rest)?;
    let little = system.dict(&system.top).unwrap_or(&[]).iter().all(|(key, value)| {
        !matches!(key, Value::Text(t) if &**t == "little_endian") || *value == Value::Bool(true)
    });
    if !little {
        return Err(Fault::Unsupported("was written on a big-endian machine; save it again on a PC".into()));
    }
    let state = next_pickle(&mut rest)?;
    let found = tensors(&state)?;
    let keys = next_pickle(&mut rest)?;
    let keys = keys.list(&keys.top).ok_or_else(|| damaged("the list of storages is missing"))?;

    let referred = storages(&state)?;
    let mut data = HashMap::new();
    for key in keys {
        let Value::Text(key) = key else { return Err(damaged("the name of a storage is no text")) };
        let storage =
            referred.get(&**key).ok_or_else(|| damaged(&format!("nothing refers to the storage `{key}`")))?;
        let count = rest.split_off(..8).map(|b| b.iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b)));
        if count != Some(storage.length as u64) {
            return Err(damaged(&format!("the storage `{key}` is cut off or has another length")));
        }
        let size = storage.length.checked_mul(size_of(storage.element));
        let numbers = size.and_then(|size| rest.split_off(..size));
        data.insert(key.to_string(), numbers.ok_or_else(|| damaged("it is cut off"))?);
    }
    assemble(&found, |storage| match data.get(&*storage.key) {
        Some(bytes) => Ok(bytes.to_vec()),
        None => Err(damaged(&format!("the storage `{}` is missing", storage.key))),
    })
}

/// Reads a file of the zip format: a pickle and one entry a storage.
///
/// # Errors
/// When it is damaged, or holds more than weights.
pub fn read_zip(bytes: &[u8]) -> Result<Weights, Fault> {
    let mut archive = weights::open_zip(bytes)?;
    let pickle_name =
        weights::zip_names(&archive).into_iter().find(|name| name.ends_with("/data.pkl")).ok_or_else(
            || Fault::Unsupported("is a zip file without a PyTorch pickle (data.pkl) in it".into()),
        )?;
    let folder = pickle_name.trim_end_matches("data.pkl").to_string();
    let mut entry = |name: &str, limit: usize| weights::read_entry(&mut archive, name, limit);
    if let Ok(order) = entry(&format!("{folder}byteorder"), 16)
        && order != b"little"
    {
        return Err(Fault::Unsupported("was written on a big-endian machine; save it again on a PC".into()));
    }
    let state = unpickle(&entry(&pickle_name, weights::PICKLE_LIMIT)?)?;
    let found = tensors(&state)?;
    storages(&state)?;
    assemble(&found, |storage| {
        let size = storage.length.checked_mul(size_of(storage.element)).ok_or_else(|| damaged("a length"))?;
        let bytes = entry(&format!("{folder}data/{}", storage.key), size)?;
        if bytes.len() == size {
            Ok(bytes)
        } else {
            Err(damaged(&format!("the storage `{}` is cut off", storage.key)))
        }
    })
}

fn damaged(what: &str) -> Fault {
    Fault::Damaged(format!("the PyTorch file is damaged: {what}; fetch or save it again"))
}

fn next_pickle(rest: &mut &[u8]) -> Result<Unpickled, Fault> {
    let made = unpickle(rest)?;
    *rest = &rest[made.length..];
    Ok(made)
}

const fn size_of(element: Element) -> usize {
    match element {
        Element::F16 => Kind::F16.size(),
        Element::Bf16 => Kind::Bf16.size(),
        Element::F32 => Kind::F32.size(),
        Element::F64 => Kind::F64.size(),
        Element::Whole(size) => size,
    }
}

/// The state dict's tensors by name. A checkpoint that keeps it under `state_dict` or `model` is opened.
fn tensors(state: &Unpickled) -> Result<Vec<(String, Rc<TensorRef>)>, Fault> {
    let mut dict = state.dict(&state.top).ok_or_else(|| {
        Fault::Unsupported("holds no state dict; save one: torch.save(model.state_dict(), path)".into())
    })?;
    let wrapped = dict.iter().find_map(|(key, value)| match key {
        Value::Text(key) if matches!(&**key, "state_dict" | "model" | "model_state_dict") => {
            state.dict(value)
        }
        _ => None,
    });
    dict = wrapped.unwrap_or(dict);
    let found: Vec<_> = dict
        .iter()
        .filter_map(|(key, value)| match (key, value) {
            (Value::Text(key), Value::Tensor(tensor)) => Some((key.to_string(), tensor.clone())),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(Fault::Unsupported(
            "holds no named tensors; save a state dict: torch.save(model.state_dict(), path)".into(),
        ));
    }
    Ok(found)
}

/// The storages by key; one key must always mean the same storage.
fn storages(state: &Unpickled) -> Result<HashMap<&str, &StorageRef>, Fault> {
    let mut storages: HashMap<&str, &StorageRef> = HashMap::new();
    for storage in &state.storages {
        if *storages.entry(&storage.key).or_insert(storage) != &**storage {
            return Err(damaged(&format!("the storage `{}` is described in two ways", storage.key)));
        }
    }
    Ok(storages)
}

/// Reads the tensors out of their storages.
fn assemble(
    found: &[(String, Rc<TensorRef>)],
    mut fetch: impl FnMut(&StorageRef) -> Result<Vec<u8>, Fault>,
) -> Result<Weights, Fault> {
    let mut data: HashMap<&str, Vec<f32>> = HashMap::new();
    let mut weights = Weights::default();
    // Tensors may share storages; but what they hold together must stay near what the file holds.
    let mut room: usize = 0;
    for (name, tensor) in found {
        let storage = &*tensor.storage;
        let kind = match storage.element {
            Element::F16 => Kind::F16,
            Element::Bf16 => Kind::Bf16,
            Element::F32 => Kind::F32,
            Element::F64 => Kind::F64,
            Element::Whole(_) => continue,
        };
        if !data.contains_key(&*storage.key) {
            let bytes = fetch(storage)?;
            room = room.saturating_add(storage.length.saturating_mul(4));
            data.insert(&storage.key, kind.decode(&bytes, Order::Little));
        }
        let numbers = data.get(&*storage.key).map_or(&[][..], Vec::as_slice);
        let values =
            view(tensor, numbers, &mut room).map_err(|what| Fault::Tensor { tensor: name.clone(), what })?;
        let tensor =
            Tensor::new(tensor.shape.clone(), values).map_err(|error| damaged(&error.to_string()))?;
        weights.insert(name, tensor)?;
    }
    Ok(weights)
}

/// The values of a strided view in C order.
fn view(tensor: &TensorRef, numbers: &[f32], room: &mut usize) -> Result<Vec<f32>, String> {
    let outside = || "reaches beyond its storage; the file is damaged".to_string();
    let count = element_count(&tensor.shape).ok_or_else(outside)?;
    if count == 0 {
        return Err("is empty".into());
    }
    let last = tensor.shape.iter().zip(&tensor.strides).try_fold(tensor.offset, |at, (&length, &stride)| {
        (length - 1).checked_mul(stride).and_then(|reach| at.checked_add(reach))
    });
    if last.is_none_or(|last| last >= numbers.len()) || tensor.shape.len() > 8 {
        return Err(outside());
    }
    *room = room
        .checked_sub(count)
        .ok_or("repeats its storage over and over; such weights are not understood")?;
    let mut values = Vec::with_capacity(count);
    let mut index = vec![0; tensor.shape.len()];
    let mut at = tensor.offset;
    for _ in 0..count {
        values.push(numbers[at]);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            at += tensor.strides[axis];
            if index[axis] < tensor.shape[axis] {
                break;
            }
            at -= tensor.strides[axis] * tensor.shape[axis];
            index[axis] = 0;
        }
    }
    Ok(values)
}

/// True when `bytes` begin like a legacy file: a pickle of protocol 2 or later.
pub fn looks_legacy(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..])
}

#[cfg(test)]
mod tests;

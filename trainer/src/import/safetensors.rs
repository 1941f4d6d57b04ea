//! safetensors: a JSON table of names, shapes and places, then the numbers.

use super::Fault;
use super::numbers::{Kind, Order};
use super::weights::Weights;
use crate::graph::Tensor;
use crate::graph::tensor::element_count;
use serde_json::Value;
use std::collections::BTreeMap;

/// Reads all floating-point tensors; whole numbers (counters) are left out.
///
/// # Errors
/// When the file is damaged.
pub fn read(bytes: &[u8]) -> Result<Weights, Fault> {
    let (header, data) = header(bytes)?;
    let mut weights = Weights::default();
    for (name, entry) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let wrong = |what: &str| Fault::Tensor { tensor: name.clone(), what: what.into() };
        let kind = match entry.get("dtype").and_then(Value::as_str) {
            Some("F16") => Kind::F16,
            Some("BF16") => Kind::Bf16,
            Some("F32") => Kind::F32,
            Some("F64") => Kind::F64,
            Some("I64" | "I32" | "I16" | "I8" | "U8" | "BOOL") => continue,
            _ => return Err(wrong("is of an unknown dtype; save it as F32")),
        };
        let shape = lengths(entry.get("shape")).ok_or_else(|| wrong("has no shape"))?;
        let place = lengths(entry.get("data_offsets")).ok_or_else(|| wrong("has no data_offsets"))?;
        let numbers = match place[..] {
            [from, to] => data.get(from..to),
            _ => None,
        };
        let numbers = numbers.ok_or_else(|| wrong("lies beyond the end of the file, which is cut off"))?;
        if element_count(&shape).and_then(|n| n.checked_mul(kind.size())) != Some(numbers.len()) {
            return Err(wrong("has a shape that its data do not fill; the file is damaged"));
        }
        let tensor = Tensor::new(shape, kind.decode(numbers, Order::Little));
        weights.insert(name, tensor.map_err(|error| wrong(&error.to_string()))?)?;
    }
    Ok(weights)
}

/// What the file says of itself, name by name.
///
/// # Errors
/// When the file is damaged.
pub fn metadata(bytes: &[u8]) -> Result<BTreeMap<String, String>, Fault> {
    let (header, _) = header(bytes)?;
    let Some(said) = header.get("__metadata__").and_then(Value::as_object) else {
        return Ok(BTreeMap::new());
    };
    Ok(said.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect())
}

/// The table and the numbers behind it.
fn header(bytes: &[u8]) -> Result<(serde_json::Map<String, Value>, &[u8]), Fault> {
    let (length, rest) = bytes.split_first_chunk().ok_or_else(|| damaged("it is cut off"))?;
    let length =
        usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged("its header is too long"))?;
    let (header, data) = rest.split_at_checked(length).ok_or_else(|| damaged("its header is cut off"))?;
    let header = serde_json::from_slice(header)
        .map_err(|error| damaged(&format!("its header is no JSON ({error})")))?;
    Ok((header, data))
}

fn damaged(what: &str) -> Fault {
    Fault::Damaged(format!("the safetensors file is damaged: {what}; fetch or save it again"))
}

fn lengths(value: Option<&Value>) -> Option<Vec<usize>> {
    value?.as_array()?.iter().map(|v| usize::try_from(v.as_u64()?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    const HEADER: &str = r#"{"__metadata__":{"format":"pt"},
        "w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},
        "h":{"dtype":"BF16","shape":[1],"data_offsets":[8,10]},
        "n":{"dtype":"I64","shape":[],"data_offsets":[10,18]}}"#;

    #[test]
    fn read_by_hand() {
        let mut data = [1.5f32.to_le_bytes(), (-2f32).to_le_bytes()].concat();
        data.extend([0x80, 0x3f]);
        data.extend([0; 8]);
        let weights = read(&file(HEADER, &data)).unwrap();
        assert_eq!(weights.names().collect::<Vec<_>>(), ["h", "w"]);
        assert_eq!(weights.get("w"), Some(&Tensor::new([2, 1], vec![1.5, -2.0]).unwrap()));
        assert_eq!(weights.get("h").unwrap().data(), [1.0]);
        let error = read(&file(HEADER, &data[..6])).unwrap_err().to_string();
        assert!(error.contains("beyond the end"), "{error}");
        let other = HEADER.replace("[2,1]", "[2,2]");
        assert!(read(&file(&other, &data)).unwrap_err().to_string().starts_with("tensor `w`"));
        assert!(read(&[0xff; 12]).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(at in 0usize..HEADER.len(), byte: u8, cut in 0usize..300, numbers in any::<[u64; 4]>()) {
            let mut bytes = file(HEADER, &[0; 18]);
            bytes[8 + at] = byte;
            let _ = read(&bytes);
            let _ = read(&bytes[..cut.min(bytes.len())]);
            let [a, b, c, d] = numbers;
            let wild = format!(r#"{{"w":{{"dtype":"F32","shape":[{a},{b}],"data_offsets":[{c},{d}]}}}}"#);
            let _ = read(&file(&wild, &[0; 18]));
        }
    }
}

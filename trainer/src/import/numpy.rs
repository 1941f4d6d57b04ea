//! NumPy arrays: `.npy`, and `.npz`, which is a zip file of them; floating-point numbers only.

use super::numbers::{Kind, Order};
use super::weights::Weights;
use super::{Fault, ImportError, file, weights};
use crate::graph::Tensor;
use crate::graph::tensor::element_count;
use std::path::Path;

/// How every `.npy` begins.
pub const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads one array.
///
/// # Errors
/// When it is damaged, or holds something else than floating-point numbers.
pub fn read_npy(bytes: &[u8]) -> Result<Tensor, Fault> {
    let (header, data) = split_header(bytes).ok_or_else(|| damaged("its header is cut off"))?;
    let header = Header::parse(header)?;
    let count = element_count(&header.shape).ok_or_else(|| damaged("its shape is beyond all memory"))?;
    if count.checked_mul(header.kind.size()) != Some(data.len()) {
        return Err(damaged(&format!("{} bytes of data for the shape {:?}", data.len(), header.shape)));
    }
    let values = header.kind.decode(data, header.order);
    let values = if header.fortran { to_c_order(&header.shape, &values) } else { values };
    Tensor::new(header.shape, values).map_err(|error| damaged(&error.to_string()))
}

/// The bytes of an array of f32 in C order, version 1 of the format; `values` fill `shape`.
pub fn write_npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
    // A tuple of one has a comma behind it.
    let lengths: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", lengths.trim_end());
    // The data begins at a multiple of 64 bytes; the header ends in a line end.
    let padding = (64 - (MAGIC.len() + 4 + header.len() + 1) % 64) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut bytes = Vec::with_capacity(MAGIC.len() + 4 + header.len() + 4 * values.len());
    bytes.extend(MAGIC);
    bytes.extend([1, 0]);
    // A shape of a few axes keeps the header below 65,536 bytes.
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

/// Reads all arrays of an `.npz`, named without `.npy`.
///
/// # Errors
/// As [`read_npy`], with the name of the array.
pub fn read_npz(bytes: &[u8]) -> Result<Weights, Fault> {
    let mut archive = weights::open_zip(bytes)?;
    let mut all = Weights::default();
    for name in weights::zip_names(&archive) {
        let Some(tensor) = name.strip_suffix(".npy") else { continue };
        let entry = weights::read_entry(&mut archive, &name, file::WEIGHTS_LIMIT as usize)?;
        all.insert(tensor, read_npy(&entry).map_err(|fault| named(tensor, &fault))?)?;
    }
    Ok(all)
}

/// Reads a folder with one `NAME.npy` a tensor.
///
/// # Errors
/// When the folder or an array cannot be read.
pub(super) fn read_folder(folder: &Path) -> Result<Weights, ImportError> {
    let io = |source| ImportError::Io { path: folder.to_path_buf(), source };
    let in_folder = |fault| ImportError::File { path: folder.to_path_buf(), fault };
    let mut all = Weights::default();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_none_or(|e| e != "npy") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let tensor = read_npy(&file::read(&path, file::WEIGHTS_LIMIT)?);
        let tensor = tensor.map_err(|fault| ImportError::File { path: path.clone(), fault })?;
        all.insert(&name, tensor).map_err(in_folder)?;
    }
    if all.names().next().is_none() {
        return Err(in_folder(Fault::Unsupported("the folder holds no .npy file".into())));
    }
    Ok(all)
}

fn damaged(what: &str) -> Fault {
    Fault::Damaged(format!("the NumPy array is damaged: {what}; save it again with numpy.save"))
}

fn named(tensor: &str, fault: &Fault) -> Fault {
    Fault::Tensor { tensor: tensor.into(), what: fault.to_string() }
}

/// Magic, version, length of the header, header, data. Version 1 has a length of two bytes, 2 and 3 of four.
fn split_header(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (&[major, _minor], rest) = rest.split_first_chunk()?;
    let (length, rest) = match major {
        1 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
        }
        _ => return None,
    };
    let (header, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`
struct Header {
    kind: Kind,
    order: Order,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Result<Self, Fault> {
        let field = |name: &str| {
            let at = text
                .find(&format!("'{name}':"))
                .ok_or_else(|| damaged(&format!("no `{name}` in its header")))?;
            Ok::<&str, Fault>(text[at + name.len() + 3..].trim_start())
        };
        let descr = field("descr")?;
        let descr = descr.strip_prefix('\'').and_then(|d| d.split_once('\'')).map(|(d, _)| d);
        let descr = descr.ok_or_else(|| {
            Fault::Unsupported("is a NumPy array of records; plain floats are needed".into())
        })?;
        let (order, kind) = match descr.as_bytes() {
            [b'<' | b'=' | b'|', kind @ ..] => (Order::Little, kind),
            [b'>', kind @ ..] => (Order::Big, kind),
            kind => (Order::Little, kind),
        };
        let kind = match kind {
            b"f2" => Kind::F16,
            b"f4" => Kind::F32,
            b"f8" => Kind::F64,
            _ => {
                let hint = if descr.contains('O') { " (Python objects are never loaded)" } else { "" };
                return Err(Fault::Unsupported(format!(
                    "is a NumPy array of type '{descr}'{hint}; save plain float32 arrays with numpy.savez"
                )));
            }
        };
        let fortran = match field("fortran_order")? {
            t if t.starts_with("True") => true,
            t if t.starts_with("False") => false,
            _ => return Err(damaged("`fortran_order` is neither True nor False")),
        };
        let shape = field("shape")?.strip_prefix('(').and_then(|s| s.split_once(')')).map(|(s, _)| s);
        let shape = shape.ok_or_else(|| damaged("no `shape` in its header"))?;
        let lengths = shape.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::parse);
        let shape = lengths.collect::<Result<_, _>>().map_err(|_| damaged("its shape holds no lengths"))?;
        Ok(Self { kind, order, fortran, shape })
    }
}

/// Fortran order has the first axis fastest.
fn to_c_order(shape: &[usize], values: &[f32]) -> Vec<f32> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &length in shape {
        strides.push(stride);
        stride *= length;
    }
    let mut out = Vec::with_capacity(values.len());
    for i in 0..values.len() {
        let mut rest = i; // the position in C order, taken apart from the last axis on
        let mut at = 0;
        for (&length, &stride) in shape.iter().zip(&strides).rev() {
            at += rest % length * stride;
            rest /= length;
        }
        out.push(values[at]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    pub(crate) fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        if version == 1 {
            bytes.extend((header.len() as u16).to_le_bytes());
        } else {
            bytes.extend((header.len() as u32).to_le_bytes());
        }
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn f4(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        for shape in [vec![6], vec![2, 3], vec![3, 2, 1], vec![0, 2, 5]] {
            let count = shape.iter().product::<usize>();
            let values: Vec<f32> = (0..count as u16).map(f32::from).collect();
            let bytes = write_npy(&shape, &values);
            assert_eq!((bytes.len() - 4 * count) % 64, 0);
            assert_eq!(read_npy(&bytes).unwrap(), Tensor::new(shape, values).unwrap());
        }
    }

    #[test]
    fn every_kind_and_version() {
        let values = [1.0, -2.0, 3.5, 4.0, 5.0, 6.25];
        let c = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
        let want = Tensor::new([2, 3], values.to_vec()).unwrap();
        for version in 1..=3 {
            assert_eq!(read_npy(&npy(version, c, &f4(&values))).unwrap(), want);
        }
        let fortran = c.replace("False", "True");
        let columns = f4(&[1.0, 4.0, -2.0, 5.0, 3.5, 6.25]);
        assert_eq!(read_npy(&npy(1, &fortran, &columns)).unwrap(), want);
        let big: Vec<u8> = values.iter().flat_map(|&v| f64::from(v).to_be_bytes()).collect();
        assert_eq!(read_npy(&npy(1, &c.replace("<f4", ">f8"), &big)).unwrap(), want);
        let half = [0x3c00u16, 0xc000, 0x4300, 0x4400, 0x4500, 0x4640].map(u16::to_le_bytes).concat();
        assert_eq!(read_npy(&npy(1, &c.replace("<f4", "<f2"), &half)).unwrap(), want);
        let scalar = "{'descr': '<f4', 'fortran_order': False, 'shape': (), }";
        assert_eq!(read_npy(&npy(1, scalar, &f4(&[7.0]))).unwrap().shape(), [0usize; 0]);
    }

    #[test]
    fn npz_names_its_arrays() {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
        for (name, array) in
            [("b.npy", npy(1, header, &f4(&[1.0, 2.0]))), ("a.w.npy", npy(1, header, &f4(&[3.0, 4.0])))]
        {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(&array).unwrap();
        }
        let bytes = zip.finish().unwrap().into_inner();
        let weights = weights::parse(&bytes).unwrap();
        assert_eq!(weights.names().collect::<Vec<_>>(), ["a.w", "b"]);
        assert_eq!(weights.get("b").unwrap().data(), [1.0, 2.0]);
        for cut in [bytes.len() / 4, bytes.len() / 2, bytes.len() - 1] {
            assert!(weights::parse(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn objects_and_whole_numbers_are_refused_by_name() {
        let object = "{'descr': '|O', 'fortran_order': False, 'shape': (), }";
        let error = read_npy(&npy(1, object, b"\x80\x02}.")).unwrap_err().to_string();
        assert!(error.contains("'|O'") && error.contains("never loaded"), "{error}");
        let whole = "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }";
        assert!(read_npy(&npy(1, whole, &[0; 8])).unwrap_err().to_string().contains("'<i8'"));
        let huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999), }";
        assert!(read_npy(&npy(1, huge, &[])).is_err());
        let short = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
        assert!(read_npy(&npy(1, short, &[0; 7])).unwrap_err().to_string().contains("7 bytes"));
    }

    proptest! {
        #[test]
        fn shapes_and_orders_round_trip(shape in proptest::collection::vec(1usize..5, 0..4), fortran: bool) {
            let count: usize = shape.iter().product();
            // Element i in C order has the value i; lay the elements out as the order says.
            let mut laid_out = vec![0.0; count];
            for i in 0..count {
                let (mut rest, mut at, mut index) = (i, 0, vec![0; shape.len()]);
                for axis in (0..shape.len()).rev() {
                    index[axis] = rest % shape[axis];
                    rest /= shape[axis];
                }
                let axes: Vec<usize> = if fortran { (0..shape.len()).rev().collect() } else { (0..shape.len()).collect() };
                for axis in axes {
                    at = at * shape[axis] + index[axis];
                }
                laid_out[at] = i as f32;
            }
            let header = format!(
                "{{'descr': '<f4', 'fortran_order': {}, 'shape': ({}), }}",
                if fortran { "True" } else { "False" },
                shape.iter().map(|d| format!("{d},")).collect::<String>()
            );
            let tensor = read_npy(&npy(1, &header, &f4(&laid_out))).unwrap();
            prop_assert_eq!(tensor.shape(), &shape[..]);
            prop_assert!(tensor.data().iter().enumerate().all(|(i, &v)| v == i as f32));
        }

        #[test]
        fn never_panics(header in "[{}'a-z:<>|,()0-9 FT_OE]{0,80}", data in proptest::collection::vec(any::<u8>(), 0..32), version in 0u8..5) {
            let _ = read_npy(&npy(version, &header, &data));
            let full = format!("{{'descr': '<f4', 'fortran_order': True, 'shape': ({header}), }}");
            let bytes = npy(1, &full, &data);
            let _ = read_npy(&bytes);
            let _ = read_npy(&bytes[..bytes.len() / 2]);
        }
    }
}

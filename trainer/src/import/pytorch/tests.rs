//! PyTorch files made by hand, byte for byte, and everything that must be refused.

use super::*;
use proptest::prelude::*;
use std::io::Write;

/// Writes the few instructions that PyTorch's own pickles are made of.
#[derive(Default)]
struct P(Vec<u8>);

impl P {
    fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.op(b"X").op(&(text.len() as u32).to_le_bytes()).op(text.as_bytes())
    }

    fn int(self, v: i32) -> Self {
        self.op(b"J").op(&v.to_le_bytes())
    }

    fn ints(self, values: &[i32]) -> Self {
        values.iter().fold(self.op(b"("), |p, &v| p.int(v)).op(b"t")
    }

    fn global(self, module: &str, name: &str) -> Self {
        self.op(b"c").op(module.as_bytes()).op(b"\n").op(name.as_bytes()).op(b"\n")
    }

    fn tensor(
        self,
        storage: &str,
        key: &str,
        length: i32,
        offset: i32,
        shape: &[i32],
        strides: &[i32],
    ) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .op(b"((")
            .text("storage")
            .global("torch", storage)
            .text(key)
            .text("cpu")
            .int(length)
            .op(b"tQ")
            .int(offset)
            .ints(shape)
            .ints(strides)
            .op(b"\x89")
            .global("collections", "OrderedDict")
            .op(b")RtR")
    }

    fn end(self) -> Vec<u8> {
        self.op(b".").0
    }
}

fn start() -> P {
    P::default().op(b"\x80\x02")
}

/// `w` 2x3 stored by columns, `half` one f16, `count` a counter, as an OrderedDict with `_metadata`.
fn state_dict() -> Vec<u8> {
    start()
        .global("collections", "OrderedDict")
        .op(b")Rq\x07(")
        .text("w")
        .tensor("FloatStorage", "1", 7, 1, &[2, 3], &[1, 2])
        .text("half")
        .tensor("HalfStorage", "2", 1, 0, &[1], &[1])
        .text("count")
        .tensor("LongStorage", "3", 1, 0, &[], &[])
        .op(b"u}")
        .text("_metadata")
        .op(b"h\x07sb")
        .end()
}

fn f4(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

const W: [f32; 7] = [99.0, 1.0, 4.0, 2.0, 5.0, 3.0, 6.0];

fn legacy_of(state: Vec<u8>) -> Vec<u8> {
    let mut bytes = start().op(b"\x8a\x0a").op(&LEGACY_MAGIC).end();
    bytes.extend(start().op(b"M\xe9\x03").end());
    bytes.extend(start().op(b"}(").text("little_endian").op(b"\x88u").end());
    bytes.extend(state);
    bytes.extend(start().op(b"](").text("3").text("1").text("2").op(b"e").end());
    for (count, data) in [(1u64, vec![0; 8]), (7, f4(&W)), (1, vec![0, 0x3c])] {
        bytes.extend(count.to_le_bytes());
        bytes.extend(data);
    }
    bytes
}

fn zip_of(state: Vec<u8>) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, data) in [
        ("archive/data.pkl", state),
        ("archive/byteorder", b"little".to_vec()),
        ("archive/data/1", f4(&W)),
        ("archive/data/2", vec![0, 0x3c]),
        ("archive/data/3", vec![0; 8]),
        ("archive/version", b"3\n".to_vec()),
    ] {
        zip.start_file(name, options).unwrap();
        zip.write_all(&data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn both_formats_give_the_same_tensors() {
    for bytes in [legacy_of(state_dict()), zip_of(state_dict())] {
        let weights = weights::parse(&bytes).unwrap();
        assert_eq!(weights.names().collect::<Vec<_>>(), ["half", "w"]);
        let w = weights.get("w").unwrap();
        assert_eq!((w.shape(), w.data()), (&[2, 3][..], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
        assert_eq!(weights.get("half").unwrap().data(), [1.0]);
    }
}

#[test]
fn checkpoints_parameters_and_prefixes() {
    let state = start()
        .op(b"}(")
        .text("epoch")
        .int(3)
        .text("state_dict")
        .op(b"}(")
        .text("module.w")
        .global("torch._utils", "_rebuild_parameter")
        .op(b"(")
        .tensor("FloatStorage", "1", 7, 1, &[6], &[1])
        .op(b"\x88}tRuu")
        .end();
    let weights = weights::parse(&zip_of(state)).unwrap();
    assert_eq!(weights.get("w").unwrap().data(), &W[1..]);
}

#[test]
fn what_would_run_code_is_refused_by_name() {
    let attack = start().global("posix", "system").op(b"(").text("true").op(b"tR").end();
    let error = weights::parse(&zip_of(attack)).unwrap_err().to_string();
    assert!(error.contains("`posix.system`") && error.contains("state_dict()"), "{error}");
    let whole = start().global("models.mtcnn", "PNet").op(b")\x81}b").end();
    let error = weights::parse(&zip_of(whole)).unwrap_err().to_string();
    assert!(error.contains("`models.mtcnn.PNet`"), "{error}");
    // INST, OBJ, NEWOBJ and EXT never run.
    for code in [b'i', b'o', 0x81, 0x82] {
        let bytes = start().op(&[code]).end();
        let error = weights::parse(&zip_of(bytes)).unwrap_err().to_string();
        assert!(error.contains(&format!("{code:#04x}")), "{error}");
    }
}

#[test]
fn tensors_stay_inside_their_storage() {
    for (offset, shape, strides) in [
        (2, vec![2, 3], vec![1, 2]),
        (0, vec![8], vec![1]),
        (0, vec![2, i32::MAX], vec![0, i32::MAX]),
        (0, vec![0], vec![1]),
        (-1, vec![1], vec![1]),
        (0, vec![2], vec![1, 1]),
    ] {
        let state = start()
            .op(b"}")
            .text("w")
            .tensor("FloatStorage", "1", 7, offset, &shape, &strides)
            .op(b"s")
            .end();
        assert!(weights::parse(&zip_of(state)).is_err(), "{offset} {shape:?} {strides:?}");
    }
    // A storage of 7 numbers cannot become a tensor of millions by a stride of zero.
    let state =
        start().op(b"}").text("w").tensor("FloatStorage", "1", 7, 0, &[9_999_999], &[0]).op(b"s").end();
    let error = weights::parse(&zip_of(state)).unwrap_err().to_string();
    assert!(error.contains("tensor `w`") && error.contains("over and over"), "{error}");
    // The numbers must be as many as the pickle says.
    let state = start().op(b"}").text("w").tensor("FloatStorage", "1", 8, 0, &[8], &[1]).op(b"s").end();
    assert!(weights::parse(&zip_of(state.clone())).unwrap_err().to_string().contains("cut off"));
    assert!(weights::parse(&legacy_of(state)).is_err());
}

#[test]
fn deep_and_circular_pickles_do_no_harm() {
    let deep = start().op(b")").op(&b"\x85".repeat(2_000_000)).end();
    assert!(weights::parse(&zip_of(deep)).is_err());
    let circle = start().op(b"}q\x00").text("state_dict").op(b"h\x00s").end();
    assert!(weights::parse(&zip_of(circle)).unwrap_err().to_string().contains("no named tensors"));
}

#[test]
fn other_pickles_are_told_from_pytorch() {
    let error = weights::parse(&start().op(b"}").end()).unwrap_err().to_string();
    assert!(error.contains("no PyTorch file"), "{error}");
    assert!(weights::parse(b"hello").unwrap_err().to_string().contains("no known weights format"));
}

#[test]
fn every_cut_is_noticed() {
    let (legacy, zip) = (legacy_of(state_dict()), zip_of(state_dict()));
    for n in 0..legacy.len() {
        assert!(weights::parse(&legacy[..n]).is_err(), "legacy cut at {n}");
    }
    for n in 0..zip.len() {
        assert!(weights::parse(&zip[..n]).is_err(), "zip cut at {n}");
    }
}

proptest! {
    #[test]
    fn garbled_files_never_panic(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        for mut bytes in [legacy_of(state_dict()), zip_of(state_dict())] {
            for (at, byte) in &changes {
                let at = at % bytes.len();
                bytes[at] = *byte;
            }
            let _ = weights::parse(&bytes);
        }
    }

    #[test]
    fn any_program_ends(program in proptest::collection::vec(
        prop::sample::select(b"\x80\x85\x86\x87\x88\x89\x93\x94().}]NJKMXQRbsuaeqhrjt0c123\n".to_vec()), 0..200)) {
        let _ = pickle::unpickle(&program);
    }
}

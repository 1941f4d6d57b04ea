//! A pickle reader that knows only what a PyTorch state dict is made of. It builds data and calls nothing.
//!
//! Python's pickle is a program for a small stack machine that may call any function. This machine has three
//! "functions", all of them inert: `OrderedDict()`, `_rebuild_tensor_v2(...)` and `_rebuild_parameter(...)`.
//! Everything else is refused by name. Containers live in an arena and refer to each other by number, so that
//! neither a cycle nor a deep nesting in a file can hurt.

use crate::import::Fault;
use std::collections::HashMap;
use std::rc::Rc;

/// A value on the stack. Small to copy: all that is big lives in the arena or behind an `Rc`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Value {
    #[default]
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits, little endian two's complement (PyTorch's magic number).
    Long(Rc<[u8]>),
    Float,
    Text(Rc<str>),
    Bytes,
    Tuple(usize),
    List(usize),
    Dict(usize),
    Global(Global),
    Storage(Rc<StorageRef>),
    Tensor(Rc<TensorRef>),
}

/// The names of Python that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    StorageType(Element),
}

/// Kind of number in a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F16,
    Bf16,
    F32,
    F64,
    /// Whole numbers of this many bytes: counters, never weights.
    Whole(usize),
}

/// Numbers that lie elsewhere in the file.
#[derive(Debug, PartialEq)]
pub(super) struct StorageRef {
    pub(super) element: Element,
    pub(super) key: Rc<str>,
    pub(super) length: usize,
}

/// A view of a storage.
#[derive(Debug, PartialEq)]
pub(super) struct TensorRef {
    pub(super) storage: Rc<StorageRef>,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// What one pickle made.
#[derive(Default)]
pub(super) struct Unpickled {
    pub(super) top: Value,
    tuples: Vec<Vec<Value>>,
    lists: Vec<Vec<Value>>,
    dicts: Vec<Vec<(Value, Value)>>,
    /// Every storage that is referred to, as often as it is.
    pub(super) storages: Vec<Rc<StorageRef>>,
    /// Bytes of the pickle, so that what follows can be found.
    pub(super) length: usize,
}

impl Unpickled {
    /// Entries of a dict in the order of the file, or `None` when `value` is no dict.
    pub(super) fn dict(&self, value: &Value) -> Option<&[(Value, Value)]> {
        if let Value::Dict(at) = value { self.dicts.get(*at).map(Vec::as_slice) } else { None }
    }

    /// Elements of a list, or `None` when `value` is no list.
    pub(super) fn list(&self, value: &Value) -> Option<&[Value]> {
        if let Value::List(at) = value { self.lists.get(*at).map(Vec::as_slice) } else { None }
    }
}

/// Runs the pickle at the start of `bytes`.
pub(super) fn unpickle(bytes: &[u8]) -> Result<Unpickled, Fault> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        made: Unpickled::default(),
    };
    while !machine.step()? {}
    machine.made.top = machine.pop()?;
    machine.made.length = machine.at;
    Ok(machine.made)
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
    made: Unpickled,
}

fn damaged(what: &str) -> Fault {
    Fault::Damaged(format!("its pickle is damaged: {what}; fetch or save the file again"))
}

impl<'a> Machine<'a> {
    /// Runs one instruction; true at the end.
    fn step(&mut self) -> Result<bool, Fault> {
        let code = self.take(1)?[0];
        match code {
            b'.' => return Ok(true),
            0x80 => {
                self.take(1)?; // protocol
            }
            0x95 => {
                self.take(8)?; // frame
            }
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'J' => {
                let v = i32::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(v.into()));
            }
            b'K' | b'M' | 0x8a => self.integer(code)?,
            b'G' => {
                self.take(8)?;
                self.stack.push(Value::Float);
            }
            b'X' | 0x8c | 0x8d => {
                let text = self.counted(code)?;
                self.push_text(text)?;
            }
            b'U' | b'T' => {
                // Strings of Python 2.
                let text = self.counted(code)?;
                self.push_text(text)?;
            }
            b'B' | b'C' | 0x8e => {
                self.counted(code)?;
                self.stack.push(Value::Bytes);
            }
            b'}' => {
                self.made.dicts.push(vec![]);
                self.stack.push(Value::Dict(self.made.dicts.len() - 1));
            }
            b']' => {
                self.made.lists.push(vec![]);
                self.stack.push(Value::List(self.made.lists.len() - 1));
            }
            b')' => self.push_tuple(vec![]),
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(code - 0x84));
                let items = self.split(from)?;
                self.push_tuple(items);
            }
            b't' => {
                let items = self.since_mark()?;
                self.push_tuple(items);
            }
            b'0' => {
                self.pop()?;
            }
            b'q' | b'r' | 0x94 => {
                let slot = match code {
                    b'q' => self.take(1)?[0].into(),
                    b'r' => u32::from_le_bytes(self.array()?).into(),
                    _ => self.memo.len() as u64,
                };
                let top = self.stack.last().ok_or_else(|| damaged("nothing to remember"))?;
                self.memo.insert(slot, top.clone());
            }
            b'h' | b'j' => {
                let slot = if code == b'h' {
                    self.take(1)?[0].into()
                } else {
                    u32::from_le_bytes(self.array()?).into()
                };
                let value =
                    self.memo.get(&slot).ok_or_else(|| damaged("recalls what was never remembered"))?;
                self.stack.push(value.clone());
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.stack.push(Value::Global(global(module, name)?));
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.stack.push(Value::Global(global(&module, &name)?));
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = Rc::new(self.storage(&id)?);
                self.made.storages.push(storage.clone());
                self.stack.push(Value::Storage(storage));
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let value = self.call(&function, &arguments)?;
                self.stack.push(value);
            }
            // The state of an OrderedDict (`_metadata`: versions of layers) says nothing that is needed.
            b'b' => {
                self.pop()?;
                if !matches!(self.stack.last(), Some(Value::Dict(_))) {
                    return Err(Fault::Unsupported(
                        "holds a whole Python object; save only its weights: torch.save(model.state_dict(), path)"
                            .into(),
                    ));
                }
            }
            b's' | b'u' => {
                let items = if code == b'u' {
                    self.since_mark()?
                } else {
                    let from = self.stack.len().checked_sub(2);
                    self.split(from)?
                };
                self.set_items(items)?;
            }
            b'a' | b'e' => {
                let items = if code == b'e' { self.since_mark()? } else { vec![self.pop()?] };
                let Some(Value::List(at)) = self.stack.last() else {
                    return Err(damaged("appends to no list"));
                };
                self.made.lists[*at].extend(items);
            }
            other => {
                return Err(Fault::Unsupported(format!(
                    "its pickle has the instruction {other:#04x}, which a state dict does not need; \
                     save only the weights: torch.save(model.state_dict(), path)"
                )));
            }
        }
        Ok(false)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| damaged("it is cut off"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| damaged("it is cut off"))
    }

    /// Bytes behind a length of 1, 4 or 8 bytes, as the instruction has it.
    fn counted(&mut self, code: u8) -> Result<&'a [u8], Fault> {
        let n = match code {
            b'U' | b'C' | 0x8c => self.take(1)?[0].into(),
            b'X' | b'T' | b'B' => u32::from_le_bytes(self.array()?).into(),
            _ => u64::from_le_bytes(self.array()?),
        };
        self.take(usize::try_from(n).map_err(|_| damaged("a length beyond the memory"))?)
    }

    /// A line up to its newline, without it.
    fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().position(|&b| b == b'\n').ok_or_else(|| damaged("it is cut off"))?;
        let line = std::str::from_utf8(self.take(n)?).map_err(|_| damaged("a name is no text"))?;
        self.take(1)?;
        Ok(line)
    }

    fn integer(&mut self, code: u8) -> Result<(), Fault> {
        let value = match code {
            b'K' => Value::Int(self.take(1)?[0].into()),
            b'M' => Value::Int(u16::from_le_bytes(self.array()?).into()),
            _ => {
                let n = usize::from(self.take(1)?[0]);
                let bytes = self.take(n)?;
                if n > 8 {
                    Value::Long(bytes.into())
                } else {
                    let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
                    let mut wide = [sign; 8];
                    wide[..n].copy_from_slice(bytes);
                    Value::Int(i64::from_le_bytes(wide))
                }
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn push_text(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("a string is no text"))?;
        self.stack.push(Value::Text(text.into()));
        Ok(())
    }

    fn push_tuple(&mut self, items: Vec<Value>) {
        self.made.tuples.push(items);
        self.stack.push(Value::Tuple(self.made.tuples.len() - 1));
    }

    fn pop(&mut self) -> Result<Value, Fault> {
        // What lies below an open mark belongs to it.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(damaged("takes what is not there"));
        }
        self.stack.pop().ok_or_else(|| damaged("takes what is not there"))
    }

    fn pop_text(&mut self) -> Result<Rc<str>, Fault> {
        match self.pop()? {
            Value::Text(text) => Ok(text),
            _ => Err(damaged("a name is no text")),
        }
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, Fault> {
        let from = self.marks.pop().ok_or_else(|| damaged("a mark is missing"))?;
        self.split(Some(from))
    }

    fn split(&mut self, from: Option<usize>) -> Result<Vec<Value>, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match from.filter(|&from| from >= floor && from <= self.stack.len()) {
            Some(from) => Ok(self.stack.split_off(from)),
            None => Err(damaged("takes what is not there")),
        }
    }

    fn set_items(&mut self, items: Vec<Value>) -> Result<(), Fault> {
        let Some(Value::Dict(at)) = self.stack.last() else { return Err(damaged("sets an item of no dict")) };
        if !items.len().is_multiple_of(2) {
            return Err(damaged("a key without a value"));
        }
        let dict = &mut self.made.dicts[*at];
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            dict.push((key, value));
        }
        Ok(())
    }

    fn tuple(&self, value: &Value) -> Result<&[Value], Fault> {
        match value {
            Value::Tuple(at) => Ok(&self.made.tuples[*at]),
            _ => Err(damaged("a tuple is expected")),
        }
    }

    /// `('storage', type, key, place, length[, view])`: the only thing PyTorch keeps outside its pickle.
    fn storage(&self, id: &Value) -> Result<StorageRef, Fault> {
        match self.tuple(id)? {
            [
                Value::Text(word),
                Value::Global(Global::StorageType(element)),
                key,
                Value::Text(_),
                Value::Int(length),
                view @ ..,
            ] if &**word == "storage" => {
                if !matches!(view, [] | [Value::None]) {
                    return Err(Fault::Unsupported(
                        "has views of storages, as PyTorch before 0.4 wrote them; save it again with a newer PyTorch"
                            .into(),
                    ));
                }
                let key = match key {
                    Value::Text(key) => key.clone(),
                    Value::Int(key) => key.to_string().into(),
                    _ => return Err(damaged("the key of a storage is no text")),
                };
                let length = usize::try_from(*length).map_err(|_| damaged("a negative length"))?;
                Ok(StorageRef { element: *element, key, length })
            }
            [Value::Text(word), ..] if &**word == "module" => Err(Fault::Unsupported(
                "holds a whole Python object; save only its weights: torch.save(model.state_dict(), path)"
                    .into(),
            )),
            _ => Err(damaged("a storage is described in an unknown way")),
        }
    }

    fn call(&mut self, function: &Value, arguments: &Value) -> Result<Value, Fault> {
        let arguments = self.tuple(arguments)?;
        match (function, arguments) {
            (Value::Global(Global::OrderedDict), []) => {
                self.made.dicts.push(vec![]);
                Ok(Value::Dict(self.made.dicts.len() - 1))
            }
            (
                Value::Global(Global::RebuildTensor),
                [Value::Storage(storage), Value::Int(offset), shape, strides, ..],
            ) => {
                let lengths = |v: &Value| -> Result<Vec<usize>, Fault> {
                    let whole = |v: &Value| match v {
                        Value::Int(n) => usize::try_from(*n).ok(),
                        _ => None,
                    };
                    let lengths = self.tuple(v)?.iter().map(whole).collect::<Option<_>>();
                    lengths.ok_or_else(|| damaged("a shape holds something else than lengths"))
                };
                let (shape, strides) = (lengths(shape)?, lengths(strides)?);
                let offset = usize::try_from(*offset).map_err(|_| damaged("a negative offset"))?;
                if shape.len() != strides.len() {
                    return Err(damaged("a shape and its strides differ in length"));
                }
                Ok(Value::Tensor(Rc::new(TensorRef { storage: storage.clone(), offset, shape, strides })))
            }
            (Value::Global(Global::RebuildParameter), [tensor @ Value::Tensor(_), ..]) => Ok(tensor.clone()),
            _ => Err(damaged("something is built from the wrong parts")),
        }
    }
}

/// What a name of Python stands for, or a refusal.
fn global(module: &str, name: &str) -> Result<Global, Fault> {
    Ok(match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
        ("torch", "FloatStorage") => Global::StorageType(Element::F32),
        ("torch", "DoubleStorage") => Global::StorageType(Element::F64),
        ("torch", "HalfStorage") => Global::StorageType(Element::F16),
        ("torch", "BFloat16Storage") => Global::StorageType(Element::Bf16),
        ("torch", "LongStorage") => Global::StorageType(Element::Whole(8)),
        ("torch", "IntStorage") => Global::StorageType(Element::Whole(4)),
        ("torch", "ShortStorage") => Global::StorageType(Element::Whole(2)),
        ("torch", "CharStorage" | "ByteStorage" | "BoolStorage") => Global::StorageType(Element::Whole(1)),
        _ => {
            return Err(Fault::Unsupported(format!(
                "refers to Python's `{}.{}`, which is not executed here; save only the weights: \
                 torch.save(model.state_dict(), path)",
                module.escape_default(),
                name.escape_default()
            )));
        }
    })
}

//! Runs one ONNX network through tract. Another engine would be another file like this one.

mod fold;

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::format_err;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

use crate::error::ModelError;
use crate::kernels::fused::{self, Fused};
use crate::kernels::prelu;
use crate::kernels::simd::Level;
use crate::manifest::{Manifest, ModelEntry};
use fold::with_constants_folded;

/// Plans kept for inputs of different shapes (P-Net runs once a pyramid level); beyond it the oldest goes.
const PLANS_KEPT: usize = 48;

/// Shape of an input: batch, channels, height, width.
pub type Shape = [usize; 4];

/// One output of a run, row-major.
#[derive(Clone, Default)]
pub struct Output {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub data: Vec<f32>,
}

impl std::fmt::Debug for Output {
    /// Its shape only: it may be an embedding.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Output({:?})", self.shape)
    }
}

/// A network made ready for inputs of one shape.
enum Plan {
    /// All of it by our kernels: the program, and which of its outputs each output is.
    Ours(Fused, Vec<usize>),
    /// By tract, which may run our kernels for a part.
    Tract(Arc<TypedRunnableModel>),
}

struct Plans {
    by_shape: HashMap<Shape, (u64, Arc<Plan>)>,
    clock: u64,
}

impl Plans {
    /// The plan for the first of `shapes` that there is one for.
    fn find(&mut self, shapes: [Shape; 2]) -> Option<Arc<Plan>> {
        self.clock += 1;
        let shape = shapes.into_iter().find(|s| self.by_shape.contains_key(s))?;
        let (used, plan) = self.by_shape.get_mut(&shape)?;
        *used = self.clock;
        Some(plan.clone())
    }

    /// Keeps a plan, and lets the one go that was not used for longest where there are too many.
    fn put(&mut self, shape: Shape, plan: Arc<Plan>) {
        if self.by_shape.len() >= PLANS_KEPT
            && let Some(oldest) = self.by_shape.iter().min_by_key(|(_, (used, _))| *used).map(|(s, _)| *s)
        {
            self.by_shape.remove(&oldest);
        }
        self.by_shape.insert(shape, (self.clock, plan));
    }
}

/// A loaded network. Runs are independent: any thread may call [`Session::run`].
pub struct Session {
    id: String,
    parsed: InferenceModel,
    outputs: Vec<usize>,
    plans: Mutex<Plans>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({})", self.id)
    }
}

impl Session {
    /// Loads the file of `entry`, checks its hash and its input, and orders its outputs as `outputs` names them.
    pub fn load(manifest: &Manifest, entry: &ModelEntry, outputs: &[&str]) -> Result<Self, ModelError> {
        let bytes = manifest.read(entry)?;
        let path = manifest.file(entry);
        let session = Self::from_bytes(&entry.id, &bytes, outputs, &path)?;
        session.check_input(&path, entry)?;
        Ok(session)
    }

    /// Loads a network held in memory; `path` stands in error messages.
    pub fn from_bytes(id: &str, bytes: &[u8], outputs: &[&str], path: &Path) -> Result<Self, ModelError> {
        let graph = |why: String| ModelError::Graph { path: path.to_owned(), why };
        let mut onnx = tract_onnx::onnx();
        prelu::register(&mut onnx);
        let parsed = onnx
            .model_for_read(&mut Cursor::new(bytes))
            .map_err(|e| graph(format!("{e:#}; the file may be cut short")))?;
        let names: Vec<String> = parsed
            .outputs
            .iter()
            .map(|o| parsed.outlet_label(*o).unwrap_or(&parsed.nodes[o.node].name).to_owned())
            .collect();
        if parsed.inputs.len() != 1 {
            return Err(graph(format!("it has {} inputs, one is needed", parsed.inputs.len())));
        }
        let order = match outputs {
            // A network with one output may call it what it likes.
            [_] if names.len() == 1 => vec![0],
            _ => outputs
                .iter()
                .map(|want| {
                    names.iter().position(|n| n == want).ok_or_else(|| {
                        graph(format!("output {want:?} is missing; it has {}", names.join(", ")))
                    })
                })
                .collect::<Result<_, _>>()?,
        };
        let plans = Mutex::new(Plans { by_shape: HashMap::new(), clock: 0 });
        Ok(Self { id: id.to_owned(), parsed, outputs: order, plans })
    }

    /// The network's own idea of its input, where the file fixes it, must be the manifest's.
    fn check_input(&self, path: &Path, entry: &ModelEntry) -> Result<(), ModelError> {
        let graph = |why: String| ModelError::Graph { path: path.to_owned(), why };
        let fact = self.parsed.input_fact(0).map_err(|e| graph(format!("{e:#}")))?;
        let dims: Vec<Option<usize>> =
            fact.shape.dims().map(|d| d.concretize().and_then(|d| d.to_usize().ok())).collect();
        let want = [None, Some(3), Some(entry.input.height), Some(entry.input.width)];
        let fits = dims.len() == 4 && dims.iter().zip(want).skip(1).all(|(d, w)| d.is_none() || *d == w);
        if fits {
            return Ok(());
        }
        let show: Vec<String> = dims.iter().map(|d| d.map_or("?".into(), |d: usize| d.to_string())).collect();
        Err(graph(format!(
            "its input is {}, the manifest (field input of model {:?}) says ?x3x{}x{}",
            show.join("x"),
            entry.id,
            entry.input.height,
            entry.input.width
        )))
    }

    /// Runs the network on `input` (`shape`, row-major, already preprocessed). The first run of a shape prepares it.
    pub fn run(&self, shape: Shape, input: &[f32]) -> Result<Vec<Output>, ModelError> {
        let fail = |why: String| ModelError::Run { model: self.id.clone(), why };
        let go = || -> TractResult<Vec<Output>> {
            match &*self.plan(shape)? {
                Plan::Ours(program, slots) => {
                    if input.len() != shape.iter().product::<usize>() {
                        return Err(format_err!("{} numbers are no {shape:?}", input.len()));
                    }
                    let [n, ..] = shape;
                    let empty = |shape: &Vec<usize>| {
                        let mut of_all = shape.clone();
                        of_all[0] = n;
                        Output { data: vec![0.0; of_all.iter().product()], shape: of_all }
                    };
                    let mut outputs: Vec<Output> = program.shapes().iter().map(empty).collect();
                    let mut slices: Vec<&mut [f32]> =
                        outputs.iter_mut().map(|o| o.data.as_mut_slice()).collect();
                    program.run(input, &mut slices);
                    Ok(self.outputs.iter().map(|&i| std::mem::take(&mut outputs[slots[i]])).collect())
                }
                Plan::Tract(plan) => {
                    let input = Tensor::from_shape(&shape, input)?;
                    let values = plan.run(tvec!(input.into()))?;
                    self.outputs
                        .iter()
                        .map(|&i| {
                            let view = values[i].to_plain_array_view::<f32>()?;
                            Ok(Output { shape: view.shape().to_vec(), data: view.iter().copied().collect() })
                        })
                        .collect()
                }
            }
        };
        let outputs = match go() {
            // A file may be for one picture at a time.
            Err(_) if shape[0] > 1 => return self.run_one_by_one(shape, input),
            outputs => outputs.map_err(|e| fail(format!("{e:#}")))?,
        };
        if outputs.iter().any(|o| o.data.iter().any(|v| !v.is_finite())) {
            return Err(fail("it gave a number that is not finite".into()));
        }
        Ok(outputs)
    }

    /// As [`Session::run`], a picture at a time.
    fn run_one_by_one(&self, [n, c, h, w]: Shape, input: &[f32]) -> Result<Vec<Output>, ModelError> {
        let mut all: Vec<Output> = Vec::new();
        for image in input.chunks((input.len() / n).max(1)) {
            let outputs = self.run([1, c, h, w], image)?;
            if all.is_empty() {
                all = outputs;
                continue;
            }
            for (all, one) in all.iter_mut().zip(outputs) {
                all.data.extend(one.data);
                all.shape[0] += one.shape[0];
            }
        }
        Ok(all)
    }

    fn plan(&self, shape: Shape) -> TractResult<Arc<Plan>> {
        let [n, c, h, w] = shape;
        let any = [0, c, h, w];
        if let Some(plan) = self.plans().find([any, shape]) {
            return Ok(plan);
        }
        // Made while nobody else waits; two threads that want the same may both make it.
        let (shape, plan) = match self.ours([n.max(2), c, h, w]) {
            Some(plan) => (any, plan),
            None => {
                let model = self.typed(shape)?.into_optimized()?;
                (shape, Plan::Tract(with_constants_folded(model)?.into_runnable()?))
            }
        };
        let plan = Arc::new(plan);
        self.plans().put(shape, plan.clone());
        Ok(plan)
    }

    fn plans(&self) -> MutexGuard<'_, Plans> {
        // A poisoned lock only means that another thread died between two whole states of the map.
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plan for any number of pictures, where the network is all ours. Read for two or more, as tract leaves the
    /// axis of a single one out; a file that is for one only is none of these.
    fn ours(&self, shape: Shape) -> Option<Plan> {
        let (program, slots) = fused::whole(&self.typed(shape).ok()?)?;
        let each = program.shapes().iter().all(|out| out.first() == Some(&shape[0]));
        each.then_some(Plan::Ours(program, slots))
    }

    /// The network for inputs of `shape`, with those of its layers in one operation that are ours.
    fn typed(&self, shape: Shape) -> TractResult<TypedModel> {
        let typed = self.parsed.clone().with_input_fact(0, f32::fact(shape).into())?.into_typed()?;
        // Constants are folded before kernels are chosen, so that they see weights.
        fused::fuse(with_constants_folded(typed.into_decluttered()?)?, Level::detect())
    }
}

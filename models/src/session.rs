//! Runs one ONNX network through tract. Another engine would be another file like this one.

mod fold;

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

use crate::error::ModelError;
use crate::kernels::entry::{Rows, planar_row, to_planes};
use crate::kernels::frame::Plane;
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
    /// All of it by our kernels, for any number of pictures: the program, and which of the outputs that are asked for
    /// each of its own is.
    Ours(Fused, Vec<Option<usize>>),
    /// By tract, a picture at a time; it may run our kernels for a part.
    Tract(Arc<TypedRunnableModel>),
}

#[derive(Default)]
struct Plans {
    /// By channels, height and width.
    by_shape: HashMap<[usize; 3], (u64, Arc<Plan>)>,
    clock: u64,
}

impl Plans {
    fn find(&mut self, shape: [usize; 3]) -> Option<Arc<Plan>> {
        self.clock += 1;
        let (used, plan) = self.by_shape.get_mut(&shape)?;
        *used = self.clock;
        Some(plan.clone())
    }

    /// Keeps a plan, and lets the one go that was not used for longest where there are too many.
    fn put(&mut self, shape: [usize; 3], plan: Arc<Plan>) {
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
    threads: usize,
    level: Level,
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
        let (id, level) = (id.to_owned(), Level::detect());
        Ok(Self { id, parsed, outputs: order, plans: Mutex::default(), threads: 1, level })
    }

    /// Shares each run among `threads` threads of rayon's pool that it is called in, where the whole network is run by
    /// our kernels. The numbers stay the same.
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Multiplies convolutions in half precision; `None` where this CPU does not compute in it, or the network is
    /// quantised and has no use for it. The numbers are others, though near: the embedder's are at a cosine above 0.9995.
    pub fn in_half(self) -> Option<Self> {
        let quantised = self.parsed.nodes.iter().any(|n| n.op.name().contains("Quantize"));
        let level = Level::half().filter(|_| !quantised)?;
        Some(Self { level, plans: Mutex::default(), ..self })
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
        let [_, channels, height, _] = shape;
        if input.len() != shape.iter().product::<usize>() {
            return Err(self.fail(format!("{} numbers are no {shape:?}", input.len())));
        }
        let rows =
            &mut |n: usize, y: usize, row: &mut [f32]| planar_row(input, height, (n, y), row, channels);
        let mut outputs = Vec::new();
        self.run_rows(shape, rows, &mut outputs)?;
        Ok(outputs)
    }

    /// Runs the network on pictures of `shape` that `rows` gives, and writes over `outputs`: a run with outputs of an
    /// earlier one asks for no memory, where the whole network is run by our kernels.
    pub fn run_rows(
        &self,
        shape: Shape,
        rows: Rows<'_>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), ModelError> {
        outputs.resize_with(self.outputs.len(), Output::default);
        let done = self.plan(shape).and_then(|plan| match &*plan {
            Plan::Ours(program, places) => {
                run_ours(program, places, (self.threads, shape), rows, outputs);
                Ok(())
            }
            Plan::Tract(plan) => self.run_tract(plan, shape, rows, outputs),
        });
        done.map_err(|e| self.fail(format!("{e:#}")))?;
        if outputs.iter().any(|o| o.data.iter().any(|v| !v.is_finite())) {
            return Err(self.fail("it gave a number that is not finite".into()));
        }
        Ok(())
    }

    fn run_tract(
        &self,
        plan: &Arc<TypedRunnableModel>,
        [n, channels, height, width]: Shape,
        rows: Rows<'_>,
        outputs: &mut [Output],
    ) -> TractResult<()> {
        let mut planes = vec![0.0; channels * height * width];
        for image in 0..n {
            to_planes(Plane { height, width, channels }, &mut planes, |y, row| rows(image, y, row));
            let values =
                plan.run(tvec!(Tensor::from_shape(&[1, channels, height, width], &planes)?.into()))?;
            for (output, &i) in outputs.iter_mut().zip(&self.outputs) {
                let view = values[i].to_plain_array_view::<f32>()?;
                if image == 0 {
                    *output =
                        Output { shape: view.shape().to_vec(), data: Vec::with_capacity(n * view.len()) };
                    output.shape.first_mut().into_iter().for_each(|first| *first *= n);
                }
                output.data.extend(view.iter());
            }
        }
        Ok(())
    }

    fn plan(&self, shape: Shape) -> TractResult<Arc<Plan>> {
        let [_, rest @ ..] = shape;
        if let Some(plan) = self.plans().find(rest) {
            return Ok(plan);
        }
        // Made while nobody else waits; two threads that want the same may both make it.
        let plan = match self.ours(rest) {
            Some(plan) => plan,
            None => {
                let [c, h, w] = rest;
                let model = self.typed([1, c, h, w])?.into_optimized()?;
                Plan::Tract(with_constants_folded(model)?.into_runnable()?)
            }
        };
        let plan = Arc::new(plan);
        self.plans().put(rest, plan.clone());
        Ok(plan)
    }

    fn fail(&self, why: String) -> ModelError {
        ModelError::Run { model: self.id.clone(), why }
    }

    fn plans(&self) -> MutexGuard<'_, Plans> {
        // A poisoned lock only means that another thread died between two whole states of the map.
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plan for any number of pictures, where the network is all ours. Read for two, as tract leaves the axis of a
    /// single one out; a file that is for one only is none of these.
    fn ours(&self, [c, h, w]: [usize; 3]) -> Option<Plan> {
        let (program, slots) = fused::whole(&self.typed([2, c, h, w]).ok()?)?;
        let each = program.shapes().iter().all(|out| out.first() == Some(&2));
        let places = (0..program.shapes().len())
            .map(|own| self.outputs.iter().position(|asked| slots[*asked] == own))
            .collect();
        each.then_some(Plan::Ours(program, places))
    }

    /// The network for inputs of `shape`, with those of its layers in one operation that are ours.
    fn typed(&self, shape: Shape) -> TractResult<TypedModel> {
        let typed = self.parsed.clone().with_input_fact(0, f32::fact(shape).into())?.into_typed()?;
        // Constants are folded before kernels are chosen, so that they see weights.
        fused::fuse(with_constants_folded(typed.into_decluttered()?)?, self.level)
    }
}

/// Runs our program; `places` are as in [`Plan::Ours`].
fn run_ours(
    program: &Fused,
    places: &[Option<usize>],
    (threads, [n, ..]): (usize, Shape),
    rows: Rows<'_>,
    outputs: &mut [Output],
) {
    for (shape, place) in program.shapes().iter().zip(places) {
        if let Some(output) = place.and_then(|at| outputs.get_mut(at)) {
            output.shape.clone_from(shape);
            output.shape[0] = n;
            output.data.resize(output.shape.iter().product(), 0.0);
        }
    }
    let mut slices: TVec<&mut [f32]> = places.iter().map(|_| <&mut [f32]>::default()).collect();
    for (at, output) in outputs.iter_mut().enumerate() {
        if let Some(own) = places.iter().position(|p| *p == Some(at)) {
            slices[own] = &mut output.data;
        }
    }
    program.run(threads, n, rows, &mut slices);
}

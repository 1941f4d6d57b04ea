//! The network, its head and its solver: what learns.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::backbone::init::Init;
use crate::config::{Config, Start, Teacher};
use crate::dataset::crop::{HEIGHT, WIDTH};
use crate::dataset::loader::{Batch, SAMPLE_LENGTH};
use crate::dataset::set::Set;
use crate::engine::param::{flat, read};
use crate::engine::{Kind, Mode, Param, Trainable};
use crate::graph::{self, Network, Shape};
use crate::head::memory::Sizes;
use crate::head::sampling::Sample;
use crate::head::{Head, HeadInput, Memory, PartialFc, WeightRule, unit_rows};
use crate::ops::Kernels;
use crate::training::checkpoint::{self, Checkpoint};
use crate::training::solver::{Solver, clip};
use crate::training::start;
use crate::training::teacher::Lessons;

/// Layer name of the classifier.
const CLASSIFIER: &str = "fc6";
/// Layer name of the map from the embedding to a teacher's of another length.
const PROJECTION: &str = "teacher";

/// What a step told, means over its pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Classification loss in nats.
    pub loss: f64,
    /// 1 - cosine to the teacher.
    pub teacher: Option<f64>,
    /// Norm of all gradients before clipping.
    pub norm: f64,
}

/// A step's gradients, in the order of all parameters.
#[derive(Debug)]
pub struct Gradients {
    /// What the step told; the norm is not known yet.
    pub told: Told,
    all: Vec<Option<Tensor<1>>>,
}

/// What learns.
pub struct Pupil {
    net: Trainable,
    name: String,
    /// Numbers of the embedding.
    length: usize,
    classes: usize,
    /// The classifier, its bias where the head has one, and the projection to a teacher of another length.
    outer: Vec<Param>,
    bias: Option<usize>,
    projection: Option<usize>,
    head: Box<dyn Head>,
    config: Config,
    solver: Solver,
    device: Device,
}

impl Pupil {
    /// Everything in its first state: drawn from the seed, or what `start` names.
    ///
    /// # Errors
    /// When the start cannot be read or is of another network.
    pub fn new(config: &Config, classes: usize, lesson: Option<usize>, device: &Device) -> Result<Self> {
        let network = match &config.start {
            Some(Start::Onnx(path)) => start::from_onnx(path)?,
            _ => config.network.build(config.seed)?,
        };
        let name = network.name.clone();
        let length = embedding_length(&network)?;
        let net = Trainable::new(network, config.output.precision, device)?;
        let head = config.head.build()?;
        let draw = |layer: &str, shape: [usize; 2]| {
            let values = Init::Xavier.values(config.seed, layer, &shape);
            Param::new(layer, Kind::Weight, &shape, &values, device)
        };
        let mut outer = vec![draw(CLASSIFIER, [classes, length])];
        let mut add = |param: Param| {
            outer.push(param);
            outer.len() - 1
        };
        let bias = head
            .initial_bias(classes)
            .map(|b| add(Param::new(CLASSIFIER, Kind::Bias, &[1], &[b as f32], device)));
        let projection = lesson.filter(|l| *l != length).map(|l| add(draw(PROJECTION, [l, length])));
        let solver = Solver::new(&config.schedule, net.params().iter().chain(&outer));
        let mut pupil = Self {
            net,
            name,
            length,
            classes,
            outer,
            bias,
            projection,
            head,
            config: config.clone(),
            solver,
            device: device.clone(),
        };
        if let Some(
            Start::Checkpoint(path)
            | Start::Weights(path)
            | Start::Smaller(path)
            | Start::Scaled { checkpoint: path, .. },
        ) = &config.start
        {
            pupil.begin(path).with_context(|| path.display().to_string())?;
        }
        Ok(pupil)
    }

    /// The same with other kernels: to compare with.
    pub fn with_kernels(self, kernels: Kernels) -> Self {
        Self { net: self.net.with_kernels(kernels), ..self }
    }

    /// Name of the network.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Weight of the plain cosine at a step.
    pub fn lambda(&self, step: u64) -> Option<f64> {
        self.head.lambda(step)
    }

    /// Network, head and what they will need, for a person.
    pub fn describe(&self, config: &Config) -> String {
        let parameters: usize = self.net.params().iter().map(|p| p.shape.iter().product::<usize>()).sum();
        let drawn = config
            .classes
            .sample
            .map_or(self.classes, |rate| PartialFc { rate, seed: config.seed }.size(self.classes));
        let memory = Memory::estimate(Sizes {
            batch: config.schedule.pass(),
            classes: self.classes,
            d: self.length,
            drawn,
            chunk: config.classes.chunk.map_or(drawn, NonZeroUsize::get),
        });
        format!(
            "{} ({:.2} M weights, embedding {}); {memory}",
            self.name,
            parameters as f64 / 1e6,
            self.length
        )
    }

    /// Gradients of one step over `batches`, each of equal weight a picture.
    ///
    /// # Errors
    /// When the device fails.
    pub fn look(&mut self, batches: &[Batch], lessons: Option<&Lessons>, step: u64) -> Result<Gradients> {
        if self.head.weight_rule() == WeightRule::Unit {
            // In place before each forward, after momentum and decay have acted (reference trap 4).
            let rows = self.outer[0].value.clone().reshape([self.classes, self.length]);
            self.outer[0].value = unit_rows(rows).reshape([self.classes * self.length]);
        }
        let leaves = self.net.leaves();
        let outer: Vec<Tensor<1>> = self.outer.iter().map(Param::leaf).collect();
        let total: usize = batches.iter().map(Batch::len).sum();
        let labels: Vec<usize> = batches.iter().flat_map(|b| b.labels.iter().map(|l| *l as usize)).collect();
        let drawn = self
            .config
            .classes
            .sample
            .map(|rate| PartialFc { rate, seed: self.config.seed }.draw(&labels, self.classes, step));
        let mut all: Vec<Option<Tensor<1>>> = vec![None; leaves.len() + outer.len()];
        let mut told = Told { loss: 0.0, teacher: lessons.map(|_| 0.0), norm: 0.0 };
        let mut first = 0;
        for batch in batches {
            let share = batch.len() as f64 / total as f64;
            let faces = self.faces(&batch.pixels);
            let x = self.net.forward(&leaves, faces.autodiff(), Mode::Learn)?;
            let weight = outer[0].clone().reshape([self.classes, self.length]);
            let own = integers(&labels[first..first + batch.len()], &self.device).autodiff();
            let mut input = HeadInput::new(x.clone(), weight, own)
                .with_bias(self.bias.map(|i| outer[i].clone()))
                .with_chunk(self.config.classes.chunk);
            if let Some(drawn) = &drawn {
                let labels = drawn.labels[first..first + batch.len()].to_vec();
                input = Sample { classes: drawn.classes.clone(), labels }.of(input);
            }
            first += batch.len();
            let mut loss = None;
            let head_weight = self.config.teacher.as_ref().map_or(1.0, |t| t.head_weight);
            if head_weight > 0.0 {
                let out = self.head.loss(input, step);
                told.loss += share * f64::from(out.classification.into_scalar::<f32>());
                loss = Some(out.value * head_weight);
            }
            if let (Some(lessons), Some(teacher)) = (lessons, &self.config.teacher) {
                let apart = self.apart(x, &outer, lessons, batch);
                let value = f64::from(apart.clone().into_scalar::<f32>());
                *told.teacher.get_or_insert(0.0) += share * value;
                if head_weight == 0.0 {
                    told.loss += share * value;
                }
                loss = add_loss(loss, apart, teacher);
            }
            let Some(loss) = loss else { continue };
            let mut grads = (loss * share).backward();
            for (sum, leaf) in all.iter_mut().zip(leaves.iter().chain(&outer)) {
                if let Some(g) = leaf.grad_remove(&mut grads) {
                    *sum = Some(match sum.take() {
                        Some(s) => s + g,
                        None => g,
                    });
                }
            }
        }
        Ok(Gradients { told, all })
    }

    /// Moves the parameters.
    ///
    /// # Errors
    /// When the device fails.
    pub fn learn(&mut self, gradients: Gradients, step: u64) -> Result<Told> {
        let Gradients { mut told, mut all } = gradients;
        told.norm = clip(&mut all, self.config.schedule.clip);
        let lr = self.config.schedule.lr(step);
        self.solver.step(self.net.params_mut().iter_mut().chain(&mut self.outer), all, lr);
        Ok(told)
    }

    /// Mean of 1 - cosine to the teacher's embeddings.
    fn apart(&self, x: Tensor<2>, outer: &[Tensor<1>], lessons: &Lessons, batch: &Batch) -> Tensor<1> {
        let y = match self.projection {
            Some(i) => x.matmul(outer[i].clone().reshape([lessons.length, self.length]).transpose()),
            None => x,
        };
        let wanted = TensorData::new(lessons.of(&batch.samples), [batch.len(), lessons.length]);
        let wanted = Tensor::<2>::from_data(wanted, &self.device).autodiff();
        let norm = y.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
        let cosine = (y * wanted).sum_dim(1) / norm;
        cosine.mean().neg() + 1.0
    }

    /// Embeddings of preprocessed pictures [n, 3, 112, 96], not normalised.
    ///
    /// # Errors
    /// When the device fails.
    pub fn embed(&mut self, pixels: &[f32]) -> Result<Vec<Vec<f32>>> {
        let values: Vec<Tensor<1>> = self.net.params().iter().map(|p| p.value.clone()).collect();
        let out = self.net.forward(&values, self.faces(pixels), Mode::Judge)?;
        Ok(read(&out)?.chunks_exact(self.length).map(<[f32]>::to_vec).collect())
    }

    fn faces(&self, pixels: &[f32]) -> Tensor<4> {
        let n = pixels.len() / SAMPLE_LENGTH;
        Tensor::from_data(TensorData::new(pixels.to_vec(), [n, 3, HEIGHT, WIDTH]), &self.device)
    }

    /// Anneals toward a lambda doubled `times` times.
    ///
    /// # Errors
    /// When the head has no lambda.
    pub fn back_off(&mut self, times: u32) -> Result<()> {
        if times > 0 {
            self.head =
                self.config.head.backed_off(times).context("this head has no lambda to back off")?.build()?;
        }
        Ok(())
    }

    /// Everything a checkpoint holds, by name.
    ///
    /// # Errors
    /// When the device fails.
    pub fn tensors(&self) -> Result<Vec<(String, graph::Tensor)>> {
        let mut all = self.solver.tensors(self.net.params().iter().chain(&self.outer))?;
        for s in self.net.statistics() {
            for (what, value) in [("mean", &s.mean), ("variance", &s.variance)] {
                let tensor = graph::Tensor::new(value.dims(), read(value)?)?;
                all.push((format!("statistics/{}.{what}", s.name), tensor));
            }
        }
        Ok(all)
    }

    /// Takes up a checkpoint of this very run.
    ///
    /// # Errors
    /// When it is of another network, by tensor.
    pub fn load(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
        let params = self.net.params_mut().iter_mut().chain(&mut self.outer);
        self.solver.load(params, checkpoint, &self.device)?;
        self.load_statistics(checkpoint)
    }

    /// Begins as the file says that the run's start names.
    fn begin(&mut self, path: &Path) -> Result<()> {
        match &self.config.start {
            Some(Start::Checkpoint(_)) => self.begin_from(&mut checkpoint::load(path)?, 1.0),
            Some(Start::Scaled { by, .. }) => self.begin_from(&mut checkpoint::load(path)?, *by),
            Some(Start::Smaller(_)) => {
                start::grow(&mut self.net, start::read(path)?, &self.config.network, &self.device)
            }
            _ => start::take(&mut self.net, start::read(path)?, &self.device),
        }
    }

    /// Takes the mean directions of the people of `set`, which `lessons` are for, as class weights.
    ///
    /// # Errors
    /// When lessons are not as long as embeddings.
    pub fn begin_classes(&mut self, lessons: &Lessons, set: &Set) -> Result<()> {
        ensure!(
            lessons.length == self.length,
            "teacher.classes: the teacher's embedding has {} numbers, the network's {}",
            lessons.length,
            self.length
        );
        self.outer[0].value = flat(&lessons.of_people(set), &self.device);
        Ok(())
    }

    /// Takes the network of another run, its embeddings `times` as long, and its classifier where it has as many
    /// classes.
    fn begin_from(&mut self, checkpoint: &mut Checkpoint, times: f32) -> Result<()> {
        let classifier = (checkpoint.state.classes == self.classes).then_some(&mut self.outer[0]);
        for param in self.net.params_mut().iter_mut().chain(classifier) {
            let mut values = checkpoint.take(&format!("param/{}", param.name), &param.shape)?;
            if param.name.starts_with("fc5.") {
                values.iter_mut().for_each(|v| *v *= times);
            }
            param.value = flat(&values, &self.device);
        }
        self.load_statistics(checkpoint)
    }

    fn load_statistics(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
        for s in self.net.statistics_mut() {
            let shape = s.mean.dims();
            s.mean = flat(&checkpoint.take(&format!("statistics/{}.mean", s.name), &shape)?, &self.device);
            s.variance =
                flat(&checkpoint.take(&format!("statistics/{}.variance", s.name), &shape)?, &self.device);
        }
        Ok(())
    }
}

/// The network of a checkpoint, built by the run's configuration.
///
/// # Errors
/// When the checkpoint is of another network.
pub fn network_of(config: &Config, mut checkpoint: Checkpoint, device: &Device) -> Result<Network> {
    let classes = checkpoint.state.classes;
    let bare =
        Config { start: config.start.clone().filter(|s| matches!(s, Start::Onnx(_))), ..config.clone() };
    let mut pupil = Pupil::new(&bare, classes, None, device)?;
    checkpoint.state.classes = 0; // the classifier stays behind
    pupil.begin_from(&mut checkpoint, 1.0)?;
    pupil.net.to_network()
}

/// The network that a run of `config` begins with.
///
/// # Errors
/// When what `start` names cannot be read or is of another network.
pub fn network_at_start(config: &Config, device: &Device) -> Result<Network> {
    Pupil::new(config, 1, None, device)?.net.to_network()
}

fn add_loss(loss: Option<Tensor<1>>, apart: Tensor<1>, teacher: &Teacher) -> Option<Tensor<1>> {
    if teacher.weight == 0.0 {
        return loss;
    }
    let apart = apart * teacher.weight;
    Some(match loss {
        Some(l) => l + apart,
        None => apart,
    })
}

fn integers(values: &[usize], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.iter().map(|v| *v as i64).collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}

/// Numbers of the network's first output.
fn embedding_length(network: &Network) -> Result<usize> {
    let shapes = network.shapes()?;
    let output = network.outputs.first().context("the network hands nothing out")?;
    match shapes[output.value.index()] {
        Shape::Vector { length } => Ok(length),
        map => anyhow::bail!("the network hands out {map}, an embedding is a vector"),
    }
}

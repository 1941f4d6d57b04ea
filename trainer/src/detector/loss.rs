//! Three tasks in one loss: is it a face, where is its box, where are its landmarks.

use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor, TensorData};

use super::show::Batch;
use super::windows::Kind;
use crate::engine::param::read;

/// Share of the windows, those of the greatest loss, that classification learns from (online hard sample mining,
/// section III-D of the paper).
const HARD: f64 = 0.7;

/// What a step told.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Told {
    /// Cross entropy of the hard windows, nats.
    pub face: f64,
    /// Mean squared error of the four numbers of a box, summed over the four.
    pub bbox: f64,
    /// The same of the ten numbers of the landmarks.
    pub landmarks: f64,
    /// Share of the windows told right from their sign alone.
    pub right: f64,
}

/// The loss of `outputs` (logits [n, 2], boxes [n, 4], landmarks [n, 10]) on `batch`, its parts weighed by `weights`.
///
/// # Errors
/// When the device fails.
pub fn loss(
    outputs: Vec<Tensor<2>>,
    batch: &Batch,
    weights: [f64; 3],
    device: &Device,
) -> anyhow::Result<(Tensor<1>, Told)> {
    let Ok([logits, boxes, landmarks]) = <[Tensor<2>; 3]>::try_from(outputs) else {
        anyhow::bail!("a network that learns to detect has three outputs")
    };
    let n = batch.len();
    let constant = |values: Vec<f32>| Tensor::<1>::from_data(TensorData::new(values, [n]), device).autodiff();
    let signs: Vec<f32> = batch
        .kinds
        .iter()
        .map(|k| match k {
            Kind::Negative => -1.0,
            Kind::Part => 0.0,
            Kind::Positive => 1.0,
        })
        .collect();
    // Of two classes the cross entropy is softplus of the margin by which the wrong one leads.
    let lead = logits.clone().narrow(1, 1, 1) - logits.narrow(1, 0, 1);
    let lead = lead.reshape([n]) * constant(signs.clone());
    let entropy = softplus(lead.neg(), 1.0);
    let values = read(&entropy.clone().inner())?;
    let face = (entropy * constant(hardest(&values, &signs))).sum();
    let judged = signs.iter().filter(|s| **s != 0.0).count().max(1);
    // softplus(0) = ln 2: below it the right class leads.
    let right = values.iter().zip(&signs).filter(|(v, s)| **s != 0.0 && **v < std::f32::consts::LN_2).count();

    let near: Vec<f32> = batch.kinds.iter().map(|k| f32::from(*k != Kind::Negative)).collect();
    let count = near.iter().sum::<f32>().max(1.0);
    let share = constant(near.iter().map(|v| v / count).collect());
    let error = |output: Tensor<2>, target: &[f32]| {
        let [_, k] = output.dims();
        let target = Tensor::<2>::from_data(TensorData::new(target.to_vec(), [n, k]), device).autodiff();
        ((output - target).square().sum_dim(1).reshape([n]) * share.clone()).sum()
    };
    let bbox = error(boxes, &batch.boxes);
    let landmarks = error(landmarks, &batch.landmarks);
    let value = |t: &Tensor<1>| f64::from(t.clone().into_scalar::<f32>());
    let told = Told {
        face: value(&face),
        bbox: value(&bbox),
        landmarks: value(&landmarks),
        right: right as f64 / judged as f64,
    };
    Ok((face * weights[0] + bbox * weights[1] + landmarks * weights[2], told))
}

/// Equal weights, 1 in sum, for the [`HARD`] share of greatest losses among those with a sign; 0 for the others.
fn hardest(losses: &[f32], signs: &[f32]) -> Vec<f32> {
    let mut judged: Vec<usize> = (0..losses.len()).filter(|&i| signs[i] != 0.0).collect();
    judged.sort_by(|&a, &b| losses[b].total_cmp(&losses[a]));
    judged.truncate(((judged.len() as f64 * HARD).round() as usize).max(1));
    let mut weights = vec![0.0; losses.len()];
    for &i in &judged {
        weights[i] = 1.0 / judged.len() as f32;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hardest_seventy_percent_count() {
        let w = hardest(&[0.1, 3.0, 9.0, 0.2, 0.5], &[1.0, -1.0, 0.0, 1.0, -1.0]);
        // Four are judged, round(2.8) = 3 of them count; the third is a part of a face.
        let third = 1.0 / 3.0;
        assert_eq!(w, [0.0, third, 0.0, third, third]);
        assert_eq!(hardest(&[1.0], &[1.0]), [1.0]);
        assert_eq!(hardest(&[1.0], &[0.0]), [0.0]);
    }

    #[test]
    fn three_windows_by_hand() {
        let device = Device::flex();
        let tensor = |v: Vec<f32>, shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(v, shape), &device).autodiff().require_grad()
        };
        // Positive with lead 0, negative with the wrong class ahead by 1, a part.
        let logits = tensor(vec![0.0, 0.0, 1.0, 2.0, 5.0, -5.0], [3, 2]);
        let boxes = tensor(vec![0.1, 0.0, 0.0, 0.0, 9.0, 9.0, 9.0, 9.0, 0.0, 0.0, 0.3, 0.0], [3, 4]);
        let mut points = vec![0.5; 30];
        points[10..20].fill(7.0);
        let landmarks = tensor(points, [3, 10]);
        let batch = Batch {
            pixels: vec![],
            kinds: vec![Kind::Positive, Kind::Negative, Kind::Part],
            boxes: vec![0.0; 12],
            landmarks: [vec![0.5; 10], vec![0.0; 10], vec![0.3; 10]].concat(),
        };
        let outputs = vec![logits.clone(), boxes.clone(), landmarks];
        let (loss, told) = loss(outputs, &batch, [1.0, 0.5, 2.0], &device).unwrap();
        // round(0.7 x 2) = 1: only the negative, ln(1 + e).
        assert!((told.face - 1.313_262).abs() < 1e-5, "{told:?}");
        assert!((told.bbox - (0.01 + 0.09) / 2.0).abs() < 1e-6);
        assert!((told.landmarks - 10.0 * 0.04 / 2.0).abs() < 1e-6);
        assert_eq!(told.right, 0.0, "a lead of nothing is not right");
        let value = f64::from(loss.clone().into_scalar::<f32>());
        assert!((value - (told.face + 0.5 * told.bbox + 2.0 * told.landmarks)).abs() < 1e-5);
        let mut grads = loss.backward();
        let g = read(&logits.grad_remove(&mut grads).unwrap()).unwrap();
        // d softplus(l1 - l0): sigmoid(1) = 0.731059.
        let want = [0.0, 0.0, -0.731_059, 0.731_059, 0.0, 0.0];
        assert!(g.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{g:?}");
        let g = read(&boxes.grad_remove(&mut grads).unwrap()).unwrap();
        assert_eq!(&g[4..8], [0.0; 4], "a negative has no box");
        assert!((g[0] - 0.05).abs() < 1e-6 && (g[10] - 0.15).abs() < 1e-6, "{g:?}");
    }
}

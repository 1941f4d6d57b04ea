//! A detector's run from its configuration to three networks in a model folder.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use burn::tensor::Device;
use limen_models::manifest::{Colour, FILE_NAME, Input, Kind, Manifest, ModelEntry, sha256_hex};

use super::Stage;
use super::config::Config;
use super::draw::Draw;
use super::fit::{Source, fit};
use super::mine::{Mined, mine};
use super::nets::finish;
use super::pictures::Pictures;
use crate::export::onnx;
use crate::graph::Network;

/// Folder of a run's networks.
pub const MODELS: &str = "models";

/// Trains the stages that are not in the run's model folder yet, one after the other. False when `stop` was raised
/// before the last was done.
///
/// # Errors
/// When the pictures cannot be read, the disk or the device fails.
pub fn run(
    config: &Config,
    pictures: &Pictures,
    folder: &Path,
    licence: &str,
    workers: usize,
    device: &Device,
    stop: &AtomicBool,
) -> Result<bool> {
    let models = folder.join(MODELS);
    std::fs::create_dir_all(&models).with_context(|| format!("{}: cannot be made", models.display()))?;
    for stage in Stage::ALL {
        let mut manifest = open(&models)?;
        let name = stage.role().name();
        if manifest.model(name).is_ok() {
            continue;
        }
        let sure = config.data.sure;
        let mined = match stage {
            Stage::P => Mined::default(),
            _ => mine(stage, &manifest, &pictures.train, sure, workers)?,
        };
        eprintln!(
            "{name}: {} pictures; let through by the stages before: {} without a face, {} with a part, {} with a face",
            pictures.train.len(),
            mined.negatives.len(),
            mined.parts.len(),
            mined.positives.len()
        );
        let draw = Draw::new(&pictures.train, sure);
        let source = Source { stage, pictures: &pictures.train, draw, mined, seed: config.seed };
        let Some(learnt) = fit(&source, config.schedule(stage), &folder.join(name), device, stop)? else {
            return Ok(false);
        };
        put(&mut manifest, stage, &finish(stage, &learnt)?, config, licence)?;
    }
    Ok(true)
}

fn open(models: &Path) -> Result<Manifest> {
    if models.join(FILE_NAME).exists() { Ok(Manifest::load(models)?) } else { Ok(Manifest::empty(models)) }
}

/// Adds a network that has learnt; file first, manifest last.
fn put(
    manifest: &mut Manifest,
    stage: Stage,
    network: &Network,
    config: &Config,
    licence: &str,
) -> Result<()> {
    let id = stage.role().name();
    let bytes = onnx::to_bytes(network)?;
    let schedule = config.schedule(stage);
    let entry = ModelEntry {
        id: id.into(),
        kind: match stage {
            Stage::P => Kind::MtcnnP,
            Stage::R => Kind::MtcnnR,
            Stage::O => Kind::MtcnnO,
        },
        file: format!("{id}.onnx"),
        sha256: sha256_hex(&bytes),
        licence: licence.into(),
        source: format!(
            "limen-train detector, {} steps of {} windows, seed {}",
            schedule.steps, schedule.batch, config.seed
        ),
        input: Input::sphereface(stage.side(), stage.side(), Colour::Rgb),
        face_threshold: config.thresholds.map(|[p, r, o]| match stage {
            Stage::P => p,
            Stage::R => r,
            Stage::O => o,
        }),
        landmark_looks: config.landmark_looks.filter(|_| stage == Stage::O),
        alignment: None,
        embedding: None,
        operating_points: Vec::new(),
    };
    let file = manifest.file(&entry);
    manifest.put(entry)?;
    std::fs::write(&file, &bytes).with_context(|| format!("{}: cannot be written", file.display()))?;
    manifest.save()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::config::Data;
    use crate::detector::draw::tests::pictures;
    use crate::detector::measure::measure;
    use crate::training::schedule::{Fall, Rule, Schedule};
    use limen_models::detect::mtcnn::{Mtcnn, Settings};

    #[test]
    fn three_stages_become_a_cascade_that_the_firmware_loads() {
        let schedule = |steps| Schedule {
            steps,
            batch: 32,
            lr: 0.02,
            clip: Some(1.0),
            fall: Fall::Cosine,
            rule: Rule::Nesterov,
            ..Schedule::default()
        };
        let config = Config {
            seed: 3,
            thresholds: Some([0.5, 0.4, 0.4]),
            landmark_looks: Some(2),
            data: Data { labels: vec![], empty: vec![], sure: 0.98, held_out: 0.0 },
            p: schedule(120),
            r: schedule(60),
            o: schedule(60),
        };
        let dir = tempfile::tempdir().unwrap();
        let all = Pictures { train: pictures(), held_out: vec![] };
        let go = |stop| {
            run(&config, &all, dir.path(), "test", 2, &Device::flex(), &AtomicBool::new(stop)).unwrap()
        };
        assert!(!go(true), "stopped in the first stage");
        assert!(go(false));
        assert!(go(true), "nothing is left to do");
        let manifest = Manifest::load(&dir.path().join(MODELS)).unwrap();
        let cascade = Mtcnn::load(&manifest, manifest.cascade().unwrap()).unwrap();
        assert_eq!(cascade.thresholds(), [0.5, 0.4, 0.4]);
        let looks = manifest.cascade().unwrap().map(|entry| entry.landmark_looks);
        assert_eq!(looks, [None, None, Some(2)]);
        let told = measure(&cascade, &Settings::door(), &all.train, 0.98, 1).unwrap();
        assert_eq!((told.faces, told.pictures), (3, 5));
        // Sixty steps make no detector, but faces are found first.
        assert!(told.recall(3).unwrap().0 > 0.5, "{told:?}");
    }
}

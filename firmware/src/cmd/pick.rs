//! `limen doctor --pick`: which of the model folder's embedders, and in which arithmetic, is the fastest on this very
//! machine, and the choice written into the configuration. int8 is the faster one on some processors and the slower one
//! on others; some ARM processors multiply in half precision too.

use std::fmt;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use limen_gallery_db::Gallery;
use limen_models::align::AlignedFace;
use limen_models::embed::Embedder;
use limen_models::image::RgbImage;
use limen_models::manifest::{Kind, Manifest};
use serde_json::json;

use crate::cmd::edit::{self, Field};
use crate::cmd::{Exit, Site};
use crate::config::Config;

/// Rounds in which each embedder runs once; the first two are not counted.
const ROUNDS: usize = 22;
const WARM_UP: usize = 2;
/// A choice is changed for a time below this share of the present one's: less is noise.
const CLEARLY: f64 = 0.95;

/// What may be chosen: an embedder by id, and whether it multiplies in half precision.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    id: String,
    half: bool,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&if self.half { format!("{}, half", self.id) } else { self.id.clone() })
    }
}

/// One embedder and how long it took, ms a round.
struct Contender {
    choice: Choice,
    model_id: String,
    embedder: Embedder,
    face: AlignedFace,
    rounds_ms: Vec<f64>,
}

impl Contender {
    fn median_ms(&self) -> f64 {
        let mut sorted = self.rounds_ms.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::INFINITY)
    }
}

/// Runs the command. `Exit::No` where the faster one would leave people unknown.
pub fn run(site: &Site, as_json: bool) -> Result<Exit> {
    let config = site.config()?;
    let manifest = Manifest::load(&config.models.folder)?;
    let id = manifest.select(config.embedder())?.embedder.id.clone();
    let now = Choice { id, half: config.models.half };
    let mut all = contenders(&manifest, config.decision.false_match_rate)?;
    for round in 0..ROUNDS {
        for one in &mut all {
            let start = Instant::now();
            one.embedder.embed(&one.face).with_context(|| format!("embedder {}", one.choice))?;
            if round >= WARM_UP {
                one.rounds_ms.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let times: Vec<(&Choice, f64)> = all.iter().map(|c| (&c.choice, c.median_ms())).collect();
    let fastest = choose(&now, &times, |_| true);
    let of = |id: &str| all.iter().find(|c| c.choice.id == id).map_or("", |c| c.model_id.as_str());
    // The same embedder knows the same people in either arithmetic.
    let known =
        if fastest.id == now.id { None } else { only_known_to(&config, of(&now.id), of(&fastest.id))? };
    let chosen = if known.is_some() { choose(&now, &times, |one| one.id == now.id) } else { fastest };
    for (choice, ms) in &times {
        let (is_now, is_chosen) = (**choice == now, *choice == chosen);
        if as_json {
            let Choice { id, half } = choice;
            crate::say!(
                "{}",
                json!({ "embedder": id, "half": half, "ms": ms, "now": is_now, "chosen": is_chosen })
            );
        } else {
            let marks = [(is_now, "now"), (is_chosen, "chosen")].into_iter().filter(|m| m.0).map(|m| m.1);
            crate::say!("{choice:<24} {ms:>8.2} ms  {}", marks.collect::<Vec<_>>().join(", "));
        }
    }
    if let Some(known) = known {
        eprintln!(
            "{} stays: {known} templates in {} were made with it, and {fastest}, which is faster, knows nobody by \
             them. To change, set models.embedder = \"{}\" and enrol everybody again",
            now.id,
            config.gallery.file.display(),
            fastest.id
        );
    }
    if *chosen == now {
        if known.is_some() {
            return Ok(Exit::No);
        }
        eprintln!("{now} stays");
        return Ok(Exit::Yes);
    }
    match &site.config {
        Some(path) => {
            let fields = vec![
                Field { name: "embedder", value: chosen.id.as_str().into(), is_default: false },
                // A file without the field says false already.
                Field { name: "half", value: chosen.half.into(), is_default: !chosen.half },
            ];
            edit::set(path, "models", fields)?;
            eprintln!(
                "{}: models.embedder = \"{}\", models.half = {}",
                path.display(),
                chosen.id,
                chosen.half
            );
        }
        None => eprintln!(
            "no --config FILE to write it into; put there: [models] embedder = \"{}\", half = {}",
            chosen.id, chosen.half
        ),
    }
    Ok(Exit::Yes)
}

/// The embedders that could stand at this door: those with a threshold for its false match rate.
fn contenders(manifest: &Manifest, fmr: f64) -> Result<Vec<Contender>> {
    let mut all = Vec::new();
    for entry in manifest.models().iter().filter(|m| m.kind == Kind::Embedder) {
        let selection = manifest.select(Some(&entry.id))?;
        if let Err(e) = selection.threshold(fmr) {
            eprintln!("{} is left out: {e}", entry.id);
            continue;
        }
        // What is in the picture does not change the time.
        let (width, height) = (entry.input.width, entry.input.height);
        let pixels: Vec<u8> = (0..width * height * 3).map(|i| (i * 7919 % 251) as u8).collect();
        let crop = RgbImage::new(width, height, pixels)?;
        let face = AlignedFace { crop, residual_px: 0.0, outside: 0.0 };
        let as_it_is = Some(Embedder::load(manifest, &selection)?);
        let in_half = Embedder::load(manifest, &selection)?.in_half();
        for (half, embedder) in [(false, as_it_is), (true, in_half)] {
            let Some(embedder) = embedder else { continue };
            let choice = Choice { id: entry.id.clone(), half };
            let (model_id, face) = (selection.model_id(), face.clone());
            all.push(Contender { choice, model_id, embedder, face, rounds_ms: Vec::new() });
        }
    }
    if all.is_empty() {
        bail!(
            "{}: no embedder has a threshold for decision.false_match_rate = {fmr}",
            manifest.path().display()
        );
    }
    Ok(all)
}

/// The fastest of those that `may` be chosen, but `now` where nothing is clearly faster.
fn choose<'a, T: PartialEq + ?Sized>(now: &'a T, times: &[(&'a T, f64)], may: impl Fn(&T) -> bool) -> &'a T {
    let present = times.iter().find(|(one, _)| *one == now).map_or(f64::INFINITY, |t| t.1);
    let fastest = times.iter().filter(|(one, _)| may(one)).min_by(|a, b| a.1.total_cmp(&b.1));
    fastest.filter(|(_, ms)| *ms < CLEARLY * present).map_or(now, |(one, _)| *one)
}

/// How many templates the gallery holds of model `now`, where it holds fewer of `next`; `None` where there is no gallery
/// yet, too.
fn only_known_to(config: &Config, now: &str, next: &str) -> Result<Option<u64>> {
    if !config.gallery.file.exists() {
        return Ok(None);
    }
    let templates = Gallery::open_read_only(&config.gallery.file)?.contents()?.templates;
    let of = |id: &str| templates.iter().find(|(model, _)| model.as_str() == id).map_or(0, |(_, n)| *n);
    Ok(Some(of(now)).filter(|n| *n > of(next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_changes_only_for_what_is_clearly_faster() {
        let any = |_: &str| true;
        assert_eq!(choose("a", &[("a", 4.0), ("b", 3.9), ("c", 5.0)], any), "a");
        assert_eq!(choose("a", &[("a", 4.0), ("b", 3.7), ("c", 3.6)], any), "c");
        assert_eq!(choose("b", &[("a", 4.0), ("b", 1.0)], any), "b");
        // The present one may have no threshold and not be measured.
        assert_eq!(choose("x", &[("a", 4.0)], any), "a");
        // Where people are known to some only, the fastest of these.
        assert_eq!(choose("a", &[("a", 4.0), ("a half", 3.0), ("c", 2.0)], |one| one != "c"), "a half");
        assert_eq!(choose("a", &[("a", 4.0), ("c", 2.0)], |one| one != "c"), "a");
    }
}

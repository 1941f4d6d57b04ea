//! A switch or a button on a GPIO line by the character device's uAPI v2: edges as the kernel saw them, without the bounces.

use std::time::Duration;

use gpiocdev::line::{Bias, EdgeDetection, EdgeKind, Value};
use gpiocdev::request::Request;

use super::v2;
use crate::inputs::{Sense, Wire};
use crate::relay::{ActiveLevel, RelayError};

/// A level that lasts for less is a bounce.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// Takes the line of `wire` as an input.
pub fn open(wire: &Wire) -> Result<Box<dyn Sense>, RelayError> {
    let bias = match wire.cut {
        ActiveLevel::High => Bias::PullUp,
        ActiveLevel::Low => Bias::PullDown,
    };
    let request = v2::request(&wire.line, |asked| {
        asked
            .as_input()
            .with_bias(bias)
            .with_edge_detection(EdgeDetection::BothEdges)
            .with_debounce_period(DEBOUNCE)
    })?;
    let name = format!("gpio:{}", wire.line);
    Ok(Box::new(Line { request, active: wire.active, last: None, name }))
}

struct Line {
    request: Request,
    active: ActiveLevel,
    /// `None` until it was read.
    last: Option<bool>,
    name: String,
}

impl Line {
    fn failed(&self, e: &gpiocdev::Error) -> RelayError {
        RelayError::Io { relay: self.name.clone(), doing: "reading the line", why: e.to_string() }
    }
}

impl Sense for Line {
    fn next(&mut self, limit: Duration) -> Result<Option<bool>, RelayError> {
        // A wait that fails, as by a signal, ends like one in vain: the level is read, and a line that is gone says so then.
        let waited = self.last.is_some() && self.request.wait_edge_event(limit).unwrap_or(false);
        let high = if waited {
            self.request.read_edge_event().map_err(|e| self.failed(&e))?.kind == EdgeKind::Rising
        } else {
            // Edges that came too many for the kernel's memory are made good for.
            self.request.lone_value().map_err(|e| self.failed(&e))? == Value::Active
        };
        let active = high == (self.active == ActiveLevel::High);
        Ok((self.last.replace(active) != Some(active)).then_some(active))
    }
}

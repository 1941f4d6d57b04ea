//! A gentler head for a run that diverged: the same one with a higher floor of lambda.

use super::{Annealing, HeadConfig};

/// Floor that a back-off begins from where a head anneals to the whole margin.
const LEAST: f64 = 1.0;

impl HeadConfig {
    /// The head with lambda's floor doubled `times` times; `None` for a head without a lambda.
    pub fn backed_off(&self, times: u32) -> Option<Self> {
        let mut head = self.clone();
        let lambda = annealing(&mut head)?;
        let factor = f64::from(2u32.saturating_pow(times));
        lambda.min = (lambda.min.max(LEAST) * factor).min(lambda.base);
        Some(head)
    }
}

fn annealing(head: &mut HeadConfig) -> Option<&mut Annealing> {
    match head {
        HeadConfig::ASoftmax(h) => Some(&mut h.lambda),
        HeadConfig::LSoftmax(h) => Some(&mut h.lambda),
        HeadConfig::SphereFacePlus(h) => annealing(&mut h.base),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_doubles_and_never_passes_the_base() {
        let floor = |times| {
            let head = HeadConfig::default().backed_off(times).unwrap();
            head.head().lambda(1_000_000).unwrap()
        };
        assert_eq!([floor(0), floor(1), floor(3), floor(12)], [5.0, 10.0, 40.0, 1000.0]);
        let plain: HeadConfig = serde_json::from_str(r#"{"kind": "arcface"}"#).unwrap();
        assert!(plain.backed_off(1).is_none());
    }
}

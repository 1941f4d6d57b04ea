//! How a camera's exposure time and gain follow from the light of the faces, which `meter.rs` measures. Pure; the controls
//! themselves are moved in `v4l2/controls.rs`.

use serde::{Deserialize, Serialize};

/// Who sees to the exposure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// The camera's own automatic, by the whole picture.
    #[default]
    Camera,
    /// Limen, by the faces.
    Faces,
}

/// The luma aimed at, of 0 to 255: about half way between the limits of `quality`, 35 and 225.
pub const TARGET: f32 = 120.0;
/// So near to it nothing is moved.
pub const BAND: f32 = 16.0;
/// The most by which one move changes the light. More would flicker, and overshoot where a picture was white all over.
const MOST: f64 = 1.5;
/// Frames from a move to the next look: cameras work on two or three at a time.
const SETTLE: u32 = 4;
/// By how much a camera's gain is taken to multiply the light from its least to its most; V4L2 gives gain no unit.
/// 8 (18 dB) lies between small webcams' 4 and good sensors' 16.
const GAIN_SPAN: f64 = 8.0;

/// A control of the camera: whole steps in a range, and by how much the light grows with them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Knob {
    least: i64,
    step: i64,
    /// Steps from `least` to the most.
    top: i64,
    /// Where it stands, in steps.
    at: i64,
    /// The light is proportional to the value less this.
    dark: f64,
}

/// What values a control takes, and where it stands; in the driver's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Values {
    /// The least.
    pub least: i32,
    /// The most.
    pub most: i32,
    /// From one to the next.
    pub step: i32,
    /// Where it stands.
    pub now: i32,
}

impl Knob {
    /// The exposure time: twice as long is twice as light.
    fn time(values: Values) -> Self {
        let knob = Self::new(values);
        // Drivers that count from 0 mean one step by it.
        Self { dark: if values.least > 0 { 0.0 } else { (knob.least - knob.step) as f64 }, ..knob }
    }

    /// The gain.
    fn gain(values: Values) -> Self {
        let knob = Self::new(values);
        let width = ((knob.top * knob.step) as f64).max(1.0);
        Self { dark: knob.least as f64 - width / (GAIN_SPAN - 1.0), ..knob }
    }

    fn new(Values { least, most, step, now }: Values) -> Self {
        let [least, most, step, now] = [least, most, step.max(1), now].map(i64::from);
        let top = ((most - least) / step).max(0);
        Self { least, step, top, at: ((now - least) / step).clamp(0, top), dark: 0.0 }
    }

    /// Its value, in the driver's units.
    fn value(&self) -> i32 {
        // Between the least and the most, which were i32.
        (self.least + self.at * self.step) as i32
    }

    /// In a unit of its own, more than 0.
    fn light(&self) -> f64 {
        f64::from(self.value()) - self.dark
    }

    /// Moved so that the light changes by `factor`, as nearly as may be; at least a step where there is one.
    fn moved(self, factor: f64) -> Self {
        let value = self.light() * factor + self.dark;
        let at = ((value - self.least as f64) / self.step as f64).round() as i64;
        let at = if at == self.at { at + if factor > 1.0 { 1 } else { -1 } } else { at };
        Self { at: at.clamp(0, self.top), ..self }
    }
}

/// A control that changes the light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Exposure time.
    Time,
    /// Gain.
    Gain,
}

/// Moves what the camera has of exposure time and gain until the faces are as light as they should be.
#[derive(Debug, Clone)]
pub struct Exposer {
    /// Time before gain.
    knobs: Vec<(Control, Knob)>,
    /// Frames until the next one that is looked at.
    settling: u32,
}

impl Exposer {
    /// Begins where the controls stand.
    pub fn new(time: Option<Values>, gain: Option<Values>) -> Self {
        let time = time.map(|values| (Control::Time, Knob::time(values)));
        let gain = gain.map(|values| (Control::Gain, Knob::gain(values)));
        Self { knobs: time.into_iter().chain(gain).collect(), settling: 0 }
    }

    /// After a frame in which what matters has this luma, 0 to 255: the control to be set, and its value in the driver's
    /// units, if there is something to be moved.
    pub fn step(&mut self, luma: f32) -> Option<(Control, i32)> {
        self.settling = self.settling.saturating_sub(1);
        if self.settling > 0 || (luma - TARGET).abs() <= BAND {
            return None;
        }
        let (luma, target) = (f64::from(luma).max(1.0), f64::from(TARGET));
        let factor = (target / luma).clamp(1.0 / MOST, MOST);
        let mut order: Vec<_> = self.knobs.iter_mut().collect();
        // Gain brings noise: it comes last and goes first.
        if factor < 1.0 {
            order.reverse();
        }
        for (control, knob) in order {
            let moved = knob.moved(factor);
            let then = luma * moved.light() / knob.light();
            // What brings it no nearer is left: a coarse control does not swing to and fro around the target.
            if moved != *knob && (then - target).abs() < (luma - target).abs() {
                *knob = moved;
                self.settling = SETTLE;
                return Some((*control, moved.value()));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(least: i32, most: i32, step: i32, now: i32) -> Values {
        Values { least, most, step, now }
    }

    /// Looks until a frame is looked at.
    fn look(exposer: &mut Exposer, luma: f32) -> Option<(Control, i32)> {
        (0..SETTLE).find_map(|_| exposer.step(luma))
    }

    #[test]
    fn time_follows_the_light_by_hand() {
        let mut exposer = Exposer::new(Some(values(1, 1000, 1, 100)), None);
        // 120 / 100 = 1.2 times as long.
        assert_eq!(look(&mut exposer, 100.0), Some((Control::Time, 120)));
        // Within the band: 136 - 120 = 16.
        assert_eq!(look(&mut exposer, 136.0), None);
        // 120 / 160 = 0.75.
        assert_eq!(look(&mut exposer, 160.0), Some((Control::Time, 90)));
        // Black or white: no more than 1.5 times, and never beyond its range.
        assert_eq!(look(&mut exposer, 0.0), Some((Control::Time, 135)));
        assert_eq!(look(&mut exposer, 255.0), Some((Control::Time, 90)));
        let mut short = Exposer::new(Some(values(1, 100, 1, 90)), None);
        assert_eq!(look(&mut short, 20.0), Some((Control::Time, 100)));
        assert_eq!(look(&mut short, 20.0), None);
    }

    #[test]
    fn gain_comes_last_and_goes_first() {
        let mut exposer = Exposer::new(Some(values(1, 120, 1, 100)), Some(values(0, 70, 1, 0)));
        assert_eq!(look(&mut exposer, 60.0), Some((Control::Time, 120)));
        // 0 to 70 is taken for 1 to 8 times: each unit is a tenth; 1.5 times is 5.
        assert_eq!(look(&mut exposer, 60.0), Some((Control::Gain, 5)));
        // 120 / 150 = 0.8 of 1.5 is 1.2 times: 2.
        assert_eq!(look(&mut exposer, 150.0), Some((Control::Gain, 2)));
        assert_eq!(look(&mut exposer, 200.0), Some((Control::Gain, 0)));
        // 1 / 1.5 of 120.
        assert_eq!(look(&mut exposer, 200.0), Some((Control::Time, 80)));
    }

    #[test]
    fn frames_that_may_show_the_old_light_are_not_looked_at() {
        let mut exposer = Exposer::new(Some(values(1, 1000, 1, 100)), None);
        let moves = (0..9).map(|_| exposer.step(60.0).is_some()).collect::<Vec<_>>();
        assert_eq!(moves, [true, false, false, false, true, false, false, false, true]);
    }

    #[test]
    fn a_coarse_control_does_not_swing() {
        // From 1 to 2 would be from 90 to 180.
        let mut exposer = Exposer::new(Some(values(1, 8, 1, 1)), None);
        assert_eq!(look(&mut exposer, 90.0), None);
        // From 0 to 1, which are one step and two.
        let mut exposer = Exposer::new(Some(values(0, 8, 1, 0)), None);
        assert_eq!(look(&mut exposer, 60.0), Some((Control::Time, 1)));
    }

    #[test]
    fn a_camera_without_controls_is_left_alone() {
        assert_eq!(look(&mut Exposer::new(None, None), 0.0), None);
        assert_eq!(look(&mut Exposer::new(Some(values(5, 5, 0, 9)), None), 0.0), None);
    }

    /// A camera with these controls, before a scene of this light.
    struct Linear {
        time: Values,
        gain: Values,
        light: f64,
    }

    impl Linear {
        fn luma(&self) -> f32 {
            let light = self.light * Knob::time(self.time).light() * Knob::gain(self.gain).light();
            light.min(255.0) as f32
        }

        /// Real cameras show the root of the light, about, and the gain of this one multiplies it by up to 16, by even
        /// factors: not what it is taken for.
        fn luma_of_a_real_one(&self) -> f32 {
            let gain =
                f64::from(self.gain.now - self.gain.least) / f64::from(self.gain.most - self.gain.least);
            let light = self.light * f64::from(self.time.now) * 16f64.powf(gain);
            (255.0 * light.powf(1.0 / 2.2)).min(255.0) as f32
        }

        fn set(&mut self, (control, value): (Control, i32)) {
            match control {
                Control::Time => self.time.now = value,
                Control::Gain => self.gain.now = value,
            }
        }
    }

    prop_compose! {
        fn any_values()(least in 0..50i32, width in 1..2000i32, step in 1..20i32, at in 0.0..1.0f64) -> Values {
            values(least, least + width, step, least + (at * f64::from(width)) as i32)
        }
    }

    proptest! {
        #[test]
        fn it_comes_nearer_with_every_move_and_rests_where_it_can_be(
            time in any_values(), gain in any_values(), light in 1e-6..10.0f64,
        ) {
            let mut camera = Linear { time, gain, light };
            let mut exposer = Exposer::new(Some(time), Some(gain));
            let off = |luma: f32| (luma - TARGET).abs();
            let mut before = camera.luma();
            let mut moves = 0;
            while let Some(moved) = look(&mut exposer, before) {
                camera.set(moved);
                let now = camera.luma();
                // What is black or white may stay so for a while.
                let clipped = !(1.0..255.0).contains(&now) && off(now) <= off(before);
                prop_assert!(off(now) < off(before) || clipped, "{before} to {now}");
                before = now;
                moves += 1;
                prop_assert!(moves < 200, "it does not rest");
            }
            // Off the target only where one step more would be as far on the other side, or there is none.
            if off(before) > BAND {
                let more = if before < TARGET { MOST } else { 1.0 / MOST };
                for knob in [Knob::time(camera.time), Knob::gain(camera.gain)] {
                    let next = knob.moved(1.0 + (more - 1.0) * 1e-9);
                    let then = f64::from(before.max(1.0)) * next.light() / knob.light();
                    prop_assert!(next.at == knob.at || (then - f64::from(TARGET)).abs() >= f64::from(off(before)) - 1e-3);
                }
            }
        }

        #[test]
        fn it_rests_before_a_real_camera_too(light in 1e-5..1.0f64, at in 1..666i32, gain in 0..255i32) {
            let (time, gain) = (values(1, 666, 1, at), values(0, 255, 1, gain));
            let mut camera = Linear { time, gain, light };
            let mut exposer = Exposer::new(Some(time), Some(gain));
            let moves = (0..100).map_while(|_| {
                camera.set(look(&mut exposer, camera.luma_of_a_real_one())?);
                Some(())
            });
            prop_assert!(moves.count() < 100, "it does not rest");
        }

        #[test]
        fn no_control_leaves_its_range(
            time in any_values(), gain in any_values(), lumas in prop::collection::vec(any::<f32>(), 1..50),
        ) {
            let mut exposer = Exposer::new(Some(time), Some(gain));
            for luma in lumas {
                let Some((control, value)) = look(&mut exposer, luma) else { continue };
                let Values { least, most, step, .. } = if control == Control::Time { time } else { gain };
                prop_assert!((least..=most).contains(&value) && (value - least) % step == 0, "{control:?} {value}");
            }
        }
    }
}

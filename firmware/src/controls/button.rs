//! A button: what it says when it is pressed, and not when it is let go.

use std::time::Duration;

use crate::controls::Input;
use crate::inputs::Sense;
use crate::relay::RelayError;

/// Waits until the button is pressed, `limit` at most. One that is held down when it is first read was not pressed.
pub fn press(
    sense: &mut dyn Sense,
    known: &mut bool,
    input: Input,
    limit: Duration,
) -> Result<Option<Input>, RelayError> {
    let Some(pressed) = sense.next(limit)? else { return Ok(None) };
    let first = !std::mem::replace(known, true);
    Ok((pressed && !first).then_some(input))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes in their order.
    struct Script(Vec<Option<bool>>);

    impl Sense for Script {
        fn next(&mut self, _: Duration) -> Result<Option<bool>, RelayError> {
            Ok(self.0.remove(0))
        }
    }

    #[test]
    fn each_press_counts_once_and_what_was_held_before_does_not() {
        let mut script = Script(vec![Some(true), Some(false), None, Some(true), Some(false), Some(true)]);
        let mut known = false;
        let told: Vec<_> =
            (0..6).map(|_| press(&mut script, &mut known, Input::Up, Duration::ZERO).unwrap()).collect();
        assert_eq!(told, [None, None, None, Some(Input::Up), None, Some(Input::Up)]);
    }
}

//! Which of several things somebody takes: by touching it, or by going through them with buttons to one in a frame.

use super::Input;

/// Which way buttons go through things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Keys: up goes on to the next.
    Keys,
    /// A list: the next stands below.
    List,
}

/// The thing that the ok button takes; none before a button was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Focus(Option<usize>);

impl Focus {
    /// On the first thing, where what led to it was a button.
    pub fn after(input: Input) -> Self {
        Self((!matches!(input, Input::Tap { .. })).then_some(0))
    }

    /// On the first thing, where there was one before.
    pub fn begin(&mut self) {
        *self = Self(self.0.map(|_| 0));
    }

    /// Which of `all` is taken by `input`: what a touch hits, or what ok is pressed on. The first button after a touch only
    /// shows where the frame is.
    pub fn take(
        &mut self,
        input: Input,
        all: usize,
        order: Order,
        hit: impl FnOnce((u32, u32)) -> Option<usize>,
    ) -> Option<usize> {
        if let Input::Tap { x, y } = input {
            self.0 = None;
            return hit((x, y)).filter(|at| *at < all);
        }
        let (Some(at), 1..) = (self.0, all) else {
            self.0 = Some(0);
            return None;
        };
        self.0 = Some(match (input, order) {
            (Input::Up, Order::Keys) | (Input::Down, Order::List) => (at + 1) % all,
            (Input::Up, Order::List) | (Input::Down, Order::Keys) => (at + all - 1) % all,
            _ => return Some(at).filter(|at| *at < all),
        });
        None
    }

    /// Where it is.
    pub fn at(self) -> Option<usize> {
        self.0
    }

    /// On which of `all` it is.
    pub fn of<T: Copy>(self, all: &[T]) -> Option<T> {
        self.0.and_then(|at| all.get(at)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buttons_go_round_and_the_first_only_shows_where() {
        let mut focus = Focus::default();
        let mut go = |input, order| (focus.take(input, 3, order, |_| None), focus.at());
        assert_eq!(go(Input::Ok, Order::Keys), (None, Some(0)));
        assert_eq!(go(Input::Up, Order::Keys), (None, Some(1)));
        assert_eq!(go(Input::Up, Order::List), (None, Some(0)));
        assert_eq!(go(Input::Up, Order::List), (None, Some(2)));
        assert_eq!(go(Input::Down, Order::List), (None, Some(0)));
        assert_eq!(go(Input::Down, Order::Keys), (None, Some(2)));
        assert_eq!(go(Input::Ok, Order::List), (Some(2), Some(2)));
        assert_eq!(go(Input::Tap { x: 1, y: 1 }, Order::List), (None, None));
    }

    #[test]
    fn a_touch_takes_what_it_hits_and_no_more_than_there_is() {
        let mut focus = Focus::after(Input::Ok);
        assert_eq!(focus.at(), Some(0));
        let tap = Input::Tap { x: 4, y: 5 };
        assert_eq!(focus.take(tap, 3, Order::List, |at| (at == (4, 5)).then_some(2)), Some(2));
        assert_eq!(focus.take(tap, 2, Order::List, |_| Some(2)), None);
        assert_eq!(Focus::after(tap).at(), None);
    }
}

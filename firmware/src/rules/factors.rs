//! What a person shows, and what is asked for: any "or" and "and" of face, card, PIN and pass.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One thing that a person shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Factor {
    /// The face before the camera.
    Face,
    /// A card, by a reader.
    Card,
    /// The person's own PIN.
    Pin,
    /// A pass that was issued, as a QR code.
    Pass,
}

impl Factor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Face, Self::Card, Self::Pin, Self::Pass];

    /// As rules write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Face => "face",
            Self::Card => "card",
            Self::Pin => "pin",
            Self::Pass => "pass",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of factors; in JSON a list of their words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Factor>", into = "Vec<Factor>")]
pub struct Factors(u8);

impl From<Vec<Factor>> for Factors {
    fn from(all: Vec<Factor>) -> Self {
        all.into_iter().fold(Self::NONE, Self::and)
    }
}

impl From<Factors> for Vec<Factor> {
    fn from(set: Factors) -> Self {
        set.iter().collect()
    }
}

impl Factors {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// One of them alone.
    pub const fn one(factor: Factor) -> Self {
        Self(factor.bit())
    }

    /// With this one as well.
    #[must_use]
    pub const fn and(self, factor: Factor) -> Self {
        Self(self.0 | factor.bit())
    }

    /// Whether it is among them.
    pub const fn has(self, factor: Factor) -> bool {
        self.0 & factor.bit() != 0
    }

    /// Whether all of these are among `others`.
    pub const fn within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    /// Those of these that are not among `others`.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// How many.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One by one, as [`Factor::ALL`] has them.
    pub fn iter(self) -> impl Iterator<Item = Factor> {
        Factor::ALL.into_iter().filter(move |f| self.has(*f))
    }
}

impl fmt::Display for Factors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, factor) in self.iter().enumerate() {
            f.write_str(if i > 0 { " + " } else { "" })?;
            f.write_str(factor.word())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Factors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

/// What is asked for: one of several sets, none of which is empty or holds another; in JSON as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Needs(Vec<Factors>);

impl TryFrom<String> for Needs {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Needs> for String {
    fn from(needs: Needs) -> Self {
        needs.to_string()
    }
}

impl Needs {
    /// The face alone: what is asked for where nobody wrote anything.
    pub fn face() -> Self {
        Self(vec![Factors::one(Factor::Face)])
    }

    /// Whether what was shown is enough.
    pub fn met_by(&self, shown: Factors) -> bool {
        self.0.iter().any(|set| set.within(shown))
    }

    /// What is still to be shown: the fewest that would be enough, the earlier written of two; nothing if it is enough.
    pub fn missing(&self, shown: Factors) -> Factors {
        self.0.iter().map(|set| set.without(shown)).min_by_key(|set| set.len()).unwrap_or(Factors::NONE)
    }

    /// Each set that is enough.
    pub fn sets(&self) -> &[Factors] {
        &self.0
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&sets.join(" or "))
    }
}

/// How deep parentheses may stand in each other.
const DEEPEST: usize = 8;

impl FromStr for Needs {
    type Err = String;

    /// `face or card + pin`, `(face or card) and pin`; "and" binds before "or".
    fn from_str(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut rest = tokens.as_slice();
        let sets = any(&mut rest, 0)?;
        match rest.first() {
            None => Ok(Self(shortest(sets))),
            Some(token) => Err(format!("{token:?} stands where \"or\", \"and\" or the end should; {HOW}")),
        }
    }
}

const HOW: &str = "write what is to be shown, such as: face or card + pin";

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let spaced: String = text
        .chars()
        .flat_map(|c| if "()+".contains(c) { vec![' ', c, ' '] } else { vec![c.to_ascii_lowercase()] })
        .collect();
    let tokens: Vec<String> = spaced.split_whitespace().map(str::to_owned).collect();
    if tokens.len() > 64 {
        return Err(format!("{} words, at most 64 are read; {HOW}", tokens.len()));
    }
    Ok(tokens)
}

/// Sets joined by "or".
fn any(rest: &mut &[String], depth: usize) -> Result<Vec<Factors>, String> {
    let mut sets = all(rest, depth)?;
    while rest.first().is_some_and(|t| t == "or") {
        *rest = &rest[1..];
        sets.extend(all(rest, depth)?);
    }
    // Here already, so that many of them in parentheses do not multiply.
    Ok(shortest(sets))
}

/// Sets joined by "and".
fn all(rest: &mut &[String], depth: usize) -> Result<Vec<Factors>, String> {
    let mut sets = one(rest, depth)?;
    while rest.first().is_some_and(|t| t == "and" || t == "+") {
        *rest = &rest[1..];
        let others = one(rest, depth)?;
        sets = sets.iter().flat_map(|a| others.iter().map(|b| Factors(a.0 | b.0))).collect();
    }
    Ok(sets)
}

fn one(rest: &mut &[String], depth: usize) -> Result<Vec<Factors>, String> {
    let Some((token, after)) = rest.split_first() else { return Err(format!("something is missing; {HOW}")) };
    *rest = after;
    if token == "(" {
        if depth == DEEPEST {
            return Err(format!("more than {DEEPEST} parentheses in each other; {HOW}"));
        }
        let sets = any(rest, depth + 1)?;
        return match rest.split_first() {
            Some((token, after)) if token == ")" => {
                *rest = after;
                Ok(sets)
            }
            _ => Err(format!("a \")\" is missing; {HOW}")),
        };
    }
    let known = Factor::ALL.into_iter().find(|f| f.word() == token);
    let factor = known.ok_or_else(|| format!("{token:?} is none of face, card, pin, pass; {HOW}"))?;
    Ok(vec![Factors::one(factor)])
}

/// Without those that ask for more than another does.
fn shortest(sets: Vec<Factors>) -> Vec<Factors> {
    let mut kept: Vec<Factors> = Vec::new();
    for set in sets {
        if !kept.iter().any(|k| k.within(set)) {
            kept.retain(|k| !set.within(*k));
            kept.push(set);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(all: &[Factor]) -> Factors {
        all.iter().fold(Factors::NONE, |set, f| set.and(*f))
    }

    #[test]
    fn what_is_written_is_what_is_asked_for() {
        use Factor::{Card, Face, Pass, Pin};
        let needs: Needs = "face or card + PIN".parse().unwrap();
        assert_eq!(needs.to_string(), "face or card + pin");
        assert!(needs.met_by(shown(&[Face])) && needs.met_by(shown(&[Pin, Card])));
        assert!(!needs.met_by(shown(&[Card, Pass])) && !needs.met_by(Factors::NONE));
        assert_eq!(needs.missing(shown(&[Card])), shown(&[Face]), "the earlier of two that are as short");
        let needs: Needs = "(face or card) and (pin or pass)".parse().unwrap();
        assert_eq!(needs.to_string(), "face + pin or face + pass or card + pin or card + pass");
        assert_eq!(needs.missing(shown(&[Card])), shown(&[Pin]));
        assert_eq!(needs.missing(shown(&[Card, Pass])), Factors::NONE);
        let needs: Needs = "face+pin or face or (card)".parse().unwrap();
        assert_eq!(needs.to_string(), "face or card", "a set that asks for more than another is none");
    }

    #[test]
    fn what_cannot_be_read_says_how_to_write_it() {
        for (text, said) in [
            ("", "missing"),
            ("face or", "missing"),
            ("face card", "\"card\" stands"),
            ("(face", "\")\" is missing"),
            ("face)", "\")\" stands"),
            ("iris", "\"iris\" is none of"),
            ("or face", "\"or\" is none of"),
            (&"(".repeat(40), "more than 8"),
            (&"face or ".repeat(40), "at most 64"),
        ] {
            let error = text.parse::<Needs>().unwrap_err();
            assert!(error.contains(said) && error.contains("face or card + pin"), "{text}: {error}");
        }
    }

    /// An expression as a tree, which says by itself whether it is met.
    #[derive(Debug, Clone)]
    enum Tree {
        Leaf(Factor),
        Any(Vec<Tree>),
        All(Vec<Tree>),
    }

    impl Tree {
        fn met_by(&self, shown: Factors) -> bool {
            match self {
                Self::Leaf(f) => shown.has(*f),
                Self::Any(trees) => trees.iter().any(|t| t.met_by(shown)),
                Self::All(trees) => trees.iter().all(|t| t.met_by(shown)),
            }
        }

        fn text(&self) -> String {
            let joined = |trees: &[Self], word| trees.iter().map(Self::text).collect::<Vec<_>>().join(word);
            match self {
                Self::Leaf(f) => f.word().to_owned(),
                Self::Any(trees) => format!("({})", joined(trees, " or ")),
                Self::All(trees) => format!("({})", joined(trees, " + ")),
            }
        }
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let leaf = prop::sample::select(Factor::ALL.to_vec()).prop_map(Tree::Leaf);
        leaf.prop_recursive(3, 14, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Tree::Any),
                prop::collection::vec(inner, 1..4).prop_map(Tree::All),
            ]
        })
    }

    proptest! {
        #[test]
        fn sets_say_what_the_expression_says(tree in tree()) {
            let needs: Needs = tree.text().parse().unwrap();
            for bits in 0..16u8 {
                let shown = Factors(bits);
                prop_assert_eq!(needs.met_by(shown), tree.met_by(shown), "{} by {:?}", tree.text(), shown);
                let missing = needs.missing(shown);
                prop_assert!(needs.met_by(Factors(bits | missing.0)), "what is missing is enough");
                prop_assert_eq!(missing.is_empty(), needs.met_by(shown));
            }
            prop_assert!(!needs.met_by(Factors::NONE));
            prop_assert_eq!(needs.to_string().parse::<Needs>().unwrap(), needs);
        }
    }
}

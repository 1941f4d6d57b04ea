//! The memory of a search beside the index, kept from one search to the next.

use std::fmt;

use crate::search::Candidates;
use crate::search::codes::Code;
use crate::search::ranking::Ranking;
use crate::search::shortlist::Shortlist;

/// The memory that a search needs beside the index, for any index and any number of probes. A search in the workspace
/// of one that was as large asks for no more (save that more than 256 rows may matter to it).
#[derive(Default)]
pub struct Workspace {
    /// The probes of this search, and as many more as the largest one before had.
    asked: Vec<Asked>,
    /// How many are of this search.
    probes: usize,
    dots: Vec<i32>,
    ranking: Ranking,
}

/// One probe and what is found for it.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) code: Code,
    pub(super) list: Shortlist,
    pub(super) found: Candidates,
}

impl fmt::Debug for Workspace {
    /// Sizes only: the numbers are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workspace({} probes)", self.probes)
    }
}

impl Workspace {
    /// Begins a search for `probes` probes, for each of which nobody is found yet.
    pub(crate) fn begin(&mut self, probes: usize) {
        self.probes = probes;
        if self.asked.len() < probes {
            self.asked.resize_with(probes, Asked::default);
        }
        self.asked[..probes].iter_mut().for_each(|asked| asked.found.clear());
    }

    /// The probes, scratch for products, and scratch for the scores of one probe.
    pub(super) fn parts(&mut self) -> (&mut [Asked], &mut Vec<i32>, &mut Ranking) {
        (&mut self.asked[..self.probes], &mut self.dots, &mut self.ranking)
    }

    /// What was found for each probe, in their order, taken out.
    pub(crate) fn take(&mut self) -> Vec<Candidates> {
        self.asked[..self.probes].iter_mut().map(|asked| std::mem::take(&mut asked.found)).collect()
    }

    /// What was found for the first probe, of which there is one at least.
    pub(crate) fn first(&self) -> &Candidates {
        &self.asked[0].found
    }
}

//! Where GitHub's ETags follow the formula, as this node has seen it.

use crate::status::FormulaView;
use ghmesh_policy::etag::Hashed;
use ghmesh_policy::formula::Observation;
use ghmesh_policy::{FormulaBook, Read};
use http::HeaderMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The book of one node.
#[derive(Debug, Default)]
pub(crate) struct Formulas(Mutex<FormulaBook>);

impl Formulas {
    /// The request headers under GitHub's ETags of answers to `read`, where the formula is trusted.
    pub(crate) fn hashed(&self, read: &Read) -> Option<Hashed> {
        self.lock().hashed(read)
    }

    /// Takes the head of a 200 or 304 to `read` and what it told.
    pub(crate) fn saw(&self, read: &Read, headers: &HeaderMap, observation: Observation) {
        self.lock().saw(read, headers, observation);
    }

    /// All that was seen, for people.
    pub(crate) fn views(&self) -> Vec<FormulaView> {
        self.lock().rows().map(FormulaView::from).collect()
    }

    fn lock(&self) -> MutexGuard<'_, FormulaBook> {
        // A book is never half written: what a panic could leave out is one observation.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Where GitHub's ETags follow the formula, as this node has seen it.

use bytes::Bytes;
use ghmesh_policy::etag::{self, Hashed};
use ghmesh_policy::formula::FormulaBook;
use ghmesh_policy::routes::{self, Family};
use ghmesh_policy::Read;
use http::HeaderMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The book of one node.
#[derive(Debug, Default)]
pub(crate) struct Formulas(Mutex<FormulaBook>);

impl Formulas {
    /// The request headers under the ETags of a family's answers, where the formula is trusted.
    pub(crate) fn hashed(&self, family: Family, is_anonymous: bool) -> Option<Hashed> {
        self.lock().hashed(family, is_anonymous)
    }

    /// Compares a 200's own ETag with what the formula gives.
    pub(crate) fn note(&self, read: &Read, headers: &HeaderMap, body: &Bytes) {
        if let Some(holds) = etag::formula_holds(read, headers, body) {
            self.lock().note(routes::of(&read.target).family(), Hashed::of(headers), holds);
        }
    }

    fn lock(&self) -> MutexGuard<'_, FormulaBook> {
        // Every change is a single assignment, so a poisoned book is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

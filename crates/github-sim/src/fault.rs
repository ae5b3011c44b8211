//! Ways in which an answer can go wrong, chosen by the test.

use http::Method;
use serde::{Deserialize, Serialize};

/// One fault: which requests it hits and what happens to them. In JSON every field may be left out.
///
/// What happens, in this order: `status` replaces the answer, then `latency_ms` passes, then the connection suffers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    /// Path prefix of the requests it hits (as counted, so without `/api/v3`); empty for all.
    pub path: String,
    /// Method of the requests it hits; all when left out.
    pub method: Option<String>,
    /// How many requests it hits before it is over; without end when left out.
    pub times: Option<u64>,
    /// Which share of the requests it hits, 0 to 1, evenly spread: 0.25 hits the 4th, 8th, ….
    pub rate: f64,
    /// Milliseconds that the answer is delayed.
    pub latency_ms: u64,
    /// Answer with this status and a message in JSON, as GitHub's edge would; the request has no effect and no charge.
    pub status: Option<u16>,
    /// The body of that answer.
    pub body: Option<String>,
    /// Headers to set on the answer, whichever it is.
    pub headers: Vec<(String, String)>,
    /// Close the connection instead of answering; the request still has its effect and is counted.
    pub drop: bool,
    /// Never answer, keeping the connection open.
    pub stall: bool,
    /// Stop after so many bytes of the body, keeping the connection open.
    pub stall_body_after: Option<u64>,
    /// Close the connection after so many bytes of the body.
    pub truncate: Option<u64>,
    /// Say this `Content-Length`, whatever the body's length is.
    pub content_length: Option<u64>,
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            path: String::new(),
            method: None,
            times: None,
            rate: 1.0,
            latency_ms: 0,
            status: None,
            body: None,
            headers: Vec::new(),
            drop: false,
            stall: false,
            stall_body_after: None,
            truncate: None,
            content_length: None,
        }
    }
}

impl Fault {
    /// Answers with `status`.
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// Delays answers by so many milliseconds.
    pub fn latency(latency_ms: u64) -> Self {
        Self { latency_ms, ..Self::default() }
    }

    /// Closes the connection instead of answering.
    pub fn dropped() -> Self {
        Self { drop: true, ..Self::default() }
    }

    /// Never answers.
    pub fn stalled() -> Self {
        Self { stall: true, ..Self::default() }
    }

    /// The same fault for paths that begin so.
    #[must_use]
    pub fn on(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The same fault for so many requests.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }
}

/// A fault at work.
#[derive(Debug, Clone)]
pub(crate) struct Armed {
    pub(crate) fault: Fault,
    /// How far [`Fault::rate`] has got towards the next hit.
    due: f64,
}

impl From<Fault> for Armed {
    fn from(fault: Fault) -> Self {
        Self { fault, due: 0.0 }
    }
}

impl Armed {
    /// Whether it hits this request, which uses it up once if so.
    fn hits(&mut self, method: &Method, path: &str) -> bool {
        let fault = &mut self.fault;
        let method_fits = fault.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()));
        if !method_fits || !path.starts_with(&fault.path) || fault.times == Some(0) {
            return false;
        }
        self.due += fault.rate;
        // Binary fractions such as 0.1 don't add up to 1 exactly.
        if self.due < 1.0 - 1e-9 {
            return false;
        }
        self.due -= 1.0;
        fault.times = fault.times.map(|times| times - 1);
        true
    }
}

/// What hits one request: the first fault that does, if any.
pub(crate) fn pick(faults: &mut [Armed], method: &Method, path: &str) -> Option<Fault> {
    faults.iter_mut().find_map(|armed| armed.hits(method, path).then(|| armed.fault.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_spread_evenly_and_times_run_out() {
        let mut faults = [Armed::from(Fault { rate: 0.25, times: Some(2), ..Fault::status(500) }.on("/repos"))];
        let hit: Vec<usize> = (1..=20).filter(|_| pick(&mut faults, &Method::GET, "/repos/a/b").is_some()).collect();
        assert_eq!(hit, [4, 8]);
        assert!(pick(&mut faults, &Method::GET, "/user").is_none());
    }

    #[test]
    fn a_method_limits_a_fault() {
        let mut fault = Armed::from(Fault { method: Some("post".into()), ..Fault::dropped() });
        assert!(!fault.hits(&Method::GET, "/"));
        assert!(fault.hits(&Method::POST, "/"));
    }
}

//! The commands, one a file.

pub(crate) mod api;
pub(crate) mod demo;
pub(crate) mod parts;
pub(crate) mod report;
pub(crate) mod secret;
pub(crate) mod up;

//! The commands, one a file.

pub(crate) mod api;
mod daemon;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod id;
mod parts;
pub(crate) mod report;
pub(crate) mod secret;
mod secrets;
pub(crate) mod up;

//! `ghmesh secret new`.

use crate::exit::Exit;

/// Prints a new mesh secret.
pub(crate) fn new() -> Exit {
    println!("{}", ghmesh_seal::generate(rand::random()).as_str());
    Exit::Success
}

//! Keeps the process's memory to itself, before anything secret is read.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// TLS libraries write the keys of every connection into the file that this names.
const KEY_LOG: &str = "SSLKEYLOGFILE";

/// Starts the program anew without `SSLKEYLOGFILE`, if it is set, and forbids core dumps and debuggers of other processes.
///
/// The variable can't be removed from a running process without unsafe code, and a library may have read it by then.
///
/// # Errors
/// Where the program can't be started anew.
pub(crate) fn harden() -> std::io::Result<()> {
    if std::env::var_os(KEY_LOG).is_some() {
        let program = std::env::current_exe()?;
        let error = Command::new(program).args(std::env::args_os().skip(1)).env_remove(KEY_LOG).exec();
        return Err(error);
    }
    // A kernel that refuses either leaves the process as safe as any other of its user.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    Ok(())
}

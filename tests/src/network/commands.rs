//! The programs that make networks.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs `ip` and panics with what it says if it fails.
pub(super) fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {error}", arguments.join(" "));
}

/// What `ip` prints; nothing where it fails.
pub(super) fn ip_says(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `ip` for an effect that may be there already, as when something is removed for the second time.
pub(super) fn try_ip(arguments: &[&str]) -> bool {
    let status = Command::new("ip").args(arguments).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs a program in a namespace and panics with what it says if it fails.
pub(super) fn inside(namespace: &str, program: &[&str]) {
    let arguments: Vec<_> = ["netns", "exec", namespace].into_iter().chain(program.iter().copied()).collect();
    ip(&arguments);
}

/// Gives nftables in a namespace a script, which counts as a whole or not at all.
pub(super) fn nft(namespace: &str, script: &str) {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, "nft", "-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("iproute2 is installed");
    child.stdin.take().expect("it is piped").write_all(script.as_bytes()).expect("nft reads its script");
    let output = child.wait_with_output().expect("it was started");
    assert!(output.status.success(), "nft: {}in\n{script}", String::from_utf8_lossy(&output.stderr));
}

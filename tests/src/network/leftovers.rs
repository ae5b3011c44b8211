//! What killed runs left. Namespaces carry the id of the process that made them.

use super::commands::{ip_says, try_ip};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::sync::Once;

/// How the names of all namespaces begin that are made here.
const PREFIX: &str = "gm";

/// The beginning of a name for the `number`th LAN of this process.
pub(super) fn name(number: u32) -> String {
    format!("{PREFIX}{}x{number}", std::process::id())
}

/// What `ip netns exec` puts in the place of files in `/etc`.
pub(super) fn etc(namespace: &str) -> PathBuf {
    PathBuf::from("/etc/netns").join(namespace)
}

/// Removes a namespace and its files in `/etc`. Programs that run in it lose the network's other end, no more.
pub(super) fn remove(namespace: &str) {
    try_ip(&["netns", "del", namespace]);
    // Most have none.
    let _ = std::fs::remove_dir_all(etc(namespace));
}

/// Ends the programs and removes the namespaces of runs that are no more. Once a process.
pub(super) fn sweep() {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| {
        for line in ip_says(&["netns", "list"]).lines() {
            let namespace = line.split_whitespace().next().unwrap_or_default();
            if maker(namespace).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                end_programs(namespace);
                remove(namespace);
            }
        }
    });
}

/// The process that made a namespace of ours.
fn maker(namespace: &str) -> Option<u32> {
    namespace.strip_prefix(PREFIX)?.split_once('x')?.0.parse().ok()
}

fn end_programs(namespace: &str) {
    let pids = ip_says(&["netns", "pids", namespace]);
    for pid in pids.lines().filter_map(|pid| Pid::from_raw(pid.trim().parse().ok()?)) {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_of_ours_have_a_maker() {
        assert_eq!(maker(&name(3)), Some(std::process::id()));
        assert_eq!(maker("gm77x0h2"), Some(77));
        for foreign in ["", "gm", "gmx0", "gm7", "cni-77x0", "gmax0"] {
            assert_eq!(maker(foreign), None, "{foreign}");
        }
    }
}

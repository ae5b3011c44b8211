//! The networks that other tests are made of: that they vanish. Needs root.

use ghmesh_tests::network::{Delay, Lan, Uplink};
use std::process::Command;
use std::time::Duration;

fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A process that has ended, whose id is therefore nobody's for a while.
fn ended() -> u32 {
    let mut child = Command::new("true").spawn().expect("it is there");
    child.wait().expect("it ends");
    child.id()
}

#[test]
#[ignore = "needs root, for network namespaces"]
fn nothing_is_left_of_a_network_nor_of_one_whose_run_was_killed() {
    let killed = format!("gm{}x0h1", ended());
    ip(&["netns", "add", &killed]);
    let mut sleeper = Command::new("ip").args(["netns", "exec", &killed, "sleep", "600"]).spawn().expect("it starts");

    let made = std::panic::catch_unwind(|| {
        let mut lan = Lan::new();
        let mut site = lan.behind(Uplink::Routed);
        let host = site.add_host();
        site.add_far_host(Delay { least: Duration::from_millis(1), jitter: Duration::ZERO });
        site.lose(50);
        assert!(ip(&["netns", "list"]).contains(&host));
        std::panic::resume_unwind(Box::new("a test failed"));
    });
    assert!(made.is_err());

    let ours = format!("gm{}x", std::process::id());
    assert!(!ip(&["netns", "list"]).contains(&ours), "{}", ip(&["netns", "list"]));
    assert!(!ip(&["link"]).contains(&ours), "{}", ip(&["link"]));
    assert!(!ip(&["netns", "list"]).contains(&killed), "what was left is removed");
    let status = sleeper.wait().expect("it was started");
    assert!(!status.success(), "its program was ended: {status}");
}

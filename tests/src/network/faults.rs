//! What goes wrong with a network, and comes right again.
//!
//! All faults of a LAN are one set of rules in its switch, made anew with each change. Packets that a rule drops are gone
//! without a sign for either side.

use super::commands::{inside, ip, nft};
use super::lan::{Lan, port};
use std::collections::BTreeSet;
use std::fmt::Write;

/// What a firewall may block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP, and so QUIC and multicast discovery.
    Udp,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

/// What is wrong at present.
#[derive(Debug, Default)]
pub(super) struct Faults {
    silent: BTreeSet<usize>,
    parted: Vec<[String; 2]>,
    blocked: BTreeSet<Protocol>,
    lost_percent: u8,
    no_multicast: bool,
}

impl Lan {
    /// Nothing of these hosts, addresses or networks reaches those any more, nor the other way round.
    pub fn part(&mut self, these: &[String], those: &[String]) {
        self.faults.parted.push([these.join(", "), those.join(", ")]);
        self.apply();
    }

    /// Ends every [`Lan::part`].
    pub fn mend(&mut self) {
        self.faults.parted.clear();
        self.apply();
    }

    /// Drops one packet in a hundred, or as many, at random.
    pub fn lose(&mut self, percent: u8) {
        self.faults.lost_percent = percent;
        self.apply();
    }

    /// Drops a whole protocol between hosts. What goes to the gateway and comes from it still passes.
    pub fn block(&mut self, protocol: Protocol) {
        self.faults.blocked.insert(protocol);
        self.apply();
    }

    /// Ends [`Lan::block`].
    pub fn unblock(&mut self, protocol: Protocol) {
        self.faults.blocked.remove(&protocol);
        self.apply();
    }

    /// Drops what is sent to many at once.
    pub fn drop_multicast(&mut self) {
        self.faults.no_multicast = true;
        self.apply();
    }

    /// Nothing of this host gets anywhere, and nothing gets to it; or all does again.
    pub fn silence(&mut self, host: &str, silent: bool) {
        let index = self.index(host);
        if silent {
            self.faults.silent.insert(index)
        } else {
            self.faults.silent.remove(&index)
        };
        self.apply();
    }

    /// Pulls the host's cable, which it notices, or plugs it in again.
    pub fn pull_cable(&self, host: &str, pulled: bool) {
        let state = if pulled { "down" } else { "up" };
        ip(&["-n", &self.name, "link", "set", &port(self.index(host)), state]);
    }

    /// Bounds what a host sends and what it receives, each to so many kilobits a second.
    pub fn limit_rate(&self, host: &str, kilobits: u32) {
        let rate = format!("{kilobits}kbit");
        let queue = ["root", "tbf", "rate", &rate, "burst", "16kb", "latency", "400ms"];
        for (namespace, device) in [(&*self.name, &*port(self.index(host))), (host, "eth0")] {
            inside(namespace, &[&["tc", "qdisc", "replace", "dev", device], &queue[..]].concat());
        }
    }

    fn apply(&self) {
        nft(&self.name, &self.faults.script(&self.gateway()));
    }
}

impl Faults {
    /// The rules, in place of those before.
    fn script(&self, gateway: &str) -> String {
        format!(
            "add table bridge faults\ndelete table bridge faults\ntable bridge faults {{\n\
             chain entering {{ type filter hook prerouting priority -300;\n{}}}\n\
             chain leaving {{ type filter hook postrouting priority 300;\n{}}}\n}}\n",
            self.entering(gateway),
            self.leaving(),
        )
    }

    fn entering(&self, gateway: &str) -> String {
        let mut rules = String::new();
        let mut rule = |text: String| writeln!(rules, "{text} drop").expect("a String takes all");
        self.silent.iter().for_each(|index| rule(format!("iifname {}", port(*index))));
        for [these, those] in &self.parted {
            rule(format!("ip saddr {{ {these} }} ip daddr {{ {those} }}"));
            rule(format!("ip saddr {{ {those} }} ip daddr {{ {these} }}"));
        }
        for protocol in &self.blocked {
            rule(format!("ip protocol {} ip saddr != {gateway} ip daddr != {gateway}", protocol.name()));
        }
        if self.no_multicast {
            rule("ip daddr 224.0.0.0/4".to_owned());
        }
        if self.lost_percent > 0 {
            rule(format!("ether type ip numgen random mod 100 < {}", self.lost_percent));
        }
        rules
    }

    fn leaving(&self) -> String {
        self.silent.iter().map(|index| format!("oifname {} drop\n", port(*index))).collect()
    }
}

//! Sites joined by routers: two that are cut off from each other, many nodes behind one address, and two that only gossip joins. Needs
//! root.

use futures::future::join_all;
use ghmesh_github_sim::{Fault, Sim, tokens};
use ghmesh_tests::cluster::{Over, github, item, node, percentile, spread};
use ghmesh_tests::network::{Lan, Uplink};
use ghmesh_tests::{Daemon, client, eventually, within};
use http::Method;
use std::time::{Duration, Instant};

const ISSUE: &str = "/repos/octo/hello/issues/1";
const OTHER_ISSUE: &str = "/repos/octo/hello/issues/2";

async fn connected_to_exactly(daemons: &[Daemon], count: u64) {
    for daemon in daemons {
        let peers = async || (daemon.count("connected_peers").await == count).then_some(());
        within(Duration::from_secs(60), &format!("each is connected to {count}"), peers).await;
    }
}

async fn retitle(daemon: &Daemon, issue: &str, title: &str) {
    let write = client::request(Method::PATCH, issue, Some(tokens::ALICE));
    let answer = daemon.send(write, serde_json::json!({ "title": title }).to_string()).await;
    assert_eq!(answer.status, 200);
}

async fn title(daemon: &Daemon, issue: &str) -> String {
    daemon.get(issue, tokens::ALICE).await.json()["title"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn two_sites_go_on_apart_and_are_one_mesh_again_that_knows_what_either_stored_and_wrote() {
    let mut backbone = Lan::new();
    let github = github(&backbone).await;
    let mut sites = [backbone.behind(Uplink::Routed), backbone.behind(Uplink::Routed)];
    let hosts: Vec<(usize, String)> = (0..6).map(|number| (number / 3, sites[number / 3].add_host())).collect();
    let first = Over::Tcp.addresses(&sites[0].address(&hosts[0].1));
    let hows = hosts.iter().map(|(_, host)| node(&github, host, Over::Tcp).with("GHMESH_MESH__BOOTSTRAP", &first));
    let mut daemons: Vec<Daemon> = hows.map(|how| how.spawn()).collect();
    for daemon in &mut daemons {
        daemon.ready().await;
    }
    connected_to_exactly(&daemons, 5).await;
    for daemon in &daemons {
        assert_ne!(title(daemon, ISSUE).await, "written in the east");
        assert_ne!(title(daemon, OTHER_ISSUE).await, "written in the west");
    }
    assert_eq!(github.counters().calls(), 2, "one mesh");

    backbone.part(&[sites[0].network()], &[sites[1].network()]);
    connected_to_exactly(&daemons, 2).await;
    let (east, west) = daemons.split_at(3);
    each_side_goes_on(&github, east, west).await;
    retitle(&east[0], ISSUE, "written in the east").await;
    retitle(&west[0], OTHER_ISSUE, "written in the west").await;

    backbone.mend();
    connected_to_exactly(&daemons, 5).await;
    for daemon in &daemons {
        for (issue, written) in [(ISSUE, "written in the east"), (OTHER_ISSUE, "written in the west")] {
            eventually(written, async || (title(daemon, issue).await == written).then_some(())).await;
        }
    }
    let calls = github.counters().calls();
    for (daemon, number) in west.iter().map(|daemon| (daemon, 1)).chain(east.iter().map(|daemon| (daemon, 2))) {
        let has_it = async || daemon.holds(&item(number), tokens::ALICE).await.then_some(());
        eventually("what the other side stored comes unasked", has_it).await;
        let answer = daemon.get(&item(number), tokens::ALICE).await;
        assert!(answer.is_hit(), "{}", answer.header("cache-status"));
    }
    assert_eq!(github.counters().calls(), calls, "nothing is fetched again");
}

/// Both fetch for themselves, once each, and one of them what the other does not know.
async fn each_side_goes_on(github: &Sim, east: &[Daemon], west: &[Daemon]) {
    let calls = github.counters().calls();
    for (side, number) in [(east, 1), (west, 2)] {
        for daemon in side {
            assert_eq!(daemon.get(&item(number), tokens::ALICE).await.status, 200);
        }
    }
    for daemon in east.iter().chain(west) {
        assert_eq!(daemon.get(&item(3), tokens::ALICE).await.status, 200);
    }
    assert_eq!(github.counters().calls(), calls + 4, "each side makes one call for what it needs");
}

/// Fleets that are measured; `GHMESH_TEST_FLEETS` says otherwise, as in `5,20,60`. More than sixteen nodes behind one address
/// are what default peer scores drive out of a mesh.
const FLEETS: &str = "5,20";
/// Records of which each is measured at every other node.
const RECORDS: usize = 20;
/// Nodes that start at once: deriving keys takes 128 MiB each.
const AT_ONCE: usize = 4;
/// How long a large fleet may take to connect all with all on a machine under load.
const FORMATION: Duration = Duration::from_secs(180);

/// Nodes behind one address, on one host, and one outside that sees them all come from there.
struct Crowd {
    outside: String,
    /// Where that listens.
    meeting: String,
    inside: String,
    /// Who is known to all: the one outside, and the first inside.
    contacts: String,
}

impl Crowd {
    fn new(lan: &mut Lan, site: &mut Lan) -> Self {
        let outside = lan.add_host();
        let meeting = Over::Tcp.addresses(&lan.address(&outside));
        Crowd::meeting(outside, meeting, site)
    }

    /// One at another site, with the same node outside.
    fn beside(&self, site: &mut Lan) -> Self {
        Crowd::meeting(self.outside.clone(), self.meeting.clone(), site)
    }

    fn meeting(outside: String, meeting: String, site: &mut Lan) -> Self {
        let inside = site.add_host();
        let contacts = format!("{meeting},/ip4/{}/tcp/20000", site.address(&inside));
        Crowd { outside, meeting, inside, contacts }
    }

    /// The node inside with this number, from 1.
    fn inside(&self, github: &Sim, number: usize) -> Daemon {
        let listen = format!("/ip4/0.0.0.0/tcp/{}", 19_999 + number);
        let how = node(github, &self.inside, Over::Tcp).with("GHMESH_MESH__LISTEN", &listen);
        how.with("GHMESH_MESH__BOOTSTRAP", &self.contacts).spawn()
    }

    /// Starts so many inside, a few at a time.
    async fn fill(&self, github: &Sim, count: usize) -> Vec<Daemon> {
        let mut daemons = Vec::new();
        while daemons.len() < count {
            let numbers = daemons.len() + 1..=(daemons.len() + AT_ONCE).min(count);
            let mut started: Vec<Daemon> = numbers.map(|number| self.inside(github, number)).collect();
            for daemon in &mut started {
                daemon.ready().await;
                daemon.address().await;
            }
            daemons.append(&mut started);
        }
        daemons
    }
}

async fn connected_to_at_least(daemons: &[Daemon], count: usize) {
    let began = Instant::now();
    for daemon in daemons {
        let all = async || (daemon.count("connected_peers").await >= count as u64).then_some(());
        within(FORMATION, &format!("each is connected to {count}"), all).await;
    }
    println!("{} nodes: each was connected to {count} {:?} after the last had started", daemons.len(), began.elapsed());
}

/// Starts so many, and waits until all are connected to all.
async fn start(github: &Sim, crowd: &Crowd, count: usize) -> Vec<Daemon> {
    let mut daemons = vec![node(github, &crowd.outside, Over::Tcp).start().await];
    daemons.extend(crowd.fill(github, count - 1).await);
    connected_to_at_least(&daemons, count - 1).await;
    daemons
}

/// Starts one more node, which has nothing: how long after it has met somebody it has all that was measured.
async fn join_warm(github: &Sim, crowd: &Crowd, count: usize) -> Duration {
    let mut newcomer = crowd.inside(github, count);
    newcomer.ready().await;
    eventually("it has met somebody", async || (newcomer.count("connected_peers").await > 0).then_some(())).await;
    let met = Instant::now();
    for record in 0..RECORDS {
        let held = async || newcomer.holds(&item(record), tokens::ALICE).await.then_some(());
        eventually("it has what the others have", held).await;
    }
    met.elapsed()
}

/// From each of several nodes in turn, the one outside among them.
async fn measure(daemons: &[Daemon]) -> Vec<Duration> {
    let mut all = Vec::new();
    for record in 0..RECORDS {
        let from = record * 7 % daemons.len();
        let others: Vec<&Daemon> =
            daemons.iter().enumerate().filter(|(number, _)| *number != from).map(|(_, daemon)| daemon).collect();
        all.extend(spread(&daemons[from], &others, &item(record)).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces"]
async fn many_nodes_behind_one_address_are_one_mesh_and_every_record_reaches_all_and_who_comes_late() {
    let fleets = std::env::var("GHMESH_TEST_FLEETS").unwrap_or_else(|_| FLEETS.to_owned());
    for count in fleets.split(',').map(|count| count.trim().parse::<usize>().expect("a number of nodes")) {
        let mut lan = Lan::new();
        let github = github(&lan).await;
        let mut site = lan.behind(Uplink::Masqueraded);
        let crowd = Crowd::new(&mut lan, &mut site);
        let daemons = start(&github, &crowd, count).await;
        let mut taken = measure(&daemons).await;
        let memory = daemons.iter().map(Daemon::memory).max().unwrap_or_default();
        println!(
            "{count} nodes: stored on one, held by another after {:?} (p50), {:?} (p99), {:?} (most); at most {memory} KiB each",
            percentile(&mut taken, 50),
            percentile(&mut taken, 99),
            percentile(&mut taken, 100),
        );
        assert_eq!(taken.len(), RECORDS * (count - 1));
        let seen_from_outside = daemons[0].admin("/_ghmesh/status").await.expect("it answers").json();
        assert_eq!(seen_from_outside["peers"].as_array().map(Vec::len), Some(count - 1), "nobody was driven out");
        println!(
            "{count} nodes: one more has it all {:?} after it met the first",
            join_warm(&github, &crowd, count).await
        );
        assert_eq!(github.counters().calls(), RECORDS as u64, "also for who came last");
    }
}

/// Nodes of each of two circles. Together they are more than one node has as neighbours, so that fetches are told to everybody.
const CIRCLE: usize = 36;
/// Keys that are asked for in one circle, and a little later in the other.
const KEYS: usize = 10;
/// Nodes of each circle that ask: two cores would not answer them all within a lookup's time.
const ASKERS: usize = 4;
/// How long GitHub takes, and how much later the other circle asks: less than anybody waits for what all are told of, before it is known
/// how long GitHub takes.
const SLOW: Duration = Duration::from_millis(800);
const LATER: Duration = Duration::from_millis(400);

/// Two sites behind routers, of which nobody reaches the other's nodes: they hear of each other by gossip alone, through one node
/// outside.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for network namespaces; starts 73 daemons: see tests/long/two-circles.sh"]
async fn measure_what_two_circles_ask_that_only_gossip_joins() {
    let mut lan = Lan::new();
    let github = github(&lan).await;
    let mut sites = [lan.behind(Uplink::Masqueraded), lan.behind(Uplink::Masqueraded)];
    let west = Crowd::new(&mut lan, &mut sites[0]);
    let east = west.beside(&mut sites[1]);
    let _outside = node(&github, &west.outside, Over::Tcp).start().await;
    let circles = [west.fill(&github, CIRCLE).await, east.fill(&github, CIRCLE).await];
    for circle in &circles {
        connected_to_at_least(circle, CIRCLE).await;
        for daemon in circle {
            let fleet = async || (daemon.count("fleet_size").await == 2 * CIRCLE as u64 + 1).then_some(());
            within(FORMATION, "each has heard of all", fleet).await;
            assert_eq!(daemon.count("connected_peers").await, CIRCLE as u64, "the other circle is out of reach");
        }
    }
    github.set_faults(vec![Fault::latency(SLOW.as_millis() as u64)]);
    let calls = github.counters().calls();
    for number in 0..KEYS {
        let ask = async |circle: &[Daemon]| {
            let path = item(number);
            let askers = circle.iter().cycle().skip(number * ASKERS).take(ASKERS);
            let answers = join_all(askers.map(|daemon| daemon.get(&path, tokens::ALICE))).await;
            assert!(answers.iter().all(|answer| answer.status == 200));
        };
        let later = async {
            tokio::time::sleep(LATER).await;
            ask(&circles[1 - number % 2]).await;
        };
        tokio::join!(ask(&circles[number % 2]), later);
    }
    let calls = github.counters().calls() - calls;
    let mut in_vain = 0;
    for daemon in circles.iter().flatten() {
        in_vain += daemon.count("fail_opens").await;
    }
    println!(
        "{} nodes, {KEYS} keys: {ASKERS} of one circle ask, {ASKERS} of the other {LATER:?} later: {calls} calls, {in_vain} lookups in vain",
        2 * CIRCLE + 1
    );
    // Two for each key is what circles make that don't hear of each other's calls.
    assert!(2 * calls < 3 * KEYS as u64, "{calls} calls for {KEYS} keys, {in_vain} lookups in vain");
}

//! `ghmesh demo`: three nodes and a simulated GitHub in one process tree; a short story of who asked, who answered, and what
//! GitHub was charged. It ends well only if every figure is what it should be.
//!
//! Nothing leaves the machine: the simulated GitHub and all nodes listen on loopback, in a temporary directory.

mod stage;

use crate::exit::Exit;
use anyhow::Context;
use ghmesh_github_sim::Fault;
use http::Method;
use stage::{Stage, Told};
use std::fmt;
use std::time::Duration;

/// How long an answer is fresh in the demo: short, so that expiry can be shown.
const TTL: Duration = Duration::from_secs(3);

const REPOSITORY: &str = "/repos/octo/hello";
const RELEASE: &str = "/repos/octo/hello/releases/latest";
const ISSUE: &str = "/repos/octo/hello/issues/1";

/// What a part of the story is to cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    calls: u64,
    charged: u64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.calls == 1 { "call" } else { "calls" };
        write!(f, "{} {plural} to GitHub, {} charged", self.calls, self.charged)
    }
}

/// Keeps the account of the story.
#[derive(Default)]
struct Story {
    number: u32,
    wrong: Vec<String>,
}

/// Tells the story.
pub(crate) async fn run() -> anyhow::Result<Exit> {
    println!("ghmesh demo: three nodes and a simulated GitHub, on this machine alone.\n");
    let stage = Stage::set(TTL).await.context("the demo could not be set up")?;
    println!("   Nodes A, B and C run, and have found each other by a shared secret.\n");
    let mut story = Story::default();
    tell(&mut story, &stage).await?;
    let exit = story.end(&stage).await?;
    stage.strike().await;
    Ok(exit)
}

async fn tell(story: &mut Story, stage: &Stage) -> anyhow::Result<()> {
    story.act("Node A asks for a repository. Nobody has it, so A asks GitHub, and tells the others.");
    story.expect(stage, &[("A", REPOSITORY, "fetched")], Cost { calls: 1, charged: 1 }).await?;

    story.act("B and C ask for the same. A's answer is there already.");
    stage.spread(REPOSITORY).await?;
    story.expect(stage, &[("B", REPOSITORY, "peer"), ("C", REPOSITORY, "peer")], Cost { calls: 0, charged: 0 }).await?;

    story.act("All three ask for a release in the same instant. One is told to fetch, two wait for it.");
    story.together(stage, RELEASE, Cost { calls: 1, charged: 1 }).await?;

    story.act("Their answers expire. C asks again with the ETag: GitHub says 304, which is free.");
    stage.expire().await;
    story.expect(stage, &[("C", REPOSITORY, "confirmed")], Cost { calls: 1, charged: 0 }).await?;

    story.act("B reads an issue, A changes it, B reads it again: the change is there at once.");
    story.expect(stage, &[("B", ISSUE, "fetched")], Cost { calls: 1, charged: 1 }).await?;
    story.write(stage).await?;

    story.act("GitHub goes down, the answers expire. A still answers, and says that the answer is old.");
    stage.expire().await;
    stage.github_fails(vec![Fault::status(502)]);
    story.expect(stage, &[("A", RELEASE, "stale")], Cost { calls: 3, charged: 0 }).await?;
    stage.github_fails(Vec::new());
    Ok(())
}

impl Story {
    fn act(&mut self, text: &str) {
        self.number += 1;
        println!("{}. {text}", self.number);
    }

    /// Asks, one after the other, and compares who answered and what it cost.
    async fn expect(&mut self, stage: &Stage, asked: &[(&str, &str, &str)], cost: Cost) -> anyhow::Result<()> {
        let before = stage.spent();
        for (node, path, expected) in asked {
            let told = stage.ask(node, Method::GET, path, "").await?;
            println!("   {node} GET {path}  →  {told}");
            self.check(told.kind() == *expected, format!("{node} GET {path}: expected {expected}, got {told}"));
        }
        self.account(stage, before, cost);
        Ok(())
    }

    /// Asks all nodes at once: one fetches, the others are answered by it.
    async fn together(&mut self, stage: &Stage, path: &str, cost: Cost) -> anyhow::Result<()> {
        let before = stage.spent();
        let asked = ["A", "B", "C"].map(|node| async move { (node, stage.ask(node, Method::GET, path, "").await) });
        let mut kinds = Vec::new();
        for (node, told) in futures::future::join_all(asked).await {
            let told = told?;
            println!("   {node} GET {path}  →  {told}");
            kinds.push(told.kind());
        }
        kinds.sort_unstable();
        self.check(kinds == ["fetched", "peer", "peer"], format!("GET {path} from all at once: got {kinds:?}"));
        self.account(stage, before, cost);
        Ok(())
    }

    /// A changes what B has read.
    async fn write(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let (before, heard) = (stage.spent(), stage.heard("B").await?);
        let title = "Changed by the demo";
        let told = stage.ask("A", Method::PATCH, ISSUE, &serde_json::json!({ "title": title }).to_string()).await?;
        println!("   A PATCH {ISSUE}  →  {told}");
        stage.hears_more("B", heard).await?;
        let told = stage.ask("B", Method::GET, ISSUE, "").await?;
        println!("   B GET {ISSUE}  →  {told}: {:?}", told.title());
        self.check(told.title() == title, format!("B read {:?} after A had written {title:?}", told.title()));
        self.account(stage, before, Cost { calls: 2, charged: 2 });
        Ok(())
    }

    fn account(&mut self, stage: &Stage, before: Cost, expected: Cost) {
        let after = stage.spent();
        let spent = Cost { calls: after.calls - before.calls, charged: after.charged - before.charged };
        println!("   {spent}\n");
        self.check(spent == expected, format!("part {}: expected {expected}; it was {spent}", self.number));
    }

    fn check(&mut self, right: bool, otherwise: String) {
        if !right {
            self.wrong.push(otherwise);
        }
    }

    /// The totals, and whether they are what they should be.
    async fn end(mut self, stage: &Stage) -> anyhow::Result<Exit> {
        let totals = stage.totals().await?;
        let spent = stage.spent();
        println!("In all:");
        println!("   requests answered        {}", totals.requests);
        println!("   from nodes' own entries  {}", totals.local_hits);
        println!("   from peers               {}", totals.peer_hits);
        println!("   calls to GitHub          {}", spent.calls);
        println!("   charged by GitHub        {}", spent.charged);
        println!("   saved                    {}", totals.saved);
        let counted = totals.hits == totals.local_hits + totals.peer_hits;
        self.check(counted, "the nodes' hits are not the sum of their local and peer hits".to_owned());
        self.check(
            totals.requests == stage.asked(),
            format!("{} requests were made, {} counted", stage.asked(), totals.requests),
        );
        self.check(
            totals.spent == spent,
            format!("the nodes count {}; the simulated GitHub counts {spent}", totals.spent),
        );
        if self.wrong.is_empty() {
            println!("\nEvery figure is what it should be.");
            return Ok(Exit::Success);
        }
        println!("\nThis is not as it should be:");
        self.wrong.iter().for_each(|wrong| println!("   {wrong}"));
        Ok(Exit::Failure)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.kind() {
            "fetched" => "from GitHub",
            "confirmed" => "own copy, confirmed by GitHub with a 304",
            "peer" => "from a peer",
            "local" => "own copy",
            "stale" => "own copy, expired, as GitHub gives no answer",
            "passed" => "passed on to GitHub",
            other => other,
        };
        write!(f, "{} {words}", self.status().as_u16())
    }
}

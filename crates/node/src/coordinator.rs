//! Runs `fleet`: feeds it what flights and members say and carries out what it decides.
//!
//! One task owns the state machine. Nothing is awaited in it: questions to members and reads of the store run in tasks that
//! report back as commands.

use crate::clock::Clock;
use crate::exchange::Exchange;
use ghmesh_fleet::{
    Answer, AskId, Config, Counters, FetchReason, Fleet, Input, InquiryId, LookupId, Output, Reply, Standing, Subject,
};
use ghmesh_mesh::{Mesh, Replier};
use ghmesh_model::wire::{Request, Response, Shared};
use ghmesh_model::{MemberId, Millis, time::millis};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Commands that wait for the task. When it is full, a flight goes to the origin alone and a member is answered *no*.
const COMMANDS: usize = 4096;

/// Steps of one lookup that wait for its flight. A lookup has few; what does not fit is not needed.
const STEPS: usize = 16;

/// How long a push to a member may take. Its receiver has asked for it and waits.
const PUSH_DEADLINE: Duration = Duration::from_secs(2);

/// What a flight is told.
#[derive(Debug)]
pub(crate) enum Step {
    /// These records answer it, if they can be verified.
    Use {
        /// Who sent them.
        from: MemberId,
        /// A `Stored`, and the `Revalidated` that extended it.
        records: Vec<Shared>,
    },
    /// Read the store again; [`Search::go_on`] if that is not enough.
    Check,
    /// Tell the whole fleet of the fetch that comes next.
    Announce,
    /// Go to the origin.
    Fetch(FetchReason),
    /// Records of what was fetched for other credentials; they permit nothing.
    Learn(Vec<Shared>),
}

/// What the task receives.
pub(crate) enum Command {
    Lookup { lookup: LookupId, subject: Subject, max_age: Duration, follow: bool, steps: mpsc::Sender<Step> },
    Input(Input),
    Answered { ask: AskId, from: MemberId, answer: Option<Response> },
    Inquired { from: MemberId, subject: Subject, lease: bool, on_hand: OnHand, replier: Replier },
}

/// What the store has for a member that asks.
#[derive(Debug, Default)]
pub(crate) struct OnHand {
    /// The records of a validation that is young enough.
    pub(crate) held: Option<Vec<Shared>>,
    /// Records of the same key for other credentials.
    pub(crate) known: Vec<Shared>,
}

/// Speaks to the task. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Coordinator {
    commands: mpsc::Sender<Command>,
    lookups: Arc<AtomicU64>,
    view: Arc<Mutex<View>>,
}

/// What others may see of the state machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// Its counters.
    pub(crate) counters: Counters,
    /// Members that it takes into account.
    pub(crate) members: u64,
    /// Those that it uses for less than everything.
    pub(crate) standings: BTreeMap<MemberId, Standing>,
}

impl Coordinator {
    /// Starts the task. It ends when every handle is gone.
    /// `follow`: a body that was fetched for one credential can help another.
    pub(crate) fn start(mesh: Mesh, exchange: Exchange, clock: Clock, follow: bool) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let view = Arc::new(Mutex::new(View::default()));
        let coordinator = Coordinator { commands, lookups: Arc::default(), view: view.clone() };
        let fleet = Fleet::new(Config { me: mesh.member(), follow });
        let task = Task {
            fleet,
            mesh,
            exchange,
            clock,
            commands: coordinator.commands.downgrade(),
            view,
            flights: HashMap::new(),
            answers: HashMap::new(),
            inquiries: HashMap::new(),
            last_inquiry: 0,
        };
        tokio::spawn(task.run(inbox));
        coordinator
    }

    /// Begins to look for `subject` among the members. `follow`: what is fetched for another credential would help.
    pub(crate) async fn search(&self, subject: Subject, max_age: Duration, follow: bool) -> Search {
        let lookup = LookupId(self.lookups.fetch_add(1, Ordering::Relaxed));
        let (steps, receiver) = mpsc::channel(STEPS);
        // Where the task is overloaded the command is lost, the sender with it, and the search says: fetch.
        let _ = self.commands.try_send(Command::Lookup { lookup, subject, max_age, follow, steps });
        Search { lookup: Some(lookup), steps: receiver, commands: self.commands.clone() }
    }

    /// Passes on what happened. Lost when the task is overloaded: then lookups end by their deadlines.
    pub(crate) fn tell(&self, input: Input) {
        let _ = self.commands.try_send(Command::Input(input));
    }

    /// Passes on a member's question and what the store has on it.
    pub(crate) fn inquire(&self, from: MemberId, subject: Subject, lease: bool, on_hand: OnHand, replier: Replier) {
        // Dropping the replier answers "no".
        let _ = self.commands.try_send(Command::Inquired { from, subject, lease, on_hand, replier });
    }

    /// What the state machine knows and has counted.
    pub(crate) fn view(&self) -> View {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One lookup under way. Dropping it ends the lookup with nothing to share.
pub(crate) struct Search {
    lookup: Option<LookupId>,
    steps: mpsc::Receiver<Step>,
    commands: mpsc::Sender<Command>,
}

impl Search {
    /// One that no task knows; with what it tells.
    #[cfg(test)]
    pub(crate) fn alone() -> (Self, mpsc::Receiver<Command>) {
        let (commands, inbox) = mpsc::channel(STEPS);
        let (_, steps) = mpsc::channel(1);
        (Search { lookup: Some(LookupId(1)), steps, commands }, inbox)
    }

    /// What to do next. Every search comes to a [`Step::Fetch`] if nothing else ends it.
    pub(crate) async fn next(&mut self) -> Step {
        self.steps.recv().await.unwrap_or(Step::Fetch(FetchReason::FailOpen))
    }

    /// What the last [`Step::Use`] brought is of no use.
    pub(crate) fn refuse(&self) {
        if let Some(lookup) = self.lookup {
            let _ = self.commands.try_send(Command::Input(Input::Refused { lookup }));
        }
    }

    /// What the last [`Step::Check`] pointed to is not enough.
    pub(crate) fn go_on(&self) {
        if let Some(lookup) = self.lookup {
            let _ = self.commands.try_send(Command::Input(Input::Checked { lookup }));
        }
    }

    /// The store holds it now, without a call.
    pub(crate) fn found(mut self) {
        self.end(|lookup| Input::Found { lookup });
    }

    /// The origin confirmed it, and the store holds it now.
    pub(crate) fn fetched(mut self, took: Duration) {
        self.end(|lookup| Input::Fetched { lookup, took });
    }

    /// The origin answered, with what no other node may have.
    pub(crate) fn unshareable(mut self) {
        self.end(|lookup| Input::Ended { lookup, unshareable: true });
    }

    fn end(&mut self, input: impl Fn(LookupId) -> Input) {
        if let Some(lookup) = self.lookup.take() {
            let _ = self.commands.try_send(Command::Input(input(lookup)));
        }
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.end(|lookup| Input::Ended { lookup, unshareable: false });
    }
}

struct Task {
    fleet: Fleet,
    mesh: Mesh,
    exchange: Exchange,
    clock: Clock,
    /// Weak, so that the task ends with the last handle.
    commands: mpsc::WeakSender<Command>,
    view: Arc<Mutex<View>>,
    flights: HashMap<LookupId, mpsc::Sender<Step>>,
    /// Answers that `fleet` may decide to use in the very input that reports them.
    answers: HashMap<AskId, (MemberId, Vec<Shared>)>,
    inquiries: HashMap<InquiryId, (OnHand, Replier)>,
    last_inquiry: u64,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        loop {
            let deadline = self.fleet.next_deadline();
            // Answers that already lie in the inbox come before deadlines: a stalled task must not fail its lookups open.
            tokio::select! {
                biased;
                command = inbox.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                () = self.clock.sleep_until(deadline) => self.input(Input::Tick),
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Lookup { lookup, subject, max_age, follow, steps } => {
                self.flights.insert(lookup, steps);
                self.input(Input::Lookup { lookup, subject, max_age, follow });
            }
            Command::Input(input) => {
                self.forget(&input);
                self.input(input);
            }
            Command::Answered { ask, from, answer } => self.answered(ask, from, answer),
            Command::Inquired { from, subject, lease, on_hand, replier } => {
                self.last_inquiry += 1;
                let inquiry = InquiryId(self.last_inquiry);
                let held = on_hand.held.is_some();
                self.inquiries.insert(inquiry, (on_hand, replier));
                self.input(Input::Inquired { inquiry, from, subject, held, lease });
            }
        }
    }

    fn forget(&mut self, input: &Input) {
        if let Input::Found { lookup } | Input::Fetched { lookup, .. } | Input::Ended { lookup, .. } = input {
            self.flights.remove(lookup);
        }
    }

    fn answered(&mut self, ask: AskId, from: MemberId, answer: Option<Response>) {
        let answer = match answer {
            Some(Response::Have { records }) => {
                self.answers.insert(ask, (from, records));
                Some(Answer::Have)
            }
            Some(Response::Coming { wait_ms }) => Some(Answer::Coming { wait: Duration::from_millis(wait_ms) }),
            Some(Response::Lease { behind_ms, known, .. }) => {
                self.learn(ask, known);
                Some(Answer::Lease { behind: behind_ms.map(Duration::from_millis) })
            }
            Some(Response::Known { records }) => {
                self.learn(ask, records);
                Some(Answer::No)
            }
            Some(Response::No) => Some(Answer::No),
            Some(
                Response::Body { .. }
                | Response::Digest { .. }
                | Response::Pulled { .. }
                | Response::Proof { .. }
                | Response::Ok,
            )
            | None => None,
        };
        self.input(match answer {
            Some(answer) => Input::Answered { ask, answer },
            None => Input::AskFailed { ask },
        });
        self.answers.remove(&ask);
    }

    /// Hands what was fetched for other credentials to the flight for which it was asked.
    fn learn(&mut self, ask: AskId, known: Vec<Shared>) {
        if let Some(lookup) = self.fleet.asked_for(ask).filter(|_| !known.is_empty()) {
            self.step(lookup, Step::Learn(known));
        }
    }

    fn input(&mut self, input: Input) {
        let mut outputs = Vec::new();
        let now = self.clock.now();
        self.fleet.handle(input, now, &mut outputs);
        outputs.into_iter().for_each(|output| self.output(output));
        let (counters, members) = (self.fleet.counters(), self.fleet.members().count() as u64);
        let view = View { counters, members, standings: self.fleet.standings(now).collect() };
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = view;
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Ask { ask, to, subject, max_age, lease, deadline } => {
                self.ask(ask, to, subject, max_age, lease, deadline);
            }
            Output::Use { lookup, ask } => {
                if let Some((from, records)) = self.answers.remove(&ask) {
                    self.step(lookup, Step::Use { from, records });
                }
            }
            Output::Check { lookup } => self.step(lookup, Step::Check),
            Output::Fetch { lookup, reason } => self.step(lookup, Step::Fetch(reason)),
            Output::Announce { lookup } => self.step(lookup, Step::Announce),
            Output::Withdraw { subject, unshareable } => self.exchange.withdraw_fetch(subject, unshareable),
            Output::Reply { inquiry, reply } => self.reply(inquiry, reply),
            Output::Deliver { to, subject } => self.deliver(to, subject),
            Output::Release { to, subject: Subject { key, fingerprint }, unshareable } => {
                self.push(to, Request::Release { key, fingerprint, unshareable });
            }
            Output::Expel { member, span } => {
                tracing::warn!(%member, ?span, "a member misbehaves and is expelled");
                self.mesh.expel(member, span);
            }
        }
    }

    fn step(&mut self, lookup: LookupId, step: Step) {
        if let Some(steps) = self.flights.get(&lookup) {
            // A full channel already holds a step that makes the flight read the store or fetch.
            let _ = steps.try_send(step);
        }
    }

    fn ask(&self, ask: AskId, to: MemberId, subject: Subject, max_age: Duration, lease: bool, deadline: Millis) {
        let Subject { key, fingerprint } = subject;
        let request = Request::Have { key, fingerprint, max_age_ms: millis(max_age), lease };
        let limit = deadline.since(self.clock.now()).unwrap_or_default();
        let (mesh, commands) = (self.mesh.clone(), self.commands.clone());
        tokio::spawn(async move {
            let answer = mesh.ask(to, request, limit).await.ok();
            if let Some(commands) = commands.upgrade() {
                let _ = commands.send(Command::Answered { ask, from: to, answer }).await;
            }
        });
    }

    fn reply(&mut self, inquiry: InquiryId, reply: Reply) {
        let Some((OnHand { held, known }, replier)) = self.inquiries.remove(&inquiry) else { return };
        replier.reply(match (reply, held) {
            (Reply::Have, Some(records)) => Response::Have { records },
            (Reply::Have, None) | (Reply::No, _) if known.is_empty() => Response::No,
            (Reply::Have, None) | (Reply::No, _) => Response::Known { records: known },
            (Reply::Coming { wait }, _) => Response::Coming { wait_ms: millis(wait) },
            (Reply::Lease { span, behind }, _) => {
                Response::Lease { lease_ms: millis(span), behind_ms: behind.map(millis), known }
            }
        });
    }

    fn deliver(&self, to: MemberId, subject: Subject) {
        let (mesh, exchange) = (self.mesh.clone(), self.exchange.clone());
        tokio::spawn(async move {
            let Subject { key, fingerprint } = subject;
            let request = match exchange.records(subject, Duration::MAX) {
                Some(records) => Request::Deliver { records },
                // Evicted, or never shared: who waits is to go on.
                None => Request::Release { key, fingerprint, unshareable: false },
            };
            let _ = mesh.ask(to, request, PUSH_DEADLINE).await;
        });
    }

    fn push(&self, to: MemberId, request: Request) {
        let mesh = self.mesh.clone();
        tokio::spawn(async move { mesh.ask(to, request, PUSH_DEADLINE).await });
    }
}

#[cfg(test)]
mod tests;

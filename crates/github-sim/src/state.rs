//! Everything that requests share, and the way of one request through it: who asks, may they, what is it, what is charged.

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::json;

use crate::config::{Bases, Config, Settings};
use crate::counters::{Call, Counters, Upload};
use crate::fault::{Armed, Fault};
use crate::graphql;
use crate::http::{Cache, Finished, Reply, finish, request_id};
use crate::quota::{Exceeded, Quotas, Resource, points};
use crate::routes::{self, Ask};
use crate::text::{http_date, iso, now};
use crate::tokens::{Caller, Private, TokenKind, TokenSeed, TokenState, Tokens};
use crate::world::World;
use crate::world::seed::Seed;

/// The version an Enterprise Server says it has; clients look for 3.10 and later.
const ENTERPRISE_VERSION: &str = "3.14.2";

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) seed: Seed,
    pub(crate) world: World,
    pub(crate) tokens: Tokens,
    pub(crate) quotas: Quotas,
    pub(crate) counters: Counters,
    pub(crate) faults: Vec<Armed>,
    pub(crate) settings: Settings,
    /// Requests so far: makes request ids and tokens unlike.
    number: u64,
}

/// A request that has been read to its end.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Without Enterprise prefix, with the storage hosts' prefix.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) upload: Option<Upload>,
    /// The client's address without port.
    pub(crate) address: String,
}

/// An answer, and whose budget it was taken from.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) finished: Finished,
    pub(crate) bucket: String,
}

/// What one request came to.
struct Outcome {
    finished: Finished,
    charged: bool,
}

impl State {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            world: World::grow(&config.seed),
            tokens: Tokens::new(&config.seed.tokens),
            seed: config.seed.clone(),
            quotas: Quotas::default(),
            counters: Counters::default(),
            faults: config.faults.iter().cloned().map(Armed::from).collect(),
            settings: config.settings.clone(),
            number: 0,
        }
    }

    /// Everything as at the start, except settings and what is under way.
    pub(crate) fn start_over(&mut self) {
        self.world = World::grow(&self.seed);
        self.tokens = Tokens::new(&self.seed.tokens);
        self.quotas = Quotas::default();
        self.faults.clear();
        self.counters.reset();
    }

    /// Answers and counts a request. With a fault that sets the status, nothing else happens.
    pub(crate) fn answer(&mut self, asked: &Asked, own: &str, fault: Option<&Fault>) -> Answered {
        self.number += 1;
        let nobody = Caller::anonymous(&asked.address, self.settings.anonymous_limit);
        let known = self.tokens.identify(&asked.headers, &asked.address, self.settings.anonymous_limit);
        let label = known.as_ref().map_or_else(|| "unknown".to_owned(), |caller| caller.label.clone());
        // A credential that doesn't work uses up the address's budget.
        let working = known.as_ref().filter(|caller| caller.state == TokenState::Live);
        let payer = working.cloned().unwrap_or_else(|| nobody.clone());
        let resource = Resource::of(&asked.path);
        let time = now();
        let changes = resource == Resource::Graphql && graphql::price(&asked.body).1;
        let exceeded =
            self.quotas.begin(&payer, resource, points(&asked.method, resource, changes), &self.settings, time);
        let outcome = match (fault.and_then(|fault| Some((fault, fault.status?))), known) {
            (Some((fault, status)), _) => self.edge(asked, &nobody, status, fault),
            (None, None) => self.refuse(asked, &nobody),
            (None, Some(caller)) => match (exceeded, caller.state) {
                (Some(exceeded), _) if is_api(&asked.path) && asked.path != "/rate_limit" => {
                    self.limited(asked, &payer, exceeded)
                }
                (_, TokenState::Live) => self.route(asked, &caller, own),
                (_, TokenState::Expired) => self.expired(asked, &caller, &nobody, own),
                (_, TokenState::Revoked) => self.refuse(asked, &nobody),
            },
        };
        self.conclude(asked, &payer, &label, outcome, time)
    }

    /// Charges, counts and adds the headers that tell of both.
    fn conclude(&mut self, asked: &Asked, payer: &Caller, label: &str, outcome: Outcome, time: u64) -> Answered {
        let Outcome { mut finished, charged } = outcome;
        let resource = Resource::of(&asked.path);
        if charged {
            let points = if resource == Resource::Graphql { graphql::price(&asked.body).0.points } else { 1 };
            self.quotas.charge(payer, resource, points, time);
        }
        let mut add = |name: &'static str, value: String| {
            if let Ok(value) = value.parse() {
                finished.headers.insert(name, value);
            }
        };
        if is_api(&asked.path) {
            self.quotas
                .standing(payer, resource, time)
                .headers()
                .into_iter()
                .for_each(|(name, value)| add(name, value));
        }
        if self.settings.enterprise {
            add("x-github-enterprise-version", ENTERPRISE_VERSION.to_owned());
        }
        add("x-github-request-id", request_id(self.number));
        add("date", http_date(time));
        let status = finished.status;
        self.counters.record(Call {
            method: asked.method.to_string(),
            path: full_path(asked),
            token: label.to_owned(),
            status,
            charged,
            conditional: ["if-none-match", "if-modified-since"].iter().any(|name| asked.headers.contains_key(*name)),
            operation: (asked.path == "/graphql").then(|| graphql::operation_name(&asked.body)).flatten(),
        });
        Answered { finished, bucket: payer.bucket.clone() }
    }

    fn finish(&self, asked: &Asked, reply: Reply, caller: &Caller) -> Finished {
        let weak_turn = self.number.is_multiple_of(2);
        finish(reply, &asked.method, &asked.headers, caller, self.settings.etags, weak_turn)
    }

    /// The ordinary way.
    fn route(&mut self, asked: &Asked, caller: &Caller, own: &str) -> Outcome {
        let reply = self.reply(asked, caller, own);
        let api = reply.api;
        let finished = self.finish(asked, reply, caller);
        // "304 … does not count against your primary rate limit if the request was made while correctly authorized".
        let free = asked.path == "/rate_limit" || (finished.matched && !caller.is_anonymous());
        Outcome { charged: api && !free, finished }
    }

    fn reply(&mut self, asked: &Asked, caller: &Caller, own: &str) -> Reply {
        let bases = Bases::new(&self.settings, own);
        let (segments, query) = routes::split(&asked.path, asked.query.as_deref());
        let ask = Ask {
            method: &asked.method,
            path: &asked.path,
            segments,
            query,
            headers: &asked.headers,
            body: &asked.body,
            upload: asked.upload.as_ref(),
            caller,
            bases: &bases,
        };
        let names: Vec<&str> = ask.segments.iter().map(String::as_str).collect();
        match (asked.method.as_str(), names.as_slice()) {
            ("GET" | "HEAD", ["rate_limit"]) => {
                let overview = self.quotas.overview(caller, now());
                Reply { cache: Cache::Uncached, ..Reply::json(overview).untagged() }
            }
            ("POST", ["graphql"]) => {
                let standing = self.quotas.standing(caller, Resource::Graphql, now());
                graphql::answer(&mut self.world, caller, &bases.bodies, &asked.body, &standing)
            }
            ("POST", ["app", "installations", _, "access_tokens"]) => self.access_token(caller),
            _ => routes::storage(&ask).unwrap_or_else(|| routes::dispatch(&mut self.world, &ask)),
        }
    }

    /// What GitHub's edge says instead of an answer.
    fn edge(&self, asked: &Asked, nobody: &Caller, status: u16, fault: &Fault) -> Outcome {
        let reply = match &fault.body {
            Some(body) => Reply::bytes(body.clone(), "application/json; charset=utf-8").untagged().status(status),
            None if status == 304 => Reply::empty(304),
            None => Reply::error(
                status,
                http::StatusCode::from_u16(status).ok().and_then(|known| known.canonical_reason()).unwrap_or("Fault"),
            ),
        };
        Outcome { finished: self.finish(asked, reply, nobody), charged: false }
    }

    fn refuse(&self, asked: &Asked, nobody: &Caller) -> Outcome {
        let reply = Reply { cache: Cache::Absent, ..Reply::error(401, "Bad credentials") };
        Outcome { finished: self.finish(asked, reply, nobody), charged: is_api(&asked.path) }
    }

    /// Not even a conditional request gets through.
    fn limited(&mut self, asked: &Asked, payer: &Caller, exceeded: Exceeded) -> Outcome {
        let graphql = Resource::of(&asked.path) == Resource::Graphql;
        let whose = payer.login.as_deref().and_then(|login| self.world.account(login));
        let whose = whose.map_or_else(|| asked.address.clone(), |account| format!("user ID {}", account.id));
        let reply = match exceeded {
            Exceeded::Primary if graphql && !payer.is_anonymous() => {
                let message = format!("API rate limit exceeded for {whose}.");
                Reply::written(200, json!({"errors": [{"type": "RATE_LIMITED", "message": message}]}))
            }
            Exceeded::Primary => {
                Reply::error(self.settings.limited_status, &format!("API rate limit exceeded for {whose}."))
            }
            Exceeded::Secondary { retry_after } => {
                let message =
                    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
                Reply::error(self.settings.limited_status, message).header("retry-after", retry_after.to_string())
            }
        };
        Outcome { finished: self.finish(asked, reply, payer), charged: false }
    }

    /// An expired token still gets a 304 for what everybody may see; it is charged, and everything else is refused.
    fn expired(&mut self, asked: &Asked, caller: &Caller, nobody: &Caller, own: &str) -> Outcome {
        let safe = asked.method == Method::GET || asked.method == Method::HEAD;
        if safe && asked.headers.contains_key("if-none-match") {
            let without_rights = Caller { private: Private::None, ..caller.clone() };
            let reply = self.reply(asked, &without_rights, own);
            let public = reply.public;
            let finished = self.finish(asked, reply, &without_rights);
            if public && finished.matched {
                return Outcome { finished, charged: true };
            }
        }
        self.refuse(asked, nobody)
    }

    /// GitHub marks this answer, which holds a token, as public for a minute.
    fn access_token(&mut self, caller: &Caller) -> Reply {
        if !caller.app {
            return Reply::error(401, "A JSON web token could not be decoded");
        }
        let token = format!("ghs_{:036}", self.number);
        let all = self.world.repositories_of("octo").map(crate::world::Repository::full_name);
        self.tokens.put(TokenSeed {
            token: token.clone(),
            user: "octo".into(),
            kind: TokenKind::Installation,
            private: Private::Listed(all.collect()),
            label: Some(format!("installation-{}", self.number)),
            ..TokenSeed::default()
        });
        let body = json!({
            "token": token,
            "expires_at": iso(now() + 3_600),
            "permissions": {"metadata": "read", "contents": "write", "issues": "write"},
            "repository_selection": "all",
        });
        Reply { cache: Cache::Public, ..Reply::written(201, body) }
    }
}

/// Storage hosts have no limits.
fn is_api(path: &str) -> bool {
    !path.starts_with("/_")
}

/// The path as counters name it.
pub(crate) fn full_path(asked: &Asked) -> String {
    asked.query.as_ref().map_or_else(|| asked.path.clone(), |query| format!("{}?{query}", asked.path))
}

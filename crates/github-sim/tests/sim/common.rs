//! What the tests share: a simulator and a client for it.

use ghmesh_github_sim::{Config, Sim};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

/// A simulator and a client that sends what a plain library would.
pub(crate) struct Case {
    pub(crate) sim: Sim,
    pub(crate) client: Client,
}

impl Case {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { sim: Sim::start(config).await.unwrap(), client }
    }

    pub(crate) fn ask(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.sim.url()));
        if token.is_empty() { request } else { request.header("authorization", format!("token {token}")) }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Response {
        self.ask(Method::GET, path, token).send().await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str, token: &str) -> Value {
        json(self.get(path, token).await).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        let answer = self.ask(method, path, token).body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

pub(crate) async fn json(answer: Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

pub(crate) fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

//! Settings of the client, each with its default and where that comes from, and what is wrong with them.

use crate::breaker::BreakerConfig;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;
use url::Url;

/// Settings of [`crate::Origin`].
#[derive(Clone)]
pub struct Config {
    /// Longest time for name, connection and TLS together. Default 5 s: two lost SYNs (1 s + 2 s) still get through.
    pub connect_timeout: Duration,
    /// Longest time from the end of the request to the head of the answer, for a request without body including the
    /// connection. Default 20 s: GitHub ends what takes it longer than 10 s.
    pub header_timeout: Duration,
    /// Longest time without a byte moving, in either body. Default 30 s: a guess that outlasts Wi-Fi roaming.
    pub idle_timeout: Duration,
    /// Longest time for a request without body until the head of its answer, with all retries. Default 30 s: what gh and
    /// most clients' users wait; one slow answer and one retry fit.
    pub total_budget: Duration,
    /// Longest wait for one of the places that `max_in_flight_per_host` allows. Default 10 s: about 10 × GitHub's slow
    /// answers, and well before a client's own timeout.
    pub queue_timeout: Duration,
    /// Requests in flight per host, until the end of their answers; 1 to 10,000. Default 100: GitHub refuses more for one
    /// credential ("no more than 100 concurrent requests"), and most nodes have one.
    pub max_in_flight_per_host: usize,
    /// HTTP/1 connections per host that are kept for the next request. Default 16: HTTP/2, which GitHub speaks, needs one.
    pub max_idle_per_host: usize,
    /// PEM file with certificate authorities to trust in addition to the system's. Default none.
    pub extra_root_certificates: Option<PathBuf>,
    /// Proxy (`http://[user:password@]host:port`) that https connections are tunnelled through by CONNECT. Default none:
    /// the environment's `HTTP_PROXY` is not looked at, it may name this very daemon. Plain-http origins are private
    /// addresses and reached directly.
    pub proxy: Option<Url>,
    /// When a host that fails is left alone.
    pub breaker: BreakerConfig,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            connect_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(30),
            total_budget: Duration::from_secs(30),
            queue_timeout: Duration::from_secs(10),
            max_in_flight_per_host: 100,
            max_idle_per_host: 16,
            extra_root_certificates: None,
            proxy: None,
            breaker: BreakerConfig::default(),
        }
    }
}

/// Leaves the proxy's password out.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("connect_timeout", &self.connect_timeout)
            .field("header_timeout", &self.header_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("total_budget", &self.total_budget)
            .field("queue_timeout", &self.queue_timeout)
            .field("max_in_flight_per_host", &self.max_in_flight_per_host)
            .field("max_idle_per_host", &self.max_idle_per_host)
            .field("extra_root_certificates", &self.extra_root_certificates)
            .field("proxy", &self.proxy.as_ref().map(|proxy| (proxy.host_str(), proxy.port())))
            .field("breaker", &self.breaker)
            .finish()
    }
}

/// Everything that is wrong with a [`Config`], at once.
#[derive(Debug, Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))]
pub struct ConfigError(pub Vec<Problem>);

/// One thing that is wrong with a [`Config`].
#[derive(Debug, Error)]
pub enum Problem {
    /// A duration or count that must be more than nothing.
    #[error("origin.{setting} is 0; it must be more")]
    Zero {
        /// The setting's name below `origin`.
        setting: &'static str,
    },
    /// A duration that another one must outlast.
    #[error("origin.{longer} must not be less than origin.{shorter}")]
    Order {
        /// The setting that must be the longer one.
        longer: &'static str,
        /// The setting that it must contain.
        shorter: &'static str,
    },
    /// More than any host would bear.
    #[error("origin.max_in_flight_per_host is {given}; at most 10000 makes sense")]
    TooManyInFlight {
        /// What was given.
        given: usize,
    },
    /// A proxy of another kind than is supported.
    #[error("origin.proxy begins with {scheme}:; only http://[user:password@]host:port is supported")]
    ProxyScheme {
        /// The scheme that was given.
        scheme: String,
    },
    /// A proxy without a host.
    #[error("origin.proxy names no host; write http://[user:password@]host:port")]
    ProxyHost,
    /// The certificate file can't be read.
    #[error("origin.ca_file: {} can't be read: {source}", path.display())]
    CertificatesUnreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The certificate file isn't PEM, or holds no certificate, or one that is broken.
    #[error("origin.ca_file: {} holds no usable PEM certificate ({reason})", path.display())]
    CertificatesUnusable {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: rustls::pki_types::pem::Error,
    },
    /// A certificate can't be a root of trust.
    #[error("origin.ca_file: certificate {number} of {} is refused: {source}", path.display())]
    CertificateRefused {
        /// The file.
        path: PathBuf,
        /// Which of its certificates, from 1.
        number: usize,
        /// Why it was refused.
        source: rustls::Error,
    },
}

impl Config {
    /// What is wrong with the values themselves. Files are looked at when the client is built.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = self.zeros();
        problems.extend(self.orders());
        if self.max_in_flight_per_host > 10_000 {
            problems.push(Problem::TooManyInFlight { given: self.max_in_flight_per_host });
        }
        match &self.proxy {
            Some(proxy) if proxy.scheme() != "http" => {
                problems.push(Problem::ProxyScheme { scheme: proxy.scheme().to_owned() });
            }
            Some(proxy) if proxy.host_str().is_none_or(str::is_empty) => problems.push(Problem::ProxyHost),
            Some(_) | None => {}
        }
        problems
    }

    fn zeros(&self) -> Vec<Problem> {
        let settings = [
            ("connect_timeout", self.connect_timeout.is_zero()),
            ("header_timeout", self.header_timeout.is_zero()),
            ("idle_timeout", self.idle_timeout.is_zero()),
            ("total_budget", self.total_budget.is_zero()),
            ("queue_timeout", self.queue_timeout.is_zero()),
            ("max_in_flight_per_host", self.max_in_flight_per_host == 0),
            ("breaker.failures", self.breaker.failures == 0),
            ("breaker.open", self.breaker.open.is_zero()),
        ];
        settings.into_iter().filter(|(_, zero)| *zero).map(|(setting, _)| Problem::Zero { setting }).collect()
    }

    fn orders(&self) -> Vec<Problem> {
        let pairs = [
            (("header_timeout", self.header_timeout), ("connect_timeout", self.connect_timeout)),
            (("idle_timeout", self.idle_timeout), ("connect_timeout", self.connect_timeout)),
            (("total_budget", self.total_budget), ("header_timeout", self.header_timeout)),
            (("breaker.open_max", self.breaker.open_max), ("breaker.open", self.breaker.open)),
        ];
        let wrong = pairs.into_iter().filter(|((_, long), (_, short))| long < short);
        wrong.map(|((longer, _), (shorter, _))| Problem::Order { longer, shorter }).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound() {
        assert!(Config::default().problems().is_empty());
    }

    #[test]
    fn all_problems_are_told_at_once_by_the_settings_names() {
        let config = Config {
            connect_timeout: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            header_timeout: Duration::from_secs(60),
            max_in_flight_per_host: 20_000,
            proxy: Some("socks5://127.0.0.1:1080".parse().unwrap()),
            ..Config::default()
        };
        assert_eq!(
            ConfigError(config.problems()).to_string(),
            "origin.connect_timeout is 0; it must be more; origin.idle_timeout is 0; it must be more; \
             origin.total_budget must not be less than origin.header_timeout; \
             origin.max_in_flight_per_host is 20000; at most 10000 makes sense; \
             origin.proxy begins with socks5:; only http://[user:password@]host:port is supported"
        );
    }

    #[test]
    fn the_proxys_password_is_not_shown() {
        let config = Config { proxy: Some("http://me:hunter2@proxy:3128".parse().unwrap()), ..Config::default() };
        let shown = format!("{config:?}");
        assert!(shown.contains("proxy") && shown.contains("3128") && !shown.contains("hunter2"), "{shown}");
    }
}

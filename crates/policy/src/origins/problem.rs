//! What can be wrong with `origin.*` and `gateway.names`, in words that name the setting.

/// Longest part of a bad value that is repeated in a message, in characters.
const SHOWN: usize = 100;

/// One problem with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginsProblem {
    /// Not a host.
    #[error("origin.hosts: {entry:?} is not a host, or a host and a port: write api.github.com or ghe.example.com")]
    HostMalformed {
        /// As configured.
        entry: String,
    },
    /// The same host again.
    #[error("origin.hosts: {entry} is listed twice: remove one")]
    HostRepeated {
        /// As configured.
        entry: String,
    },
    /// The website's host in place of the API's.
    #[error("origin.hosts: github.com is the website; its API is api.github.com: write that")]
    HostIsWebsite,
    /// Not a host.
    #[error(
        "gateway.names: {entry:?} is not a host, or a host and a port: write the name that clients put in their base URL"
    )]
    NameMalformed {
        /// As configured.
        entry: String,
    },
    /// Not a URL.
    #[error(
        "origin.url: {url:?} is not a URL ({source}): write https://api.github.com or https://ghe.example.com/api/v3"
    )]
    UrlMalformed {
        /// As configured.
        url: String,
        /// What the URL parser says.
        source: url::ParseError,
    },
    /// Neither http nor https.
    #[error("origin.url: the scheme {scheme} is not spoken: use https (or http for an address that isn't public)")]
    UrlScheme {
        /// As configured.
        scheme: String,
    },
    /// A user or a password in the URL. Not repeated here.
    #[error("origin.url: remove the user and password from the URL; callers bring their own credentials")]
    UrlCredentials,
    /// A query or fragment.
    #[error("origin.url: {url:?} has a query or a fragment: remove it")]
    UrlQuery {
        /// As configured.
        url: String,
    },
    /// Credentials would cross a public network in clear text.
    #[error(
        "origin.url: http to {host} would send credentials in clear text: use https (http is only for loopback, private and \
         link-local addresses and localhost)"
    )]
    UrlInClear {
        /// Host of the URL.
        host: String,
    },
}

/// A value as a message may repeat it: shortened, and without what may be a password.
pub(super) fn shown(value: &str) -> String {
    let value = value.rsplit_once('@').map_or(value, |(_, host)| host);
    value.chars().take(SHOWN).collect()
}

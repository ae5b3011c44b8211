//! From options to requests: method, URL, headers, credential and body, and what a redirect or a next page makes of them.

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use serde_json::{Map, Value};

use super::body::{self, Files, Upload};
use super::environment::Environment;
use super::error::ApiError;
use super::options::Options;
use super::repository::Placeholders;
use super::transport::{Body, empty, full};
use super::{duration, fields, host, json, pages};

/// What gh calls the lifetime that `--cache` asks for; the daemon honours it and strips it.
const CACHE_LIFETIME: HeaderName = HeaderName::from_static("x-gh-cache-ttl");

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// A call, ready to be sent once or page by page.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) uri: Uri,
    headers: HeaderMap,
    payload: Payload,
    credential: Credential,
}

enum Payload {
    None,
    Bytes(Bytes),
    /// GraphQL's fields, kept because each page has its own cursor.
    Query(Map<String, Value>),
    /// Sent once; then nothing is left to send again.
    Upload(Option<Upload>),
}

/// The `Authorization` of a call and where it may go.
struct Credential {
    value: Option<HeaderValue>,
    /// The domain that it belongs to: it goes there and below, never elsewhere.
    domain: String,
    found: Found,
}

/// Whether a call has a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// From `-H`, a variable or gh.
    Yes,
    /// The host wants one and there is none.
    No,
    /// A foreign host, which is given none.
    NotWanted,
}

impl Call {
    /// Prepares the call: reads files, fills placeholders in, looks the credential up.
    pub(super) async fn prepare(options: &Options, environment: &mut Environment) -> Result<Self, ApiError> {
        let mut files = Files { directory: environment.directory.clone(), stdin: environment.stdin.take() };
        let environment = &*environment;
        let host = options.hostname.clone().unwrap_or_else(|| environment.default_host());
        let mut placeholders = Placeholders::new(environment, &host);
        let fields = read_fields(options, &mut placeholders, &mut files).await?;
        let endpoint = placeholders.fill(&options.endpoint).await?;

        let method = method(options, !fields.is_empty())?;
        let endpoint = endpoint_with_query(options, &method, endpoint, &fields);
        let uri = host::url(&host, &endpoint)?;
        let payload = payload(options, &method, fields, &mut files)?;
        let mut headers = headers(options, &method, &payload)?;
        let credential = Credential::find(&mut headers, environment, &host, &uri).await?;
        Ok(Self { method, uri, headers, payload, credential })
    }

    /// Whether a credential was found.
    pub(super) fn credential(&self) -> Found {
        self.credential.found
    }

    /// The request as it stands now.
    pub(super) fn request(&mut self) -> Result<Request<Body>, ApiError> {
        let body = self.body();
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(value) = self.credential.value.as_ref().filter(|_| self.credential.may_go_to(&self.uri)) {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        Ok(request)
    }

    fn body(&mut self) -> Body {
        match &mut self.payload {
            Payload::None => empty(),
            Payload::Bytes(bytes) => full(bytes.clone()),
            Payload::Query(fields) => full(graphql_body(fields)),
            Payload::Upload(upload) => upload.take().map_or_else(empty, |upload| body::stream(upload.reader)),
        }
    }

    /// Turns to where a redirect points, as Go's client does: 301, 302 and 303 make a GET of anything but HEAD, 307 and 308 keep
    /// method and body. False when the body is a stream that was already sent.
    pub(super) fn redirect(&mut self, status: StatusCode, location: &str) -> Result<bool, ApiError> {
        let keeps = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        if keeps && matches!(self.payload, Payload::Upload(None)) {
            return Ok(false);
        }
        let target = resolve(&self.uri, location)?;
        let downgraded = self.uri.scheme_str() == Some("https") && target.scheme_str() != Some("https");
        if downgraded || !self.credential.may_go_to(&target) {
            for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                self.headers.remove(name);
            }
        }
        if downgraded {
            self.credential.value = None;
        }
        if !keeps && !matches!(self.method, Method::GET | Method::HEAD) {
            self.method = Method::GET;
            self.payload = Payload::None;
            self.headers.remove(CONTENT_TYPE);
            self.headers.remove(CONTENT_LENGTH);
        }
        self.uri = target;
        Ok(true)
    }

    /// Turns to the next page of a REST list. An error when it is this page.
    pub(super) fn turn_to(&mut self, link: &str) -> Result<(), ApiError> {
        let next = host::absolute(link)?;
        if next == self.uri {
            return Err(ApiError::SamePage);
        }
        self.uri = next;
        Ok(())
    }

    /// Turns to the next page of a GraphQL connection. An error when it is this page.
    pub(super) fn turn_to_cursor(&mut self, cursor: &str) -> Result<(), ApiError> {
        let Payload::Query(fields) = &mut self.payload else { return Err(ApiError::SamePage) };
        let before = fields.insert("endCursor".to_owned(), Value::from(cursor));
        if before.is_some_and(|before| before == cursor) { Err(ApiError::SamePage) } else { Ok(()) }
    }
}

impl Credential {
    async fn find(headers: &mut HeaderMap, environment: &Environment, host: &str, uri: &Uri) -> Result<Self, ApiError> {
        let target = uri.host().unwrap_or_default();
        let domain = family(target, host);
        if headers.contains_key(AUTHORIZATION) {
            let domain = domain.unwrap_or_else(|| target.to_owned());
            return Ok(Self { value: None, domain, found: Found::Yes });
        }
        let Some(domain) = domain else {
            return Ok(Self { value: None, domain: target.to_owned(), found: Found::NotWanted });
        };
        let Some(token) = environment.token(&domain).await else {
            return Ok(Self { value: None, domain, found: Found::No });
        };
        // gh's own form, so that its entries and ours have one fingerprint.
        let value = HeaderValue::from_str(&format!("token {token}"));
        let mut value = value.map_err(|_| ApiError::Header { name: AUTHORIZATION.to_string() })?;
        value.set_sensitive(true);
        Ok(Self { value: Some(value), domain, found: Found::Yes })
    }

    fn may_go_to(&self, uri: &Uri) -> bool {
        uri.host().is_some_and(|host| host::belongs_to(host, &self.domain))
    }
}

/// The host whose credential `target` may be given: the host that is asked, or the GitHub that it belongs to.
fn family(target: &str, asked: &str) -> Option<String> {
    let asked = host::normalized(asked.split_once(':').map_or(asked, |(host, _port)| host));
    if host::belongs_to(target, &asked) {
        return Some(asked);
    }
    (!host::is_enterprise(target)).then(|| host::normalized(target))
}

async fn read_fields(
    options: &Options,
    placeholders: &mut Placeholders<'_>,
    files: &mut Files,
) -> Result<Map<String, Value>, ApiError> {
    let mut object = Map::new();
    for argument in &options.raw_fields {
        let field = fields::parse(argument)?;
        fields::insert(&mut object, &field, field.value.map(Value::from))?;
    }
    for argument in &options.fields {
        let field = fields::parse(argument)?;
        let value = match field.value {
            Some(text) => Some(typed(text, placeholders, files).await?),
            None => None,
        };
        fields::insert(&mut object, &field, value)?;
    }
    Ok(object)
}

async fn typed(text: &str, placeholders: &mut Placeholders<'_>, files: &mut Files) -> Result<Value, ApiError> {
    if let Some(file) = text.strip_prefix('@') {
        return files.read_text(file).map(Value::from);
    }
    match fields::typed(text) {
        Some(value) => Ok(value),
        None => Ok(Value::from(placeholders.fill(text).await?)),
    }
}

fn method(options: &Options, has_fields: bool) -> Result<Method, ApiError> {
    match &options.method {
        Some(method) => {
            let upper = method.to_ascii_uppercase();
            upper.parse().map_err(|_| ApiError::Method { method: method.clone() })
        }
        None if has_fields || options.input_file().is_some() => Ok(Method::POST),
        None => Ok(Method::GET),
    }
}

/// Fields go into the query of a GET, and of anything whose body is a file; pages are made as long as they may be.
fn endpoint_with_query(options: &Options, method: &Method, endpoint: String, fields: &Map<String, Value>) -> String {
    let sized = options.paginate && !options.is_graphql() && !fields.contains_key("per_page");
    let endpoint = if sized { pages::with_page_size(&endpoint) } else { endpoint };
    let in_query = *method == Method::GET || options.input_file().is_some();
    if !in_query || fields.is_empty() {
        return endpoint;
    }
    let separator = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{separator}{}", fields::query(fields))
}

fn payload(
    options: &Options,
    method: &Method,
    fields: Map<String, Value>,
    files: &mut Files,
) -> Result<Payload, ApiError> {
    if let Some(name) = options.input_file() {
        return files.open(name).map(|upload| Payload::Upload(Some(upload)));
    }
    if fields.is_empty() || *method == Method::GET {
        return Ok(Payload::None);
    }
    if options.is_graphql() {
        return Ok(Payload::Query(fields));
    }
    Ok(Payload::Bytes(json_body(Value::Object(fields))))
}

fn graphql_body(fields: &Map<String, Value>) -> Bytes {
    json_body(Value::Object(fields::graphql(fields.clone())))
}

fn json_body(value: Value) -> Bytes {
    let mut text = String::new();
    json::push_value(&mut text, &value);
    Bytes::from(text)
}

fn headers(options: &Options, method: &Method, payload: &Payload) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::new();
    for argument in &options.headers {
        let (name, value) = header(argument)?;
        headers.append(name, value);
    }
    // The URL says the host and the body its length: gh ignores or recomputes both.
    headers.remove(HOST);
    headers.remove(CONTENT_LENGTH);
    if !options.previews.is_empty() {
        let names = previews(&options.previews);
        headers.append(ACCEPT, names.parse().map_err(|_| ApiError::Header { name: names })?);
    }
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(concat!("ghmesh/", env!("CARGO_PKG_VERSION"))));
    if !matches!(payload, Payload::None) {
        headers.entry(CONTENT_TYPE).or_insert(JSON);
    }
    if let Payload::Upload(Some(Upload { length: Some(length), .. })) = payload {
        headers.insert(CONTENT_LENGTH, (*length).into());
    }
    add_lifetime(&mut headers, options, method);
    Ok(headers)
}

/// A lifetime only goes with what reads; a GraphQL mutation is told apart by the daemon, which has to parse it anyway.
fn add_lifetime(headers: &mut HeaderMap, options: &Options, method: &Method) {
    let reads = matches!(*method, Method::GET | Method::HEAD) || options.is_graphql();
    let lifetime = options.lifetime().filter(|_| reads).and_then(|lifetime| duration::format(lifetime).parse().ok());
    if let Some(lifetime) = lifetime {
        headers.insert(CACHE_LIFETIME, lifetime);
    }
}

fn header(argument: &str) -> Result<(HeaderName, HeaderValue), ApiError> {
    let (name, value) = argument.split_once(':').ok_or_else(|| ApiError::HeaderForm { header: argument.to_owned() })?;
    let invalid = || ApiError::Header { name: name.to_owned() };
    let parsed: HeaderName = name.trim().parse().map_err(|_| invalid())?;
    let mut value = HeaderValue::from_str(value.trim()).map_err(|_| invalid())?;
    value.set_sensitive(matches!(parsed, AUTHORIZATION | COOKIE | PROXY_AUTHORIZATION));
    Ok((parsed, value))
}

fn previews(names: &[String]) -> String {
    let media_type = |(index, name): (usize, &String)| {
        let suffix = if index == 0 { "+json" } else { "" };
        format!("application/vnd.github.{name}-preview{suffix}")
    };
    names.iter().enumerate().map(media_type).collect::<Vec<_>>().join(", ")
}

/// A `Location` relative to the request it answers.
fn resolve(base: &Uri, location: &str) -> Result<Uri, ApiError> {
    let joined = url::Url::parse(&base.to_string()).and_then(|base| base.join(location));
    Ok(host::absolute(joined.as_ref().map_or(location, url::Url::as_str))?)
}

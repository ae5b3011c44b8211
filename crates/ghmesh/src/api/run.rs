//! One `ghmesh api`: prepare, send, follow redirects and pages, print, and say how it ended.

use std::io::Write;

use http::header::{CONTENT_TYPE, LOCATION};
use http::{Method, Response, StatusCode};

use super::environment::Environment;
use super::error::ApiError;
use super::options::Options;
use super::output::Output;
use super::request::{Call, Found};
use super::transport::{Body, Transport};
use super::{body, failure, pages};

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0: GitHub answered with success, or whoever read our output went away.
    Success,
    /// 1: GitHub answered with an error or a redirect that can't be followed, or nothing could be asked or printed.
    Failure,
    /// 2: the arguments make no sense.
    Usage,
    /// 4: GitHub wants a credential (401) and there is none.
    CredentialNeeded,
}

impl ExitStatus {
    /// The number for `exit`.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::CredentialNeeded => 4,
        }
    }
}

/// Requests in a row that may be answered by a redirect; as many as Go's client sends.
const MOST_REDIRECTS: usize = 10;

/// Performs the call. Data goes to `stdout`, everything else to `stderr`.
pub async fn run(
    options: &Options,
    environment: &mut Environment,
    transport: &impl Transport,
    stdout: &mut (dyn Write + Send),
    stderr: &mut (dyn Write + Send),
) -> ExitStatus {
    let mut ending = call(options, environment, transport, stdout, stderr).await;
    // Buffers are emptied before the message, so that a terminal shows them in order.
    if let Err(error) = stdout.flush() {
        ending = ending.and(Err(ApiError::Output(error)));
    }
    match ending {
        Ok(status) => status,
        Err(error) if error.is_broken_pipe() => ExitStatus::Success,
        Err(error) => {
            tell(stderr, format_args!("ghmesh: {error}"));
            if error.is_usage() { ExitStatus::Usage } else { ExitStatus::Failure }
        }
    }
}

/// Writes a line for people. When even that fails there is nobody left to tell.
fn tell(stderr: &mut (dyn Write + Send), line: std::fmt::Arguments<'_>) {
    let _ = writeln!(stderr, "{line}");
}

async fn call(
    options: &Options,
    environment: &mut Environment,
    transport: &impl Transport,
    stdout: &mut (dyn Write + Send),
    stderr: &mut (dyn Write + Send),
) -> Result<ExitStatus, ApiError> {
    options.check()?;
    Output::new(options, environment, &mut std::io::sink())?;
    let mut call = Call::prepare(options, environment).await?;
    let mut output = Output::new(options, environment, stdout)?;
    if call.credential() == Found::No {
        let host = call.uri.host().unwrap_or_default();
        tell(
            stderr,
            format_args!("ghmesh: no credential for {host} (set GH_TOKEN, or run `gh auth login`): asking anonymously"),
        );
    }
    loop {
        let response = exchange(&mut call, transport).await?;
        let page = print(options, &call, &mut output, response).await?;
        if let Some(failure) = &page.failure {
            output.finish()?;
            tell(stderr, format_args!("gh: {failure}"));
            return Ok(page.status_of_failure(&call, stderr));
        }
        if !turn_page(options, &mut call, page.next)? {
            output.finish()?;
            return Ok(ExitStatus::Success);
        }
        if options.include {
            output.between()?;
        }
    }
}

/// Sends the request and follows redirects to an answer.
async fn exchange(call: &mut Call, transport: &impl Transport) -> Result<Response<Body>, ApiError> {
    for _ in 0..MOST_REDIRECTS {
        let response = transport.send(call.request()?).await?;
        let Some(location) = redirect(&response) else { return Ok(response) };
        if !call.redirect(response.status(), &location)? {
            return Ok(response);
        }
    }
    Err(ApiError::Redirects(MOST_REDIRECTS))
}

fn redirect(response: &Response<Body>) -> Option<String> {
    let redirects = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| redirects)?;
    location.to_str().ok().map(str::to_owned)
}

/// What is left of an answer once it is printed.
struct Page {
    status: StatusCode,
    failure: Option<String>,
    next: Option<Next>,
}

enum Next {
    Link(String),
    Cursor(String),
}

impl Page {
    fn status_of_failure(&self, call: &Call, stderr: &mut (dyn Write + Send)) -> ExitStatus {
        if self.status == StatusCode::UNAUTHORIZED && call.credential() == Found::No {
            tell(stderr, format_args!("ghmesh: this needs a credential: set GH_TOKEN, or run `gh auth login`"));
            return ExitStatus::CredentialNeeded;
        }
        ExitStatus::Failure
    }
}

async fn print(
    options: &Options,
    call: &Call,
    output: &mut Output<'_>,
    response: Response<Body>,
) -> Result<Page, ApiError> {
    if options.include {
        output.head(&response)?;
    }
    let (status, is_json) = (response.status(), is_json(&response));
    let failed = status.as_u16() > 299;
    let link = pages::next_link(response.headers()).filter(|_| options.paginate && !options.is_graphql());
    let mut page = Page { status, failure: None, next: link.map(Next::Link) };
    if status == StatusCode::NO_CONTENT || call.method == Method::HEAD {
        page.failure = failed.then(|| bare(status));
        return Ok(page);
    }

    let answers_in_band = is_json && (options.is_graphql() || status.as_u16() >= 400);
    let body = response.into_body();
    if !answers_in_band && (failed || !output.holds(is_json)) {
        output.stream(body).await?;
        page.failure = failed.then(|| bare(status));
        return Ok(page);
    }
    let document = body::collect(body).await?;
    if answers_in_band {
        page.failure = failure::message(&document, status).or_else(|| failed.then(|| bare(status)));
    }
    if page.failure.is_some() {
        output.raw(&document, is_json)?;
        return Ok(page);
    }
    if options.is_graphql() && options.paginate {
        page.next = pages::end_cursor(&document).map(Next::Cursor);
    }
    output.document(document, is_json)?;
    Ok(page)
}

/// The failure of an answer that explains nothing.
fn bare(status: StatusCode) -> String {
    format!("HTTP {}", status.as_u16())
}

/// gh's rule: `application/json`, `…+json`, with or without parameters.
fn is_json(response: &Response<Body>) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split_once(';').map_or(content_type, |(media_type, _)| media_type);
    media_type.ends_with("/json") || media_type.ends_with("+json")
}

/// Whether there is another page, to which the call now points.
fn turn_page(options: &Options, call: &mut Call, next: Option<Next>) -> Result<bool, ApiError> {
    match next {
        Some(Next::Link(link)) if options.paginate => call.turn_to(&link).map(|()| true),
        Some(Next::Cursor(cursor)) => call.turn_to_cursor(&cursor).map(|()| true),
        Some(Next::Link(_)) | None => Ok(false),
    }
}

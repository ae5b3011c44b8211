//! Bodies from files and standard input, and answers read whole, each with its bound.

use std::io::Read;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::error::ApiError;
use super::transport::{Body, BoxError};

/// Largest answer that is held whole, to be filtered, formatted or merged. What is only printed has no bound.
const MOST_HELD: usize = 512 << 20;

/// Largest value of one parameter. GitHub takes bodies up to 100 MiB.
const MOST_PARAMETER: usize = 100 << 20;

/// Bytes read at a time from a file.
const CHUNK: usize = 64 << 10;

/// Chunks of a file that wait to be sent; then reading waits.
const CHUNKS_WAITING: usize = 4;

/// A file to be sent, opened.
pub(super) struct Upload {
    /// Its bytes.
    pub(super) reader: Box<dyn Read + Send>,
    /// How many they are, when it is a regular file.
    pub(super) length: Option<u64>,
}

/// The files that arguments name, below a directory, and standard input, which can be read once.
pub(super) struct Files {
    pub(super) directory: PathBuf,
    pub(super) stdin: Option<Box<dyn Read + Send>>,
}

impl Files {
    /// Opens the file of `--input`; `-` is standard input.
    pub(super) fn open(&mut self, name: &str) -> Result<Upload, ApiError> {
        if name == "-" {
            let reader = self.stdin.take().ok_or(ApiError::StdinTwice)?;
            return Ok(Upload { reader, length: None });
        }
        let failed = |source| ApiError::File { name: name.to_owned(), source };
        let file = std::fs::File::open(self.directory.join(name)).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(std::io::ErrorKind::IsADirectory.into()));
        }
        Ok(Upload { length: metadata.is_file().then_some(metadata.len()), reader: Box::new(file) })
    }

    /// The whole text of a parameter's file; `-` is standard input.
    pub(super) fn read_text(&mut self, name: &str) -> Result<String, ApiError> {
        let mut bytes = Vec::new();
        let read = self.open(name)?.reader.take(MOST_PARAMETER as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|source| ApiError::File { name: name.to_owned(), source })?;
        if bytes.len() > MOST_PARAMETER {
            return Err(ApiError::TooLarge { what: "the file of a parameter", limit: MOST_PARAMETER });
        }
        String::from_utf8(bytes).map_err(|_| ApiError::NotText { name: name.to_owned() })
    }
}

/// Streams a reader as a body. Reading blocks a thread of its own, never the runtime.
pub(super) fn stream(mut reader: Box<dyn Read + Send>) -> Body {
    let (sender, mut chunks) = tokio::sync::mpsc::channel(CHUNKS_WAITING);
    tokio::task::spawn_blocking(move || {
        loop {
            let chunk = read_chunk(&mut reader).transpose();
            let last = !matches!(chunk, Some(Ok(_)));
            // A closed channel means that the request is over.
            if chunk.is_some_and(|chunk| sender.blocking_send(chunk).is_err()) || last {
                return;
            }
        }
    });
    let chunks = futures::stream::poll_fn(move |context| chunks.poll_recv(context));
    StreamBody::new(chunks.map(|chunk: std::io::Result<Bytes>| chunk.map(Frame::data).map_err(BoxError::from)))
        .boxed_unsync()
}

fn read_chunk(reader: &mut impl Read) -> std::io::Result<Option<Bytes>> {
    let mut chunk = vec![0; CHUNK];
    let length = loop {
        match reader.read(&mut chunk) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    chunk.truncate(length);
    Ok((length > 0).then(|| chunk.into()))
}

/// The next piece of an answer.
pub(super) async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, ApiError> {
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame.map_err(ApiError::Body)?.into_data() {
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}

/// The whole of an answer.
pub(super) async fn collect(mut body: Body) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = next_chunk(&mut body).await? {
        if whole.len() + chunk.len() > MOST_HELD {
            return Err(ApiError::TooLarge {
                what: "the answer, which has to be held to be processed,",
                limit: MOST_HELD,
            });
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

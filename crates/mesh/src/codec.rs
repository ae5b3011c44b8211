//! Have-you-got on a substream: a length (4 bytes, big-endian) and as many bytes, once each way. The bytes are sealed; they mean
//! nothing here.

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use ghmesh_model::limits::{MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES};
use libp2p::{StreamProtocol, request_response};
use std::io;

/// The protocol's name, the same for every mesh: nobody sees it before the gate.
pub(crate) const PROTOCOL: StreamProtocol = StreamProtocol::new("/ghmesh/have-you-got/1");

/// Frames of bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Frames;

impl request_response::Codec for Frames {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, MAX_REQUEST_BYTES).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, MAX_RESPONSE_BYTES).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &request, MAX_REQUEST_BYTES).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &response, MAX_RESPONSE_BYTES).await
    }
}

/// A frame that is longer than its kind may be.
#[derive(Debug, thiserror::Error)]
#[error("a frame of {length} bytes, of at most {limit}")]
struct Oversize {
    length: usize,
    limit: usize,
}

fn check(length: usize, limit: usize) -> io::Result<()> {
    if length > limit { Err(io::Error::new(io::ErrorKind::InvalidData, Oversize { length, limit })) } else { Ok(()) }
}

async fn read<T: AsyncRead + Unpin>(io: &mut T, limit: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    check(length, limit)?;
    let mut bytes = vec![0; length];
    io.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn write<T: AsyncWrite + Unpin>(io: &mut T, bytes: &[u8], limit: usize) -> io::Result<()> {
    check(bytes.len(), limit)?;
    let length = u32::try_from(bytes.len()).expect("limits lie far below 4 GiB");
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(bytes).await?;
    io.flush().await
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use futures::io::Cursor;

    #[tokio::test]
    async fn what_is_written_is_read() {
        let mut wire = Cursor::new(Vec::new());
        write(&mut wire, b"bytes", 5).await.unwrap();
        assert_eq!(wire.get_ref(), b"\0\0\0\x05bytes");
        wire.set_position(0);
        assert_eq!(read(&mut wire, 5).await.unwrap(), b"bytes");
    }

    #[tokio::test]
    async fn too_long_is_refused_on_both_ends_before_anything_is_allocated_or_sent() {
        let mut wire = Cursor::new(Vec::new());
        let error = write(&mut wire, &[0; 6], 5).await.unwrap_err();
        assert!(error.to_string().contains("6 bytes, of at most 5"), "{error}");
        assert!(wire.get_ref().is_empty());
        let mut huge = Cursor::new(u32::MAX.to_be_bytes().to_vec());
        assert_eq!(read(&mut huge, 5).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_frame_that_ends_early_is_an_error() {
        let mut short = Cursor::new(b"\0\0\0\x05by".to_vec());
        assert_eq!(read(&mut short, 5).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}

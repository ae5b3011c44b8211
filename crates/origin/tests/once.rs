//! A write reaches the server once at most, whatever the server does with its connections.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Server, config, delete, get, origin, post, text};
use ghmesh_origin::OriginError;

#[tokio::test]
async fn a_write_whose_connection_closes_after_reading_it_is_not_sent_again() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
    })
    .await;
    let error = post(&origin(config()), &server.url("/"), "write").await.unwrap_err();
    assert!(matches!(error, OriginError::Closed { .. }), "{error}");
    assert_eq!(server.count("POST"), 1);
}

#[tokio::test]
async fn nor_when_the_connection_has_served_before() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection.answer("200 OK", "").await;
        connection.request().await;
        connection.reset();
    })
    .await;
    let origin = origin(config());
    for (number, write) in (1..).zip(["POST", "DELETE"]) {
        text(get(&origin, &server.url("/")).await.unwrap()).await;
        let result = match write {
            "POST" => post(&origin, &server.url("/"), "write").await,
            _ => delete(&origin, &server.url("/")).await,
        };
        assert!(matches!(result, Err(OriginError::Closed { .. })), "{result:?}");
        assert_eq!((server.count("GET"), server.count(write)), (number, 1));
    }
}

#[tokio::test]
async fn a_refused_write_is_not_sent_again() {
    let server = Server::start(|mut connection| async move {
        while connection.request().await.is_some() {
            connection.answer("503 Service Unavailable", "").await;
        }
    })
    .await;
    let origin = origin(config());
    assert_eq!(post(&origin, &server.url("/"), "write").await.unwrap().status(), 503);
    assert_eq!(delete(&origin, &server.url("/")).await.unwrap().status(), 503);
    assert_eq!((server.count("POST"), server.count("DELETE")), (1, 1));
}

/// The race that no client can win for sure: the server closes an idle connection while the write is on its way. The write
/// may fail, it may be sent on another connection if none of it was sent on this one, but it never arrives twice.
#[tokio::test]
async fn a_write_that_meets_a_closing_connection_arrives_once_at_most() {
    let server = Server::start(|mut connection| async move {
        if connection.request().await.is_some_and(|head| head.starts_with("GET")) {
            connection.answer("200 OK", "").await;
            // Whatever comes now is read by nobody: the close is on its way to the client.
            drop(connection);
        } else {
            connection.answer("201 Created", "").await;
        }
    })
    .await;
    let origin = origin(config());
    let (mut done, rounds) = (0, 100);
    for round in 0..rounds {
        text(get(&origin, &server.url("/")).await.unwrap()).await;
        for _ in 0..round % 7 {
            tokio::task::yield_now().await;
        }
        let before = server.count("POST");
        done += usize::from(post(&origin, &server.url("/"), "write").await.is_ok());
        assert!(server.count("POST") <= before + 1);
    }
    assert_eq!(server.count("POST"), done, "what was said to be done arrived once, and nothing else");
    assert!(done > rounds / 2, "a closed connection is noticed mostly: {done} of {rounds}");
}

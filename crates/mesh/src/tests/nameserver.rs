//! A DNS server that knows TXT records alone (RFC 1035), on loopback.

use crate::resolve::Nameserver;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::UdpSocket;

type Records = BTreeMap<String, Vec<String>>;

/// A running server; it ends with the test's runtime.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<(Records, usize)>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = Server { address: socket.local_addr().unwrap(), state: Arc::default() };
        let state = server.state.clone();
        tokio::spawn(async move {
            let mut question = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                let answer = answer(&question[..length], &state);
                let _ = socket.send_to(&answer, from).await;
            }
        });
        server
    }

    pub(crate) fn nameserver(&self) -> Nameserver {
        Nameserver(Some(self.address))
    }

    /// Sets the records of the list `host`.
    pub(crate) fn set(&self, host: &str, texts: &[&str]) {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        self.state.lock().unwrap().0.insert(format!("_dnsaddr.{host}"), texts);
    }

    /// Questions so far.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().1
    }
}

fn answer(question: &[u8], state: &Mutex<(Records, usize)>) -> Vec<u8> {
    let mut state = state.lock().unwrap();
    state.1 += 1;
    let (mut labels, mut at) = (Vec::new(), 12);
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8(question[at + 1..end].to_vec()).unwrap());
        at = end;
    }
    let texts = state.0.get(&labels.join(".").to_lowercase());
    let code = if texts.is_some() { 0 } else { 3 };
    let texts = texts.cloned().unwrap_or_default();
    let count = u8::try_from(texts.len()).unwrap();
    let mut answer = vec![question[0], question[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
    // The question again: name, type and class.
    answer.extend(&question[12..at + 5]);
    for text in texts {
        // The name by reference to the question's, TXT, IN, one second.
        answer.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 1]);
        // Strings are short, as a server may cut a text anywhere.
        let strings: Vec<u8> =
            text.as_bytes().chunks(40).flat_map(|part| [&[u8::try_from(part.len()).unwrap()], part].concat()).collect();
        answer.extend(u16::try_from(strings.len()).unwrap().to_be_bytes());
        answer.extend(strings);
    }
    answer
}

//! A proxy between us and a real server that fails as networks and servers do: on purpose, and as often as it is told.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It never reaches the server; this is the answer.
    Status(u16),
    /// It waits before it goes on.
    Delay(Duration),
    /// The connection ends after so many bytes of the answer's body.
    Cut(usize),
    /// The server carries it out, and the answer is lost.
    Lost,
    /// Nothing comes, ever.
    Hang,
}

/// Which requests fail: those whose first line has these words, so many times.
struct Rule {
    words: &'static [&'static str],
    fault: Fault,
    times: usize,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<String>,
}

/// A proxy for one server. Its threads end with the process of the tests.
#[derive(Clone)]
pub(crate) struct FaultProxy {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

impl FaultProxy {
    pub(crate) fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let proxy = Self {
            port,
            state: Arc::clone(&state),
        };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                // Either side may leave at any moment.
                thread::spawn(move || {
                    let _ = carry(client, server, &state);
                });
            }
        });
        proxy
    }

    /// From now on, the next `times` requests whose first line has all of `words` fail.
    pub(crate) fn fail(&self, words: &'static [&'static str], fault: Fault, times: usize) {
        self.state.lock().unwrap().rules.push(Rule {
            words,
            fault,
            times,
        });
    }

    /// Nothing fails any more. The first line and the range of every request until now, which are forgotten.
    pub(crate) fn reset(&self) -> Vec<String> {
        let mut state = self.state.lock().unwrap();
        state.rules.clear();
        std::mem::take(&mut state.seen)
    }
}

/// One connection, one request.
fn carry(mut client: TcpStream, server: u16, state: &Mutex<State>) -> io::Result<()> {
    let (head, begun) = head(&mut client)?;
    let first = head.lines().next().unwrap_or_default().to_owned();
    let range = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("range:"))
        .unwrap_or_default();
    let fault = {
        let mut state = state.lock().unwrap();
        state.seen.push(format!("{first} {range}"));
        let rule = state
            .rules
            .iter_mut()
            .find(|rule| rule.times > 0 && rule.words.iter().all(|word| first.contains(word)));
        rule.map(|rule| {
            rule.times -= 1;
            rule.fault
        })
    };
    match fault {
        Some(Fault::Hang) => {
            // Until the client has had enough.
            io::copy(&mut client, &mut io::sink())?;
            return Ok(());
        }
        Some(Fault::Status(status)) => {
            drain(&mut client, &head, begun.len())?;
            write!(
                client,
                "HTTP/1.1 {status} Fault\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfault"
            )?;
            return client.shutdown(Shutdown::Both);
        }
        Some(Fault::Delay(wait)) => thread::sleep(wait),
        Some(Fault::Cut(_) | Fault::Lost) | None => {}
    }
    let mut upstream = TcpStream::connect(("127.0.0.1", server))?;
    // One request for each connection, so that each can fail.
    let (line, rest) = head.split_once("\r\n").unwrap_or((&head, ""));
    write!(upstream, "{line}\r\nConnection: close\r\n{rest}")?;
    upstream.write_all(&begun)?;
    let (mut from, mut to) = (client.try_clone()?, upstream.try_clone()?);
    let sending = thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
    });
    match fault {
        Some(Fault::Cut(bytes)) => {
            let (answer, body) = self::head(&mut upstream)?;
            client.write_all(answer.as_bytes())?;
            let mut body = body.chain(&mut upstream).take(bytes as u64);
            io::copy(&mut body, &mut client)?;
        }
        Some(Fault::Lost) => {
            self::head(&mut upstream)?;
        }
        _ => {
            io::copy(&mut upstream, &mut client)?;
        }
    }
    client.shutdown(Shutdown::Both)?;
    let _ = upstream.shutdown(Shutdown::Both);
    let _ = sending.join();
    Ok(())
}

/// The head of a request or an answer, and what of its body came along.
fn head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), body));
        }
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..count]);
    }
}

/// Reads the rest of a request's body, so that its client reads the answer.
fn drain(client: &mut TcpStream, head: &str, begun: usize) -> io::Result<()> {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<u64>().ok())?
    });
    let left = length.unwrap_or(0).saturating_sub(begun as u64);
    io::copy(&mut client.take(left), &mut io::sink())?;
    Ok(())
}

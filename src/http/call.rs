//! One request from its first byte to its last: its id, its caller's address, its line in the log, and that a panic in
//! a handler is an answer like any other.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::error::ApiError;
use super::rate_limit::Quota;
use super::{Http, cors};
use crate::random;
use crate::telemetry::{self, InFlight};

/// Header of a request's id.
pub const REQUEST_ID: &str = "x-request-id";

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What is known of a request before anybody has looked into it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its id, of ours: one that a client sends is not believed.
    pub id: String,
    /// Address of the client.
    pub client: IpAddr,
    /// Its route as it was registered; empty when there is none.
    pub route: String,
    /// Its method.
    pub method: Method,
    /// What is left of the client's calls, once somebody has counted this one.
    pub quota: Arc<OnceLock<Quota>>,
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts
            .extensions
            .get()
            .cloned()
            .expect("every route is behind `watch`"))
    }
}

/// Around every request: names it, logs it, and adds to its answer what all answers have.
pub async fn watch(State(http): State<Http>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let _in_flight = InFlight::begin();
    let peer = request.extensions().get().map(|Peer(address)| address.ip());
    let route = request.extensions().get().map(MatchedPath::as_str);
    let call = Call {
        id: random::id(),
        client: client(
            request.headers(),
            peer.unwrap_or(IpAddr::from([0, 0, 0, 0])),
            http.service.config.http.forwarded_count,
        ),
        route: route.unwrap_or_default().to_owned(),
        method: request.method().clone(),
        quota: Arc::default(),
    };
    let is_api = request.uri().path().starts_with("/api/");
    let span = tracing::info_span!("request", request = call.id, method = %call.method, route = call.route);
    request.extensions_mut().insert(call.clone());
    let handled = tokio::spawn(next.run(request).instrument(span.clone()));
    let handled = AbortOnDropHandle::new(handled).await;
    let _entered = span.enter();
    let mut response = handled.unwrap_or_else(|error| {
        ApiError::Internal(anyhow::Error::from(error).context("a handler panicked")).into_response()
    });
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&call.id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(quota) = call.quota.get() {
        quota.write(headers);
    }
    if is_api && call.method != Method::OPTIONS {
        cors::allow(headers);
    }
    let status = response.status().as_u16();
    let took = begun.elapsed();
    telemetry::answered(&call.route, call.method.as_str(), status, took);
    tracing::info!(
        status,
        ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        ip = %call.client,
        "answered"
    );
    response
}

/// The client's address, by contract §1.7: with `count` proxies of ours in front, what the outermost of them has seen.
/// Without, headers are not believed: anybody can send them.
fn client(headers: &HeaderMap, peer: IpAddr, count: usize) -> IpAddr {
    if count == 0 {
        return peer.to_canonical();
    }
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    forwarded
        .len()
        .checked_sub(count)
        .and_then(|index| address(forwarded[index]))
        .or_else(|| address(headers.get("x-real-ip")?.to_str().ok()?))
        .unwrap_or(peer)
        .to_canonical()
}

/// An address, also with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse()
        .or_else(|_| text.parse().map(|address: SocketAddr| address.ip()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_whom_our_outermost_proxy_has_seen() {
        let cases: &[(usize, &[&str], Option<&str>, &str)] = &[
            (0, &["1.1.1.1"], Some("2.2.2.2"), "9.9.9.9"),
            (1, &["1.1.1.1"], Some("2.2.2.2"), "1.1.1.1"),
            (1, &["6.6.6.6, 1.1.1.1"], None, "1.1.1.1"),
            (2, &["6.6.6.6, 1.1.1.1", "5.5.5.5"], None, "1.1.1.1"),
            (2, &["1.1.1.1"], Some("2.2.2.2"), "2.2.2.2"),
            (1, &[], Some("2.2.2.2"), "2.2.2.2"),
            (1, &[], None, "9.9.9.9"),
            (1, &["nobody"], None, "9.9.9.9"),
            (1, &["[2001:db8::1]:80"], None, "2001:db8::1"),
            (1, &["1.1.1.1:80"], None, "1.1.1.1"),
            (1, &["::ffff:1.1.1.1"], None, "1.1.1.1"),
        ];
        for (count, forwarded, real, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in *forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            if let Some(real) = real {
                headers.insert("x-real-ip", real.parse().unwrap());
            }
            let peer = "9.9.9.9".parse().unwrap();
            let found = client(&headers, peer, *count);
            assert_eq!(
                found.to_string(),
                *expected,
                "{count} {forwarded:?} {real:?}"
            );
        }
    }
}

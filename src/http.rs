//! The HTTP server: routes, and what is the same for all of them.

pub mod auth;
pub mod call;
pub mod cors;
pub mod download;
pub mod error;
pub mod exports;
pub mod fields;
pub mod health;
pub mod listener;
pub mod openapi;
mod page;
pub mod rate_limit;
pub mod rooms;
pub mod rooms_export;
pub mod session;

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::error::ApiError;
use self::health::Looks;
use self::rate_limit::RateLimiter;
use crate::access::Access;
use crate::app::Service;
use crate::login::Logins;

/// What every handler works with.
#[derive(Clone)]
pub struct Http {
    /// The parts.
    pub service: Service,
    /// Who may do what.
    pub access: Arc<Access>,
    /// Who has called how often.
    pub rate_limiter: Arc<RateLimiter>,
    /// Logs users in.
    pub logins: Arc<Logins>,
    /// What operators' programs were told last.
    pub looks: Arc<Looks>,
}

impl Http {
    /// The handlers' parts around a service.
    pub fn new(service: Service) -> Self {
        Self {
            access: Arc::new(service.access()),
            rate_limiter: Arc::new(RateLimiter::default()),
            logins: Arc::new(Logins::new(
                Arc::clone(&service.directory),
                service.clock,
                service.config.security.login_expiration_days,
            )),
            looks: Arc::default(),
            service,
        }
    }
}

/// All routes with their documentation, before they have what they work with.
fn routes() -> OpenApiRouter<Http> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(rooms_export::export))
        .routes(routes!(exports::status))
        .routes(routes!(exports::list))
        .routes(routes!(exports::cancel))
        .routes(routes!(exports::delete))
        .routes(routes!(rooms::get))
        .routes(routes!(rooms::info))
        .routes(routes!(session::login))
        .routes(routes!(session::logout))
        .routes(routes!(session::me))
        .routes(routes!(session::info))
        .routes(routes!(session::info_of_v1))
        .routes(routes!(download::download))
        .routes(routes!(download::log_in))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::figures))
        .routes(routes!(openapi::document))
}

/// All routes, ready to be served.
pub fn router(http: Http) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .merge(openapi::pages())
        .method_not_allowed_fallback(other_method)
        .fallback(async || ApiError::NotFound)
        .layer(from_fn_with_state(http.clone(), call::watch))
        .with_state(http)
}

/// What a route does with methods that it does not have. `Allow` is added by the router.
async fn other_method(
    axum::extract::State(http): axum::extract::State<Http>,
    method: Method,
    headers: axum::http::HeaderMap,
) -> Response {
    if method == Method::OPTIONS {
        cors::preflight(&http, &headers).await.into_response()
    } else {
        ApiError::MethodNotAllowed.into_response()
    }
}

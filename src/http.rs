//! The HTTP server: routes, and what is the same for all of them.

pub mod auth;
pub mod call;
pub mod cors;
pub mod error;
pub mod exports;
pub mod fields;
pub mod listener;
pub mod rate_limit;
pub mod rooms;
pub mod rooms_export;

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, Info, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::error::ApiError;
use self::rate_limit::RateLimiter;
use crate::access::Access;
use crate::app::Service;

/// What every handler works with.
#[derive(Clone)]
pub struct Http {
    /// The parts.
    pub service: Service,
    /// Who may do what.
    pub access: Arc<Access>,
    /// Who has called how often.
    pub rate_limiter: Arc<RateLimiter>,
}

impl Http {
    /// The handlers' parts around a service.
    pub fn new(service: Service) -> Self {
        Self {
            access: Arc::new(Access::new(
                Arc::clone(&service.directory),
                service.config.security.admin_override,
            )),
            rate_limiter: Arc::new(RateLimiter::default()),
            service,
        }
    }
}

/// All routes with their documentation, before they have what they work with.
fn routes() -> OpenApiRouter<Http> {
    let key = |header| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(header)));
    let credentials = ComponentsBuilder::new()
        .security_scheme("userId", key("X-User-Id"))
        .security_scheme("authToken", key("X-Auth-Token"));
    let document = OpenApiBuilder::new()
        .info(Info::new("Export Room", env!("CARGO_PKG_VERSION")))
        .components(Some(credentials.build()))
        .build();
    OpenApiRouter::with_openapi(document)
        .routes(routes!(rooms_export::export))
        .routes(routes!(exports::status))
        .routes(routes!(exports::list))
        .routes(routes!(exports::cancel))
        .routes(routes!(exports::delete))
        .routes(routes!(rooms::get))
        .routes(routes!(rooms::info))
}

/// The `OpenAPI` document of all routes, made from their handlers.
pub fn document() -> OpenApi {
    routes().into_openapi()
}

/// All routes, ready to be served.
pub fn router(http: Http) -> Router {
    let (router, _) = routes().split_for_parts();
    router
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

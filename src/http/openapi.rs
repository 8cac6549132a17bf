//! The `OpenAPI` document of all routes, made from their handlers, and a page to read it whose assets are in the
//! program.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder,
};
use utoipa_swagger_ui::Config;

use super::Http;
use super::error::{ApiError, Failure, JSON, mark};

/// Where the document is.
const ADDRESS: &str = "/openapi.json";
/// The page runs its own scripts and asks this server only. Its styles are set by script as well, hence `unsafe-inline`;
/// its pictures are in its sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the document says beside the routes.
pub(super) fn frame() -> OpenApi {
    let key = |header| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(header)));
    let credentials = ComponentsBuilder::new()
        .security_scheme("userId", key("X-User-Id"))
        .security_scheme("authToken", key("X-Auth-Token"))
        .response(
            "MethodNotAllowed",
            ResponseBuilder::new()
                .description(
                    "Any route, to a method that it does not have; `Allow` says which it has",
                )
                .content(JSON, Content::new(Some(Ref::from_schema_name("Failure")))),
        );
    let info = InfoBuilder::new()
        .title("Export Room")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Exports Rocket.Chat rooms, messages and files, as HTML or JSON ZIP archives. Every answer has `X-Request-Id`; \
             the log tells under it what happened. A route answers 405 to methods that it does not have.",
        ));
    OpenApiBuilder::new()
        .info(info.build())
        .components(Some(credentials.build()))
        .build()
}

/// The document as text, as it is kept beside the sources.
pub fn text() -> Result<String, serde_json::Error> {
    let mut text = super::routes().into_openapi().to_pretty_json()?;
    text.push('\n');
    Ok(text)
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    responses(
        (status = 200, description = "The document", body = Object),
        (status = 500, description = "A failure of the server", body = Failure),
    ),
)]
pub async fn document() -> Result<Response, ApiError> {
    static TEXT: LazyLock<Result<Bytes, String>> =
        LazyLock::new(|| text().map(Bytes::from).map_err(|error| error.to_string()));
    let text = TEXT
        .clone()
        .map_err(|error| ApiError::Internal(anyhow::Error::msg(error)))?;
    let mut response = text.into_response();
    mark(response.headers_mut());
    Ok(response)
}

/// The page that shows the document.
pub(super) fn pages() -> Router<Http> {
    Router::new()
        // Its links are relative to a directory.
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async || page("")))
        .route("/docs/{*file}", get(asset))
}

async fn asset(file: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let Path(file) = file.map_err(|_| ApiError::NotFound)?;
    page(&file)
}

fn page(file: &str) -> Result<Response, ApiError> {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
        // Else the page shows the document to a validator on the internet.
        Arc::new(Config::from(ADDRESS).validator_url("none"))
    });
    let found = utoipa_swagger_ui::serve(file, Arc::clone(&CONFIG))
        .map_err(|error| ApiError::Internal(anyhow::anyhow!("{error}")))?
        .ok_or(ApiError::NotFound)?;
    let mut response = (StatusCode::OK, found.bytes.into_owned()).into_response();
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(&found.content_type) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    let fixed: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

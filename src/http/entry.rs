//! What happens to every request, in the reference's order (spec-api.md 1.1): unclean paths, the open routes, the token,
//! then the routes.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::call::Call;
use super::reply::{self, Reply};
use super::routes::{self, Found};
use super::{App, access, auth, path};

/// Longest body that is read. The longest sensible request is far shorter.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// How long a client may take to send its body.
const BODY_TIME: Duration = Duration::from_secs(60);

/// Answers one request.
pub async fn handle(State(app): State<App>, request: Request<Body>) -> Reply {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let raw = parts.uri.path();
    if raw == "*" && parts.method == Method::OPTIONS {
        return reply::empty(StatusCode::OK);
    }
    let Some(path) = path::decode(raw) else {
        return reply::error(StatusCode::BAD_REQUEST, "malformed path");
    };
    let clean = path::clean(&path);
    if clean != path {
        return reply::moved(&same_but_path(&parts.uri, &clean), false);
    }
    if parts.method == Method::GET && path == "/hello" {
        return reply::text(StatusCode::OK, "Hello from Heketi");
    }
    let method = parts.method.clone();
    let headers = parts.headers.clone();
    // In a task of its own: a bug in a handler must not take the connection with it, and a client that hangs up must
    // not stop a handler half-way.
    let answering = tokio::spawn({
        let path = path.clone();
        async move { authorized(&app, parts, body, path).await }
    });
    let reply = answering.await.unwrap_or_else(|error| {
        tracing::error!("a bug ended the handler of {method} {}: {error}", path.escape_debug());
        reply::error(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    });
    access::log(&headers, &method, &path, reply.status(), began);
    reply
}

/// What was asked for, with another path.
fn same_but_path(uri: &Uri, path: &str) -> String {
    let host = match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
        _ => String::new(),
    };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{host}{}{query}", path::encode(path))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

async fn authorized(app: &App, parts: Parts, body: Body, path: String) -> Reply {
    if let Some(keys) = app.keys()
        && let Err((status, text)) = auth::check(keys, &parts.headers, &parts.method, &path, now())
    {
        return reply::error(status, &text);
    }
    let route = match routes::find(&parts.method, &path) {
        Found::Route(route) => route,
        Found::TrailingSlash => {
            let location = same_but_path(&parts.uri, path.strip_suffix('/').unwrap_or(&path));
            return reply::moved(&location, parts.method == Method::GET);
        }
        Found::OtherMethod => return reply::empty(StatusCode::METHOD_NOT_ALLOWED),
        Found::Nothing => {
            tracing::warn!("Invalid path or request {}", path.escape_debug());
            return reply::error(StatusCode::NOT_FOUND, "Invalid path or request");
        }
    };
    // The reference looks at bodies of DELETE only when their length is given.
    let has_length = parts.headers.get(axum::http::header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    let body = match tokio::time::timeout(BODY_TIME, Limited::new(body, BODY_LIMIT).collect()).await {
        Err(_) => return reply::error(StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time"),
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let text = format!("the request body is longer than {BODY_LIMIT} bytes");
            return reply::error(StatusCode::PAYLOAD_TOO_LARGE, &text);
        }
        Ok(Err(_)) => return reply::error(StatusCode::BAD_REQUEST, "the request body could not be read"),
    };
    let call = Call { app, id: route.id, body, has_length };
    match (route.handler)(call).await {
        Ok(reply) => reply,
        Err(problem) => problem.reply(),
    }
}

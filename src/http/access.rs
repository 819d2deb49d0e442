//! The access log: one line a request (spec-api.md 4.1).

use std::time::Instant;

use axum::http::{HeaderMap, Method, StatusCode, header};

/// Logs one request that has been answered.
pub fn log(headers: &HeaderMap, method: &Method, path: &str, status: StatusCode, began: Instant) {
    if tracing::enabled!(target: "access", tracing::Level::INFO) {
        let host = headers.get(header::HOST).map(|host| String::from_utf8_lossy(host.as_bytes())).unwrap_or_default();
        // A client chooses the path: control characters must not forge lines.
        tracing::info!(target: "access", "{} | \t {:?} | {} | {} {}", status.as_u16(), began.elapsed(),
            host.escape_debug(), method, path.escape_debug());
    }
}

//! The forms of answers (spec-api.md 1.2).

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, LOCATION, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::api::{Invalid, JSON_TYPE, NotParsed, to_json};
use crate::ids::JobId;
use crate::ops::OpError;
use crate::store::StoreError;

/// Any answer.
pub type Reply = Response<Body>;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const X_PENDING: HeaderName = HeaderName::from_static("x-pending");

fn reply(status: StatusCode, body: impl Into<Body>) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    reply
}

/// A status and nothing else.
pub fn empty(status: StatusCode) -> Reply {
    reply(status, Body::empty())
}

/// JSON with 200 or 201.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Reply {
    let mut reply = reply(status, to_json(value));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON_TYPE));
    reply
}

/// 200 with the type of JSON and nothing in it.
pub fn empty_json() -> Reply {
    let mut reply = empty(StatusCode::OK);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON_TYPE));
    reply
}

/// Plain text, as it is.
pub fn text(status: StatusCode, text: &'static str) -> Reply {
    let mut reply = reply(status, text);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    reply
}

/// An error: its text and a line end.
pub fn error(status: StatusCode, text: &str) -> Reply {
    let mut reply = reply(status, format!("{text}\n"));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// Somewhere else. `body_word` is what the link in the body is called; none leaves the body empty.
fn elsewhere(status: StatusCode, location: &str, body_word: Option<&str>) -> Reply {
    let mut reply = match body_word {
        Some(word) => {
            let link = location.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let link = link.replace('"', "&#34;").replace('\'', "&#39;");
            let mut reply = reply(status, format!("<a href=\"{link}\">{word}</a>.\n\n"));
            reply.headers_mut().insert(CONTENT_TYPE, HTML);
            reply
        }
        None => empty(status),
    };
    if let Ok(value) = HeaderValue::from_str(location) {
        reply.headers_mut().insert(LOCATION, value);
    }
    reply
}

/// 301; only answers to GET have a body.
pub fn moved(location: &str, is_get: bool) -> Reply {
    elsewhere(StatusCode::MOVED_PERMANENTLY, location, is_get.then_some("Moved Permanently"))
}

/// 202 with the place to ask for the result.
pub fn accepted(job: JobId, is_get: bool) -> Reply {
    elsewhere(StatusCode::ACCEPTED, &format!("/queue/{job}"), is_get.then_some("Accepted"))
}

/// 303 to the result of a job.
pub fn see_other(location: &str) -> Reply {
    elsewhere(StatusCode::SEE_OTHER, location, Some("See Other"))
}

/// A job that still runs.
pub fn pending() -> Reply {
    let mut reply = empty(StatusCode::OK);
    reply.headers_mut().insert(X_PENDING, HeaderValue::from_static("true"));
    reply
}

/// Why a handler answers with an error.
#[derive(Debug)]
pub enum Problem {
    /// The body cannot be read.
    NotParsed,
    /// The body says something that cannot be.
    Invalid(String),
    /// An operation was refused.
    Op(OpError),
}

impl Problem {
    /// What the client gets.
    pub fn reply(self) -> Reply {
        match self {
            Self::NotParsed => error(StatusCode::UNPROCESSABLE_ENTITY, &NotParsed.to_string()),
            Self::Invalid(text) => error(StatusCode::BAD_REQUEST, &text),
            Self::Op(problem) => {
                let status = match &problem {
                    OpError::NotFound(_) => StatusCode::NOT_FOUND,
                    OpError::Invalid(_) => StatusCode::BAD_REQUEST,
                    OpError::Conflict(_) => StatusCode::CONFLICT,
                    OpError::Busy => StatusCode::TOO_MANY_REQUESTS,
                    OpError::Failed(_) | OpError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
                };
                error(status, &problem.to_string())
            }
        }
    }
}

impl From<NotParsed> for Problem {
    fn from(_: NotParsed) -> Self {
        Self::NotParsed
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid.to_string())
    }
}

impl From<OpError> for Problem {
    fn from(problem: OpError) -> Self {
        Self::Op(problem)
    }
}

impl From<StoreError> for Problem {
    fn from(problem: StoreError) -> Self {
        Self::Op(problem.into())
    }
}

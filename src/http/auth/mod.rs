//! Who may do what (spec-api.md section 3): tokens, and the two roles.

mod segment;
#[cfg(test)]
mod tests;
mod token;

use axum::http::{HeaderMap, Method, StatusCode, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub use token::Keys;

/// A refusal and its text.
pub type Refusal = (StatusCode, String);

fn unauthorized(text: impl Into<String>) -> Refusal {
    (StatusCode::UNAUTHORIZED, text.into())
}

/// Whose token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// May do all.
    Admin,
    /// May use volumes.
    User,
}

/// The token of a request, if it has one in the right form.
fn bearer(headers: &HeaderMap) -> Result<String, Refusal> {
    let missing = || unauthorized("Required authorization token not found");
    let value = headers.get(header::AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let value = value.filter(|value| !value.is_empty()).ok_or_else(missing)?;
    let words: Vec<&str> = value.split_whitespace().collect();
    match words.as_slice() {
        [scheme, token] if scheme.eq_ignore_ascii_case("bearer") => Ok((*token).to_owned()),
        _ => Err((StatusCode::BAD_REQUEST, "Authorization header format must be Bearer {token}".to_owned())),
    }
}

/// Lets a request pass or says why not. `path` is percent-decoded and without the query.
pub fn check(keys: &Keys, headers: &HeaderMap, method: &Method, path: &str, now: i64) -> Result<Role, Refusal> {
    let token = bearer(headers)?;
    let claims = keys.verify(&token, now).map_err(|why| unauthorized(format!("Invalid JWT token: {why}")))?;
    let wanted = hex::encode(Sha256::digest(format!("{method}&{path}")));
    if !bool::from(wanted.as_bytes().ct_eq(claims.qsh.as_bytes())) {
        return Err(unauthorized("Invalid qsh claim in token"));
    }
    if claims.role == Role::User && !user_may(method, path) {
        return Err(unauthorized("Administrator access required"));
    }
    Ok(claims.role)
}

/// What the `user` role may do. The reference lets it list and create volumes only, so that a provisioner with that role
/// cannot even follow what it started (users.md 1.5); ours may see it through.
fn user_may(method: &Method, path: &str) -> bool {
    let below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|id| !id.is_empty() && !id.contains('/'));
    path == "/volumes"
        || path.strip_prefix("/volumes/").is_some_and(|rest| !rest.is_empty())
        || (method == Method::GET && (below("/queue/") || below("/clusters/") || below("/nodes/")))
}

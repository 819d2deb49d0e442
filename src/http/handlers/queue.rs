//! Answers of operations (spec-api.md section 2).

use axum::http::StatusCode;

use crate::http::call::Call;
use crate::http::reply::{self, Problem, Reply};
use crate::ops::OpError;
use crate::store::Outcome;

pub async fn get(call: Call<'_>) -> Result<Reply, Problem> {
    let id = call.id()?;
    let outcome = call.app.ops().store().read(|tx| tx.job(id))?.ok_or_else(OpError::id_not_found)?;
    Ok(match outcome {
        Outcome::Running => reply::pending(),
        Outcome::Resource(path) => reply::see_other(&path),
        Outcome::Nothing => reply::empty(StatusCode::NO_CONTENT),
        Outcome::Error(text) => reply::error(StatusCode::INTERNAL_SERVER_ERROR, &text),
    })
}

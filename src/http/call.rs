//! What a handler gets.

use super::App;
use crate::api::{Body, NotParsed};
use crate::ops::OpError;

/// A request that has reached its handler.
pub struct Call<'a> {
    pub app: &'a App,
    /// The id in the path, as sent; empty if the route has none.
    pub id: String,
    pub body: axum::body::Bytes,
    /// The request said how long its body is, and it is not empty.
    pub has_length: bool,
}

impl Call<'_> {
    /// The id in the path. One that cannot be an id names nothing.
    pub fn id<T: std::str::FromStr>(&self) -> Result<T, OpError> {
        self.id.parse().map_err(|_| OpError::id_not_found())
    }

    /// The body.
    pub fn json(&self) -> Result<Body, NotParsed> {
        Body::parse(&self.body)
    }
}

//! The table of routes (spec-api.md 1.5).

use std::pin::Pin;

use axum::http::Method;

use super::call::Call;
use super::handlers::{clusters, devices, nodes, queue, volumes};
use super::reply::{Problem, Reply};

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send + 'a>>;
type Handler = for<'a> fn(Call<'a>) -> Answer<'a>;

/// One route: method, path with `{id}` for an id, handler.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path; `{id}` stands for hexadecimal digits.
    pub path: &'static str,
    handler: Handler,
}

macro_rules! routes {
    ($($method:ident $path:literal $handler:path;)*) => {
        /// All routes behind the token.
        pub static ROUTES: &[Route] = &[$(Route {
            method: Method::$method,
            path: $path,
            handler: |call| Box::pin($handler(call)),
        }),*];
    };
}

routes! {
    GET "/queue/{id}" queue::get;
    POST "/clusters" clusters::create;
    GET "/clusters" clusters::list;
    GET "/clusters/{id}" clusters::info;
    DELETE "/clusters/{id}" clusters::delete;
    POST "/clusters/{id}/flags" clusters::set_flags;
    POST "/nodes" nodes::add;
    GET "/nodes/{id}" nodes::info;
    DELETE "/nodes/{id}" nodes::delete;
    POST "/nodes/{id}/state" nodes::set_state;
    POST "/nodes/{id}/tags" nodes::set_tags;
    POST "/devices" devices::add;
    GET "/devices/{id}" devices::info;
    DELETE "/devices/{id}" devices::delete;
    POST "/devices/{id}/state" devices::set_state;
    GET "/devices/{id}/resync" devices::resync;
    POST "/devices/{id}/tags" devices::set_tags;
    POST "/volumes" volumes::create;
    GET "/volumes" volumes::list;
    GET "/volumes/{id}" volumes::info;
    DELETE "/volumes/{id}" volumes::delete;
    POST "/volumes/{id}/expand" volumes::expand;
}

/// A route that was found, and the id in the path.
pub struct Matched {
    pub handler: Handler,
    pub id: String,
}

/// What a method and a path lead to.
pub enum Found {
    /// A route.
    Route(Matched),
    /// A route, but for a slash at the end.
    TrailingSlash,
    /// A path that other methods have.
    OtherMethod,
    /// Nothing at all.
    Nothing,
}

/// The id in a path that fits; an id is any number of hexadecimal digits.
fn fits(pattern: &str, path: &str) -> Option<String> {
    let mut id = String::new();
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(id),
            (Some("{id}"), Some(part)) if !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit()) => {
                part.clone_into(&mut id);
            }
            (Some(wanted), Some(part)) if wanted == part => {}
            _ => return None,
        }
    }
}

/// Finds the route of a request.
pub fn find(method: &Method, path: &str) -> Found {
    let bare = path.strip_suffix('/').filter(|bare| !bare.is_empty());
    let mut found = Found::Nothing;
    for route in ROUTES {
        let Some(id) = fits(route.path, bare.unwrap_or(path)) else { continue };
        if route.method == *method {
            return match bare {
                Some(_) => Found::TrailingSlash,
                None => Found::Route(Matched { handler: route.handler, id }),
            };
        }
        found = Found::OtherMethod;
    }
    found
}

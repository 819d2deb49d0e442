//! The REST server: what a request goes through, from the socket to its handler and back.

mod access;
pub mod auth;
mod entry;
mod handlers;
mod path;
mod reply;
mod routes;
#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

pub use auth::Keys;
pub use entry::handle;

use crate::ops::Ops;

/// What handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    ops: Ops,
    keys: Option<Keys>,
}

impl App {
    /// An application on these operations. Without keys, everybody may do everything.
    pub fn new(ops: Ops, keys: Option<Keys>) -> Self {
        Self(Arc::new(Inner { ops, keys }))
    }

    fn ops(&self) -> &Ops {
        &self.0.ops
    }

    fn keys(&self) -> Option<&Keys> {
        self.0.keys.as_ref()
    }
}

/// How long nothing is accepted after the system had no room for another connection.
const BREATHER: Duration = Duration::from_secs(1);

/// Serves until `end` resolves, then answers what has been asked already.
pub async fn serve(listener: TcpListener, app: App, end: impl Future<Output = ()> + Send + 'static) {
    let service = TowerToHyperService::new(Router::new().fallback(entry::handle).with_state(app));
    let mut server = hyper::server::conn::http1::Builder::new();
    // `Location`, not `location`: scripts look for the names as the reference writes them.
    server.title_case_headers(true);
    let connections = GracefulShutdown::new();
    tokio::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut end => break,
        };
        match accepted {
            Ok((stream, _)) => {
                // An answer is one write; where that fails, it is only later.
                let _ = stream.set_nodelay(true);
                let connection = server.serve_connection(TokioIo::new(stream), service.clone());
                let connection = connections.watch(connection);
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!("a connection ended: {error}");
                    }
                });
            }
            Err(error) => match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => {}
                _ => {
                    tracing::error!("cannot accept a connection: {error}");
                    tokio::time::sleep(BREATHER).await;
                }
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

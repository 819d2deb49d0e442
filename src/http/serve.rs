//! Connections: accepted, answered, and closed when nothing comes any more.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use super::{App, entry};

/// How long a connection may take to send the head of its next request. Clients such as Kubernetes' open a connection for
/// each request and leave it open: those that stay silent are closed, and so are those that send a head byte by byte.
const SILENCE: Duration = Duration::from_secs(60);
/// How long nothing is accepted after the system refused to (no file descriptors left, mostly).
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `end` resolves, then answers what has been asked already. Connections without a request are closed.
pub async fn serve(listener: TcpListener, app: App, end: impl Future<Output = ()> + Send) {
    serve_patiently(listener, app, SILENCE, end).await;
}

async fn serve_patiently(listener: TcpListener, app: App, silence: Duration, end: impl Future<Output = ()> + Send) {
    let service = TowerToHyperService::new(Router::new().fallback(entry::handle).with_state(app));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(silence);
    // `Location`, not `location`: scripts look for the names as the reference writes them.
    http.title_case_headers(true);
    let connections = GracefulShutdown::new();
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = &mut end => break,
        };
        let Some((stream, peer)) = accepted else { continue };
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        tokio::spawn(async move {
            // Silence, a client that hung up, or one that does not speak HTTP: it has been answered if that was possible.
            if let Err(error) = connection.await {
                tracing::debug!("connection from {peer}: {error}");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
}

/// The next connection. The system may refuse: a client gave up before it was accepted, or descriptors have run out.
async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are one write each and wait for nothing. A socket that refuses this is slower, no more.
            let _ = stream.set_nodelay(true);
            Some((stream, peer))
        }
        Err(error) => {
            tracing::error!("cannot accept connections now: {error}");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

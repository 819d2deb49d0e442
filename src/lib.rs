//! heketi-rs: a drop-in replacement for the Heketi v10 server, which creates, grows, moves and deletes GlusterFS
//! volumes by running LVM and gluster commands on storage nodes.
//!
//! # The dependency rule
//!
//! `server` → `config`, `http`, `background` → `ops` → {`placement`, `store`, `exec`} → {`topology`, `api`, `ids`, `units`}; never upwards.
//! `placement` and `topology` know no tokio, SQL, HTTP or clock; `store` and `exec` do not know each other; HTTP
//! handlers never talk to a node. `tests/dependency_rule.rs` reads the sources and keeps it so.
//! `docs/ARCHITECTURE.md` has the map.

pub mod api;
pub mod background;
pub mod config;
pub mod exec;
pub mod http;
pub mod ids;
pub mod ops;
pub mod placement;
pub mod server;
pub mod store;
pub mod topology;
pub mod units;

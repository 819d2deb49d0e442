//! A server on simulated nodes that records every word sent to them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use heketi::exec::inject::Inject;
use heketi::exec::sim::Sim;
use heketi::exec::{Cmd, CommandSettings, Nodes, Output, Transport, TransportError};
use heketi::http::{App, Keys, handle};
use heketi::ids::{ClusterId, JobId};
use heketi::ops::{ClusterFlags, DeviceAdd, NodeAdd, Ops, OpsSettings};
use heketi::store::{Outcome, Store};
use heketi::topology::Tags;
use heketi::units::Gib;
use http_body_util::BodyExt;
use tower::ServiceExt;

pub const BOUND: Duration = Duration::from_secs(30);

/// What was sent: the line, and the words that it has to mean.
pub type Sent = (String, Vec<String>);

#[derive(Clone)]
pub struct Recorder {
    pub inner: Inject<Sim>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

#[async_trait::async_trait]
impl Transport for Recorder {
    async fn run(&self, host: &str, commands: &[Cmd]) -> Result<Vec<Output>, TransportError> {
        let words = |cmd: &Cmd| cmd.argv().into_iter().map(str::to_owned).collect();
        self.sent.lock().unwrap().extend(commands.iter().map(|cmd| (cmd.line(), words(cmd))));
        self.inner.run(host, commands).await
    }

    fn introduce(&self, manage: &str, storage: &str) {
        self.inner.introduce(manage, storage);
    }
}

pub struct Server {
    _folder: tempfile::TempDir,
    pub ops: Ops,
    pub app: App,
    router: Router,
    pub nodes: Recorder,
    pub cluster: ClusterId,
}

pub struct Answer {
    pub status: StatusCode,
    pub location: String,
    pub text: String,
}

impl Server {
    /// A cluster of three nodes with two devices each.
    pub async fn new(keys: Option<Keys>) -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let (store, _) = Store::open(&folder.path().join("heketi.db")).unwrap();
        let nodes = Recorder { inner: Inject::new(Sim::new(Gib(500))), sent: Arc::default() };
        let settings = OpsSettings {
            volume_create_retries: 0,
            pre_request_options: vec![String::new()],
            post_request_options: vec![String::new()],
            block_hosting_options: vec!["group gluster-block".to_owned()],
            ..OpsSettings::default()
        };
        let typed = Nodes::new(Arc::new(nodes.clone()), CommandSettings::default());
        let ops = Ops::new(Arc::new(store), Arc::new(typed), settings);
        let cluster = ops.cluster_create(ClusterFlags { file: true, block: true }).await.unwrap().id;
        for i in 1..=3 {
            let job = ops
                .node_add(NodeAdd {
                    cluster: cluster.to_string(),
                    zone: i,
                    manage: vec![format!("m{i}")],
                    storage: vec![format!("s{i}")],
                    tags: Tags::new(),
                })
                .await
                .unwrap();
            assert!(matches!(settled(&ops, job).await, Outcome::Resource(_)));
        }
        for node in ops.store().read(|tx| tx.all_nodes()).unwrap() {
            for disk in ["/dev/sdb", "/dev/sdc"] {
                let node = node.id.to_string();
                let add = DeviceAdd { node, name: disk.to_owned(), destroy_data: false, tags: Tags::new() };
                let job = ops.device_add(add).await.unwrap();
                assert_eq!(settled(&ops, job).await, Outcome::Nothing);
            }
        }
        let app = App::new(ops.clone(), keys);
        let router = Router::new().fallback(handle).with_state(app.clone());
        nodes.sent.lock().unwrap().clear();
        Self { _folder: folder, ops, app, router, nodes, cluster }
    }

    pub async fn ask(&self, request: Request<Body>) -> Answer {
        let response: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let location = response.headers().get("location").map_or("", |value| value.to_str().unwrap()).to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, location, text: String::from_utf8(body.to_vec()).expect("an answer that is no text") }
    }

    /// Waits for what an accepted request comes to.
    pub async fn outcome(&self, answer: &Answer) -> Option<Outcome> {
        if answer.status != StatusCode::ACCEPTED {
            return None;
        }
        let job: JobId = answer.location.strip_prefix("/queue/")?.parse().ok()?;
        Some(settled(&self.ops, job).await)
    }

    /// All that the store holds, but for the answers of the queue.
    pub fn dump(&self) -> String {
        self.ops
            .store()
            .read(|tx| {
                let mut bricks = Vec::new();
                tx.each_brick(|brick| bricks.push(brick))?;
                Ok(format!(
                    "{:#?}{:#?}{:#?}{:#?}{:#?}{:#?}",
                    tx.clusters()?,
                    tx.all_nodes()?,
                    tx.all_devices()?,
                    tx.all_volumes()?,
                    bricks,
                    tx.operations()?
                ))
            })
            .unwrap()
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.nodes.sent.lock().unwrap().clone()
    }
}

pub async fn settled(ops: &Ops, job: JobId) -> Outcome {
    let began = Instant::now();
    loop {
        match ops.store().read(|tx| tx.job(job)).unwrap() {
            None => panic!("the job is not known"),
            Some(Outcome::Running) => assert!(began.elapsed() < BOUND, "the job never ends"),
            Some(outcome) => return outcome,
        }
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
}

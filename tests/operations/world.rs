//! A server's operations on a file and on simulated nodes, that can be killed and started again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use heketi::exec::inject::Inject;
use heketi::exec::sim::Sim;
use heketi::exec::{CommandSettings, Nodes};
use heketi::ids::{ClusterId, DeviceId, JobId, NodeId, VolumeId};
use heketi::ops::{ClusterFlags, DeviceAdd, NodeAdd, OpError, Ops, OpsSettings};
use heketi::placement::Limits;
use heketi::store::{HostnameKind, Outcome, Store, StoreError, Tx};
use heketi::topology::{Brick, EntryState, Tags};
use heketi::units::Gib;
use tokio::runtime::Runtime;

use crate::agree;

/// How long a test waits for what must happen.
pub const BOUND: Duration = Duration::from_secs(30);

/// One life of the server.
struct Process {
    runtime: Runtime,
    ops: Ops,
}

pub struct World {
    folder: tempfile::TempDir,
    pub sim: Sim,
    pub faults: Inject<Sim>,
    process: Option<Process>,
    settings: OpsSettings,
    workers: usize,
    pub cluster: ClusterId,
    hosts: usize,
}

pub fn settings() -> OpsSettings {
    OpsSettings {
        // Small, so that volumes of some size have several sets.
        limits: Limits { brick_max: Gib(4).to_kib(), ..Limits::default() },
        max_volumes_per_cluster: None,
        volume_create_retries: 1,
        ..OpsSettings::default()
    }
}

/// Memory where there is some: the file's durability is not what is tested here.
fn folder() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

pub const DISKS: [&str; 2] = ["/dev/sdb", "/dev/sdc"];

impl World {
    /// A cluster of so many nodes, `m1` and up, with two devices each.
    pub fn new(hosts: usize) -> Self {
        Self::with(hosts, settings(), 0)
    }

    /// The same with settings of its own, on so many threads (0: the test's own).
    pub fn with(hosts: usize, settings: OpsSettings, workers: usize) -> Self {
        let sim = Sim::new(Gib(100));
        let faults = Inject::new(sim.clone());
        let cluster = ClusterId::from_bytes([0; 16]);
        let folder = folder();
        let mut world = Self { folder, sim, faults, process: None, settings, workers, cluster, hosts };
        world.start();
        let flags = ClusterFlags { file: true, block: true };
        world.cluster = world.run(|ops| async move { ops.cluster_create(flags).await.unwrap().id });
        world.restore();
        world
    }

    pub fn store(&self) -> &Store {
        self.process.as_ref().unwrap().ops.store()
    }

    pub fn run<T, F: Future<Output = T>>(&self, work: impl FnOnce(Ops) -> F) -> T {
        let process = self.process.as_ref().unwrap();
        process.runtime.block_on(work(process.ops.clone()))
    }

    /// A change of the last process may be on its way to the disk yet.
    fn open(&self) -> Store {
        let began = Instant::now();
        loop {
            match Store::open(&self.folder.path().join("heketi.db")) {
                Ok((store, _)) => return store,
                Err(StoreError::InUse(_)) => assert!(began.elapsed() < BOUND, "the last process never ends"),
                Err(error) => panic!("{error}"),
            }
            std::thread::yield_now();
        }
    }

    fn start(&mut self) {
        let store = self.open();
        let nodes = Nodes::new(Arc::new(self.faults.clone()), CommandSettings::default());
        let runtime = if self.workers == 0 {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
        } else {
            tokio::runtime::Builder::new_multi_thread().worker_threads(self.workers).enable_all().build().unwrap()
        };
        let ops = Ops::new(Arc::new(store), Arc::new(nodes), self.settings.clone());
        runtime.block_on(ops.take_over()).unwrap();
        self.process = Some(Process { runtime, ops });
    }

    /// Ends the server in the middle of whatever it does, and starts another one on its file.
    pub fn kill(&mut self) {
        let Process { runtime, ops } = self.process.take().unwrap();
        // All tasks are dropped where they wait; with the last of them the file is closed.
        drop(runtime);
        drop(ops);
        self.start();
    }

    /// Waits until nothing is under way: an answer is there a moment before its operation has ended.
    pub fn quiet(&self) {
        self.run(|ops| async move {
            let began = Instant::now();
            while ops.under_way() > 0 {
                assert!(began.elapsed() < BOUND, "an operation never ends");
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
        });
    }

    /// Recovery, once: what the cleaner does. Returns how many operations remain.
    pub fn clean(&self) -> usize {
        self.quiet();
        self.run(|ops| async move { ops.clean().await.unwrap() })
    }

    /// As [`World::kill`], with these statements run on the file before the next start.
    pub fn kill_and_tamper(&mut self, sql: &str) {
        drop(self.process.take());
        let connection = rusqlite::Connection::open(self.folder.path().join("heketi.db")).unwrap();
        connection.execute_batch(sql).unwrap();
        connection.close().unwrap();
        self.start();
    }

    /// Keeps the server from writing its file, until this is dropped.
    pub fn hold_file(&self) -> rusqlite::Connection {
        let other = rusqlite::Connection::open(self.folder.path().join("heketi.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        other
    }

    /// What a job came to.
    pub fn answer(&self, job: JobId) -> Outcome {
        self.run(|ops| async move { settled(&ops, job).await })
    }

    /// Starts a job and waits for what it comes to.
    #[track_caller]
    pub fn finish(&self, started: Result<JobId, OpError>) -> Outcome {
        self.answer(started.unwrap_or_else(|refusal| panic!("refused: {refusal}")))
    }

    #[track_caller]
    pub fn must(&self, started: Result<JobId, OpError>) -> Outcome {
        match self.finish(started) {
            Outcome::Error(text) => panic!("failed: {text}"),
            outcome => outcome,
        }
    }

    pub fn nodes(&self) -> Vec<heketi::topology::Node> {
        self.store().read(|tx| tx.nodes(self.cluster)).unwrap()
    }

    pub fn node(&self, host: &str) -> Option<NodeId> {
        self.nodes().iter().find(|node| node.manage_host() == host).map(|node| node.id)
    }

    pub fn device(&self, host: &str, disk: &str) -> Option<DeviceId> {
        let node = self.node(host)?;
        let devices = self.store().read(|tx| tx.devices(node)).unwrap();
        devices.iter().find(|device| device.name == disk).map(|device| device.id)
    }

    pub fn add_node(&self, host: &str) -> Result<JobId, OpError> {
        let request = node_request(self.cluster, host);
        self.run(|ops| async move { ops.node_add(request).await })
    }

    pub fn add_device(&self, host: &str, disk: &str) -> Result<JobId, OpError> {
        let request = device_request(self.node(host).unwrap(), disk, false);
        self.run(|ops| async move { ops.device_add(request).await })
    }

    /// Takes a device out of use, as a device has to be before it goes.
    pub fn give_up(&self, device: DeviceId) {
        for state in [EntryState::Offline, EntryState::Failed] {
            self.must(self.run(|ops| async move { ops.device_set_state(device, state).await }));
        }
    }

    pub fn drop_device(&self, device: DeviceId) {
        self.give_up(device);
        self.must(self.run(|ops| async move { ops.device_delete(device, false).await }));
    }

    pub fn drop_node(&self, node: NodeId) {
        self.must(self.run(|ops| async move { ops.node_delete(node).await }));
    }

    pub fn volumes(&self) -> Vec<VolumeId> {
        self.store().read(|tx| tx.volume_ids(None)).unwrap()
    }

    pub fn bricks(&self) -> Vec<Brick> {
        self.store().read(all_bricks).unwrap()
    }

    /// Brings the cluster back to its nodes with two devices each and nothing on them, by ordinary operations.
    pub fn restore(&self) {
        for cluster in self.store().read(|tx| tx.clusters()).unwrap() {
            if cluster.id != self.cluster {
                for node in self.store().read(|tx| tx.nodes(cluster.id)).unwrap() {
                    self.drop_node(node.id);
                }
                self.run(|ops| async move { ops.cluster_delete(cluster.id).await }).unwrap();
            }
        }
        for volume in self.volumes() {
            self.must(self.run(|ops| async move { ops.volume_delete(volume).await }));
        }
        let wanted: Vec<String> = (1..=self.hosts).map(|i| format!("m{i}")).collect();
        for node in self.nodes() {
            for device in self.store().read(|tx| tx.devices(node.id)).unwrap() {
                let host = node.manage_host();
                if !wanted.iter().any(|name| name == host)
                    || !DISKS.contains(&device.name.as_str())
                    || device.state != EntryState::Online
                {
                    if device.state == EntryState::Failed {
                        let id = device.id;
                        self.must(self.run(|ops| async move { ops.device_delete(id, false).await }));
                    } else {
                        self.drop_device(device.id);
                    }
                }
            }
            if !wanted.iter().any(|name| name == node.manage_host()) {
                self.drop_node(node.id);
            }
        }
        for host in &wanted {
            if self.node(host).is_none() {
                self.must(self.add_node(host));
            }
            for disk in DISKS {
                if self.device(host, disk).is_none() {
                    self.must(self.add_device(host, disk));
                }
            }
        }
        self.assert_agreed("after tidying up");
    }

    /// What is not as it should be once nothing is under way. Empty: all is well.
    pub fn complaints(&self) -> Vec<String> {
        let mut wrong = agree::differences(self.store(), &self.sim);
        self.store()
            .read(|tx| {
                for operation in tx.operations()? {
                    wrong.push(format!("left: operation of kind {} {:?}", operation.kind, operation.status));
                }
                for host in (1..10).map(|i| format!("m{i}")) {
                    if let Some(owner) = tx.hostname_owner(HostnameKind::Manage, &host)?
                        && tx.node(owner)?.is_none()
                    {
                        wrong.push(format!("pending: node {host}"));
                    }
                }
                Ok(())
            })
            .unwrap();
        wrong
    }

    #[track_caller]
    pub fn assert_agreed(&self, when: &str) {
        let wrong = self.complaints();
        assert!(wrong.is_empty(), "{when}:\n  {}", wrong.join("\n  "));
    }
}

/// Waits for a job's end.
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

pub fn node_request(cluster: ClusterId, host: &str) -> NodeAdd {
    NodeAdd {
        cluster: cluster.to_string(),
        zone: 1,
        manage: vec![host.to_owned()],
        storage: vec![host.replace('m', "s")],
        tags: Tags::new(),
    }
}

pub fn device_request(node: NodeId, disk: &str, destroy_data: bool) -> DeviceAdd {
    DeviceAdd { node: node.to_string(), name: disk.to_owned(), destroy_data, tags: Tags::new() }
}

/// All bricks, pending ones included.
pub fn all_bricks(tx: &Tx<'_>) -> Result<Vec<Brick>, StoreError> {
    let mut bricks = Vec::new();
    tx.each_brick(|brick| bricks.push(brick))?;
    Ok(bricks)
}

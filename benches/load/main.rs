//! How fast the server is on simulated nodes: the real binary, driven over HTTP, 50 nodes with 10 devices each.
//!
//! `cargo bench --bench load` runs all of it (minutes); `cargo bench --bench load -- --quick` a small version of it, to
//! see that it works. It prints figures beside what they are to reach; the exit code is 1 only when it cannot run.

mod client;
mod figures;
mod server;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use client::{Client, Connection};
use figures::{Figures, millis};
use server::Server;

const NODES: usize = 50;
const DEVICES: usize = 10;
/// Requests at once where several are sent at once.
const AT_ONCE: usize = 16;
/// How long a client waits before it asks the queue again: alone, and beside others.
const POLL_ALONE: Duration = Duration::from_micros(250);
const POLL_BESIDE: Duration = Duration::from_millis(2);

/// How much is measured.
struct Plan {
    nodes: usize,
    /// Volumes there before each round of creates.
    fills: [usize; 3],
    alone: usize,
    beside: usize,
    reads: Duration,
    starts: usize,
}

impl Plan {
    const FULL: Self = Self {
        nodes: NODES,
        fills: [0, 1_000, 10_000],
        alone: 200,
        beside: 600,
        reads: Duration::from_secs(3),
        starts: 7,
    };
    const QUICK: Self =
        Self { nodes: 10, fills: [0, 100, 500], alone: 20, beside: 64, reads: Duration::from_millis(300), starts: 3 };
}

/// What one durable commit costs at the least here: a page is appended to a file and brought to the disk.
fn sync_cost(folder: &Path) -> anyhow::Result<Vec<Duration>> {
    use std::io::Write;
    let mut file = std::fs::File::create(folder.join("sync"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn load_topology(server: &Server, nodes: usize) -> anyhow::Result<()> {
    let mut client = Client::new(server.connect()?);
    let cluster = client.json("POST", "/clusters", &json!({"file": true, "block": true}))?;
    let cluster = text(&cluster, "id")?;
    for node in 0..nodes {
        let names = json!({"manage": [format!("node{node}")], "storage": [format!("10.0.0.{node}")]});
        let request = json!({"cluster": cluster, "zone": node % 5 + 1, "hostnames": names});
        let place = client.run("POST", "/nodes", &request, POLL_ALONE)?;
        let id = place.strip_prefix("/nodes/").context("the new node is nowhere")?.to_owned();
        for device in 0..DEVICES {
            let request = json!({"node": id, "name": format!("/dev/sd{}", char::from(b'b' + device as u8))});
            client.run("POST", "/devices", &request, POLL_ALONE)?;
        }
    }
    Ok(())
}

fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    Ok(value.get(key).and_then(Value::as_str).with_context(|| format!("the answer has no {key}"))?.to_owned())
}

fn volume() -> Value {
    json!({"size": 4, "durability": {"type": "replicate", "replicate": {"replica": 3}}})
}

/// What a number of creates took: each, all together, and of the server's processor time.
struct Creates {
    each: Vec<Duration>,
    all: Duration,
    busy: Duration,
}

impl Creates {
    fn per_second(&self) -> f64 {
        self.each.len() as f64 / self.all.as_secs_f64()
    }

    fn busy_each(&self) -> Duration {
        self.busy / u32::try_from(self.each.len().max(1)).unwrap_or(u32::MAX)
    }
}

/// Creates `count` volumes, `at_once` at a time: each from the first byte of its POST until the queue has the result.
fn create(server: &Server, count: usize, at_once: usize) -> anyhow::Result<Creates> {
    let poll = if at_once == 1 { POLL_ALONE } else { POLL_BESIDE };
    let left = std::sync::atomic::AtomicUsize::new(count);
    let one_client = || -> anyhow::Result<Vec<Duration>> {
        use std::sync::atomic::Ordering::Relaxed;
        let mut client = Client::new(server.connect()?);
        let mut each = Vec::new();
        while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            let began = Instant::now();
            let place = client.run("POST", "/volumes", &volume(), poll)?;
            each.push(began.elapsed());
            if !place.starts_with("/volumes/") {
                bail!("the new volume is at {place}");
            }
        }
        Ok(each)
    };
    let (began, busy) = (Instant::now(), server.busy()?);
    let mut each = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..at_once).map(|_| scope.spawn(one_client)).collect();
        let all = clients.into_iter().map(|client| match client.join() {
            Ok(times) => times,
            Err(_) => bail!("a client ended early"),
        });
        all.collect::<anyhow::Result<Vec<_>>>()
    })?
    .concat();
    each.sort_unstable();
    Ok(Creates { each, all: began.elapsed(), busy: server.busy()?.saturating_sub(busy) })
}

/// Asks for one volume after another on several connections, each with one request under way. One thread serves them
/// all, so that the client takes little of the processors.
fn read(server: &Server, time: Duration) -> anyhow::Result<(f64, Duration)> {
    let list = Client::new(server.connect()?).json("GET", "/volumes", &Value::Null)?;
    let ids = list.get("volumes").and_then(Value::as_array).context("there is no list of volumes")?;
    let requests = ids
        .iter()
        .filter_map(Value::as_str)
        .map(|id| client::request("GET", &format!("/volumes/{id}"), None))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut connections = (0..AT_ONCE).map(|_| server.connect()).collect::<anyhow::Result<Vec<Connection>>>()?;
    let mut next = requests.iter().cycle();
    for connection in &mut connections {
        connection.send(next.next().context("there is no volume")?)?;
    }
    let (began, busy) = (Instant::now(), server.busy()?);
    let mut answers = 0_u32;
    while began.elapsed() < time {
        for connection in &mut connections {
            let answer = connection.receive()?;
            if answer.status != 200 || !answer.body.ends_with(b"}\n") {
                bail!("a volume was answered with {}", answer.status);
            }
            answers += 1;
            connection.send(next.next().context("there is no volume")?)?;
        }
    }
    let (all, busy) = (began.elapsed(), server.busy()?.saturating_sub(busy));
    Ok((f64::from(answers) / all.as_secs_f64(), busy / answers.max(1)))
}

/// Waits until the simulated nodes hold again what they held: a server answers before that, commands wait for it.
fn nodes_are_back(server: &Server) -> anyhow::Result<()> {
    let mut client = Client::new(server.connect()?);
    let first = |answer: &Value, list: &str| {
        let id = answer.get(list).and_then(|list| list.get(0)).context("an empty list")?;
        Ok::<_, anyhow::Error>(id.as_str().context("no id")?.to_owned())
    };
    let cluster = first(&client.json("GET", "/clusters", &Value::Null)?, "clusters")?;
    let node = first(&client.json("GET", &format!("/clusters/{cluster}"), &Value::Null)?, "nodes")?;
    let node = client.json("GET", &format!("/nodes/{node}"), &Value::Null)?;
    let device = text(node.get("devices").and_then(|devices| devices.get(0)).context("no device")?, "id")?;
    client.run("GET", &format!("/devices/{device}/resync"), &Value::Null, POLL_ALONE)?;
    Ok(())
}

/// What starts of the server took, in order, and what it holds once its nodes are complete.
struct Starts {
    /// From the start of the process until it answers.
    answering: Vec<Duration>,
    /// From the start of the process until a node has done something.
    complete: Vec<Duration>,
    memory: u64,
}

fn start_up(folder: &Path, starts: usize) -> anyhow::Result<Starts> {
    let mut all = Starts { answering: Vec::new(), complete: Vec::new(), memory: 0 };
    for _ in 0..starts {
        let began = Instant::now();
        let server = Server::start(folder)?;
        all.answering.push(server.start_up);
        nodes_are_back(&server)?;
        all.complete.push(began.elapsed());
        all.memory = server.memory()?.resident;
        server.stop()?;
    }
    all.answering.sort_unstable();
    all.complete.sort_unstable();
    Ok(all)
}

/// Start-up and memory, with so many volumes. Gives back a server that is complete.
fn restarts(
    server: Server,
    folder: &Path,
    plan: &Plan,
    volumes: usize,
    figures: &mut Figures,
) -> anyhow::Result<Server> {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let memory = server.memory()?;
    server.stop()?;
    let starts = start_up(folder, plan.starts)?;
    let median = |times: &[Duration]| figures::quantile(times, 0.5);
    let at = format!("with {volumes} volumes");
    figures.at_most(&format!("start-up, {at}: median"), median(&starts.answering), Duration::from_millis(200));
    figures.note(&format!("start-up, {at}: simulated nodes are back"), &millis(median(&starts.complete)));
    figures.below(&format!("memory after start-up, {at}, MiB"), mib(starts.memory), 60.0);
    figures.below(&format!("memory of the server that made {volumes} volumes, MiB"), mib(memory.resident), 60.0);
    figures.note("memory of that server at its highest", &format!("{:.1} MiB", mib(memory.highest)));
    let server = Server::start(folder)?;
    nodes_are_back(&server)?;
    Ok(server)
}

fn run(plan: &Plan) -> anyhow::Result<()> {
    // On the disk that the build is on, not in memory.
    let folder = tempfile::Builder::new().prefix("load-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let folder = folder.path();
    let sync = sync_cost(folder)?;
    let (median, p95) = (figures::quantile(&sync, 0.5), figures::quantile(&sync, 0.95));
    println!("A page brought to the disk: median {}, 95% within {}; each create has two.", millis(median), millis(p95));
    server::write_config(folder)?;
    let mut server = Server::start(folder)?;
    load_topology(&server, plan.nodes)?;
    println!("{} nodes with {DEVICES} devices each; volumes of replica 3.\n", plan.nodes);
    let mut figures = Figures::default();
    let mut made = 0;
    let mut first: Option<(Duration, Duration)> = None;
    for fill in plan.fills {
        made += create(&server, fill.saturating_sub(made), AT_ONCE)?.each.len();
        if Some(&fill) == plan.fills.last() {
            server = restarts(server, folder, plan, fill, &mut figures)?;
        }
        let alone = create(&server, plan.alone, 1)?;
        let (median, p95) = (figures::quantile(&alone.each, 0.5), figures::quantile(&alone.each, 0.95));
        let at = format!("with {fill} volumes");
        figures.at_most(&format!("create, {at}: 95th percentile"), p95, Duration::from_millis(5));
        figures.note(&format!("create, {at}: median"), &millis(median));
        figures.note(&format!("create, {at}: server's processor time"), &millis(alone.busy_each()));
        match first {
            None => first = Some((median, alone.busy_each())),
            Some((first, first_busy)) => {
                let ratio = |now: Duration, then: Duration| now.as_secs_f64() / then.as_secs_f64();
                figures.ratio(&format!("create, {at} against none: median"), ratio(median, first), 1.3);
                let busy = ratio(alone.busy_each(), first_busy);
                figures.ratio(&format!("create, {at} against none: processor time"), busy, 1.3);
            }
        }
        let beside = create(&server, plan.beside, AT_ONCE)?;
        figures.at_least(&format!("{AT_ONCE} creates at once, {at}: per second"), beside.per_second(), 400.0);
        figures.note(&format!("{AT_ONCE} creates at once, {at}: server's processor time"), &millis(beside.busy_each()));
        made += alone.each.len() + beside.each.len();
        if Some(&fill) == plan.fills.get(1) {
            let (per_second, busy) = read(&server, plan.reads)?;
            figures.at_least(&format!("GET /volumes/{{id}}, {at}: per second"), per_second, 20_000.0);
            figures.note(&format!("GET /volumes/{{id}}, {at}: server's processor time"), &millis(busy));
        }
    }
    server.stop()?;
    figures.summary();
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let plan = if std::env::args().any(|word| word == "--quick") { Plan::QUICK } else { Plan::FULL };
    run(&plan)
}

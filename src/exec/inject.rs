//! Faults around any transport: rules that match a command and say what goes wrong with it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Cmd, Output, Transport, TransportError, TransportErrorKind};

/// What happens to a command that a rule matches.
#[derive(Debug, Clone)]
pub enum Action {
    /// It is not run, and ends with this status and this on its standard error.
    Fail {
        /// Exit status.
        status: u32,
        /// Standard error.
        stderr: String,
    },
    /// It runs, and all the same ends with this status and this on its standard error.
    FailAfter {
        /// Exit status.
        status: u32,
        /// Standard error.
        stderr: String,
    },
    /// It runs, and the connection breaks before its reply arrives.
    LoseReply,
    /// It counts as having taken longer than its limit, without anybody waiting that long.
    Hang {
        /// Whether it did its work all the same.
        ran: bool,
    },
    /// There is no connection: nothing of the batch runs. Decided when the batch arrives, so a rule with this counts
    /// each matching command of a batch, whether or not an earlier one would have failed.
    Refuse,
    /// It waits until the gate lets it through, then runs.
    Freeze(Arc<Gate>),
    /// It runs, and its reply waits until the gate lets it through.
    FreezeReply(Arc<Gate>),
    /// The connection breaks before it runs, and from then on nothing reaches this host until [`Inject::clear`].
    Down,
}

impl Action {
    /// Fails with status 1 and a text that says so.
    pub fn fail() -> Self {
        Self::Fail { status: 1, stderr: "injected failure\n".to_owned() }
    }

    /// Runs, and then fails with status 1 and a text that says so.
    pub fn fail_after() -> Self {
        Self::FailAfter { status: 1, stderr: "injected failure after the work\n".to_owned() }
    }
}

/// Where frozen commands wait.
#[derive(Debug, Default)]
pub struct Gate {
    arrived: Notify,
    leave: Notify,
    open: AtomicBool,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until a command is frozen here. One that came before counts, once.
    pub async fn frozen(&self) {
        self.arrived.notified().await;
    }

    /// Lets one command through: one that waits, or the next to come.
    pub fn release(&self) {
        self.leave.notify_one();
    }

    /// Lets through all that wait and all that come.
    pub fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
        self.leave.notify_waiters();
    }

    async fn pass(&self) {
        let leave = self.leave.notified();
        tokio::pin!(leave);
        // Registered before the gate is looked at, so that no opening in between is missed.
        let released = leave.as_mut().enable();
        self.arrived.notify_one();
        if !released && !self.open.load(Ordering::SeqCst) {
            leave.await;
        }
    }
}

/// Which commands go wrong, and how.
#[derive(Debug, Clone)]
pub struct Rule {
    host: Option<String>,
    line: Option<String>,
    nth: Option<u64>,
    action: Action,
    seen: u64,
    fired: u64,
}

impl Rule {
    /// Every command.
    pub const fn every(action: Action) -> Self {
        Self { host: None, line: None, nth: None, action, seen: 0, fired: 0 }
    }

    /// Commands whose line contains this.
    pub fn line(part: impl Into<String>, action: Action) -> Self {
        Self { line: Some(part.into()), ..Self::every(action) }
    }

    /// Only on hosts whose name contains this.
    #[must_use]
    pub fn on_host(mut self, part: impl Into<String>) -> Self {
        self.host = Some(part.into());
        self
    }

    /// Only the nth of the commands that match otherwise, from 1.
    #[must_use]
    pub const fn nth(mut self, nth: u64) -> Self {
        self.nth = Some(nth);
        self
    }

    fn fires(&mut self, host: &str, line: &str) -> bool {
        let matches = self.host.as_ref().is_none_or(|part| host.contains(part.as_str()))
            && self.line.as_ref().is_none_or(|part| line.contains(part.as_str()));
        if !matches {
            return false;
        }
        self.seen += 1;
        let fires = self.nth.is_none_or(|nth| nth == self.seen);
        self.fired += u64::from(fires);
        fires
    }
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    lines: Vec<(String, String)>,
    down: HashSet<String>,
}

/// Any transport, with faults. Clones share rules and records.
#[derive(Debug, Clone)]
pub struct Inject<T> {
    inner: T,
    state: Arc<Mutex<State>>,
}

impl<T: Transport> Inject<T> {
    /// `inner`, without faults so far.
    pub fn new(inner: T) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// What is wrapped.
    pub const fn inner(&self) -> &T {
        &self.inner
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more rule; of several that match, the first one acts. All that match count the command.
    pub fn add(&self, rule: Rule) {
        self.state().rules.push(rule);
    }

    /// Instead of all rules: the nth command from now on, from 1, fails before it runs.
    pub fn fail_nth(&self, nth: u64) {
        self.act_on_nth(nth, Action::fail());
    }

    /// Instead of all rules: this happens to the nth command from now on, from 1.
    pub fn act_on_nth(&self, nth: u64, action: Action) {
        self.state().rules = vec![Rule::every(action).nth(nth)];
    }

    /// No more faults, and every host is reached again.
    pub fn clear(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.down.clear();
    }

    /// Nothing reaches this host until [`Inject::clear`].
    pub fn cut_off(&self, host: &str) {
        self.state().down.insert(host.to_owned());
    }

    /// How often the rules now in force have acted. After `fail_nth`, 0 means that there were fewer commands.
    pub fn fired(&self) -> u64 {
        self.state().rules.iter().map(|rule| rule.fired).sum()
    }

    /// Host and line of every command that came to its turn, failed ones included.
    pub fn lines(&self) -> Vec<(String, String)> {
        self.state().lines.clone()
    }

    /// As `lines`, and forgets them.
    pub fn take_lines(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.state().lines)
    }

    /// Whether a rule breaks the connection for this batch.
    fn refuses(&self, host: &str, commands: &[Cmd]) -> bool {
        let mut state = self.state();
        let mut refused = state.down.contains(host);
        for rule in state.rules.iter_mut().filter(|rule| matches!(rule.action, Action::Refuse)) {
            for cmd in commands {
                refused |= rule.fires(host, &cmd.line());
            }
        }
        refused
    }

    fn next_action(&self, host: &str, line: &str) -> Option<Action> {
        let mut state = self.state();
        state.lines.push((host.to_owned(), line.to_owned()));
        let mut action = None;
        for rule in state.rules.iter_mut().filter(|rule| !matches!(rule.action, Action::Refuse)) {
            if rule.fires(host, line) && action.is_none() {
                action = Some(rule.action.clone());
            }
        }
        action
    }
}

fn broken(kind: TransportErrorKind, host: &str, command: Option<String>, cause: &str) -> TransportError {
    TransportError { kind, host: host.to_owned(), command, message: format!("{host}: {cause}") }
}

#[async_trait]
impl<T: Transport> Transport for Inject<T> {
    async fn run(&self, host: &str, commands: &[Cmd]) -> Result<Vec<Output>, TransportError> {
        if self.refuses(host, commands) {
            return Err(broken(TransportErrorKind::Connect, host, None, "connection refused (injected)"));
        }
        let mut outputs = Vec::with_capacity(commands.len());
        for cmd in commands {
            let line = cmd.line();
            let one = std::slice::from_ref(cmd);
            let mut reply_gate = None;
            match self.next_action(host, &line) {
                Some(Action::Fail { status, stderr }) => {
                    outputs.push(Output { status, stdout: String::new(), stderr });
                    break;
                }
                Some(Action::LoseReply) => {
                    self.inner.run(host, one).await?;
                    let cause = "connection lost (injected)";
                    return Err(broken(TransportErrorKind::Dropped, host, Some(line), cause));
                }
                Some(Action::Hang { ran }) => {
                    if ran {
                        self.inner.run(host, one).await?;
                    }
                    let cause = format!("no end after {} s (injected)", cmd.limit().as_secs());
                    return Err(broken(TransportErrorKind::Timeout, host, Some(line), &cause));
                }
                Some(Action::FailAfter { status, stderr }) => {
                    let ran = self.inner.run(host, one).await?;
                    let stdout = ran.into_iter().next().map(|output| output.stdout).unwrap_or_default();
                    outputs.push(Output { status, stdout, stderr });
                    break;
                }
                Some(Action::Freeze(gate)) => gate.pass().await,
                Some(Action::FreezeReply(gate)) => reply_gate = Some(gate),
                Some(Action::Down) => {
                    self.cut_off(host);
                    let cause = "connection lost, and the host is not reached any more (injected)";
                    return Err(if outputs.is_empty() {
                        broken(TransportErrorKind::Connect, host, None, cause)
                    } else {
                        broken(TransportErrorKind::Dropped, host, Some(line), cause)
                    });
                }
                Some(Action::Refuse) | None => {}
            }
            let batch = self.inner.run(host, one).await.map_err(|mut err| {
                // Nothing of this command ran, but something of the batch did.
                if err.nothing_ran() && !outputs.is_empty() {
                    err.kind = TransportErrorKind::Dropped;
                }
                err
            })?;
            if let Some(gate) = reply_gate {
                gate.pass().await;
            }
            outputs.extend(batch);
            if outputs.last().is_some_and(|output| output.status != 0) {
                break;
            }
        }
        Ok(outputs)
    }

    fn introduce(&self, manage: &str, storage: &str) {
        self.inner.introduce(manage, storage);
    }
}

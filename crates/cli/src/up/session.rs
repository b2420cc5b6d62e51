//! One run of `ward up`: what it started, in which order, and how it is all stopped again.
use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use model::{ListenTls, Model, SourceFile};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Args, admin,
    control::Api,
    environment::{Facts, of_application, of_own},
    event::{Addresses, Event, ms},
    instance::{Instance, SidecarSettings, Started, leads_to},
    listening,
    plan::{self, Spec},
    preflight::{self, Found, Siblings},
    screen::Teller,
    signals::Signals,
    state::{StateDir, write_new},
    watch::Fingerprint,
};
use crate::{
    clock::Clock,
    config::Environment,
    isolation::{self, Isolation, Network, Place, lock, runtime_dir, wrap::Wrapper},
    output::FINDINGS,
    supervise::{
        self, Before, HOPELESS_FAILURES, Kept, Notice, Program, Restart, State,
        logs::{self, with_tail},
        marks::{self, Marks},
    },
};

/// Longest the control plane may take to answer.
const CONTROL_DEADLINE: Duration = Duration::from_secs(60);
/// Longest the sidecars may take to be ready.
const READY_DEADLINE: Duration = Duration::from_secs(90);
/// Longest applications of one wave may take to listen, before the next wave starts all the same.
const LISTEN_DEADLINE: Duration = Duration::from_secs(60);
/// Longest the report streams may take to be there, before what is not there is shown as unverifiable.
const CONNECTED_DEADLINE: Duration = Duration::from_secs(10);
/// How often they are asked for.
const CONNECTED_PACE: Duration = Duration::from_millis(50);
/// How often readiness is asked for.
const READY_PACE: Duration = Duration::from_millis(100);
/// Longest an application may take to end after SIGTERM.
const APPLICATION_DEADLINE: Duration = Duration::from_secs(15);
/// Longest a sidecar or gateway may take to drain.
const SIDECAR_DEADLINE: Duration = Duration::from_secs(10);
/// Longest the control plane may take to end.
const CONTROL_STOP_DEADLINE: Duration = Duration::from_secs(10);
/// How often the size of the logs is looked at.
const LOGS_PACE: Duration = Duration::from_secs(10);
/// Longest the control plane may take to make a join token.
const TOKEN_DEADLINE: Duration = Duration::from_secs(5);
/// Life of a join token.
const TOKEN_TTL: Duration = Duration::from_secs(600);

/// What a session is made from.
pub(super) struct Setup<'a> {
    /// The command line.
    pub(super) args: &'a Args,
    /// The model directory.
    pub(super) dir: PathBuf,
    /// Our environment.
    pub(super) environment: Environment,
    /// Ward's other programs.
    pub(super) siblings: Siblings,
    /// The kind of isolation.
    pub(super) isolation: Isolation,
    /// The model's files.
    pub(super) files: Vec<SourceFile>,
    /// The model.
    pub(super) model: Model,
}

/// Everything that runs.
pub(super) struct Session {
    pub(super) dir: PathBuf,
    pub(super) listen_address: IpAddr,
    pub(super) strict: bool,
    pub(super) environment: Environment,
    pub(super) model: Model,
    pub(super) files: Vec<SourceFile>,
    pub(super) seen: Fingerprint,
    pub(super) found: Found,
    pub(super) api: Api,
    pub(super) instances: BTreeMap<String, Instance>,
    socket: PathBuf,
    siblings: Siblings,
    state: StateDir,
    wrapper: Wrapper,
    network: Network,
    control: Option<Kept>,
    pub(super) teller: Teller,
    notices: mpsc::Sender<Notice>,
    tasks: TaskTracker,
    stopping: CancellationToken,
    _socket_lock: std::fs::File,
}

impl Session {
    /// Checks everything that can be checked, takes the locks and the network, and clears away what a killed run with
    /// the same state directory left behind. Starts nothing yet.
    pub(super) async fn open(
        setup: Setup<'_>,
        teller: Teller,
        notices: mpsc::Sender<Notice>,
        tasks: TaskTracker,
    ) -> anyhow::Result<Self> {
        let Setup { args, dir, environment, siblings, isolation, files, model } = setup;
        isolation::tools::require(&[isolation::tools::SETPRIV])?;
        let state = StateDir::open(args.state.as_deref().unwrap_or(&dir.join(".ward")))?;
        // Strays of a killed run hold ports: they go before ports are looked at.
        let strays = marks::kill_all(&Marks::of_state(state.root()));
        if strays > 0 {
            let message = format!("{strays} processes that a killed `ward up` left behind were ended");
            teller.tell(Event::Warning { message }).await;
        }
        let locks = runtime_dir(environment.xdg_runtime_dir.as_deref());
        isolation::make_runtime_dir(&locks)?;
        let socket = args.socket.clone().unwrap_or_else(|| locks.join("control.sock"));
        let socket = std::path::absolute(&socket).with_context(|| format!("cannot use {}", socket.display()))?;
        let socket_lock = take_socket(&socket)?;
        let found = preflight::check(&plan::specs(&model), &dir, &environment, args.listen_address, &[]).await?;
        if let Some(message) = as_root(&model) {
            teller.tell(Event::Warning { message }).await;
        }
        let network = Network::open(isolation, &locks, state.root()).await?;
        let mut reached = vec![dir.canonicalize().with_context(|| format!("cannot open {}", dir.display()))?];
        reached.push(state.root().to_owned());
        reached.extend(
            found
                .programs
                .values()
                .map(Path::new)
                .filter_map(|p| Some(p.is_absolute().then_some(p)?.parent()?.to_owned())),
        );
        Ok(Self {
            seen: Fingerprint::of(&dir),
            dir,
            listen_address: args.listen_address,
            strict: args.strict,
            environment,
            model,
            files,
            found,
            api: Api::new(&socket),
            instances: BTreeMap::new(),
            socket,
            siblings,
            wrapper: Wrapper::new(state.private(), reached),
            state,
            network,
            control: None,
            teller,
            notices,
            tasks,
            stopping: CancellationToken::new(),
            _socket_lock: socket_lock,
        })
    }

    pub(super) async fn tell(&self, event: Event) {
        self.teller.tell(event).await;
    }

    pub(super) async fn warn(&self, message: String) {
        self.tell(Event::Warning { message }).await;
    }

    /// Starts the control plane, the sidecars, the applications in waves, and tells where things are.
    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        self.start_control()?;
        let teller = self.teller.clone();
        teller.step("control plane", self.control_answers()).await?;
        let revision = teller.step("model compiled and stored", self.api.put_model(&self.files)).await?;
        let specs = plan::specs(&self.model);
        let count = specs.len();
        let names: Vec<String> = specs.iter().map(Spec::name).collect();
        let what = format!("{count} sidecars and gateways, ready at revision {revision}");
        teller.step(&what, self.start_sidecars(specs)).await?;
        self.start_applications(&names).await?;
        self.keys_known().await?;
        self.tell_addresses().await
    }

    fn start_control(&mut self) -> anyhow::Result<()> {
        let listen = self.network.control();
        let mut argv: Vec<OsString> = vec![self.siblings.control.clone().into_os_string()];
        for (flag, value) in [
            ("--state", self.state.control().into_os_string()),
            ("--listen", listen.to_string().into()),
            ("--socket", self.socket.clone().into_os_string()),
        ] {
            argv.push(flag.into());
            argv.push(value);
        }
        let label = "control plane";
        let program = Program {
            label: label.to_owned(),
            argv: self.wrapper.own(None, &argv),
            env: of_own(&self.environment, self.state.root(), label),
            dir: self.state.root().to_owned(),
            log: self.state.log("control"),
            marks: Marks::of_process(self.state.root(), label),
            second: false,
        };
        self.control = Some(self.keep(program, Restart::Always, None));
        Ok(())
    }

    fn keep(&self, program: Program, restart: Restart, before: Option<Before>) -> Kept {
        supervise::keep(program, restart, before, self.notices.clone(), &self.tasks)
    }

    async fn control_answers(&self) -> anyhow::Result<()> {
        let log = self.state.log("control");
        let since = Clock::now();
        while self.api.health().await.is_err() {
            let state = self.control.as_ref().map(Kept::state);
            if matches!(state, Some(State::Backoff { failures }) if failures >= HOPELESS_FAILURES) {
                bail!("{}", with_tail("the control plane does not stay up", &log));
            }
            if since.elapsed() > CONTROL_DEADLINE {
                return Err(late("the control plane does not answer", CONTROL_DEADLINE, &log));
            }
            sleep(READY_PACE).await;
        }
        Ok(())
    }

    /// Makes places and starts sidecars, and waits until all are ready.
    pub(super) async fn start_sidecars(&mut self, specs: Vec<Spec>) -> anyhow::Result<()> {
        let names: Vec<String> = specs.iter().map(Spec::name).collect();
        for spec in specs {
            self.start_sidecar(spec).await?;
        }
        self.sidecars_ready(&names).await
    }

    async fn start_sidecar(&mut self, spec: Spec) -> anyhow::Result<()> {
        let (name, file_name) = (spec.name(), spec.file_name());
        let place = self.network.add(&name, spec.role.is_some()).await?;
        let ports = application_ports(&spec, &place)?;
        let state_dir = self.state.sidecar(&file_name)?;
        let token_file = state_dir.join("join-token");
        let settings = SidecarSettings {
            spec: &spec,
            place: &place,
            ports: &ports,
            control: self.network.control(),
            token_file: token_file.clone(),
            state_dir: state_dir.clone(),
            gateway_address: self.listen_address,
        };
        let config = state_dir.join("ward-proxy.yaml");
        write_new(&config, settings.file().as_bytes(), 0o600)?;
        let label = format!("{name} {}", if spec.role.is_some() { "gateway" } else { "sidecar" });
        let argv = [self.siblings.proxy.clone().into_os_string(), "--config".into(), config.into_os_string()];
        let program = Program {
            label: label.clone(),
            argv: self.wrapper.own(Some(&place), &argv),
            env: of_own(&self.environment, self.state.root(), &label),
            dir: self.dir.clone(),
            log: self.state.log(&format!("{file_name}.sidecar")),
            marks: Marks::of_process(self.state.root(), &label),
            second: false,
        };
        let token = fresh_token(self.api.clone(), spec.node.clone(), token_file);
        let sidecar = self.keep(program, Restart::Always, Some(token));
        let (sender, ready) = watch::channel(false);
        self.tasks.spawn(follow_readiness(label, place.clone(), sidecar.watch(), sender, self.teller.clone()));
        let instance = Instance { spec, place, ports, sidecar, ready, verified: None, application: None };
        self.instances.insert(name, instance);
        Ok(())
    }

    async fn sidecars_ready(&self, names: &[String]) -> anyhow::Result<()> {
        let late_ones = || names.iter().filter_map(|name| self.instances.get(name)).filter(|i| !*i.ready.borrow());
        let hopeless = |instance: &&Instance| matches!(instance.sidecar.state(), State::Backoff { failures } if failures >= HOPELESS_FAILURES);
        let log = |instance: &Instance| self.state.log(&format!("{}.sidecar", instance.spec.file_name()));
        let since = Clock::now();
        while let Some(first) = late_ones().next() {
            if let Some(instance) = late_ones().find(hopeless) {
                let (name, log) = (instance.spec.name(), log(instance));
                bail!("{}", with_tail(&format!("the sidecar of {name} does not stay up"), &log));
            }
            if since.elapsed() > READY_DEADLINE {
                let names: Vec<String> = late_ones().map(|instance| instance.spec.name()).collect();
                return Err(late(&format!("not ready: {}", names.join(", ")), READY_DEADLINE, &log(first)));
            }
            sleep(READY_PACE).await;
        }
        Ok(())
    }

    /// Starts the applications of these instances, callees first.
    pub(super) async fn start_applications(&mut self, names: &[String]) -> anyhow::Result<()> {
        for wave in plan::waves(&self.model) {
            let mut started = Vec::new();
            for name in names {
                let Some(instance) = self.instances.get(name) else { continue };
                if instance.spec.run.is_some() && instance.application.is_none() && wave.contains(&instance.spec.node) {
                    self.start_application(name).await?;
                    started.push(name.clone());
                }
            }
            if started.is_empty() {
                continue;
            }
            let what = format!("running: {}", started.join(", "));
            let teller = self.teller.clone();
            teller.step(&what, self.applications_listen(&started)).await?;
        }
        Ok(())
    }

    async fn start_application(&mut self, name: &str) -> anyhow::Result<()> {
        let Some(instance) = self.instances.get(name) else { return Ok(()) };
        self.sidecar_leads(instance).await;
        let Some(program) = self.application(instance)? else { return Ok(()) };
        let restart = if instance.spec.serves.is_empty() { Restart::UnlessDone } else { Restart::Always };
        let started = Started::from(&program);
        let kept = self.keep(program, restart, None);
        if let Some(instance) = self.instances.get_mut(name) {
            instance.application = Some((kept, started));
        }
        Ok(())
    }

    /// Waits until the sidecar has opened the local ports that its application will be told of.
    async fn sidecar_leads(&self, instance: &Instance) {
        let expected = plan::upstreams(&self.model, &instance.spec.node);
        let waiting = async {
            while !admin::config(&instance.place).await.is_ok_and(|config| leads_to(&config, &expected)) {
                sleep(READY_PACE).await;
            }
        };
        if timeout(Duration::from_secs(15), waiting).await.is_err() {
            let name = instance.spec.name();
            self.warn(format!("{name}: the sidecar has not opened all local ports of its flows yet")).await;
        }
    }

    /// The application of an instance as it is to be started; `None` when it has none.
    pub(super) fn application(&self, instance: &Instance) -> anyhow::Result<Option<Program>> {
        let (spec, place) = (&instance.spec, &instance.place);
        let Some(run) = &spec.run else { return Ok(None) };
        let program = self.found.programs.get(&spec.node).context("the program was not looked up")?;
        let user = run.user.as_ref().and_then(|user| self.found.users.get(user));
        let data = self.state.data(&spec.node, spec.index, user)?;
        let argv: Vec<OsString> =
            std::iter::once(program.clone()).chain(run.command.iter().skip(1).map(OsString::from)).collect();
        let facts = Facts {
            ours: &self.environment,
            place,
            upstreams: &plan::upstreams(&self.model, &spec.node),
            ports: &instance.ports,
            user,
            data: Some(&data),
            declared: &run.env,
        };
        let label = format!("{} application", spec.name());
        let mut env = of_application(&facts);
        let mut marks = BTreeMap::new();
        Marks::set(&mut marks, self.state.root(), &label);
        let second = self.wrapper.own_processes(place);
        if !second {
            env.extend(marks.clone());
        }
        Ok(Some(Program {
            argv: self.wrapper.application(place, user, &marks, &argv),
            env,
            second,
            dir: self.dir.clone(),
            log: self.state.log(&format!("{}.application", spec.file_name())),
            marks: Marks::of_process(self.state.root(), &label),
            label,
        }))
    }

    /// Waits until applications listen on their ports; one that does not is told of, and the others go on.
    async fn applications_listen(&self, names: &[String]) -> anyhow::Result<()> {
        let listens = |instance: &Instance| match instance.application.as_ref().map(|(kept, _)| kept.state()) {
            Some(State::Running { pid }) => instance.ports.iter().all(|(_, port)| listening::on_port(pid, *port)),
            Some(State::Finished) | None => true,
            Some(_) => false,
        };
        let missing = || -> Vec<&Instance> {
            names.iter().filter_map(|name| self.instances.get(name)).filter(|instance| !listens(instance)).collect()
        };
        let waiting = async {
            while !missing().is_empty() {
                sleep(READY_PACE).await;
            }
        };
        if timeout(LISTEN_DEADLINE, waiting).await.is_err() {
            for instance in missing() {
                let log = self.state.log(&format!("{}.application", instance.spec.file_name()));
                let ports: Vec<String> = instance.ports.iter().map(|(_, port)| port.to_string()).collect();
                let seconds = LISTEN_DEADLINE.as_secs();
                self.warn(format!(
                    "{} does not listen on port {} after {seconds} s: it must listen on $PORT; log {}",
                    instance.spec.name(),
                    ports.join(", "),
                    log.display()
                ))
                .await;
            }
        }
        Ok(())
    }

    /// Writes the trust file and tells where things are.
    pub(super) async fn tell_addresses(&self) -> anyhow::Result<()> {
        let roots = self.api.bundle().await.context("cannot get the roots of the trust domain")?;
        let trust = self.state.trust();
        write_new(&trust, roots.as_bytes(), 0o644)?;
        let mut addresses = Addresses {
            trust: Some(trust.clone()),
            socket: self.socket.clone(),
            control: self.network.control().to_string(),
            logs: self.state.logs(),
            ..Addresses::default()
        };
        for instance in self.instances.values() {
            for listen in &instance.spec.listen {
                let plain = listen.tls == ListenTls::None;
                let scheme = if plain { "http" } else { "https" };
                let any = self.listen_address.to_string();
                let hosts = if listen.hosts.is_empty() { vec![any] } else { listen.hosts.clone() };
                let (options, path) = plan::example_request(&self.model, &instance.spec.node);
                for host in hosts {
                    let url = format!("{scheme}://{host}:{}/", listen.port);
                    if addresses.curl.is_none() {
                        let trust = if plain { String::new() } else { format!("--cacert {} ", trust.display()) };
                        let ip = reachable(self.listen_address);
                        addresses.curl = Some(format!(
                            "curl {options}{trust}--resolve {host}:{}:{ip} {}{path}",
                            listen.port,
                            url.trim_end_matches('/')
                        ));
                    }
                    addresses
                        .gateways
                        .push(format!("{url} (on {})", SocketAddr::new(self.listen_address, listen.port)));
                }
            }
        }
        self.tell(Event::Addresses(addresses)).await;
        Ok(())
    }

    pub(super) async fn tell_nodes(&self) {
        let nodes = self.instances.values().map(Instance::row).collect();
        self.tell(Event::Nodes { nodes }).await;
    }

    /// Waits until every proxy reports: one that is ready may still be dialing, and could not be asked to try anything.
    /// One that never does is shown by what `verify` finds.
    async fn all_connected(&self) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                let connected = self.api.connected().await?;
                if self.instances.keys().all(|name| connected.contains(name.as_str())) {
                    return anyhow::Ok(());
                }
                sleep(CONNECTED_PACE).await;
            }
        };
        timeout(CONNECTED_DEADLINE, waiting).await.unwrap_or(Ok(()))
    }

    /// Attacks the mesh once and tells the outcome.
    pub(super) async fn verify(&mut self) -> anyhow::Result<ExitCode> {
        let since = Clock::now();
        self.all_connected().await?;
        let results = self
            .teller
            .clone()
            .step("verify: every flow, and every way around it, was tried", self.api.verify())
            .await?;
        for instance in self.instances.values_mut() {
            instance.verified = results.of_node(&instance.spec.node);
        }
        let event = Event::Verified {
            ok: results.ok(),
            violated: results.violated(),
            unverifiable: results.unverifiable(),
            ms: ms(since.elapsed()),
        };
        self.tell(event).await;
        Ok(match (results.violated().len(), results.unverifiable().len()) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) if self.strict => ExitCode::from(crate::verify::UNVERIFIABLE),
            (0, _) => ExitCode::SUCCESS,
            _ => ExitCode::from(FINDINGS),
        })
    }

    /// From now on the flows are told now and then, and the logs kept from growing without end.
    pub(super) fn follow_flows(&self, pace: Duration) {
        let (logs, stopping) = (self.state.logs(), self.stopping.clone());
        let bound = async move {
            loop {
                // A full disk shows where it matters; a log that cannot be cut is cut later.
                let _ = logs::bound(&logs);
                sleep(LOGS_PACE).await;
            }
        };
        self.tasks.spawn(async move {
            tokio::select! { () = stopping.cancelled() => {}, () = bound => {} }
        });
        let (api, teller, stopping) = (self.api.clone(), self.teller.clone(), self.stopping.clone());
        let follow = async move {
            loop {
                // The control plane may be restarting; its end is told by its keeper.
                if let Ok(flows) = api.flows().await {
                    teller.tell(Event::Flows { flows }).await;
                }
                sleep(pace).await;
            }
        };
        self.tasks.spawn(async move {
            tokio::select! { () = stopping.cancelled() => {}, () = follow => {} }
        });
    }

    /// Stops an instance: its application while its sidecar still serves it, then the sidecar, then its place.
    pub(super) async fn stop_instance(&mut self, name: &str) -> anyhow::Result<()> {
        if let Some(instance) = self.instances.get(name) {
            if let Some((kept, _)) = &instance.application {
                kept.stop(APPLICATION_DEADLINE).await;
            }
            instance.sidecar.stop(SIDECAR_DEADLINE).await;
        }
        self.instances.remove(name);
        self.network.remove(name).await
    }

    /// Starts an application again when it would now be started differently; returns whether it was.
    pub(super) async fn restart_if_different(&mut self, name: &str) -> anyhow::Result<bool> {
        let Some(instance) = self.instances.get(name) else { return Ok(false) };
        let Some(program) = self.application(instance)? else { return Ok(false) };
        let Some((kept, started)) = &instance.application else { return Ok(false) };
        if *started == Started::from(&program) {
            return Ok(false);
        }
        kept.stop(APPLICATION_DEADLINE).await;
        if let Some(instance) = self.instances.get_mut(name) {
            instance.application = None;
        }
        Ok(true)
    }

    /// Stops everything that was started, in the order in which nothing is cut off: gateways finish what they took in,
    /// then callers before callees, then sidecars, then the control plane. A second signal kills what is left.
    pub(super) async fn close(mut self, why: &str, signals: &mut Signals) -> anyhow::Result<()> {
        let since = Clock::now();
        self.tell(Event::Stopping { why: why.to_owned() }).await;
        self.stopping.cancel();
        tokio::select! {
            () = self.stop_in_order() => {}
            _ = signals.next() => self.kill_all().await,
        }
        // Nothing of ours is left now; what an application hid from us by leaving its group still carries our mark.
        marks::kill_all(&Marks::of_state(self.state.root()));
        let closed = self.network.close().await.context("not everything could be removed");
        self.tell(Event::Down { ms: ms(since.elapsed()) }).await;
        closed
    }

    async fn stop_in_order(&self) {
        let gateways =
            self.instances.values().filter(|i| i.spec.role.is_some()).map(|i| (&i.sidecar, SIDECAR_DEADLINE));
        stop_together(gateways).await;
        for wave in plan::waves(&self.model).iter().rev() {
            let members = self.instances.values().filter(|i| wave.contains(&i.spec.node));
            let applications = members.filter_map(|i| i.application.as_ref());
            stop_together(applications.map(|(kept, _)| (kept, APPLICATION_DEADLINE))).await;
        }
        stop_together(self.instances.values().map(|i| (&i.sidecar, SIDECAR_DEADLINE))).await;
        stop_together(self.control.iter().map(|control| (control, CONTROL_STOP_DEADLINE))).await;
    }

    async fn kill_all(&self) {
        let instances = self.instances.values();
        let kept = instances.flat_map(|i| i.application.iter().map(|(kept, _)| kept).chain([&i.sidecar]));
        let all: Vec<&Kept> = kept.chain(&self.control).collect();
        for kept in &all {
            kept.kill();
        }
        for kept in all {
            kept.gone().await;
        }
    }
}

async fn stop_together<'a>(all: impl Iterator<Item = (&'a Kept, Duration)>) {
    let all: Vec<(&Kept, Duration)> = all.collect();
    for (kept, deadline) in &all {
        kept.order_stop(*deadline);
    }
    for (kept, _) in all {
        kept.gone().await;
    }
}

/// What to say of applications that would run as root because their node names no user.
fn as_root(model: &Model) -> Option<String> {
    let without = |node: &model::Node| node.run.as_ref().is_some_and(|run| run.user.is_none());
    let names: Vec<&str> =
        model.nodes.iter().filter(|(_, node)| without(node)).map(|(name, _)| name.as_str()).collect();
    (rustix::process::geteuid().is_root() && !names.is_empty()).then(|| {
        format!(
            "these run as root, without its capabilities but as the owner of its files: {}; give each a `run.user`, e.g. nobody",
            names.join(", ")
        )
    })
}

/// Takes the lock that belongs to a socket's path, and makes sure that nobody answers there.
fn take_socket(socket: &Path) -> anyhow::Result<std::fs::File> {
    if let Some(parent) = socket.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make the directory {}", parent.display()))?;
    }
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    let Some(lock) = lock(Path::new(&path))? else {
        bail!("another `ward up` uses the socket {}: stop it, or choose another with --socket", socket.display());
    };
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        bail!(
            "a control plane that is not ours answers on {}: stop it, or choose another socket with --socket",
            socket.display()
        );
    }
    Ok(lock)
}

/// The ports an application listens on. In a namespace of its own those it declares; on the shared loopback each gets a
/// free one, so that two applications may declare the same.
fn application_ports(spec: &Spec, place: &Place) -> anyhow::Result<Vec<(u16, u16)>> {
    if spec.run.is_none() {
        return Ok(Vec::new());
    }
    if place.isolation != Isolation::Loopback {
        return Ok(spec.serves.iter().map(|serve| (serve.port, serve.port)).collect());
    }
    // All are held until all are found, or the same one would be free twice.
    let mut held = Vec::new();
    for serve in &spec.serves {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free on 127.0.0.1")?;
        held.push((serve.port, listener));
    }
    held.iter().map(|(declared, listener)| Ok((*declared, listener.local_addr()?.port()))).collect()
}

/// Puts a fresh join token in place before each start. When the control plane is away a sidecar that has joined before
/// goes on with the SVID it holds; one that has not says so itself.
fn fresh_token(api: Api, node: String, file: PathBuf) -> Before {
    Arc::new(move || {
        let (api, node, file) = (api.clone(), node.clone(), file.clone());
        Box::pin(async move {
            // A control plane that hangs must not hold up a sidecar that can go on without it.
            let asked = timeout(TOKEN_DEADLINE, api.token(&node, TOKEN_TTL)).await;
            match asked.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer from the control plane"))) {
                Ok(token) => write_new(&file, token.as_bytes(), 0o600).map_err(|error| format!("{error:#}")),
                Err(_) if file.exists() => Ok(()),
                Err(error) => Err(format!("cannot get a join token for {node}: {error:#}")),
            }
        })
    })
}

/// Follows a sidecar through its starts: `ready` says whether it is ready now, and each time after the first that it
/// becomes so is told. Ends with the sidecar.
async fn follow_readiness(
    process: String,
    place: Place,
    mut state: watch::Receiver<State>,
    ready: watch::Sender<bool>,
    teller: Teller,
) {
    let mut before = false;
    loop {
        let now = *state.borrow_and_update();
        match now {
            State::Stopped => return,
            State::Running { .. } => {
                let since = Clock::now();
                let asking = async {
                    while !admin::is_ready(&place).await {
                        sleep(READY_PACE).await;
                    }
                };
                tokio::select! {
                    () = asking => {
                        ready.send_replace(true);
                        if before {
                            teller.tell(Event::Ready { process: process.clone(), ms: ms(since.elapsed()) }).await;
                        }
                        before = true;
                        if state.changed().await.is_err() {
                            return;
                        }
                    }
                    changed = state.changed() => if changed.is_err() { return },
                }
            }
            _ => {
                ready.send_replace(false);
                if state.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

/// What was waited for in vain, with the last lines of the log that will say why.
fn late(what: &str, deadline: Duration, log: &Path) -> anyhow::Error {
    anyhow::anyhow!(with_tail(&format!("{what} after {} s", deadline.as_secs()), log))
}

/// Where a client on this machine reaches a listener.
fn reachable(ip: IpAddr) -> IpAddr {
    if ip.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { ip }
}

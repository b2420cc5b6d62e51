//! A changed model under a running mesh: a good one is applied, new nodes are started, removed ones stopped, all others
//! left alone; a bad one changes nothing and says why.
use std::collections::BTreeSet;

use super::{
    event::Event,
    plan::{self, Spec},
    preflight,
    session::Session,
    watch::Fingerprint,
};
use crate::{diagnostics, model_dir};

impl Session {
    /// Looks at the model directory and takes up what changed there.
    pub(super) async fn reload_if_changed(&mut self) {
        let now = Fingerprint::of(&self.dir);
        if now == self.seen {
            return;
        }
        self.seen = now;
        match self.reload().await {
            Ok(()) => {}
            Err(error) => self.tell(Event::Refused { why: format!("{error:#}") }).await,
        }
    }

    async fn reload(&mut self) -> anyhow::Result<()> {
        let files = model_dir::read(&self.dir)?;
        if files == self.files {
            return Ok(());
        }
        let loaded = model::load(&files);
        let drawn = diagnostics::render(&files, &loaded.diagnostics);
        let Some(model) = loaded.model else { anyhow::bail!("{drawn}") };
        if self.strict && !loaded.diagnostics.is_empty() {
            anyhow::bail!("{drawn}\n--strict refuses a model with warnings");
        }
        if model.trust_domain != self.model.trust_domain {
            anyhow::bail!("`trust_domain` is part of every identity: stop, and start anew with another --state");
        }
        let specs = plan::specs(&model);
        let held: Vec<u16> = self.instances.values().flat_map(|i| i.spec.listen.iter().map(|l| l.port)).collect();
        let found = preflight::check(&specs, &self.dir, &self.environment, self.listen_address, &held).await?;
        let revision = self.api.put_model(&files).await?;
        // From here on the new model is in force, whatever else happens.
        (self.files, self.model, self.found) = (files, model, found);
        let changes = self.follow(specs).await;
        self.tell(Event::Applied { revision, changes }).await;
        self.tell_nodes().await;
        Ok(())
    }

    /// Starts, stops and restarts what the new model asks for; returns what was done, and what failed, as lines.
    async fn follow(&mut self, specs: Vec<Spec>) -> Vec<String> {
        let mut changes = Vec::new();
        let wanted: BTreeSet<String> = specs.iter().map(Spec::name).collect();
        // Another role is another program: such an instance goes and comes anew.
        let other_kind = |spec: &Spec| {
            self.instances.get(&spec.name()).is_some_and(|i| i.spec.role != spec.role || ports_differ(&i.spec, spec))
        };
        let replaced: BTreeSet<String> = specs.iter().filter(|spec| other_kind(spec)).map(Spec::name).collect();
        let gone: Vec<String> =
            self.instances.keys().filter(|name| !wanted.contains(*name) || replaced.contains(*name)).cloned().collect();
        for name in gone {
            let stopped = self.stop_instance(&name).await;
            changes.push(outcome(&format!("{name} stopped"), stopped));
        }
        let (kept, new): (Vec<Spec>, Vec<Spec>) =
            specs.into_iter().partition(|spec| self.instances.contains_key(&spec.name()));
        let mut names: Vec<String> = new.iter().map(Spec::name).collect();
        if !new.is_empty() {
            let started = self.start_sidecars(new).await;
            changes.push(outcome(&format!("{} started", names.join(", ")), started));
        }
        for spec in kept {
            let name = spec.name();
            if let Some(instance) = self.instances.get_mut(&name) {
                instance.spec = spec;
            }
            match self.restart_if_different(&name).await {
                Ok(false) => {}
                Ok(true) => {
                    changes.push(format!("{name}: application restarted, for its command or environment changed"));
                    names.push(name);
                }
                Err(error) => changes.push(format!("{name}: {error:#}")),
            }
        }
        if let Err(error) = self.start_applications(&names).await {
            changes.push(format!("{error:#}"));
        }
        changes
    }
}

/// Whether the sidecar's own settings differ: those are read at its start.
fn ports_differ(old: &Spec, new: &Spec) -> bool {
    let ports = |spec: &Spec| spec.serves.iter().map(|serve| serve.port).collect::<Vec<_>>();
    ports(old) != ports(new)
}

fn outcome(done: &str, result: anyhow::Result<()>) -> String {
    match result {
        Ok(()) => done.to_owned(),
        Err(error) => format!("{done}, but {error:#}"),
    }
}

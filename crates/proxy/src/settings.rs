//! Process settings of `ward-proxy --config FILE`: where to listen, limits, and where the configuration comes from: this
//! file (`static`) or the control plane (`control`). Read once in `main`.
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use daemon::SettingsError;
use identity::{Bundle, CipherSuite, Group, Svid};
use model::{
    TrustDomain,
    istio::{AuthorizationPolicy, RequestAuthentication},
};
use serde::{Deserialize, Deserializer};
use wire::v1::resources::{Authentication, KeySet, Policy, Upstream, Workload};

use crate::{
    limits::Limits,
    snapshot::{Identity, Resources},
};

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Worker threads, 1 to 256. A sidecar wants 1.
    #[serde(default = "one")]
    pub workers: usize,
    /// Address of the admin port; none when absent.
    #[serde(default)]
    pub admin: Option<SocketAddr>,
    /// Address of the mesh port (mutual TLS). Absent on a gateway.
    #[serde(default)]
    pub inbound: Option<SocketAddr>,
    /// Where the local port of each upstream is opened.
    #[serde(default = "loopback")]
    pub outbound_address: IpAddr,
    /// Where gateway listeners are opened.
    #[serde(default = "loopback")]
    pub gateway_address: IpAddr,
    /// Address of the HTTP proxy port; none when absent.
    #[serde(default)]
    pub http_proxy: Option<SocketAddr>,
    /// Where the application really listens, by the port it serves; else where the configuration says. Two applications
    /// that serve the same port cannot both have it on a loopback that they share.
    #[serde(default)]
    pub applications: BTreeMap<u16, SocketAddr>,
    /// `off`, `stdout` or a file.
    #[serde(default)]
    pub access_log: AccessLog,
    /// Where decisions of strict and critical flows are kept until the control plane has them, or without one until they
    /// are logged; `audit` in the state directory of `control` when absent.
    #[serde(default)]
    pub audit_dir: Option<PathBuf>,
    /// How long a drain may take before connections are cut.
    #[serde(default = "drain_timeout", deserialize_with = "duration")]
    pub drain_timeout: Duration,
    /// Limits and deadlines.
    #[serde(default)]
    pub limits: Limits,
    /// Restricts what TLS offers inside the mesh.
    #[serde(default)]
    pub tls: Tls,
    /// Certificates for `static`.
    #[serde(default)]
    pub identity: Option<IdentityFiles>,
    /// The configuration itself.
    #[serde(default, rename = "static")]
    pub resources: Option<StaticResources>,
    /// Where to get the configuration.
    #[serde(default)]
    pub control: Option<Control>,
    /// Tests: every listener whose port is configured gets a free one instead; see `Proxy::addresses`.
    #[serde(skip)]
    pub ephemeral_ports: bool,
}

/// Where access log lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum AccessLog {
    /// Nowhere.
    #[default]
    Off,
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
}

impl From<String> for AccessLog {
    fn from(text: String) -> Self {
        match text.as_str() {
            "off" | "" => Self::Off,
            "stdout" => Self::Stdout,
            path => Self::File(PathBuf::from(path)),
        }
    }
}

/// Restrictions of TLS inside the mesh; empty lists are the defaults of `identity`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// IANA names, e.g. `TLS_AES_128_GCM_SHA256`.
    #[serde(default)]
    pub cipher_suites: Vec<CipherSuite>,
    /// IANA names, e.g. `X25519MLKEM768`.
    #[serde(default)]
    pub groups: Vec<Group>,
}

/// PEM files of the workload's identity.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityFiles {
    /// SVID and intermediates.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Roots of the trust domain.
    pub bundle: PathBuf,
    /// The trust domain.
    pub trust_domain: TrustDomain,
}

/// The resources a control plane would send, written by hand. Policies are AuthorizationPolicy documents, authentications
/// RequestAuthentication ones.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticResources {
    /// What this workload is.
    pub workload: Workload,
    /// Where it may connect to.
    #[serde(default)]
    pub upstreams: Vec<Upstream>,
    /// Who may do what here.
    #[serde(default)]
    pub policies: Vec<AuthorizationPolicy>,
    /// Whose tokens count here.
    #[serde(default)]
    pub authentications: Vec<RequestAuthentication>,
    /// The keys behind each `jwksUri`: nothing is fetched here.
    #[serde(default)]
    pub key_sets: Vec<KeySet>,
}

/// The control plane and how to join it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// `host:port` of its mutual TLS port.
    pub address: String,
    /// The node this proxy is.
    pub node: String,
    /// Its instance, `<node>/<number>`; `<node>/0` when absent.
    #[serde(default)]
    pub instance: Option<String>,
    /// A join token.
    #[serde(default)]
    pub token: Option<String>,
    /// A file that holds one.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Where SVID, key and bundle are kept between runs.
    pub state_dir: PathBuf,
    /// Where peers reach the mesh port, `ip:port`.
    #[serde(default)]
    pub mesh_address: Option<String>,
    /// `netns`, `loopback` or `host`.
    #[serde(default)]
    pub isolation: Option<String>,
}

impl Settings {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        daemon::settings::read::<Self>(path)?.checked()
    }

    /// Parses and checks text; `path` is only for errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        daemon::settings::parse::<Self>(path, text)?.checked()
    }

    fn checked(self) -> Result<Self, SettingsError> {
        if !(1..=256).contains(&self.workers) {
            return Err(SettingsError::invalid("workers", format!("{} is not between 1 and 256", self.workers)));
        }
        match (&self.resources, &self.control) {
            (Some(_), Some(_)) => {
                return Err(SettingsError::invalid("static", "`static` and `control` exclude each other; keep one"));
            }
            (None, None) => {
                return Err(SettingsError::invalid("static", "write `static:` resources or a `control:` section"));
            }
            (Some(_), None) if self.identity.is_none() => {
                return Err(SettingsError::invalid("identity", "`static` needs cert, key, bundle and trust_domain"));
            }
            _ => {}
        }
        self.limits.check()?;
        Ok(self)
    }

    /// Where the audit spool is; `None` without a setting and without a control plane.
    pub fn audit_directory(&self) -> Option<PathBuf> {
        self.audit_dir.clone().or_else(|| self.control.as_ref().map(|control| control.state_dir.join("audit")))
    }

    /// The identity that the `identity` section names, read from its files.
    pub fn static_identity(&self) -> Result<Identity, SettingsError> {
        let files = self.identity.as_ref().ok_or_else(|| SettingsError::invalid("identity", "missing"))?;
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })
        };
        let svid = Svid::from_pem(&read(&files.cert)?, &read(&files.key)?)
            .map_err(|e| SettingsError::invalid("identity.cert", daemon::logs::chain(&e)))?;
        let bundle = Bundle::from_pem(files.trust_domain.clone(), &read(&files.bundle)?)
            .map_err(|e| SettingsError::invalid("identity.bundle", daemon::logs::chain(&e)))?;
        Ok(Identity::new(svid, bundle))
    }

    /// The resources of the `static` section.
    pub fn static_resources(&self) -> Result<Resources, SettingsError> {
        let section = self.resources.as_ref().ok_or_else(|| SettingsError::invalid("static", "missing"))?;
        let policies = section.policies.iter().enumerate().map(|(i, policy)| {
            let document = serde_json::to_string(policy)
                .map_err(|e| SettingsError::invalid(format!("static.policies[{i}]"), e.to_string()))?;
            Ok(Policy { name: format!("{}/{}", policy.metadata.namespace, policy.metadata.name), document })
        });
        let authentications = section.authentications.iter().enumerate().map(|(i, one)| {
            let document = serde_json::to_string(one)
                .map_err(|e| SettingsError::invalid(format!("static.authentications[{i}]"), e.to_string()))?;
            Ok(Authentication { name: format!("{}/{}", one.metadata.namespace, one.metadata.name), document })
        });
        Ok(Resources {
            workload: section.workload.clone(),
            upstreams: section.upstreams.clone(),
            policies: policies.collect::<Result<_, SettingsError>>()?,
            authentications: authentications.collect::<Result<_, SettingsError>>()?,
            key_sets: section.key_sets.clone(),
            bundles: Vec::new(),
        })
    }
}

fn one() -> usize {
    1
}

fn loopback() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

fn drain_timeout() -> Duration {
    Duration::from_secs(30)
}

/// `500ms`, `10s`, `5m`, `1h`.
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let per_unit = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let ms = number.parse::<u64>().ok().zip(per_unit).and_then(|(n, per)| n.checked_mul(per));
    ms.map(Duration::from_millis).ok_or_else(|| {
        serde::de::Error::custom(format!("`{text}` is not a duration; write it as 500ms, 10s, 5m or 1h"))
    })
}

//! What a service reads from its environment, once, at start. Every refusal names the variable and the remedy.
use std::{net::SocketAddr, path::PathBuf};

use crate::call::Upstream;

/// The environment, behind a lookup so that tests need no process-wide state.
pub(crate) struct Settings {
    lookup: Lookup,
}

/// The value of a variable by its name.
type Lookup = Box<dyn Fn(&str) -> Option<String>>;

/// A service's database: one store node of the model, one database, one role of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DatabaseSettings {
    /// Where the sidecar offers the store: `WARD_<STORE>_ADDR`.
    pub(crate) address: SocketAddr,
    /// Name of the database and of its role.
    pub(crate) name: &'static str,
    /// File with the role's password: `SHOP_DB_PASSWORD_FILE`, default where `postgres.sh` writes it,
    /// `${WARD_STATE_DIR:-.ward}/data/<store>/password`.
    pub(crate) password_file: PathBuf,
}

/// Why the environment is not usable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum SettingsError {
    /// Not set.
    #[error("{name} is not set: {remedy}")]
    Missing {
        /// The variable.
        name: String,
        /// What to do.
        remedy: String,
    },
    /// Set to something else.
    #[error("{name} is `{value}`: {why}")]
    Malformed {
        /// The variable.
        name: String,
        /// Its value; none of these variables is a secret.
        value: String,
        /// What is expected.
        why: String,
    },
}

impl Settings {
    /// Settings read through `lookup`, which returns the value of a variable.
    pub(crate) fn new(lookup: impl Fn(&str) -> Option<String> + 'static) -> Self {
        Self { lookup: Box::new(lookup) }
    }

    /// Where to listen: `HOST` (default 127.0.0.1, where only the sidecar calls) and `PORT`.
    pub(crate) fn listen(&self) -> Result<SocketAddr, SettingsError> {
        let host = (self.lookup)("HOST").unwrap_or_else(|| "127.0.0.1".to_owned());
        let ip = host.parse().map_err(|_| malformed("HOST", &host, "expected an IP address such as 127.0.0.1"))?;
        let port = self.required("PORT", "`ward up` sets it; by hand, choose one: PORT=8080")?;
        let number = port.parse().map_err(|_| malformed("PORT", &port, "expected a port number from 0 to 65535"))?;
        Ok(SocketAddr::new(ip, number))
    }

    /// The database `name`, reached as the store node `<name>-db`.
    pub(crate) fn database(&self, name: &'static str) -> Result<DatabaseSettings, SettingsError> {
        let variable = variable(&format!("{name}-db"), "ADDR");
        let value = self.required(&variable, &flow_remedy(&format!("{name}-db")))?;
        let address =
            value.parse().map_err(|_| malformed(&variable, &value, "expected ip:port, such as 127.0.0.1:5432"))?;
        let password_file = (self.lookup)("SHOP_DB_PASSWORD_FILE").map_or_else(
            || {
                let state = (self.lookup)("WARD_STATE_DIR").unwrap_or_else(|| ".ward".to_owned());
                PathBuf::from(state).join("data").join(format!("{name}-db")).join("password")
            },
            PathBuf::from,
        );
        Ok(DatabaseSettings { address, name, password_file })
    }

    /// The service node `name`, from `WARD_<NAME>_URL`.
    pub(crate) fn upstream(&self, name: &'static str) -> Result<Upstream, SettingsError> {
        let variable = variable(name, "URL");
        let value = self.required(&variable, &flow_remedy(name))?;
        Upstream::new(name, &value).map_err(|error| malformed(&variable, &value, &error.to_string()))
    }

    fn required(&self, name: &str, remedy: &str) -> Result<String, SettingsError> {
        (self.lookup)(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| SettingsError::Missing { name: name.to_owned(), remedy: remedy.to_owned() })
    }
}

/// `orders-db`, `ADDR` → `WARD_ORDERS_DB_ADDR`.
fn variable(node: &str, suffix: &str) -> String {
    format!("WARD_{}_{suffix}", node.to_uppercase().replace('-', "_"))
}

fn flow_remedy(node: &str) -> String {
    format!("start the service with `ward up` or `ward run`, and give it a flow to `{node}` in ward.yaml")
}

fn malformed(name: &str, value: &str, why: &str) -> SettingsError {
    SettingsError::Malformed { name: name.to_owned(), value: value.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests;

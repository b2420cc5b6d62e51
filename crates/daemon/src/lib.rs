//! What every long-running program needs: settings, logs, metrics text, admin port, drain, [`Clock`], [`Tasks`].
//! Nothing here knows what a proxy or a control plane is.
pub mod admin;
pub mod clock;
pub mod files;
pub mod logs;
pub mod metrics;
pub mod settings;
pub mod signals;
pub mod tasks;

pub use clock::{Clock, instant};
pub use settings::SettingsError;
pub use tasks::{Drain, Finished, Tasks};

//! Tokens count only once the keys of their issuers are known. An issuer may be an application of this very mesh, which
//! has just been started: `ward up` says "up" when its keys are there, too.
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::session::Session;

/// Longest wait for keys; then the mesh is up without them, and says so.
const KEYS_DEADLINE: Duration = Duration::from_secs(15);
/// How often it is asked for them.
const PACE: Duration = Duration::from_millis(100);

impl Session {
    /// Waits for the keys of all issuers, and tells whose are not known.
    pub(super) async fn keys_known(&self) -> anyhow::Result<()> {
        if self.api.issuers_without_keys().await?.is_empty() {
            return Ok(());
        }
        let waiting = async {
            while !self.api.issuers_without_keys().await?.is_empty() {
                sleep(PACE).await;
            }
            anyhow::Ok(())
        };
        let teller = self.teller.clone();
        let asked = async { timeout(KEYS_DEADLINE, waiting).await.unwrap_or(Ok(())) };
        teller.step("keys asked of the issuers of tokens", asked).await?;
        for (issuer, error) in self.api.issuers_without_keys().await? {
            let why = if error.is_empty() { String::new() } else { format!(": {error}") };
            self.warn(format!("there are no keys of {issuer} yet, so that every token of it is refused{why}")).await;
        }
        Ok(())
    }
}

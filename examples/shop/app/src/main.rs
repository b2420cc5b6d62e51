//! The services of the demo shop: one binary, one subcommand per service. Each listens on loopback only, keeps its own
//! PostgreSQL database, and reaches everything else through the addresses that its sidecar announces (`WARD_…`).
//! Nothing here knows about TLS, certificates or policy: that is Ward's part.
mod authentication;
mod call;
mod card;
mod context;
mod database;
mod inventory;
mod orders;
mod payments;
mod problem;
mod random;
mod serve;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The demo shop's services.
#[derive(Parser)]
#[command(
    version,
    after_help = "Settings come from the environment, as `ward up` and `ward run` give it: PORT, HOST, \
WARD_<NODE>_URL, WARD_<NODE>_ADDR, SHOP_DB_PASSWORD_FILE \
(default: ${WARD_STATE_DIR:-.ward}/data/<store>/password).\n\nExample: PORT=8080 WARD_INVENTORY_DB_ADDR=127.0.0.1:5432 \
SHOP_DB_PASSWORD_FILE=password shop inventory"
)]
struct Cli {
    #[command(subcommand)]
    service: Service,
}

#[derive(Clone, Copy, Subcommand)]
enum Service {
    /// Accounts, sessions and their tokens: POST /register, POST /login, GET /verify, GET /.well-known/jwks.json.
    Authentication,
    /// Orders: POST /orders, GET /orders, GET /orders/{id}.
    Orders,
    /// Card charges: POST /charges, GET /charges/{id}.
    Payments,
    /// Stock: GET /stock/{sku}, POST /reservations, DELETE /reservations/{id}.
    Inventory,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt().json().flatten_event(true).with_target(false).init();
    match start(cli.service) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "shop cannot run");
            ExitCode::FAILURE
        }
    }
}

fn start(service: Service) -> anyhow::Result<()> {
    let settings = Settings::new(|name| std::env::var(name).ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match service {
            Service::Authentication => authentication::run(&settings).await,
            Service::Orders => orders::run(&settings).await,
            Service::Payments => payments::run(&settings).await,
            Service::Inventory => inventory::run(&settings).await,
        }
    })
}

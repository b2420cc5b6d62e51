//! The whole data path in one process: real sidecars and gateways, real certificates, real sockets on free ports.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, reason = "nothing here ships")]
mod app;
mod audit;
mod callers;
mod compat;
mod docs;
mod gateway;
mod hostile;
mod http1;
mod http2;
mod issuer;
mod lifecycle;
mod mesh;
mod tcp;
mod tls;
mod tokens;

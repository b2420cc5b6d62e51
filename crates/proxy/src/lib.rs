//! The data plane: sidecar, gateway, egress.

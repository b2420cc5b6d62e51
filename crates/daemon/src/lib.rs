//! What every long-running program needs: logs, metrics, admin port, drain, clock, tasks.

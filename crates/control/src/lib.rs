//! The control plane: CA, configuration distribution, API, store.

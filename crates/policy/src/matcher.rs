//! Matching values of a policy against facts of a request.

//! HTTP/1.1, our own engine: strict where RFC 9112 leaves room for two readings, and two reads and two writes for a
//! request that fits into them.
pub(crate) mod body;
pub(crate) mod head;
pub(crate) mod relay;
pub(crate) mod render;
pub(crate) mod serve;

//! Who is the peer and who are we: SVID checks, bundles, CSRs, TLS configurations.

//! Every rule, one small file each: when it fires, how bad it is, what mends it, which controls it fails, a model on which
//! it fires and models on which it is silent. `tests` holds each against its own models.
use crate::Rule;

mod admin_mfa;
mod audit_level;
mod bypassable;
mod child_data_reach;
mod dead_node;
mod detection_without_prevention;
mod dry_run;
mod encoded_secret;
mod excess_privilege;
mod exposed_admin;
mod open_metadata;
mod open_promotion;
mod over_collection;
mod overlong_secret;
mod overlong_svid;
mod plaintext_flow;
mod private_traffic_over_internet;
mod public_store;
mod residency;
mod retention;
mod secret_in_flow;
mod shared_credential;
mod stale_drill;
mod stale_waiver;
mod static_secret;
mod traveling_key;
mod unauthenticated_flow;
mod unencrypted_store;
mod unenforced_word;
mod unguarded_entry;
mod unlogged_flow;
mod unused_flow;
mod weak_tls;
mod weaker_copy;
mod zone_descent;

/// Every rule, in the order of the guide.
pub static RULES: &[&Rule] = &[
    &unencrypted_store::RULE,
    &public_store::RULE,
    &encoded_secret::RULE,
    &plaintext_flow::RULE,
    &weak_tls::RULE,
    &unauthenticated_flow::RULE,
    &open_metadata::RULE,
    &excess_privilege::RULE,
    &exposed_admin::RULE,
    &unguarded_entry::RULE,
    &unlogged_flow::RULE,
    &static_secret::RULE,
    &overlong_secret::RULE,
    &secret_in_flow::RULE,
    &shared_credential::RULE,
    &zone_descent::RULE,
    &residency::RULE,
    &retention::RULE,
    &child_data_reach::RULE,
    &weaker_copy::RULE,
    &audit_level::RULE,
    &admin_mfa::RULE,
    &private_traffic_over_internet::RULE,
    &detection_without_prevention::RULE,
    &over_collection::RULE,
    &bypassable::RULE,
    &unused_flow::RULE,
    &dead_node::RULE,
    &stale_drill::RULE,
    &unenforced_word::RULE,
    &overlong_svid::RULE,
    &dry_run::RULE,
    &open_promotion::RULE,
    &traveling_key::RULE,
    &stale_waiver::RULE,
];

#[cfg(test)]
mod tests;

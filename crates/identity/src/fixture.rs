//! For tests: authorities that sign anything, and handshakes in memory.
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use model::id::{SpiffeId, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::{
    ClientConfig, ClientConnection, Error, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
    time_provider::TimeProvider,
};
use time::OffsetDateTime;

use crate::{Bundle, PrivateKey, Svid};

/// The moment of every handshake in these tests.
pub(crate) const NOW: i64 = 1_800_000_000;

#[derive(Debug)]
pub(crate) struct FixedTime;

impl TimeProvider for FixedTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(NOW as u64)))
    }
}

pub(crate) fn at(offset_seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW + offset_seconds).unwrap()
}

pub(crate) fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

pub(crate) fn domain() -> TrustDomain {
    "shop.example".parse().unwrap()
}

/// An authority that checks nothing.
pub(crate) struct Ca {
    pub(crate) der: CertificateDer<'static>,
    params: CertificateParams,
    key: KeyPair,
}

impl Ca {
    pub(crate) fn root(name: &str) -> Self {
        Self::root_with(name, |_| {})
    }

    pub(crate) fn root_with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = ca_params(name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().into();
        Self { der, params, key }
    }

    pub(crate) fn intermediate(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = ca_params("intermediate");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap().into();
        Self { der, params, key }
    }

    /// A leaf, right in all respects but what `change` changes.
    pub(crate) fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> (CertificateDer<'static>, PrivateKey) {
        let mut params = leaf_params("spiffe://shop.example/ns/shop/sa/orders");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap().into();
        (der, PrivateKey::from_pkcs8(key.serialize_der()))
    }

    pub(crate) fn svid(&self, spiffe_id: &str) -> Svid {
        let (leaf, key) = self.leaf(|params| params.subject_alt_names = vec![uri(spiffe_id)]);
        Svid::from_der(vec![leaf], key).unwrap()
    }

    pub(crate) fn bundle(&self) -> Bundle {
        Bundle::from_der(domain(), vec![self.der.clone()]).unwrap()
    }
}

pub(crate) fn self_signed_leaf() -> (CertificateDer<'static>, PrivateKey) {
    let key = KeyPair::generate().unwrap();
    let der = leaf_params("spiffe://shop.example/ns/shop/sa/orders").self_signed(&key).unwrap().into();
    (der, PrivateKey::from_pkcs8(key.serialize_der()))
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (at(-86_400), at(86_400));
    params
}

fn leaf_params(spiffe_id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![uri(spiffe_id)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) = (at(-60), at(3_600));
    params
}

/// An SVID whose rules nobody has checked: what an attacker would present.
pub(crate) fn unchecked(chain: Vec<CertificateDer<'static>>, key: PrivateKey) -> Svid {
    let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(key.der()).unwrap();
    Svid {
        certified: Arc::new(CertifiedKey::new(chain.clone(), signer)),
        chain,
        key,
        id: id("spiffe://shop.example/ns/shop/sa/orders"),
        not_before: SystemTime::UNIX_EPOCH,
        not_after: SystemTime::UNIX_EPOCH,
    }
}

/// Who ended a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// A whole handshake without sockets; the error is the one of the side that refused, not the alert the other received.
pub(crate) fn handshake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<(ClientConnection, ServerConnection), (Side, Error)> {
    let name = ServerName::try_from("8080.orders.shop.shop.example").unwrap();
    let mut client = ClientConnection::new(client.clone(), name).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    for _ in 0..20 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut read = wire.as_slice();
        while !read.is_empty() {
            server.read_tls(&mut read).unwrap();
            server.process_new_packets().map_err(|error| (Side::Server, error))?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut read = wire.as_slice();
        while !read.is_empty() {
            client.read_tls(&mut read).unwrap();
            client.process_new_packets().map_err(|error| (Side::Client, error))?;
        }
        if !client.is_handshaking() && !server.is_handshaking() && !client.wants_write() && !server.wants_write() {
            return Ok((client, server));
        }
    }
    panic!("handshake does not end");
}

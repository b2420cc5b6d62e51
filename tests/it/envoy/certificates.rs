//! Peers by certificate: one authority that signs any identity, as a differential test also wants those that ours would not.
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
};
use serde_json::{Value, json};

/// The identities that peers prove.
pub(crate) const PEERS: &[&str] = &[
    "spiffe://shop.example/ns/shop/sa/orders",
    "spiffe://shop.example/ns/shop/sa/payments",
    "spiffe://shop.example/ns/edge/sa/gateway",
    "spiffe://shop.example/ns/pci/sa/ledger",
    "spiffe://shop.example/ns/a-test/sa/bad",
    // An alias of the mesh's trust domain, others, and one that differs in what a regular expression takes for any character.
    "spiffe://old.example/ns/shop/sa/orders",
    "spiffe://partner.example/ns/shop/sa/orders",
    "spiffe://cluster.local/ns/shop/sa/orders",
    "spiffe://shopxexample/ns/shop/sa/orders",
    "spiffe://shop.example/ns/shop/sa/order.s",
    "spiffe://shop.example/ns/shop/sa/orderxs",
    // Other forms than <trust domain>/ns/<namespace>/sa/<account>.
    "spiffe://shop.example/ns/shop/sa/orders/extra",
    "spiffe://shop.example/region/eu/ns/shop/role/x/sa/orders",
    "spiffe://shop.example/orders",
    "spiffe://shop.example",
    // No SPIFFE IDs, though a trusted authority signed them.
    "spiffe://SHOP.example/ns/shop/sa/orders",
    "spiffe://shop.example/ns//sa/orders",
];

/// The files of an Envoy and the TLS configurations of its peers.
pub(crate) struct Certificates {
    /// Envoy's `CommonTlsContext`.
    pub(crate) common: Value,
    issuer: Issuer<'static, KeyPair>,
    peers: Mutex<BTreeMap<String, Arc<ClientConfig>>>,
}

impl Certificates {
    /// Makes an authority and Envoy's certificate, and writes what Envoy reads to a directory.
    pub(crate) fn make(directory: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "differential tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let (server, key) = leaf(&issuer, "spiffe://shop.example/ns/pci/sa/payments");
        let file = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            json!({ "filename": path })
        };
        let common = json!({
            "tls_certificates": [{
                "certificate_chain": file("server.pem", server.pem()),
                "private_key": file("server.key", key.serialize_pem()),
            }],
            "validation_context": { "trusted_ca": file("ca.pem", ca.pem()) },
        });
        Self { common, issuer, peers: Mutex::default() }
    }

    /// The TLS configuration of a peer; its certificate is made when it first comes.
    pub(crate) fn peer(&self, uri: &str) -> Arc<ClientConfig> {
        let mut peers = self.peers.lock().unwrap();
        let make = || {
            let (certificate, key) = leaf(&self.issuer, uri);
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let config = ClientConfig::builder()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyServer))
                .with_client_auth_cert(vec![certificate.into()], key)
                .unwrap();
            Arc::new(config)
        };
        peers.entry(uri.to_owned()).or_insert_with(make).clone()
    }
}

fn leaf(issuer: &Issuer<'_, KeyPair>, uri: &str) -> (Certificate, KeyPair) {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, issuer).unwrap(), key)
}

/// The peers know whom they call: it is the Envoy of this test, by whatever server name they say.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

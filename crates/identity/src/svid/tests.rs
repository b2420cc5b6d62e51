//! Reading our own SVID.
use std::time::{Duration, SystemTime};

use crate::{
    BACKDATE, Svid, SvidError, certificates_to_pem, csr,
    fixture::{Ca, NOW, id},
    peer_id,
};

const ORDERS: &str = "spiffe://shop.example/ns/shop/sa/orders";

#[test]
fn pem_there_and_back() {
    let root = Ca::root("root");
    let (leaf, key) = root.leaf(|_| {});
    let (certificate, key) = (certificates_to_pem(&[leaf, root.der.clone()]), key.to_pem());
    let svid = Svid::from_pem(&certificate, &key).unwrap();
    assert_eq!((svid.id.clone(), svid.chain.len()), (id(ORDERS), 2));
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW as u64 - 60);
    assert_eq!(svid.not_before, start);
    assert_eq!(svid.not_after, start + Duration::from_secs(3_660));
    assert_eq!(svid.half_life(), start + BACKDATE + Duration::from_secs(1_800));
    assert_eq!(certificates_to_pem(&svid.chain), certificate);
    assert_eq!(*svid.key.to_pem(), *key);
}

#[test]
fn refused() {
    let root = Ca::root("root");
    let (leaf, key) = root.leaf(|_| {});
    let pem = certificates_to_pem(std::slice::from_ref(&leaf));
    let other = csr::new().unwrap().0;
    assert!(matches!(Svid::from_pem(&pem, &other.to_pem()), Err(SvidError::KeyMismatch(_))));
    assert!(matches!(Svid::from_pem(&pem, &pem), Err(SvidError::Pem(_))));
    assert!(matches!(Svid::from_pem("", &key.to_pem()), Err(SvidError::Missing)));
    assert!(matches!(
        Svid::from_pem(&certificates_to_pem(std::slice::from_ref(&root.der)), &key.to_pem()),
        Err(SvidError::IsAuthority)
    ));
    assert!(matches!(peer_id(&[]), Err(SvidError::Missing)));
    let cut = leaf[..leaf.len() - 1].to_vec();
    assert!(matches!(peer_id(&[cut.into()]), Err(SvidError::Der(_))));
    let mut long = leaf.to_vec();
    long.push(0);
    assert!(matches!(peer_id(&[long.into()]), Err(SvidError::TrailingBytes { count: 1 })));
    let eight = vec![leaf.clone(); 8];
    assert!(peer_id(&eight).is_ok());
    let nine = vec![leaf; 9];
    assert!(matches!(peer_id(&nine), Err(SvidError::ChainTooLong { count: 9 })));
}

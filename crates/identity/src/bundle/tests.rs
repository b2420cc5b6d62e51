//! What is a bundle and what is not.
use crate::{
    Bundle, BundleError, certificates_to_pem,
    fixture::{Ca, domain},
};

#[test]
fn roots_only() {
    let root = Ca::root("root");
    let pem = certificates_to_pem(&[root.der.clone(), Ca::root("next").der]);
    assert_eq!(Bundle::from_pem(domain(), &pem).map(|b| b.roots.len()).unwrap_or_default(), 2);
    let refused = |roots| Bundle::from_der(domain(), roots).err().unwrap();
    assert!(matches!(refused(vec![]), BundleError::Empty(_)));
    assert!(matches!(Bundle::from_pem(domain(), "no certificate here").err().unwrap(), BundleError::Pem(_)));
    let leaf = root.leaf(|_| {}).0;
    assert!(matches!(refused(vec![root.der.clone(), leaf]), BundleError::NotAuthority { index: 1 }));
    assert!(matches!(refused(vec![b"nonsense".to_vec().into()]), BundleError::Root { index: 0, .. }));
    assert!(Bundle::from_der(domain(), vec![root.der.clone(); 6]).is_ok());
    assert!(matches!(refused(vec![root.der.clone(); 7]), BundleError::TooMany { count: 7 }));
}

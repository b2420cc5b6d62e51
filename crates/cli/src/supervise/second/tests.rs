//! How a place in the process tree is read.
use super::Status;

#[test]
fn a_status_is_read() {
    let text = "Name:\tpostgres\nPPid:\t41\nTracerPid:\t0\nNSpid:\t42\t2\n";
    assert_eq!(Status::parse(text), Some(Status { parent: 41, numbers: vec![42, 2] }));
    assert_eq!(Status::parse("Name:\tx\n"), None);
    let own = Status::of(i32::try_from(std::process::id()).unwrap()).unwrap();
    assert_eq!(own.parent, i32::try_from(std::os::unix::process::parent_id()).unwrap());
}

//! Random lives: records, faults, acknowledgements, power losses at any moment. What was promised and not taken is there.
use proptest::{prelude::*, sample::Index};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Keep(usize),
    Want,
    Fail(Fault),
    Take(Index),
    PowerLoss(Vec<Index>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..40_000).prop_map(Step::Keep),
        1 => Just(Step::Want),
        1 => prop_oneof![
            (0usize..200).prop_map(|taken| Fault::Full { taken }),
            Just(Fault::Sync),
            Just(Fault::SyncDirectory),
        ].prop_map(Step::Fail),
        1 => any::<Index>().prop_map(Step::Take),
        1 => prop::collection::vec(any::<Index>(), 1..4).prop_map(Step::PowerLoss),
    ]
}

/// What must be there: kept and not taken, in order.
#[derive(Default)]
struct Promised(Vec<String>);

fn live(steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut disk = TestDisk::default();
    let mut current = spool(folder.path(), 2 * MIB);
    current.start_on(Box::new(disk.clone()));
    let mut promised = Promised::default();
    for (number, step) in steps.into_iter().enumerate() {
        let id = format!("{number:04}");
        match step {
            Step::Keep(bytes) => {
                let commit = current.require(&long_record(&id, bytes));
                if runtime.block_on(current.is_kept(commit)) {
                    promised.0.push(id);
                }
            }
            Step::Want => drop(current.want(&record(&id))),
            Step::Fail(fault) => disk.fail(fault, 1),
            Step::Take(upto) => {
                let mut reader = current.reader();
                let mut batches = Vec::new();
                while reader.has_more() {
                    batches.push(reader.read().unwrap());
                }
                if !batches.is_empty() {
                    let last = upto.index(batches.len());
                    let taken: Vec<String> =
                        batches[..=last].iter().flat_map(|b| &b.decisions).map(|d| d.id.clone()).collect();
                    current.acknowledge(batches[last].through);
                    promised.0.retain(|id| !taken.contains(id));
                }
            }
            Step::PowerLoss(parts) => {
                end(current);
                let mut parts = parts.iter().cycle();
                disk.power_loss(|bytes| parts.next().unwrap().index(usize::try_from(bytes).unwrap() + 1) as u64);
                disk = TestDisk::default();
                current = spool(folder.path(), 2 * MIB);
                let mut started = current.subscribe();
                current.start_on(Box::new(disk.clone()));
                if !promised.0.is_empty() {
                    runtime.block_on(started.changed()).unwrap();
                }
            }
        }
        assert_there(&current, &promised);
    }
    // Whatever happened, it works again.
    disk.heal();
    current.acknowledge(u64::MAX);
    assert!(runtime.block_on(keep(&current, "last")));
}

fn assert_there(spool: &AuditSpool, promised: &Promised) {
    let (there, damaged) = read_all(&mut spool.reader());
    assert_eq!(damaged, 0);
    let mut rest = there.iter();
    for id in &promised.0 {
        assert!(rest.any(|found| found == id), "{id} is lost, or out of order: {there:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_promise_is_broken(steps in prop::collection::vec(step(), 1..40)) {
        live(steps);
    }
}

//! No record that was promised is lost, and no promise is made that cannot be kept: on disks that are full, slow, broken,
//! cut off in the middle, or damaged afterwards.
use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use daemon::Clock;
use tempfile::TempDir;

use self::disks::{Fault, TestDisk};
use super::*;

mod crash;
mod disks;

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(60);
const MIB: u64 = 1024 * 1024;

fn record(id: &str) -> DecisionRecord {
    DecisionRecord { id: id.to_owned(), path: "/charges".to_owned(), allowed: true, ..DecisionRecord::default() }
}

fn long_record(id: &str, bytes: usize) -> DecisionRecord {
    DecisionRecord { host: "x".repeat(bytes), ..record(id) }
}

fn spool(directory: &Path, bytes_max: u64) -> AuditSpool {
    AuditSpool::new(directory.join("audit"), bytes_max, PATIENCE, Clock::manual(1_000_000))
}

fn started(directory: &Path, bytes_max: u64) -> AuditSpool {
    let spool = spool(directory, bytes_max);
    spool.start();
    spool
}

async fn keep(spool: &AuditSpool, id: &str) -> bool {
    let commit = spool.require(&record(id));
    spool.is_kept(commit).await
}

/// Everything that is left, by id; and how many were damaged.
fn read_all(reader: &mut Reader) -> (Vec<String>, u64) {
    let (mut ids, mut damaged) = (Vec::new(), 0);
    while reader.has_more() {
        let batch = reader.read().unwrap();
        ids.extend(batch.decisions.into_iter().map(|decision| decision.id));
        ids.extend(batch.outcomes.into_iter().map(|outcome| format!("{}:{}", outcome.decision, outcome.status)));
        damaged += batch.damaged;
    }
    (ids, damaged)
}

/// Waits for what another thread does.
fn until(what: &str, done: impl Fn() -> bool) {
    let end = daemon::instant() + PATIENCE;
    while !done() {
        assert!(daemon::instant() < end, "{what}");
        std::thread::yield_now();
    }
}

fn segments(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory.join("audit")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Ends a spool and its thread, as a crash would, but between two commits.
fn end(spool: AuditSpool) {
    let inner = Arc::downgrade(&spool.inner);
    drop(spool);
    until("the writer ends", || inner.strong_count() == 0);
}

#[tokio::test]
async fn what_is_kept_is_read_in_order_and_goes_when_it_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let spool = started(folder.path(), 64 * MIB);
    for id in ["a", "b"] {
        assert!(keep(&spool, id).await);
    }
    spool.outcome(&Outcome { decision: "a".to_owned(), status: 201, ..Outcome::default() });
    assert!(keep(&spool, "c").await);
    assert_eq!(spool.status().records, 4);
    let mut reader = spool.reader();
    // Of what is read at once, decisions come first: no outcome is before its decision.
    assert_eq!(read_all(&mut reader), (["a", "b", "c", "a:201"].map(str::to_owned).to_vec(), 0));
    assert!(reader.read().unwrap().is_empty());
    spool.acknowledge(2);
    assert_eq!(read_all(&mut spool.reader()).0, ["c", "a:201"]);
    spool.acknowledge(4);
    assert_eq!(spool.status().records, 0);
    assert!(!spool.reader().has_more());
}

#[tokio::test]
async fn files_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let spool = started(folder.path(), 64 * MIB);
    assert!(keep(&spool, "a").await);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("audit")), 0o700);
    assert_eq!(segments(folder.path()).iter().map(|path| mode(path)).collect::<Vec<_>>(), [0o600]);
}

#[tokio::test]
async fn what_nobody_took_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = started(folder.path(), 64 * MIB);
    assert!(keep(&first, "a").await && keep(&first, "b").await);
    end(first);
    let second = spool(folder.path(), 64 * MIB);
    assert_eq!(second.status().records, 0, "nothing is touched before the start");
    let mut committed = second.subscribe();
    second.resume();
    committed.changed().await.unwrap();
    assert!(keep(&second, "c").await);
    assert_eq!(read_all(&mut second.reader()), (["a", "b", "c"].map(str::to_owned).to_vec(), 0));
    second.acknowledge(2);
    until("the old segment goes", || segments(folder.path()).len() == 1);
    assert_eq!(read_all(&mut second.reader()).0, ["c"]);
}

#[test]
fn nothing_is_made_where_nothing_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 64 * MIB);
    spool.resume();
    assert!(!folder.path().join("audit").exists());
    assert!(!spool.want(&record("a")), "nobody asked for it");
}

#[tokio::test]
async fn those_who_wait_together_are_kept_together() {
    let (folder, spool, disk) = on(64 * MIB, PATIENCE);
    let gate = disk.hold_syncs();
    let first = spool.require(&record("0"));
    until("the first is under way", || disk.syncs() == 1);
    let commits: Vec<_> = (1..500).map(|id| spool.require(&record(&id.to_string()))).collect();
    drop(gate);
    assert!(spool.is_kept(first).await);
    for commit in commits {
        assert!(spool.is_kept(commit).await);
    }
    assert_eq!(spool.status().commits, 2);
    assert_eq!(read_all(&mut spool.reader()).0.len(), 500);
    drop(folder);
}

#[tokio::test]
async fn a_slow_disk_refuses_in_time_and_blocks_nobody() {
    let (_folder, spool, disk) = on(64 * MIB, Duration::from_millis(20));
    let gate = disk.hold_syncs();
    let late = spool.require(&record("late"));
    until("the writer has it", || disk.syncs() == 1);
    assert!(!spool.is_kept(late).await);
    // However many come, handing over does not wait; beyond the queue they are refused at once.
    let commits: Vec<_> = (0..2 * QUEUE).map(|id| spool.require(&record(&id.to_string()))).collect();
    assert_eq!(commits.iter().filter(|commit| commit.0.is_some()).count(), QUEUE);
    assert!(!spool.want(&record("nobody waits")));
    drop(commits);
    drop(gate);
    until("it is kept, late", || spool.status().records == 1);
    // Those who gave up before their record was written have none.
    until("the queue is worked off", || spool.inner.queued.load(Relaxed) == 0);
    let commit = spool.require(&record("in time"));
    until("the next is kept", || spool.status().records == 2);
    drop(commit);
    assert_eq!(read_all(&mut spool.reader()).0, ["late", "in time"]);
    assert_eq!(spool.status().refused, 1);
}

#[tokio::test]
async fn the_bound_refuses_until_something_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let spool = started(folder.path(), MIB);
    let (mut kept, mut last) = (Vec::new(), 0);
    loop {
        let commit = spool.require(&long_record(&last.to_string(), 50_000));
        if !spool.is_kept(commit).await {
            break;
        }
        kept.push(last.to_string());
        last += 1;
    }
    assert!(kept.len() > 15, "{kept:?}");
    let bytes = |path: &std::path::PathBuf| fs::metadata(path).unwrap().len();
    assert!(segments(folder.path()).iter().map(bytes).sum::<u64>() <= MIB);
    assert_eq!((spool.status().refused, spool.status().dropped), (1, 0));
    // A denial does not even get so far.
    assert!(!spool.want(&long_record("denied", 50_000)));
    assert_eq!(read_all(&mut spool.reader()).0, kept);
    spool.acknowledge(last / 2);
    assert!(keep(&spool, "again").await);
    spool.acknowledge(last);
    assert_eq!(read_all(&mut spool.reader()).0, ["again"]);
    // All of it taken: it never grows to the bound again by what nobody needs.
    for id in 0..200 {
        let commit = spool.require(&long_record(&id.to_string(), 50_000));
        assert!(spool.is_kept(commit).await, "{id}: {:?}", spool.status());
        spool.acknowledge(u64::MAX);
    }
}

#[tokio::test]
async fn those_who_are_refused_cannot_crowd_out_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let spool = started(folder.path(), MIB);
    let mut denied = 0;
    while spool.want(&long_record("denied", 50_000)) {
        denied += 1;
        until("it is kept", || spool.status().records == denied);
    }
    assert!(spool.status().bytes <= MIB / 2 + 100_000);
    assert!(keep(&spool, "allowed").await);
}

#[tokio::test]
async fn a_full_disk_refuses_and_leaves_nothing_half() {
    for fault in [Fault::Full { taken: 0 }, Fault::Full { taken: 10 }, Fault::Full { taken: 100 }] {
        let (folder, spool, disk) = on(64 * MIB, PATIENCE);
        // From the first byte on, and in the middle of a segment.
        disk.fail(fault, 2);
        assert!(!keep(&spool, "x").await && !keep(&spool, "x").await);
        assert!(keep(&spool, "a").await && keep(&spool, "b").await);
        disk.fail(fault, 1);
        assert!(!keep(&spool, "x").await);
        assert!(keep(&spool, "c").await);
        let want = (["a", "b", "c"].map(str::to_owned).to_vec(), 0);
        assert_eq!(read_all(&mut spool.reader()), want);
        assert_eq!((segments(folder.path()).len(), spool.status().refused), (1, 3));
        end(spool);
        let again = started(folder.path(), 64 * MIB);
        until("it is read", || again.status().records == 3);
        assert_eq!(read_all(&mut again.reader()), want);
    }
}

#[tokio::test]
async fn after_a_failed_sync_another_segment_is_begun() {
    let (folder, spool, disk) = on(64 * MIB, PATIENCE);
    assert!(keep(&spool, "a").await);
    // The kernel says it once and has forgotten the pages: asking the same file again would be told that all is well.
    disk.fail(Fault::Sync, 1);
    assert!(!keep(&spool, "lost").await);
    assert!(keep(&spool, "b").await);
    disk.fail(Fault::SyncDirectory, 1);
    assert!(keep(&spool, "c").await, "only a new segment needs its directory");
    assert_eq!(segments(folder.path()).len(), 2);
    assert_eq!(spool.status().sync_failures, 1);
    assert_eq!(read_all(&mut spool.reader()), (["a", "b", "c"].map(str::to_owned).to_vec(), 0));
    end(spool);
    let again = started(folder.path(), 64 * MIB);
    until("it is read", || again.status().records == 3);
    assert_eq!(again.status().damaged, 0, "what was never promised is not missing");
}

#[tokio::test]
async fn a_directory_that_comes_late_is_used_then() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("audit");
    fs::write(&blocked, "in the way").unwrap();
    let spool = started(folder.path(), 64 * MIB);
    assert!(!keep(&spool, "a").await);
    fs::remove_file(&blocked).unwrap();
    assert!(keep(&spool, "b").await);
    assert_eq!(read_all(&mut spool.reader()).0, ["b"]);
}

#[tokio::test]
async fn a_directory_that_is_removed_is_made_again_and_what_stood_in_it_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let spool = started(folder.path(), 64 * MIB);
    assert!(keep(&spool, "lost").await);
    fs::remove_dir_all(folder.path().join("audit")).unwrap();
    assert!(keep(&spool, "a").await, "another segment is begun");
    let mut reader = spool.reader();
    assert_eq!(read_all(&mut reader), (vec!["a".to_owned()], 1));
    assert_eq!((spool.status().damaged, spool.status().records), (1, 2));
    // What was read already is not missed.
    fs::remove_dir_all(folder.path().join("audit")).unwrap();
    assert!(keep(&spool, "b").await);
    assert_eq!(read_all(&mut reader), (vec!["b".to_owned()], 0));
    spool.acknowledge(u64::MAX);
    assert_eq!(spool.status().records, 0);
}

#[tokio::test]
async fn a_segment_that_was_moved_away_and_comes_back_is_shipped_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (here, away) = (folder.path().join("audit"), folder.path().join("away"));
    let first = started(folder.path(), 64 * MIB);
    assert!(keep(&first, "a").await);
    let moved = segments(folder.path()).remove(0);
    fs::rename(&here, &away).unwrap();
    assert!(keep(&first, "b").await);
    assert_eq!(read_all(&mut first.reader()), (vec!["b".to_owned()], 1));
    fs::rename(away.join(moved.file_name().unwrap()), &moved).unwrap();
    // Taken, as far as it could be read: what could not stays where it is.
    first.acknowledge(u64::MAX);
    assert!(keep(&first, "c").await);
    assert!(moved.exists());
    end(first);
    let second = spool(folder.path(), 64 * MIB);
    let mut committed = second.subscribe();
    second.resume();
    committed.changed().await.unwrap();
    let ids = read_all(&mut second.reader()).0;
    assert!(["a", "c"].iter().all(|id| ids.contains(&(*id).to_owned())), "{ids:?}");
}

#[tokio::test]
async fn a_record_that_is_too_long_is_refused_and_the_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let spool = started(folder.path(), 64 * MIB);
    let commit = spool.require(&long_record("long", PAYLOAD_BYTES_MAX));
    assert!(!spool.is_kept(commit).await);
    assert!(keep(&spool, "a").await);
}

/// Keeps a, b, c, damages the file, and starts again.
async fn damaged(damage: impl FnOnce(&mut Vec<u8>)) -> (TempDir, AuditSpool) {
    let folder = tempfile::tempdir().unwrap();
    let first = started(folder.path(), 64 * MIB);
    assert!(keep(&first, "a").await && keep(&first, "b").await && keep(&first, "c").await);
    end(first);
    let path = segments(folder.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    damage(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let spool = started(folder.path(), 64 * MIB);
    assert!(keep(&spool, "d").await);
    (folder, spool)
}

/// A place in the payload of a record.
fn inside(bytes: &[u8], number: u64) -> usize {
    format::scan(bytes, 1).entries.iter().find(|entry| entry.sequence == number).unwrap().end - 1
}

#[tokio::test]
async fn a_torn_end_is_cut_off_once() {
    let (folder, spool) = damaged(|bytes| bytes.truncate(bytes.len() - 3)).await;
    assert_eq!(read_all(&mut spool.reader()), (["a", "b", "d"].map(str::to_owned).to_vec(), 0));
    assert_eq!(spool.status().damaged, 0);
    end(spool);
    // It is no longer the newest one, where torn ends are nothing special.
    let again = started(folder.path(), 64 * MIB);
    until("it is read", || again.status().records == 3);
    assert_eq!(again.status().damaged, 0);
}

#[tokio::test]
async fn damage_in_the_middle_costs_its_record_and_is_counted() {
    let (folder, spool) = damaged(|bytes| {
        let at = inside(bytes, 2);
        bytes[at] ^= 1;
    })
    .await;
    assert_eq!(spool.status().damaged, 1);
    assert_eq!(read_all(&mut spool.reader()), (["a", "c", "d"].map(str::to_owned).to_vec(), 1));
    assert_eq!(read_all(&mut spool.reader()).1, 1, "whoever ships it hears of it again");
    end(spool);
    // And at the end of a segment that was left in good order.
    let path = segments(folder.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let again = started(folder.path(), 64 * MIB);
    until("it is read", || again.status().records > 0);
    assert_eq!(again.status().damaged, 2);
    assert_eq!(read_all(&mut again.reader()).0, ["a", "d"]);
}

#[tokio::test]
async fn a_segment_without_anything_whole_is_put_aside() {
    let (folder, spool) = damaged(|bytes| bytes.fill(0)).await;
    // The newest one, nothing of which ever reached the disk.
    assert_eq!(read_all(&mut spool.reader()), (vec!["d".to_owned()], 0));
    end(spool);
    let second = started(folder.path(), 64 * MIB);
    assert!(keep(&second, "e").await);
    end(second);
    let path = segments(folder.path()).remove(0);
    let length = fs::metadata(&path).unwrap().len();
    fs::write(&path, vec![b'x'; usize::try_from(length).unwrap()]).unwrap();
    let third = started(folder.path(), 64 * MIB);
    assert!(keep(&third, "f").await);
    assert!(third.status().damaged > 0);
    assert_eq!(read_all(&mut third.reader()).0, ["e", "f"]);
    let aside = segments(folder.path()).into_iter().find(|path| path.extension().unwrap() == "damaged").unwrap();
    assert_eq!(fs::metadata(aside).unwrap().len(), length, "it may still tell somebody something");
}

#[tokio::test]
async fn damage_while_it_runs_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let spool = started(folder.path(), 64 * MIB);
    assert!(keep(&spool, "a").await && keep(&spool, "b").await && keep(&spool, "c").await);
    let path = segments(folder.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    for number in [1, 3] {
        let at = inside(&bytes, 3.min(number));
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        bytes[at] ^= 1;
        assert_eq!(read_all(&mut spool.reader()).1, 1, "record {number}");
    }
    assert_eq!(spool.status().damaged, 1, "the second reading went no further");
    assert_eq!(read_all(&mut spool.reader()).0, ["a", "b"]);
}

#[tokio::test]
async fn more_than_is_read_at_once_is_read_piece_by_piece() {
    let folder = tempfile::tempdir().unwrap();
    let spool = started(folder.path(), 64 * MIB);
    let ids: Vec<String> = (0..120).map(|id| id.to_string()).collect();
    for id in &ids {
        let commit = spool.require(&long_record(id, 100_000));
        assert!(spool.is_kept(commit).await);
    }
    assert!(segments(folder.path()).len() > 2);
    let mut reader = spool.reader();
    assert!(reader.read().unwrap().decisions.len() < 12);
    let (rest, damaged) = read_all(&mut reader);
    assert_eq!((rest.len() > 100, damaged), (true, 0));
    assert_eq!(read_all(&mut spool.reader()), (ids, 0));
}

#[tokio::test]
async fn short_records_do_not_all_come_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let spool = started(folder.path(), 64 * MIB);
    for number in 0..9_000 {
        let outcome = Outcome { decision: format!("{number:05}"), status: 200, ..Outcome::default() };
        until("it finds a place", || spool.want_entry(Kind::Outcome, &outcome));
    }
    until("all are kept", || spool.status().records == 9_000);
    let mut reader = spool.reader();
    assert_eq!(reader.read().unwrap().outcomes.len(), 4_000);
    let (rest, damaged) = read_all(&mut reader);
    assert_eq!((rest.len(), rest[0].as_str(), damaged), (5_000, "04000:200", 0));
}

#[tokio::test]
async fn the_age_is_that_of_the_oldest() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(0);
    let spool = AuditSpool::new(folder.path().join("audit"), MIB, PATIENCE, clock.clone());
    spool.start();
    assert!(keep(&spool, "a").await);
    clock.advance(Duration::from_secs(100));
    assert!(keep(&spool, "b").await);
    clock.advance(Duration::from_secs(100));
    assert_eq!(spool.status().oldest_age_ms, 200_000);
    spool.acknowledge(1);
    assert_eq!(spool.status().oldest_age_ms, 100_000);
    spool.acknowledge(2);
    assert_eq!(spool.status().oldest_age_ms, 0);
}

/// A started spool on a disk that the test commands.
fn on(bytes_max: u64, commit_timeout: Duration) -> (TempDir, AuditSpool, TestDisk) {
    let folder = tempfile::tempdir().unwrap();
    let spool = AuditSpool::new(folder.path().join("audit"), bytes_max, commit_timeout, Clock::manual(1_000_000));
    let disk = TestDisk::default();
    spool.start_on(Box::new(disk.clone()));
    (folder, spool, disk)
}

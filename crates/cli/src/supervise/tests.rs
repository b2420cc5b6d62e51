//! Backoff, endings, marks and log tails are pure; keeping is tried with real, short-lived shells.
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{Ending, Kept, Notice, Program, Restart, State, What, backoff::Backoff, keep, logs, marks::Marks};

#[test]
fn backoff_doubles_to_its_bound_and_forgets_after_health() {
    let mut backoff = Backoff::default();
    let pauses: Vec<u64> = (0..9).map(|_| backoff.failed(Duration::ZERO).as_millis() as u64).collect();
    assert_eq!(pauses, [200, 400, 800, 1600, 3200, 6400, 12800, 15000, 15000]);
    assert_eq!(backoff.failed(Duration::from_secs(29)).as_millis(), 15000);
    assert_eq!(backoff.failed(Duration::from_secs(30)).as_millis(), 200);
    for _ in 0..100 {
        assert!(backoff.failed(Duration::ZERO) <= Duration::from_secs(15));
    }
}

#[test]
fn endings_read_like_a_shell_reports_them() {
    for (ending, text, code) in [
        (Ending::Code(0), "exited with code 0", 0),
        (Ending::Code(3), "exited with code 3", 3),
        (Ending::Signal(9), "killed by SIGKILL", 137),
        (Ending::Signal(15), "killed by SIGTERM", 143),
        (Ending::Signal(40), "killed by signal 40", 168),
    ] {
        assert_eq!((ending.to_string().as_str(), ending.exit_code()), (text, code));
    }
}

#[test]
fn marks_match_whole_variables_only() {
    let marks = Marks::of_process(Path::new("/s"), "orders/0 application");
    for (environ, carried) in [
        (&b"A=1\0WARD_STATE_DIR=/s\0WARD_PROCESS=orders/0 application\0"[..], true),
        (b"WARD_STATE_DIR=/s\0WARD_PROCESS=orders/0 sidecar\0", false),
        (b"WARD_STATE_DIR=/s2\0WARD_PROCESS=orders/0 application\0", false),
        (b"XWARD_STATE_DIR=/s\0WARD_PROCESS=orders/0 application\0", false),
        (b"WARD_PROCESS=orders/0 application\0", false),
        (b"", false),
    ] {
        assert_eq!(marks.carried_by(environ), carried, "{}", String::from_utf8_lossy(environ));
    }
    assert!(!Marks::of_state(Path::new("/s")).carried_by(b"HOME=/root\0WARD_STATE_DIR=/s"), "an operator's shell");
    assert!(Marks::of_state(Path::new("/s")).carried_by(b"WARD_STATE_DIR=/s\0WARD_PROCESS=x"));
}

#[test]
fn a_large_log_is_set_aside_and_its_tail_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("a.log");
    fs::write(&log, vec![b'x'; (8 << 20) + 1]).unwrap();
    drop(logs::open(&log).unwrap());
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    assert_eq!(fs::metadata(dir.path().join("a.log.1")).unwrap().len(), (8 << 20) + 1);
    let large = fs::OpenOptions::new().write(true).open(&log).unwrap();
    large.set_len(32 << 20).unwrap();
    logs::bound(dir.path()).unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), 32 << 20, "at the limit it is left alone");
    large.set_len((32 << 20) + 1).unwrap();
    logs::bound(dir.path()).unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    assert_eq!(fs::metadata(dir.path().join("a.log.1")).unwrap().len(), (32 << 20) + 1);
    fs::write(&log, "one\ntwo\n\nthree\n").unwrap();
    assert_eq!(logs::tail(&log, 2), ["two", "three"]);
    assert!(logs::tail(&dir.path().join("missing"), 2).is_empty());
    fs::write(&log, "x\n{\"level\":\"ERROR\",\"message\":\"it stops\",\"error\":\"no room\",\"pid\":1}\n{\"a\":1}\n")
        .unwrap();
    let expected = format!("late; log {}\n    x\n    ERROR it stops: no room\n    {{\"a\":1}}", log.display());
    assert_eq!(logs::with_tail("late", &log), expected);
}

struct Trial {
    dir: tempfile::TempDir,
    tasks: TaskTracker,
    sender: mpsc::Sender<Notice>,
    notices: mpsc::Receiver<Notice>,
}

impl Trial {
    fn new() -> Self {
        let (sender, notices) = mpsc::channel(64);
        Self { dir: tempfile::tempdir().unwrap(), tasks: TaskTracker::new(), sender, notices }
    }

    fn keep(&self, script: &str, restart: Restart) -> Kept {
        let mut env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".into())]);
        Marks::set(&mut env, self.dir.path(), "trial");
        let program = Program {
            label: "trial".into(),
            argv: ["sh", "-c", script].map(Into::into).to_vec(),
            env,
            dir: self.dir.path().to_owned(),
            log: self.dir.path().join("log"),
            marks: Marks::of_process(self.dir.path(), "trial"),
            second: false,
        };
        keep(program, restart, None, self.sender.clone(), &self.tasks)
    }

    async fn next(&mut self) -> What {
        tokio::time::timeout(Duration::from_secs(20), self.notices.recv()).await.unwrap().unwrap().what
    }
}

#[tokio::test]
async fn a_crash_is_told_and_started_again() {
    let mut trial = Trial::new();
    let kept = trial.keep("echo hello; exit 3", Restart::UnlessDone);
    assert!(matches!(trial.next().await, What::Started { again: false, .. }));
    assert!(matches!(trial.next().await, What::Ended { ending: Ending::Code(3), again_in: Some(_) }));
    assert!(matches!(trial.next().await, What::Started { again: true, .. }));
    kept.stop(Duration::from_secs(5)).await;
    assert_eq!(kept.state(), State::Stopped);
    assert!(fs::read_to_string(trial.dir.path().join("log")).unwrap().starts_with("hello\n"));
}

#[tokio::test]
async fn a_job_that_is_done_is_left_alone() {
    let mut trial = Trial::new();
    let kept = trial.keep("exit 0", Restart::UnlessDone);
    assert!(matches!(trial.next().await, What::Started { .. }));
    assert!(matches!(trial.next().await, What::Ended { ending: Ending::Code(0), again_in: None }));
    assert_eq!(kept.state(), State::Finished);
    kept.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn stopping_is_gentle_first() {
    let mut trial = Trial::new();
    let kept = trial.keep("trap 'exit 7' TERM; touch ready; while :; do sleep 0.05; done", Restart::Always);
    assert!(matches!(trial.next().await, What::Started { .. }));
    while !trial.dir.path().join("ready").exists() {
        tokio::task::yield_now().await;
    }
    kept.stop(Duration::from_secs(20)).await;
    assert!(matches!(trial.next().await, What::Stopped { ending: Some(Ending::Code(7)), forced: false, .. }));
}

#[tokio::test]
async fn a_program_with_numbers_of_its_own_is_asked_to_end_too() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root makes such a thing, here and in `ward up`.
    }
    let mut trial = Trial::new();
    // Without its environment it is not known by its marks.
    let script = "trap 'exit 7' TERM; touch ready; while :; do sleep 0.05; done";
    let wait = r#"trap : TERM; "$@"; exit $?"#;
    let argv =
        ["unshare", "--pid", "--fork", "--kill-child=KILL", "sh", "-c", wait, "ward", "env", "-i", "sh", "-c", script];
    let program = Program {
        label: "trial".into(),
        argv: argv.map(Into::into).to_vec(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".into())]),
        dir: trial.dir.path().to_owned(),
        log: trial.dir.path().join("log"),
        marks: Marks::of_process(trial.dir.path(), "trial"),
        second: true,
    };
    let kept = keep(program, Restart::Always, None, trial.sender.clone(), &trial.tasks);
    assert!(matches!(trial.next().await, What::Started { .. }));
    while !trial.dir.path().join("ready").exists() {
        tokio::task::yield_now().await;
    }
    kept.stop(Duration::from_secs(20)).await;
    assert!(matches!(trial.next().await, What::Stopped { ending: Some(Ending::Code(7)), forced: false, .. }));
}

#[tokio::test]
async fn who_does_not_listen_is_killed_with_everything_it_started() {
    let mut trial = Trial::new();
    // The grandchild leaves the group: only its marks give it away.
    let script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; touch ready; sleep 600' & wait; sleep 600";
    let kept = trial.keep(script, Restart::Always);
    assert!(matches!(trial.next().await, What::Started { .. }));
    while !trial.dir.path().join("ready").exists() {
        tokio::task::yield_now().await;
    }
    kept.stop(Duration::from_millis(50)).await;
    assert!(matches!(trial.next().await, What::Stopped { forced: true, .. }));
    assert!(!super::marks::any(&Marks::of_state(trial.dir.path())));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_and_tried_again() {
    let mut trial = Trial::new();
    let program = Program {
        label: "trial".into(),
        argv: vec!["/nowhere/at-all".into()],
        env: BTreeMap::new(),
        dir: trial.dir.path().to_owned(),
        log: trial.dir.path().join("log"),
        marks: Marks::of_process(trial.dir.path(), "trial"),
        second: false,
    };
    let kept = keep(program, Restart::Always, None, trial.sender.clone(), &trial.tasks);
    let What::Unstartable { error, .. } = trial.next().await else { panic!("not told") };
    assert!(error.contains("/nowhere/at-all"), "{error}");
    assert!(matches!(trial.next().await, What::Unstartable { .. }));
    kept.kill();
    kept.gone().await;
}

//! What the durable spool holds goes to the control plane, and stays until it is stored there.
use super::*;

/// Brings a decision to the disk.
async fn keep(proxy: &Proxy, id: &str) {
    let audit = proxy.audit().unwrap();
    audit.start();
    assert!(audit.is_kept(audit.require(&decision(id))).await, "{id}");
}

fn ids(report: &wire::v1::ReportRequest) -> Vec<&str> {
    report.decisions.iter().map(|decision| decision.id.as_str()).collect()
}

async fn left(proxy: &Proxy, records: u64) {
    let gone = async {
        while proxy.audit().unwrap().status().records != records {
            tokio::task::yield_now().await;
        }
    };
    within("the end of the records", gone).await;
}

#[tokio::test]
async fn it_goes_when_it_is_stored_and_not_before() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, _discovery) = mesh.running().await;
    let mut reports = mesh.peer.report().await;
    keep(&proxy, "a").await;
    let outcome = wire::v1::Outcome { decision: "a".to_owned(), status: 200, ..Default::default() };
    proxy.audit().unwrap().outcome(&outcome);
    keep(&proxy, "b").await;
    // Those of other flows go beside them.
    proxy.decisions().push(decision("high")).unwrap();
    let mut seen = Vec::new();
    let mut outcomes = Vec::new();
    while seen.len() < 3 || outcomes.is_empty() {
        let report = reports.next().await;
        seen.extend(ids(&report).into_iter().map(str::to_owned));
        outcomes.extend(report.outcomes);
        if seen.len() < 3 || outcomes.is_empty() {
            continue;
        }
        // Not stored: the stream breaks.
    }
    assert_eq!(proxy.audit().unwrap().status().records, 3);
    drop(reports);
    // It is opened again after a wait by our clock, which begins when the loss is noticed.
    let reopened = async {
        loop {
            mesh.clock.advance(Duration::from_secs(1));
            let soon = tokio::time::timeout(Duration::from_millis(20), mesh.peer.reports.recv());
            if let Ok(Some(reports)) = soon.await {
                return reports;
            }
        }
    };
    let mut reports = within("a report stream", reopened).await;
    let (mut again, mut last) = (Vec::new(), 0);
    while again.len() < 3 {
        let report = reports.next().await;
        again.extend(ids(&report).into_iter().map(str::to_owned));
        last = report.sequence;
    }
    let audited = |seen: &[String]| seen.iter().filter(|id| *id != "high").cloned().collect::<Vec<_>>();
    assert_eq!((audited(&again), again.len()), (vec!["a".to_owned(), "b".to_owned()], 3));
    reports.send(ReportResponse { acked: last, ..Default::default() }).await;
    left(&proxy, 0).await;
    drop(link);
}

#[tokio::test]
async fn a_proxy_that_died_ships_what_was_left() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, discovery) = mesh.running().await;
    let reports = mesh.peer.report().await;
    for id in ["a", "b", "c"] {
        keep(&proxy, id).await;
    }
    drop((discovery, reports));
    mesh.end(link).await;
    drop(proxy);
    while mesh.peer.discoveries.try_recv().is_ok() || mesh.peer.reports.try_recv().is_ok() {}

    let again = mesh.proxy(None);
    again.start().unwrap();
    let link = start(again.clone()).unwrap();
    let mut reports = mesh.peer.report().await;
    let report = reports.until(|r| !r.decisions.is_empty()).await;
    assert_eq!(ids(&report), ["a", "b", "c"]);
    reports.send(ReportResponse { acked: report.sequence, ..Default::default() }).await;
    left(&again, 0).await;
    drop(link);
}

#[tokio::test]
async fn a_drain_hands_over_everything() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, _discovery) = mesh.running().await;
    let mut reports = mesh.peer.report().await;
    // More than one message takes, and more than are under way at once.
    let long = DecisionRecord { host: "x".repeat(100_000), ..Default::default() };
    let audit = proxy.audit().unwrap();
    audit.start();
    for id in 0..200 {
        assert!(audit.is_kept(audit.require(&DecisionRecord { id: format!("{id:03}"), ..long.clone() })).await);
    }
    let taken = async {
        let mut seen = Vec::new();
        while let Ok(Some(report)) = reports.message().await {
            // What took long to be acknowledged comes again; the control plane stores each id once.
            let new: Vec<_> = ids(&report).into_iter().filter(|id| !seen.iter().any(|s: &String| s == id)).collect();
            seen.extend(new.into_iter().map(str::to_owned));
            reports.send(ReportResponse { acked: report.sequence, ..Default::default() }).await;
        }
        seen
    };
    let (seen, ()) = tokio::join!(taken, link.finish());
    assert_eq!(seen, (0..200).map(|id| format!("{id:03}")).collect::<Vec<_>>());
    assert_eq!(audit.status().records, 0);
}

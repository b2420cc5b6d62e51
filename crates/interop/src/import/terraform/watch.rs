//! What keeps records and watches: trails, flow logs, detectors.
use super::Import;
use crate::draft::Kind;

impl Import<'_, '_> {
    /// Everything that watches.
    pub(super) fn watch(&mut self) {
        let plan = self.plan;
        let (trails, detectors) = (plan.of(&["aws_cloudtrail"]), plan.of(&["aws_guardduty_detector"]));
        if !trails.is_empty() || !detectors.is_empty() {
            let lines =
                self.draft.data("log-lines", "log-lines").set("class", "internal").set("of", "log").name().to_owned();
            let api = self.aws_api();
            for id in trails {
                for bucket in plan.find(id, &["s3_bucket_name"], &["aws_s3_bucket"]) {
                    let Some(to) = self.nodes.get(&bucket).cloned() else { continue };
                    if let Some(node) = self.draft.named(Kind::Node, &to) {
                        node.remove("holds");
                        node.add("holds", lines.as_str());
                    }
                    self.flow(&api, &to).add("carries", lines.as_str()).guess_via("tls", "1.2", "AWS writes its trail");
                }
            }
            if let Some(id) = detectors.iter().find(|d| plan.get(**d).flag(&["enable"]) != Some(false)).copied() {
                let (key, zone) = (self.key(id), self.zone.clone());
                let node = self
                    .draft
                    .node(&key, "guardduty")
                    .set("kind", "service")
                    .set("zone", zone)
                    .comment("watches what happens in the account");
                let to = node.name().to_owned();
                self.flow(&api, &to).add("carries", lines).guess_via("tls", "1.2", "inside of AWS");
            }
        }
        for id in plan.of(&["aws_flow_log"]) {
            for vpc in plan.find(id, &["vpc_id"], &["aws_vpc"]) {
                let key = self.key(vpc);
                let label = self.label(vpc);
                self.draft.zone(&key, &label).comment("its connections are recorded (flow logs)");
            }
        }
    }
}

//! The checker sees what is wrong, whatever the deployer believes.

use std::error::Error;

use jiff::SignedDuration;
use lab::Lab;
use lab::example::Example;
use lab::images::Kind;
use lab::oracle::{self, Arrival, Opinion, Question};
use serde_json::json;
use simulator::Settings;

const APPLICATION: &str = "nest-demo";

/// A service that runs a pushed image in one environment.
struct Deployed {
    lab: Lab,
    question: Question,
    release_id: String,
}

impl Deployed {
    fn new() -> Result<Self, Box<dyn Error>> {
        let example = Example::load(APPLICATION)?;
        let mut lab = Lab::with_example(&Settings::default(), &example)?;
        lab.simulation().run_for(SignedDuration::from_mins(5));
        let image = example
            .pipeline
            .images
            .keys()
            .next()
            .ok_or("the pipeline has no image")?
            .to_string();
        let digest = lab.push_example(&example, &image, "v1.5.0", Kind::Good)?;
        assert!(lab.settle());
        let question = example.question("development", &image, &digest, Arrival::Deployed)?;
        let release_id = lab.executions("release").pop().ok_or("the push started no release")?;
        Ok(Self {
            lab,
            question,
            release_id,
        })
    }

    fn opinion(&mut self) -> Opinion {
        let config = self.lab.administrator().clone();
        let questions = [self.question.clone()];
        let check = oracle::check(&config, &questions, APPLICATION, &self.release_id);
        self.lab.simulation().block_on(check)
    }

    fn findings(&mut self) -> String {
        self.opinion().findings.join("\n")
    }

    fn record_key(&self, sequence: u32) -> serde_json::Value {
        json!({"chain": {"S": format!("release/{}", self.release_id)}, "sequence": {"N": sequence.to_string()}})
    }
}

#[test]
fn a_release_that_succeeded_is_proven_by_every_look() {
    let mut deployed = Deployed::new().unwrap();
    let opinion = deployed.opinion();
    assert!(opinion.agrees(), "{opinion:#?}");
    assert!(opinion.proven.len() >= 7, "{opinion:#?}");
}

#[test]
fn an_image_that_does_not_run_is_not_taken_for_one_that_does() {
    let mut deployed = Deployed::new().unwrap();
    deployed.question.digest = format!("sha256:{}", "0f".repeat(32));
    let findings = deployed.findings();
    assert!(
        findings.contains("is set to task definition") && findings.contains("tasks run sha256:0f0f"),
        "{findings}"
    );
    deployed.question.repository = "somewhere-else".to_owned();
    assert!(deployed.findings().contains("no service of cluster"));
}

#[test]
fn a_service_that_lost_its_tasks_does_not_run() {
    let mut deployed = Deployed::new().unwrap();
    let services = json!({"cluster": deployed.question.cluster});
    let services = deployed
        .lab
        .world_mut()
        .administer("ecs", "ListServices", services)
        .unwrap();
    let input = json!({"cluster": deployed.question.cluster, "service": services["serviceArns"][0], "desiredCount": 0});
    deployed
        .lab
        .world_mut()
        .administer("ecs", "UpdateService", input)
        .unwrap();
    deployed.lab.simulation().run_for(SignedDuration::from_mins(5));
    let findings = deployed.findings();
    assert!(findings.contains("with 0 of 0 tasks running"), "{findings}");
}

#[test]
fn a_record_that_was_changed_is_named() {
    let mut deployed = Deployed::new().unwrap();
    let input = json!({
        "TableName": "esclusa-ledger",
        "Key": deployed.record_key(3),
        "UpdateExpression": "SET actor = :somebody",
        "ExpressionAttributeValues": {":somebody": {"S": "somebody/else"}},
    });
    deployed
        .lab
        .world_mut()
        .administer("dynamodb", "UpdateItem", input)
        .unwrap();
    let findings = deployed.findings();
    assert!(
        findings.contains("record 3 of chain") && findings.contains("was changed"),
        "{findings}"
    );
}

#[test]
fn a_record_that_was_removed_is_missed() {
    let mut deployed = Deployed::new().unwrap();
    let config = deployed.lab.administrator().clone();
    let records = esclusa_adapters::ledger::LedgerTable::new(&config, "esclusa-ledger");
    let chain = esclusa_core::ledger::Chain::release(&deployed.release_id);
    let records = deployed.lab.simulation().block_on(records.chain(&chain)).unwrap();
    let kind = esclusa_core::ledger::RecordKind::Outcome;
    let outcome = records.iter().find(|record| record.kind == kind).unwrap().sequence;
    let key = deployed.record_key(u32::try_from(outcome).unwrap());
    let input = json!({"TableName": "esclusa-ledger", "Key": key});
    deployed
        .lab
        .world_mut()
        .administer("dynamodb", "DeleteItem", input)
        .unwrap();
    let findings = deployed.findings();
    assert!(
        findings.contains("is missing") && findings.contains("has 0 outcomes"),
        "{findings}"
    );
}

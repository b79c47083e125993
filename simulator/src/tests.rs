//! The world through the real AWS SDK for Rust.

mod at_hand;
mod databases;
mod faults;
mod functions;
mod http_apis;
mod metrics;
mod permissions;
mod places;
mod registry;
mod running;
mod scaling;
mod served;
mod services;
mod slack;
mod stack;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};

use crate::{Principal, Settings, Simulation};

fn simulation() -> Simulation {
    Simulation::new(&Settings::default()).unwrap()
}

fn dynamodb(simulation: &mut Simulation) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(&simulation.sdk_config(&Principal::Administrator))
}

/// A table `control` with the partition key `pk`.
fn control_table(simulation: &mut Simulation) -> aws_sdk_dynamodb::Client {
    let client = dynamodb(simulation);
    let created = client
        .create_table()
        .table_name("control")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(
            AttributeDefinition::builder()
                .attribute_name("pk")
                .attribute_type(ScalarAttributeType::S)
                .build()
                .unwrap(),
        )
        .key_schema(
            KeySchemaElement::builder()
                .attribute_name("pk")
                .key_type(KeyType::Hash)
                .build()
                .unwrap(),
        );
    simulation.block_on(created.send()).unwrap();
    client
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// A put of the item `lock` that only the first owner can make.
fn take_lock(
    client: &aws_sdk_dynamodb::Client,
    owner: &str,
) -> aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder {
    client
        .put_item()
        .table_name("control")
        .item("pk", text("lock"))
        .item("owner", text(owner))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld)
}

/// Loads a template whose role `reader` may read the table `control`.
fn load_reader(simulation: &mut Simulation) {
    load(
        simulation,
        r#"
Resources:
  Reader:
    Type: AWS::IAM::Role
    Properties:
      RoleName: reader
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}
      Policies:
        - PolicyName: read
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              Effect: Allow
              Action: dynamodb:GetItem
              Resource: !Sub arn:aws:dynamodb:${AWS::Region}:${AWS::AccountId}:table/control
"#,
        std::path::Path::new("."),
    );
}

fn load(simulation: &mut Simulation, text: &str, directory: &std::path::Path) {
    simulation.world_mut().load(template(text), directory).unwrap();
}

fn template(text: &str) -> crate::Template {
    let Settings { account, region, .. } = Settings::default();
    let settings = crate::TemplateSettings {
        account,
        region,
        stack: "test".to_owned(),
        parameters: std::collections::BTreeMap::new(),
    };
    crate::Template::load(text, &settings).unwrap()
}

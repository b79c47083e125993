use simulator_kernel::{Principal, RequestId};

use super::*;

struct Fixture {
    dynamodb: DynamoDb,
    kernel: Kernel,
}

impl Fixture {
    fn new() -> Self {
        let start: Timestamp = "2026-11-02T09:00:00Z".parse().unwrap();
        let mut fixture = Self {
            dynamodb: DynamoDb::new(start).unwrap(),
            kernel: Kernel::new("123456789012", "us-east-1", start, 7),
        };
        fixture.ok(
            "CreateTable",
            json!({
                "TableName": "control",
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [
                    {"AttributeName": "pk", "AttributeType": "S"},
                    {"AttributeName": "sk", "AttributeType": "S"},
                    {"AttributeName": "state", "AttributeType": "S"},
                ],
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
                "GlobalSecondaryIndexes": [{
                    "IndexName": "by-state",
                    "KeySchema": [{"AttributeName": "state", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }],
            }),
        );
        fixture
    }

    fn request(operation: &str, input: Value) -> Request {
        Request {
            access_key_id: None,
            id: RequestId(1),
            operation: operation.to_owned(),
            input,
            principal: Principal::Administrator,
        }
    }

    fn call(&mut self, operation: &str, input: Value) -> Result<Value, ApiError> {
        match self.dynamodb.call(&Self::request(operation, input), &mut self.kernel) {
            Reply::Now(result) => result,
            Reply::Later => panic!("DynamoDB answers at once"),
        }
    }

    fn ok(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, input)
            .unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    fn put(&mut self, sk: &str, state: &str) -> Value {
        self.ok(
            "PutItem",
            json!({"TableName": "control", "Item": {"pk": {"S": "a"}, "sk": {"S": sk}, "state": {"S": state}}}),
        )
    }

    fn open_in_index(&mut self) -> u64 {
        let query = json!({
            "TableName": "control",
            "IndexName": "by-state",
            "KeyConditionExpression": "#s = :s",
            "ExpressionAttributeNames": {"#s": "state"},
            "ExpressionAttributeValues": {":s": {"S": "OPEN"}},
        });
        self.ok("Query", query)["Count"].as_u64().unwrap()
    }

    fn pass(&mut self, seconds: i64) {
        self.kernel
            .move_clock(self.kernel.now() + SignedDuration::from_secs(seconds));
    }

    fn permissions(&self, operation: &str, input: Value) -> Vec<Authorization> {
        self.dynamodb
            .authorizations(&Self::request(operation, input), &self.kernel)
    }
}

fn transaction(token: &str, sk: &str) -> Value {
    json!({
        "ClientRequestToken": token,
        "TransactItems": [{"Put": {
            "TableName": "control",
            "Item": {"pk": {"S": "a"}, "sk": {"S": sk}},
            "ConditionExpression": "attribute_not_exists(pk)",
        }}],
    })
}

#[test]
fn a_failed_condition_gives_the_winner_when_asked() {
    let mut fixture = Fixture::new();
    fixture.put("1", "OPEN");
    let error = fixture
        .call(
            "PutItem",
            json!({
                "TableName": "control",
                "Item": {"pk": {"S": "a"}, "sk": {"S": "1"}},
                "ConditionExpression": "attribute_not_exists(pk)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }),
        )
        .unwrap_err();
    assert_eq!(error.code, "ConditionalCheckFailedException");
    assert_eq!(error.members["Item"]["state"]["S"], "OPEN");
}

#[test]
fn a_transaction_token_is_good_for_ten_simulated_minutes() {
    let mut fixture = Fixture::new();
    fixture.ok("TransactWriteItems", transaction("t", "1"));
    fixture.pass(599);
    fixture.ok("TransactWriteItems", transaction("t", "1"));
    let error = fixture.call("TransactWriteItems", transaction("t", "2")).unwrap_err();
    assert_eq!(error.code, "IdempotentParameterMismatchException");
    fixture.pass(1);
    let error = fixture.call("TransactWriteItems", transaction("t", "1")).unwrap_err();
    assert_eq!(error.code, "TransactionCanceledException");
    assert_eq!(
        error.members["CancellationReasons"][0]["Code"],
        "ConditionalCheckFailed"
    );
}

#[test]
fn a_transaction_cannot_change_a_key() {
    let mut fixture = Fixture::new();
    fixture.put("1", "OPEN");
    let update = json!({"TransactItems": [{"Update": {
        "TableName": "control",
        "Key": {"pk": {"S": "a"}, "sk": {"S": "1"}},
        "UpdateExpression": "SET #k = :v",
        "ExpressionAttributeNames": {"#k": "sk"},
        "ExpressionAttributeValues": {":v": {"S": "2"}},
    }}]});
    let error = fixture.call("TransactWriteItems", update).unwrap_err();
    assert_eq!(error.members["CancellationReasons"][0]["Code"], "ValidationError");
    assert_eq!(fixture.dynamodb.items("control").unwrap()[0]["sk"]["S"], "1");
}

#[test]
fn an_index_lags_behind_its_table_for_as_long_as_it_is_told() {
    let mut fixture = Fixture::new();
    fixture.put("1", "OPEN");
    fixture.dynamodb.set_read_lag(SignedDuration::from_secs(5)).unwrap();
    fixture.put("2", "OPEN");
    assert_eq!(fixture.open_in_index(), 1);
    fixture.pass(5);
    assert_eq!(fixture.open_in_index(), 2);
}

#[test]
fn a_read_that_asks_for_consistency_never_lags() {
    let mut fixture = Fixture::new();
    fixture.put("1", "OPEN");
    fixture.dynamodb.set_read_lag(SignedDuration::from_secs(5)).unwrap();
    fixture.put("1", "CLOSED");
    let state = |fixture: &mut Fixture, consistent: bool| {
        let key = json!({"pk": {"S": "a"}, "sk": {"S": "1"}});
        let input = json!({"TableName": "control", "Key": key, "ConsistentRead": consistent});
        fixture.ok("GetItem", input)["Item"]["state"]["S"].clone()
    };
    assert_eq!(state(&mut fixture, true), "CLOSED");
    assert_eq!(state(&mut fixture, false), "OPEN");
    fixture.pass(5);
    assert_eq!(state(&mut fixture, false), "CLOSED");
}

#[test]
fn a_transaction_needs_the_permissions_of_its_actions() {
    let fixture = Fixture::new();
    let key = json!({"pk": {"S": "LOCK#a"}, "sk": {"S": "1"}});
    let needed = fixture.permissions(
        "TransactWriteItems",
        json!({"TransactItems": [
            {"ConditionCheck": {"TableName": "control", "Key": key, "ConditionExpression": "attribute_exists(pk)"}},
            {"Put": {"TableName": "control", "Item": {"pk": {"S": "REL#1"}, "sk": {"S": "1"}}}},
        ]}),
    );
    let arn = "arn:aws:dynamodb:us-east-1:123456789012:table/control";
    assert_eq!(
        needed,
        [
            Authorization::new("dynamodb:ConditionCheckItem", arn).with("dynamodb:LeadingKeys", "LOCK#a"),
            Authorization::new("dynamodb:PutItem", arn).with("dynamodb:LeadingKeys", "REL#1"),
        ]
    );
}

#[test]
fn reading_an_index_is_a_permission_of_its_own() {
    let fixture = Fixture::new();
    let needed = fixture.permissions("Scan", json!({"TableName": "control", "IndexName": "by-state"}));
    assert_eq!(
        needed[0].resource,
        "arn:aws:dynamodb:us-east-1:123456789012:table/control/index/by-state"
    );
}

#[test]
fn consumed_capacity_is_counted_and_not_shown_unless_asked() {
    let mut fixture = Fixture::new();
    let output = fixture.put("1", "OPEN");
    assert!(output.get("ConsumedCapacity").is_none());
    fixture.ok(
        "GetItem",
        json!({"TableName": "control", "Key": {"pk": {"S": "a"}, "sk": {"S": "1"}}}),
    );
    let usage = fixture.dynamodb.usage()["control"];
    assert_eq!((usage.reads, usage.writes, usage.items_read), (1, 1, 1));
    assert!(usage.write_units >= 1.0 && usage.read_units > 0.0, "{usage:?}");
}

#[test]
fn a_malformed_request_is_an_error_of_dynamodb_and_shows_no_mark() {
    let mut fixture = Fixture::new();
    let error = fixture
        .call(
            "PutItem",
            json!({"TableName": "control", "Item": {"pk": {"S": "a", "N": "1"}}}),
        )
        .unwrap_err();
    assert_eq!(error.code, "ValidationException");
    assert!(!error.message.contains("VALIDATION:"), "{}", error.message);
    let error = fixture
        .call("PutItem", json!({"TableName": "control", "Item": {"pk": {"S": 1}}}))
        .unwrap_err();
    assert_eq!(error.code, "SerializationException", "{}", error.message);
}

#[test]
fn a_table_describes_itself_in_the_simulated_account_and_time() {
    let mut fixture = Fixture::new();
    fixture.pass(60);
    let table = fixture.ok("DescribeTable", json!({"TableName": "control"}));
    assert_eq!(
        table["Table"]["TableArn"],
        "arn:aws:dynamodb:us-east-1:123456789012:table/control"
    );
    assert_eq!(table["Table"]["CreationDateTime"], 1_793_610_000);
}

#[test]
fn streams_are_refused_and_not_forgotten() {
    let mut fixture = Fixture::new();
    let input =
        json!({"TableName": "x", "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"}});
    let error = fixture.call("CreateTable", input).unwrap_err();
    assert_eq!(
        error.message,
        "the simulated AWS does not implement streams of `dynamodb`"
    );
}

#[test]
fn a_read_that_is_repeated_shows_every_kind_of_write_in_between() {
    let mut fixture = Fixture::new();
    let key = json!({"pk": {"S": "a"}, "sk": {"S": "1"}});
    let get = json!({"TableName": "control", "Key": key});
    let query = json!({
        "TableName": "control",
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": "a"}},
    });
    let write = |fixture: &mut Fixture, operation: &str, members: Value| {
        let mut input = json!({"TableName": "control"});
        input
            .as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        fixture.ok(operation, input);
    };
    let set = |state: &str| {
        json!({
            "Key": key,
            "UpdateExpression": "SET #s = :s",
            "ExpressionAttributeNames": {"#s": "state"},
            "ExpressionAttributeValues": {":s": {"S": state}},
        })
    };
    let item = |state: &str| json!({"pk": {"S": "a"}, "sk": {"S": "1"}, "state": {"S": state}});
    let in_transaction = |kind: &str, mut members: Value| {
        members["TableName"] = json!("control");
        json!({"TransactItems": [{kind: members}]})
    };
    let seen = |fixture: &mut Fixture| {
        let found = fixture.ok("Query", query.clone())["Items"]
            .as_array()
            .unwrap()
            .first()
            .cloned();
        let got = fixture.ok("GetItem", get.clone()).get("Item").cloned();
        assert_eq!(got, found);
        got.map(|item| item["state"]["S"].as_str().unwrap().to_owned())
    };
    assert_eq!(seen(&mut fixture), None);
    write(&mut fixture, "PutItem", json!({"Item": item("put")}));
    assert_eq!(seen(&mut fixture).as_deref(), Some("put"));
    write(&mut fixture, "UpdateItem", set("updated"));
    assert_eq!(seen(&mut fixture).as_deref(), Some("updated"));
    write(&mut fixture, "DeleteItem", json!({"Key": key}));
    assert_eq!(seen(&mut fixture), None);
    fixture.ok(
        "TransactWriteItems",
        in_transaction("Put", json!({"Item": item("together")})),
    );
    assert_eq!(seen(&mut fixture).as_deref(), Some("together"));
    fixture.ok("TransactWriteItems", in_transaction("Update", set("updated together")));
    assert_eq!(seen(&mut fixture).as_deref(), Some("updated together"));
    let batch = json!({"RequestItems": {"control": [{"PutRequest": {"Item": item("batch")}}]}});
    fixture.ok("BatchWriteItem", batch);
    assert_eq!(seen(&mut fixture).as_deref(), Some("batch"));
    fixture.ok("TransactWriteItems", in_transaction("Delete", json!({"Key": key})));
    assert_eq!(seen(&mut fixture), None);
}

/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeContinuousBackups.html>
#[test]
fn a_table_is_restorable_from_when_that_is_turned_on_until_it_is_turned_off() {
    let mut fixture = Fixture::new();
    let status = |described: &Value| {
        let description = described
            .pointer("/ContinuousBackupsDescription/PointInTimeRecoveryDescription")
            .unwrap();
        let latest = description.get("LatestRestorableDateTime").cloned();
        (
            description["PointInTimeRecoveryStatus"].as_str().unwrap().to_owned(),
            latest,
        )
    };
    let table = json!({"TableName": "control"});
    let described = fixture.ok("DescribeContinuousBackups", table.clone());
    assert_eq!(status(&described), ("DISABLED".to_owned(), None));
    let turn = |enabled: bool| json!({"TableName": "control", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": enabled}});
    let now = fixture.kernel.now().as_second();
    let described = fixture.ok("UpdateContinuousBackups", turn(true));
    assert_eq!(status(&described), ("ENABLED".to_owned(), Some(json!(now))));
    let described = fixture.ok("UpdateContinuousBackups", turn(false));
    assert_eq!(status(&described), ("DISABLED".to_owned(), None));
    let absent = fixture
        .call("DescribeContinuousBackups", json!({"TableName": "other"}))
        .unwrap_err();
    assert_eq!(absent.code, "TableNotFoundException");
    let incomplete = fixture.call("UpdateContinuousBackups", table).unwrap_err();
    assert_eq!(incomplete.code, "ValidationException");
}

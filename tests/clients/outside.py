"""Makes things of its own in a simulated AWS with boto3, uses them, and asserts what comes back: every protocol, and every service that an operator looks at.

outside.py, with the endpoint and the credentials in the environment. A line for each thing that is proven; the first that is not ends it.
"""

import json
import time

import boto3
import botocore.config
import botocore.exceptions

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/outside"
CONFIG = botocore.config.Config(retries={"max_attempts": 1}, read_timeout=30)


def client(service):
    return boto3.client(service, config=CONFIG)


def proven(what):
    print(f"✓ {what}", flush=True)


def same(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def refused(code, call, **arguments):
    """Asserts that a call is refused with this code, and gives the message."""
    try:
        answer = call(**arguments)
    except botocore.exceptions.ClientError as error:
        same(error.response["Error"]["Code"], code)
        return error.response["Error"]["Message"]
    raise AssertionError(f"it was not refused with {code}: {answer}")


def until(what, look):
    """The first result of `look` that is true. Simulated time is faster than this clock."""
    for _ in range(200):
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen")


def statement(**members):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **members}]})


def identity():
    same(client("sts").get_caller_identity()["Account"], ACCOUNT)
    iam = client("iam")
    services = [f"{name}.amazonaws.com" for name in ("events", "scheduler", "states")]
    trust = statement(Principal={"Service": services}, Action="sts:AssumeRole")
    same(iam.create_role(RoleName="outside", AssumeRolePolicyDocument=trust)["Role"]["Arn"], ROLE)
    allowed = statement(Action=["states:StartExecution", "sqs:SendMessage"], Resource="*")
    iam.put_role_policy(RoleName="outside", PolicyName="targets", PolicyDocument=allowed)
    same(iam.get_role_policy(RoleName="outside", PolicyName="targets")["PolicyDocument"], json.loads(allowed))
    same(iam.get_role(RoleName="outside")["Role"]["AssumeRolePolicyDocument"], json.loads(trust))
    refused("EntityAlreadyExists", iam.create_role, RoleName="outside", AssumeRolePolicyDocument=trust)
    session = client("sts").assume_role(RoleArn=ROLE, RoleSessionName="tried")["Credentials"]
    as_role = {
        "aws_access_key_id": session["AccessKeyId"],
        "aws_secret_access_key": session["SecretAccessKey"],
        "aws_session_token": session["SessionToken"],
    }
    message = refused("AccessDeniedException", boto3.client("ecs", config=CONFIG, **as_role).list_clusters)
    assert "ecs:ListClusters" in message, message
    proven("STS and IAM (query): a role is made, is assumed, and may do what its policies say")


def machine():
    states = client("stepfunctions")
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "Double",
        "States": {
            "Double": {"Type": "Pass", "Output": {"n": "{% $states.input.detail.n * 2 %}"}, "Next": "Large?"},
            "Large?": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $states.input.n > 9 %}", "Next": "Refuse"}],
                "Default": "Rest",
            },
            "Rest": {"Type": "Wait", "Seconds": 30, "Next": "Done"},
            "Refuse": {"Type": "Fail", "Error": "TooLarge", "Cause": "no more than nine"},
            "Done": {"Type": "Succeed"},
        },
    }
    arn = states.create_state_machine(name="outside", definition=json.dumps(definition), roleArn=ROLE)["stateMachineArn"]
    same(json.loads(states.describe_state_machine(stateMachineArn=arn)["definition"]), definition)
    ends = {}
    for n in (2, 7):
        started = states.start_execution(stateMachineArn=arn, name=f"n{n}", input=json.dumps({"detail": {"n": n}}))
        ends[n] = until("the end", lambda: ended(states, started["executionArn"]))
    same((ends[2]["status"], json.loads(ends[2]["output"])), ("SUCCEEDED", {"n": 4}))
    same((ends[7]["status"], ends[7]["error"], ends[7]["cause"]), ("FAILED", "TooLarge", "no more than nine"))
    assert 30 <= (ends[2]["stopDate"] - ends[2]["startDate"]).total_seconds() < 60
    pages = states.get_paginator("get_execution_history").paginate(
        executionArn=ends[2]["executionArn"], PaginationConfig={"PageSize": 3}
    )
    events = [event for page in pages for event in page["events"]]
    same([event["id"] for event in events], list(range(1, len(events) + 1)))
    entered = [event["stateEnteredEventDetails"]["name"] for event in events if event["type"].endswith("StateEntered")]
    same(entered, ["Double", "Large?", "Rest", "Done"])
    failed = states.list_executions(stateMachineArn=arn, statusFilter="FAILED")["executions"]
    same([execution["name"] for execution in failed], ["n7"])
    refused("ExecutionDoesNotExist", states.describe_execution, executionArn=ends[2]["executionArn"] + "x")
    proven("Step Functions (JSON): a machine runs, branches, waits and fails as its definition says")
    return arn


def ended(states, arn):
    execution = states.describe_execution(executionArn=arn)
    return execution if execution["status"] != "RUNNING" else None


def rule(arn):
    events, states = client("events"), client("stepfunctions")
    pattern = {"source": ["outside"], "detail": {"n": [{"numeric": ["<", 5]}]}}
    events.put_rule(Name="outside", EventPattern=json.dumps(pattern))
    target = {"Id": "machine", "Arn": arn, "RoleArn": ROLE}
    same(events.put_targets(Rule="outside", Targets=[target])["FailedEntryCount"], 0)
    same(events.list_rule_names_by_target(TargetArn=arn)["RuleNames"], ["outside"])
    before = len(states.list_executions(stateMachineArn=arn)["executions"])
    entries = [{"Source": "outside", "DetailType": "Number", "Detail": json.dumps({"n": n})} for n in (9, 3)]
    same(events.put_events(Entries=entries)["FailedEntryCount"], 0)
    refused_entry = events.put_events(Entries=[{**entries[0], "Source": "aws.ecs"}])["Entries"][0]
    same(refused_entry["ErrorCode"], "NotAuthorizedForSourceException")

    def started():
        executions = states.list_executions(stateMachineArn=arn)["executions"]
        return executions if len(executions) > before else None

    newest = until("the start", started)[0]
    end = until("the end", lambda: ended(states, newest["executionArn"]))
    same(json.loads(end["output"]), {"n": 6})
    same(len(states.list_executions(stateMachineArn=arn)["executions"]), before + 1)
    proven("EventBridge (JSON): an event that a rule wants starts its target, another does not")


def schedule():
    queues, scheduler = client("sqs"), client("scheduler")
    url = queues.create_queue(QueueName="outside")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    scheduler.create_schedule(
        Name="outside",
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": arn, "RoleArn": ROLE, "Input": json.dumps({"tick": True})},
    )
    same(scheduler.get_schedule(Name="outside")["ScheduleExpression"], "rate(1 minute)")
    same([one["Name"] for one in scheduler.list_schedules(NamePrefix="out")["Schedules"]], ["outside"])
    received = until("a message", lambda: queues.receive_message(QueueUrl=url, WaitTimeSeconds=20).get("Messages"))
    same(json.loads(received[0]["Body"]), {"tick": True})
    queues.delete_message(QueueUrl=url, ReceiptHandle=received[0]["ReceiptHandle"])
    scheduler.delete_schedule(Name="outside")
    refused("ResourceNotFoundException", scheduler.get_schedule, Name="outside")
    refused("InvalidAttributeValue", queues.set_queue_attributes, QueueUrl=url, Attributes={"Policy": "{}"})
    policy = statement(Principal={"Service": "events.amazonaws.com"}, Action="sqs:SendMessage", Resource=arn)
    queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events = client("events")
    events.put_rule(Name="letters", EventPattern=json.dumps({"source": ["outside.letters"]}))
    events.put_targets(Rule="letters", Targets=[{"Id": "queue", "Arn": arn, "InputPath": "$.detail"}])
    events.put_events(Entries=[{"Source": "outside.letters", "DetailType": "Letter", "Detail": json.dumps({"to": "ana"})}])
    received = until("a letter", lambda: queues.receive_message(QueueUrl=url, WaitTimeSeconds=20).get("Messages"))
    same(json.loads(received[0]["Body"]), {"to": "ana"})
    queues.purge_queue(QueueUrl=url)
    sent = queues.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(3)])
    same([one["Id"] for one in sent["Successful"]], ["0", "1", "2"])
    waiting = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    same(waiting, {"ApproximateNumberOfMessages": "3"})
    refused("QueueDoesNotExist", queues.get_queue_url, QueueName="nowhere")
    proven("EventBridge Scheduler (REST) and SQS (JSON): a schedule fills a queue, and so does a rule that its policy lets in")


def table():
    tables = client("dynamodb")
    key = [{"AttributeName": "owner", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}]
    tables.create_table(
        TableName="outside",
        KeySchema=key,
        AttributeDefinitions=[
            {"AttributeName": "owner", "AttributeType": "S"},
            {"AttributeName": "at", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    tables.get_waiter("table_exists").wait(TableName="outside", WaiterConfig={"Delay": 1})
    outside = boto3.resource("dynamodb", config=CONFIG).Table("outside")
    for at in range(5):
        outside.put_item(Item={"owner": "ana", "at": at, "bytes": b"\x00\xff", "tags": {"a", "b"}})
    condition = boto3.dynamodb.conditions.Key("owner").eq("ana")
    pages = tables.get_paginator("query").paginate(
        TableName="outside",
        KeyConditionExpression="#o = :o",
        ExpressionAttributeNames={"#o": "owner"},
        ExpressionAttributeValues={":o": {"S": "ana"}},
        PaginationConfig={"PageSize": 2},
    )
    same([int(item["at"]["N"]) for page in pages for item in page["Items"]], list(range(5)))
    newest = outside.query(KeyConditionExpression=condition, ScanIndexForward=False, Limit=1)["Items"][0]
    same((newest["at"], newest["bytes"].value, newest["tags"]), (4, b"\x00\xff", {"a", "b"}))
    taken = {"Item": {"owner": "ana", "at": 0}, "ConditionExpression": "attribute_not_exists(#o)"}
    names = {"ExpressionAttributeNames": {"#o": "owner"}}
    refused("ConditionalCheckFailedException", outside.put_item, **taken, **names)
    outside.delete()
    tables.get_waiter("table_not_exists").wait(TableName="outside", WaiterConfig={"Delay": 1})
    proven("DynamoDB (JSON): a table is made, filled, queried page by page, and keeps conditions")


def service():
    ecs = client("ecs")
    quickly = {"WaiterConfig": {"Delay": 1}}
    same(ecs.create_cluster(clusterName="outside")["cluster"]["status"], "ACTIVE")
    container = {"name": "web", "image": "public.ecr.aws/nginx/nginx:1.29", "essential": True}
    definition = ecs.register_task_definition(
        family="outside-web",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{**container, "portMappings": [{"containerPort": 80}]}],
    )["taskDefinition"]
    same((definition["revision"], definition["status"]), (1, "ACTIVE"))
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
    where = {"cluster": "outside", "launchType": "FARGATE", "networkConfiguration": network}
    ecs.create_service(serviceName="web", taskDefinition="outside-web", desiredCount=2, **where)
    ecs.get_waiter("services_stable").wait(cluster="outside", services=["web"], **quickly)
    described = ecs.describe_services(cluster="outside", services=["web"])["services"][0]
    same((described["runningCount"], described["deployments"][0]["rolloutState"]), (2, "COMPLETED"))
    tasks = ecs.list_tasks(cluster="outside", serviceName="web")["taskArns"]
    ecs.get_waiter("tasks_running").wait(cluster="outside", tasks=tasks, **quickly)
    deployments = ecs.list_service_deployments(cluster="outside", service="web")["serviceDeployments"]
    same([one["status"] for one in deployments], ["SUCCESSFUL"])
    task = ecs.run_task(taskDefinition="outside-web:1", **where)["tasks"][0]["taskArn"]
    ecs.stop_task(cluster="outside", task=task, reason="tried")
    ecs.get_waiter("tasks_stopped").wait(cluster="outside", tasks=[task], **quickly)
    stopped = ecs.describe_tasks(cluster="outside", tasks=[task])["tasks"][0]
    same((stopped["stopCode"], stopped["stoppedReason"]), ("UserInitiated", "tried"))
    refused("ClusterContainsServicesException", ecs.delete_cluster, cluster="outside")
    ecs.delete_service(cluster="outside", service="web", force=True)
    ecs.get_waiter("services_inactive").wait(cluster="outside", services=["web"], **quickly)
    refused("ClusterNotFoundException", ecs.list_tasks, cluster="nowhere")
    proven("ECS (JSON): a service becomes stable, a task is run and stopped, the waiters agree")


def registry():
    ecr = client("ecr")
    uri = ecr.create_repository(repositoryName="outside/api", imageTagMutability="IMMUTABLE")["repository"]["repositoryUri"]
    assert uri.endswith("amazonaws.com/outside/api"), uri
    same(ecr.list_images(repositoryName="outside/api")["imageIds"], [])
    message = refused("ImageNotFoundException", ecr.describe_images, repositoryName="outside/api", imageIds=[{"imageTag": "v1"}])
    assert "outside/api" in message, message
    ecr.delete_repository(repositoryName="outside/api")
    refused("RepositoryNotFoundException", ecr.list_images, repositoryName="outside/api")
    proven("ECR (JSON): a repository is made, looked at and deleted")


def watching():
    metrics, logs, functions = client("cloudwatch"), client("logs"), client("lambda")
    now = until("a metric", lambda: measured(metrics))
    found = metrics.list_metrics(Namespace="Outside")["Metrics"]
    same([metric["MetricName"] for metric in found], ["Latency"])
    metrics.put_metric_alarm(
        AlarmName="outside",
        Namespace="Outside",
        MetricName="Latency",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=2,
        ComparisonOperator="GreaterThanThreshold",
    )
    metrics.get_waiter("alarm_exists").wait(AlarmNames=["outside"], WaiterConfig={"Delay": 1})
    metrics.set_alarm_state(AlarmName="outside", StateValue="ALARM", StateReason="tried")
    alarm = metrics.describe_alarms(AlarmNames=["outside"])["MetricAlarms"][0]
    assert alarm["StateUpdatedTimestamp"] >= now, alarm
    metrics.delete_alarms(AlarmNames=["outside"])
    proven("CloudWatch (JSON): metrics come back as statistics, an alarm has a state and a time")

    logs.create_log_group(logGroupName="/outside")
    logs.create_log_stream(logGroupName="/outside", logStreamName="one")
    at = int(now.timestamp() * 1000)
    lines = [{"timestamp": at + n, "message": f"line {n} {'ERROR' if n == 1 else ''}"} for n in range(3)]
    logs.put_log_events(logGroupName="/outside", logStreamName="one", logEvents=lines)
    found = logs.filter_log_events(logGroupName="/outside", filterPattern="ERROR")["events"]
    same([event["timestamp"] for event in found], [at + 1])
    logs.delete_log_group(logGroupName="/outside")
    refused("ResourceNotFoundException", logs.get_log_events, logGroupName="/outside", logStreamName="one")
    proven("CloudWatch Logs (JSON): lines are written and found")

    answer = functions.invoke(FunctionName="esclusa-observe", Payload=b'{"unknown": true}')
    same((answer["StatusCode"], answer["FunctionError"]), (200, "Unhandled"))
    assert "errorType" in json.load(answer["Payload"])
    refused("ResourceNotFoundException", functions.invoke, FunctionName="nowhere")
    secrets = client("secretsmanager")
    secrets.create_secret(Name="outside", SecretString="hidden")
    same(secrets.get_secret_value(SecretId="outside")["SecretString"], "hidden")
    same(secrets.describe_secret(SecretId="outside")["Name"], "outside")
    secrets.delete_secret(SecretId="outside", ForceDeleteWithoutRecovery=True)
    same(client("elbv2").describe_target_groups()["TargetGroups"], [])
    refused("TargetGroupNotFound", client("elbv2").describe_target_health, TargetGroupArn="arn:aws:nowhere")
    assert client("rds").describe_db_instances()["DBInstances"][0]["LatestRestorableTime"]
    proven("Lambda (REST), Secrets Manager (JSON), ELBv2 and RDS (query) answer as they do")


def measured(metrics):
    """Puts a metric without saying when, and gives the time under which it is shown, by the clock of the simulated AWS."""
    metrics.put_metric_data(Namespace="Outside", MetricData=[{"MetricName": "Latency", "Value": 1.5}])
    now = time.time()
    span = {"StartTime": now - 86_400, "EndTime": now + 86_400, "Period": 60}
    found = metrics.get_metric_statistics(Namespace="Outside", MetricName="Latency", Statistics=["Maximum"], **span)
    points = found["Datapoints"]
    if points:
        same(points[0]["Maximum"], 1.5)
        query = {"Metric": {"Namespace": "Outside", "MetricName": "Latency"}, "Period": 60, "Stat": "Maximum"}
        span.pop("Period")
        data = metrics.get_metric_data(MetricDataQueries=[{"Id": "m", "MetricStat": query}], **span)
        assert points[0]["Timestamp"] in data["MetricDataResults"][0]["Timestamps"], data
    return points and points[0]["Timestamp"]


def unknown():
    code = "UnsupportedBySimulatorException"
    for call, named in (
        (client("ecs").list_container_instances, "RunTask"),
        (client("dynamodb").describe_limits, "PutItem"),
        (client("stepfunctions").list_activities, "StartExecution"),
        (client("events").list_archives, "PutRule"),
        (client("cloudwatch").list_dashboards, "GetMetricData"),
        (client("scheduler").list_schedule_groups, "CreateSchedule"),
        (client("lambda").list_event_source_mappings, "Invoke"),
        (client("sts").get_session_token, "AssumeRole"),
        (client("iam").list_users, "CreateRole"),
        (client("sns").list_topics, "Subscribe"),
        (client("cloudformation").list_stacks, "sqs"),
        (client("ec2").describe_subnets, "ecs"),
        (client("s3").list_buckets, "ecr"),
    ):
        message = refused(code, call)
        assert f"`{named}`" in message, message
    proven("what is not simulated is refused in every protocol, with what there is")


def main():
    identity()
    rule(machine())
    schedule()
    table()
    service()
    registry()
    watching()
    unknown()


main()

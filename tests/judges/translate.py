"""Translates a template as CloudFormation would see it, without an account or a network.

Usage: translate.py TEMPLATE OUTPUT

Fails when the SAM translator refuses the template. Writes {"settings": {...}, "resources": {logical id: {"Type", "Properties"}}}
as sorted JSON: what the translator made of the template, with every name resolved for one stack. A test compares it with
what the simulator understood of the same template.
"""

import json
import os
import pathlib
import re
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator import transform
from samtranslator.yaml_helper import yaml_parse

# The translator never needs the artefacts, only addresses that look like theirs.
ARTEFACT = "s3://esclusa-judges/artefact"
ACCOUNT, REGION, STACK = "123456789012", "eu-central-1", "judged"
PARAMETERS = {
    "RepositoryPattern": "imagy-*",
    "ClusterPattern": "clusters-*",
    "FamilyPattern": "families-*",
    "PassableRoleArns": f"arn:aws:iam::{ACCOUNT}:role/one,arn:aws:iam::{ACCOUNT}:role/two",
    "CheckSubnetIds": "subnet-a,subnet-b",
    "CheckSecurityGroupIds": "sg-a",
    "SlackBotTokenArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:token-abcdef",
    "SlackSigningSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:signing-abcdef",
    "TargetAccounts": "210987654321,321098765432",
    "TargetExternalId": "known-to-both",
    "HomeAccount": "987654321098",
    "HomeRegion": "us-east-1",
    "ExternalId": "known-to-both",
    "RegionPattern": "eu-*",
}
PSEUDO_PARAMETERS = {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::StackName": STACK, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com"}
# What AWS::NoValue refers to: as if it was not written.
NOTHING = object()
# By type: the property that holds the physical name, and the ARN, in which {} is that name.
NAMED = {
    "AWS::CloudWatch::Alarm": ("AlarmName", f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{{}}"),
    "AWS::DynamoDB::Table": ("TableName", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{{}}"),
    "AWS::Events::Rule": ("Name", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{{}}"),
    "AWS::IAM::Role": ("RoleName", f"arn:aws:iam::{ACCOUNT}:role/{{}}"),
    "AWS::Lambda::Function": ("FunctionName", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}"),
    "AWS::Logs::LogGroup": ("LogGroupName", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*"),
    "AWS::SNS::Topic": ("TopicName", f"arn:aws:sns:{REGION}:{ACCOUNT}:{{}}"),
    "AWS::SQS::Queue": ("QueueName", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}"),
    "AWS::StepFunctions::StateMachine": ("StateMachineName", f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{{}}"),
}


class NoManagedPolicies:
    """Stands in for the client that lists the managed policies of an account: every role of the template names its own."""

    def load(self):
        return {}


def translated(path: pathlib.Path) -> dict:
    template = yaml_parse(path.read_text())
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for address in ("CodeUri", "DefinitionUri"):
            if address in properties:
                properties[address] = ARTEFACT
    return transform.transform(template, {}, NoManagedPolicies(), None, Parser())


class Stack:
    """Resolves the intrinsic functions of a translated template."""

    def __init__(self, template: dict):
        self.resources = template["Resources"]
        self.parameters = {}
        for name, parameter in template["Parameters"].items():
            value = PARAMETERS.get(name, parameter.get("Default"))
            self.parameters[name] = value.split(",") if parameter["Type"] == "CommaDelimitedList" else value
        self.conditions = {name: self.holds(condition) for name, condition in template.get("Conditions", {}).items()}
        self.resources = {name: resource for name, resource in self.resources.items() if self.conditions.get(resource.get("Condition"), True)}

    def holds(self, condition) -> bool:
        match list(condition.items()):
            case [("Fn::Not", [negated])]:
                return not self.holds(negated)
            case [("Fn::Equals", [one, other])]:
                return self.resolved(one) == self.resolved(other)
        raise ValueError(f"the judge does not know the condition {condition}")

    def resolved(self, node):
        if isinstance(node, list):
            return [item for item in map(self.resolved, node) if item is not NOTHING]
        if not isinstance(node, dict):
            return node
        match list(node.items()):
            case [("Ref", name)]:
                return self.reference(name)
            case [("Fn::GetAtt", [logical_id, attribute])]:
                return self.attribute(logical_id, attribute)
            case [("Fn::Sub", str(text))]:
                return re.sub(r"\$\{([^}]+)\}", lambda found: str(self.named(found.group(1))), text)
            case [("Fn::Sub", [str(text), dict(own)])]:
                values = self.resolved(own)
                return re.sub(r"\$\{([^}]+)\}", lambda found: str(values.get(found.group(1)) or self.named(found.group(1))), text)
            case [("Fn::If", [condition, one, other])]:
                return self.resolved(one if self.conditions[condition] else other)
            case [("Fn::Join", [separator, items])]:
                return separator.join(str(item) for item in self.resolved(items))
            case [(function, _)] if function.startswith("Fn::"):
                raise ValueError(f"the judge does not know {function}")
        values = {key: self.resolved(value) for key, value in node.items()}
        return {key: value for key, value in values.items() if value is not NOTHING}

    def named(self, expression: str):
        logical_id, dot, attribute = expression.partition(".")
        return self.attribute(logical_id, attribute) if dot else self.reference(expression)

    def reference(self, name: str):
        if name == "AWS::NoValue":
            return NOTHING
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        if name in self.parameters:
            return self.parameters[name]
        kind = self.resources[name]["Type"]
        if kind == "AWS::ApiGatewayV2::Api":
            return name.lower()
        return self.attribute(name, "Arn") if kind in ("AWS::SNS::Topic", "AWS::StepFunctions::StateMachine") else self.name(name)

    def attribute(self, logical_id: str, attribute: str):
        naming, arn = NAMED[self.resources[logical_id]["Type"]]
        if attribute == "Arn":
            return arn.format(self.name(logical_id))
        if attribute == naming:
            return self.name(logical_id)
        raise ValueError(f"the judge does not know the attribute {attribute} of {logical_id}")

    def name(self, logical_id: str):
        resource = self.resources[logical_id]
        return self.resolved(resource["Properties"][NAMED[resource["Type"]][0]])


def main() -> None:
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    source, output = map(pathlib.Path, sys.argv[1:])
    template = translated(source)
    stack = Stack(template)
    resources = {
        logical_id: {"Type": resource["Type"], "Properties": stack.resolved(resource.get("Properties", {}))}
        for logical_id, resource in stack.resources.items()
    }
    parameters = {name: value for name, value in PARAMETERS.items() if name in template["Parameters"]}
    settings = {"account": ACCOUNT, "region": REGION, "stack": STACK, "parameters": parameters}
    output.write_text(json.dumps({"settings": settings, "resources": resources}, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

"""Translates template.yaml as CloudFormation would see it, without an account or a network.

Usage: translate.py TEMPLATE OUTPUT

Fails when the SAM translator refuses the template. Writes {"resources": {logical id: type}, "roles": {logical id:
[statements]}} as sorted JSON, so that what the simulator understood of the template can be compared with what the
translator did. The statements of shared policies are with each of their roles.
"""

import json
import os
import pathlib
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator import transform
from samtranslator.yaml_helper import yaml_parse

# The translator never needs the artefacts, only addresses that look like theirs.
ARTEFACT = "s3://esclusa-judges/artefact"
# The translator calls nothing, but asks which Region it works for.
REGION = "eu-central-1"


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


def summary(template: dict) -> dict:
    resources = template["Resources"]
    roles = {}
    for logical_id, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            policies = resource["Properties"].get("Policies", [])
            roles[logical_id] = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
    for resource in resources.values():
        if resource["Type"] == "AWS::IAM::Policy":
            for role in resource["Properties"]["Roles"]:
                roles[role["Ref"]] += resource["Properties"]["PolicyDocument"]["Statement"]
    return {"resources": {logical_id: resource["Type"] for logical_id, resource in resources.items()}, "roles": roles}


def main() -> None:
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    source, output = map(pathlib.Path, sys.argv[1:])
    output.write_text(json.dumps(summary(translated(source)), indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks what the daemon answered against openapi.yaml.

  openapi.py OPENAPI CALLS     CALLS: lines of JSON as daemon.bash's call writes them. Each call of a
                               documented path must have a documented status, and a body that its
                               schema accepts; request bodies that were answered with 2xx must fit
                               the documented request.
  openapi.py OPENAPI CALLS --all   every documented answer must have been seen, too, but 413, 415
                               and 429, which all operations share, in one operation at least;
                               and every documented error code, but that of our own faults
"""

import json
import re
import sys
from urllib.parse import parse_qsl

import jsonschema
import yaml

document = yaml.safe_load(open(sys.argv[1]))
VERBS = ("get", "post", "put", "delete")
SHARED = {"413", "415", "429"}


def closed(node):
    """As the document, but what clients have to let pass in an answer of a later version is refused in one of today."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: closed(item) for name, item in node.items()}
    if "x-extensible-enum" in node:
        node["enum"] = node["x-extensible-enum"]
    if isinstance(node.get("properties"), dict):
        node.setdefault("additionalProperties", False)
    return node


answers_document = closed(document)


def resolve(node, within=document):
    while "$ref" in node:
        target = within
        for step in node["$ref"].lstrip("#/").split("/"):
            target = target[step]
        node = target
    return node


def validator(schema, within):
    schema = dict(resolve(schema, within), components=within["components"])
    resolver = jsonschema.RefResolver("", within)
    return jsonschema.Draft4Validator(schema, resolver=resolver)


def operation(method, path):
    for pattern, item in document["paths"].items():
        regex = re.escape(pattern).replace(r"\{realm\}", "[^/]+").replace(r"\{username\}", ".+")
        if re.fullmatch(regex, path) and method.lower() in item:
            return pattern, item[method.lower()]
    return None, None


def check(call):
    path, _, _ = call["path"].partition("?")
    pattern, found = operation(call["method"], path)
    if not found:
        return None
    status = str(call["status"])
    place = f"{call['method']} {pattern} {status}"
    assert status in found["responses"], f"{place} is not documented"
    assert call["cache"] == "no-store", f"{place}: Cache-Control is {call['cache']}"
    refused = json.loads(call["answer"]).get("error") if status[0] == "4" else None
    if status == "429":
        assert re.fullmatch("[1-9][0-9]*", call["retry"]), f"{place}: Retry-After is {call['retry']}"
    if status == "401" or refused == "insufficient_scope":
        assert call["authenticate"], f"{place}: no WWW-Authenticate"
    ((kind, content),) = resolve(found["responses"][status])["content"].items()
    assert call["type"].partition(";")[0] == kind, f"{place}: {call['type']}"
    if kind == "application/json":
        errors = sorted(validator(closed(content["schema"]), answers_document).iter_errors(json.loads(call["answer"])), key=str)
        assert not errors, f"{place}: {errors[0].message}"
    if status.startswith("2") and "requestBody" in found:
        for kind, content in found["requestBody"]["content"].items():
            body = json.loads(call["body"]) if "json" in kind else dict(parse_qsl(call["body"]))
            if body:
                errors = list(validator(content["schema"], document).iter_errors(body))
                assert not errors, f"{place}, request: {errors[0].message}"
    return (call["method"], pattern, status)


calls = [json.loads(line) for line in open(sys.argv[2])]
seen = {check(call) for call in calls} - {None}
print(f"{len(calls)} calls, {len(seen)} documented answers")
assert seen, "no call"
if "--all" in sys.argv:
    missing = []
    for pattern, item in document["paths"].items():
        for verb in VERBS:
            for status in item.get(verb, {}).get("responses", {}):
                if status in SHARED and any(s[2] == status for s in seen):
                    continue
                if (verb.upper(), pattern, status) not in seen:
                    missing.append(f"{verb.upper()} {pattern} {status}")
    assert not missing, "not seen: " + ", ".join(missing)
    answers = [json.loads(call["answer"]) for call in calls if call["type"].startswith("application/json")]
    codes = {answer.get("error") for answer in answers}
    silent = set(document["components"]["schemas"]["Error"]["properties"]["error"]["x-extensible-enum"]) - codes - {"server_error"}
    assert not silent, "error codes not seen: " + ", ".join(sorted(silent))
